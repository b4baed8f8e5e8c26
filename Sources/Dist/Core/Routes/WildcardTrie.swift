import Base

/// The trie of filters with wildcards: finding, making and pruning a filter's place in it.
extension RouteTable {
    /// One level of a filter or topic: the bytes from `start` to the next "/" or the end.
    struct Level {
        var name: UnsafeRawBufferPointer
        /// Where the rest begins, with its "/": the end of the bytes if this level is the last.
        var end: Int
    }

    func level(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Level {
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "/") { end += 1 }
        return Level(name: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), end: end)
    }

    func isPlus(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count == 1 && name[0] == UInt8(ascii: "+")
    }

    func isHash(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count == 1 && name[0] == UInt8(ascii: "#")
    }

    func rest(_ bytes: UnsafeRawBufferPointer, from start: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[start...])
    }

    // MARK: Links

    func childTag(_ branch: UInt32, _ levelHash: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(levelHash ^ UInt64(branch) &<< 32))
    }

    func linkName(_ link: UInt32) -> UnsafeRawBufferPointer {
        if link & Self.leafBit == 0 { return branchName(link) }
        let leaf = link & ~Self.leafBit
        return part(leaf, Leaf.name, half(leaf, Leaf.nameCount))
    }

    func leafTail(_ leaf: UInt32) -> UnsafeRawBufferPointer {
        part(leaf, Leaf.name + half(leaf, Leaf.nameCount), half(leaf, Leaf.tailCount))
    }

    func findChild(
        _ branch: UInt32, _ name: UnsafeRawBufferPointer, _ levelHash: UInt64
    ) -> UInt32 {
        let tag = childTag(branch, levelHash)
        var position = Int(tag)
        while true {
            let link = children.candidate(tag, &position)
            if link == 0 { return 0 }
            // Parent is the first word of branches and leaves alike.
            let parent = word(link & ~Self.leafBit, Branch.parent)
            if parent == branch, same(linkName(link), name) { return link }
        }
    }

    func child(_ branch: UInt32, _ name: UnsafeRawBufferPointer) -> UInt32 {
        if isPlus(name) { return word(branch, Branch.plus) }
        return findChild(branch, name, hasher.hash(name))
    }

    mutating func attach(_ link: UInt32, to branch: UInt32) {
        let name = linkName(link)
        if isPlus(name) {
            setWord(branch, Branch.plus, link)
        } else {
            children.insert(childTag(branch, hasher.hash(name)), link)
            setWord(branch, Branch.children, word(branch, Branch.children) + 1)
        }
    }

    mutating func detach(_ link: UInt32, from branch: UInt32) {
        let name = linkName(link)
        if isPlus(name) {
            setWord(branch, Branch.plus, 0)
        } else {
            children.remove(childTag(branch, hasher.hash(name)), link)
            setWord(branch, Branch.children, word(branch, Branch.children) - 1)
        }
    }

    // MARK: Nodes

    mutating func makeBranch(parent: UInt32, name: UnsafeRawBufferPointer) -> UInt32 {
        let branch = arena.allocate(Branch.name + name.count)
        setWord(branch, Branch.parent, parent)
        setWord(branch, Branch.own, 0)
        setWord(branch, Branch.hash, 0)
        setWord(branch, Branch.plus, 0)
        setWord(branch, Branch.children, 0)
        store(name, branch, countAt: Branch.nameCount, at: Branch.name)
        return branch
    }

    mutating func makeLeaf(
        parent: UInt32, name: UnsafeRawBufferPointer, tail: UnsafeRawBufferPointer
    ) -> UInt32 {
        let leaf = arena.allocate(Leaf.name + name.count + tail.count)
        setWord(leaf, Leaf.parent, parent)
        setWord(leaf, Leaf.own, 0)
        store(name, leaf, countAt: Leaf.nameCount, at: Leaf.name)
        store(tail, leaf, countAt: Leaf.tailCount, at: Leaf.name + name.count)
        attach(leaf | Self.leafBit, to: parent)
        return leaf
    }

    func leafBytes(_ leaf: UInt32) -> Int {
        Leaf.name + half(leaf, Leaf.nameCount) + half(leaf, Leaf.tailCount)
    }

    /// Replaces a leaf by a branch of the same name; the leaf's filter goes one level deeper.
    mutating func branchOut(_ leaf: UInt32) -> UInt32 {
        let parent = word(leaf, Leaf.parent)
        let own = word(leaf, Leaf.own)
        let link = leaf | Self.leafBit
        let branch = makeBranch(parent: parent, name: linkName(link))
        detach(link, from: parent)
        attach(branch, to: parent)
        let tail = leafTail(leaf)
        if tail.isEmpty {
            setWord(branch, Branch.own, own)
        } else {
            let next = level(tail, from: 1)
            if isHash(next.name) {
                setWord(branch, Branch.hash, own)
            } else {
                let deeper = makeLeaf(
                    parent: branch, name: next.name, tail: rest(tail, from: next.end))
                setWord(deeper, Leaf.own, own)
            }
        }
        arena.free(leaf, leafBytes(leaf))
        return branch
    }

    // MARK: Filters

    func ownLocation(_ branch: UInt32) -> Location {
        Location(slot: slot(branch, Branch.own), holder: .branch, handle: branch)
    }

    func hashLocation(_ branch: UInt32) -> Location {
        Location(
            slot: slot(branch, Branch.hash), holder: .branch, handle: branch, isHash: true)
    }

    func leafLocation(_ leaf: UInt32) -> Location {
        Location(slot: slot(leaf, Leaf.own), holder: .leaf, handle: leaf)
    }

    func findWildcard(_ root: UInt32, _ filter: UnsafeRawBufferPointer) -> Location? {
        var branch = root
        var start = 0
        while true {
            let level = level(filter, from: start)
            if isHash(level.name) {
                return word(branch, Branch.hash) == 0 ? nil : hashLocation(branch)
            }
            let link = child(branch, level.name)
            if link == 0 { return nil }
            if link & Self.leafBit != 0 {
                let leaf = link & ~Self.leafBit
                return same(leafTail(leaf), rest(filter, from: level.end))
                    ? leafLocation(leaf) : nil
            }
            branch = link
            if level.end == filter.count {
                return word(branch, Branch.own) == 0 ? nil : ownLocation(branch)
            }
            start = level.end + 1
        }
    }

    mutating func makeWildcard(_ root: UInt32, _ filter: UnsafeRawBufferPointer) -> Location {
        var branch = root
        var start = 0
        while true {
            let level = level(filter, from: start)
            if isHash(level.name) { return hashLocation(branch) }
            let tail = rest(filter, from: level.end)
            let link = child(branch, level.name)
            if link == 0 {
                return leafLocation(makeLeaf(parent: branch, name: level.name, tail: tail))
            }
            if link & Self.leafBit != 0 {
                let leaf = link & ~Self.leafBit
                if same(leafTail(leaf), tail) { return leafLocation(leaf) }
                branch = branchOut(leaf)
            } else {
                branch = link
            }
            if level.end == filter.count { return ownLocation(branch) }
            start = level.end + 1
        }
    }

    mutating func pruneLeaf(_ leaf: UInt32) {
        let parent = word(leaf, Leaf.parent)
        detach(leaf | Self.leafBit, from: parent)
        arena.free(leaf, leafBytes(leaf))
        pruneBranches(from: parent)
    }

    /// Frees a branch that nothing needs any more, then its parent likewise, up to the tenant.
    mutating func pruneBranches(from start: UInt32) {
        var branch = start
        while word(branch, Branch.own) == 0, word(branch, Branch.hash) == 0,
            word(branch, Branch.plus) == 0, word(branch, Branch.children) == 0
        {
            let parent = word(branch, Branch.parent)
            let name = branchName(branch)
            if parent == 0 {
                tenants.remove(UInt32(truncatingIfNeeded: hasher.hash(name)), branch)
            } else {
                detach(branch, from: parent)
            }
            arena.free(branch, Branch.name + name.count)
            if parent == 0 { return }
            branch = parent
        }
    }

    /// The filter of a location, written behind what `writer` holds.
    func appendFilter(_ location: Location, into writer: inout ByteWriter) {
        if location.holder == .exact {
            writer.append(exactFilter(location.handle))
            return
        }
        var names: [UnsafeRawBufferPointer] = []
        var branch = location.handle
        var tail = UnsafeRawBufferPointer(start: nil, count: 0)
        if location.holder == .leaf {
            names.append(linkName(location.handle | Self.leafBit))
            tail = leafTail(location.handle)
            branch = word(location.handle, Leaf.parent)
        }
        while word(branch, Branch.parent) != 0 {
            names.append(branchName(branch))
            branch = word(branch, Branch.parent)
        }
        for (index, name) in names.reversed().enumerated() {
            if index > 0 { writer.append(UInt8(ascii: "/")) }
            writer.append(name)
        }
        writer.append(tail)
        if location.isHash {
            if !names.isEmpty { writer.append(UInt8(ascii: "/")) }
            writer.append(UInt8(ascii: "#"))
        }
    }

    /// The tenant of a location.
    func tenantName(_ location: Location) -> UnsafeRawBufferPointer {
        var branch = location.handle
        switch location.holder {
        case .exact: branch = word(location.handle, Exact.tenant)
        case .leaf: branch = word(location.handle, Leaf.parent)
        case .branch: break
        }
        while word(branch, Branch.parent) != 0 { branch = word(branch, Branch.parent) }
        return branchName(branch)
    }
}
