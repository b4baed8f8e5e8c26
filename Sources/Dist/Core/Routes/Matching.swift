import Base
import KV

/// A trie node waiting to be visited: the filters below it, or a branch's "/#" alone.
struct MatchFrame {
    /// Link to a leaf or branch; ignored but for the branch's `hash` word if `isHash`.
    var link: UInt32
    /// Levels of the topic consumed on the way to this node.
    var depth: Int32
    var isHash: Bool
}

/// Where a match goes on: the filter, by how each topic level is matched, and the receiver.
///
/// ```
///  layout number u32, area u8 (1 exact, 2 wildcard), choices s16 (0 level, 1 "+", 2 "#", each u8),
///  stage u8 (0 plain, 1 groups), chain u32, inner u8 (1: within a group), group kind u8,
///  group name s16, member chain u32
/// ```
/// Filters are visited in the order of their choices, so a cursor keeps its place whatever is
/// added or removed between two pages.
struct MatchCursor: Equatable {
    var layoutNumber: UInt32 = 0
    var isWildcard = false
    var choices: [UInt8] = []
    var inGroups = false
    var chain: UInt32 = 0
    /// The group to go on with, and the chain of its members; nil between groups.
    var group: RouteGroup?
    var memberChain: UInt32 = 0

    static let plain: UInt8 = 0
    static let plus: UInt8 = 1
    static let hash: UInt8 = 2

    init() {}

    init?(_ bytes: UnsafeRawBufferPointer) {
        let span = RawSpan(_unsafeBytes: bytes)
        var reader = ByteReader(span)
        do throws(ByteShortage) {
            layoutNumber = try reader.readUInt32(span)
            isWildcard = try reader.readUInt8(span) == 2
            choices = span.array(try reader.takeLengthPrefixed16(span))
            inGroups = try reader.readUInt8(span) == 1
            chain = try reader.readUInt32(span)
            let isInner = try reader.readUInt8(span) == 1
            let kind = GroupKind(rawValue: try reader.readUInt8(span))
            let name = span.array(try reader.takeLengthPrefixed16(span))
            memberChain = try reader.readUInt32(span)
            if isInner, let kind { group = RouteGroup(kind: kind, name: name) }
        } catch {
            return nil
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: layoutNumber)
        writer.append(isWildcard ? 2 : 1)
        writer.append(lengthPrefixed16: choices)
        writer.append(inGroups ? 1 : 0)
        writer.append(bigEndian: chain)
        writer.append(group == nil ? 0 : 1)
        writer.append(group?.kind.rawValue ?? 0)
        writer.append(lengthPrefixed16: group?.name ?? [])
        writer.append(bigEndian: memberChain)
    }
}

/// What one page may cost and has cost.
struct MatchPage {
    /// Stop after the receiver with which the writer reaches this count.
    var bytesEnd: Int
    var visitsLeft: Int
}

extension RouteTable {
    /// Writes the receivers of a topic, from `cursor` on, until all are written or the page is
    /// full; returns where to go on. A cursor from before a new layout is answered by itself.
    mutating func match(
        _ tenant: UnsafeRawBufferPointer, _ topic: UnsafeRawBufferPointer,
        areas: MatchAreas, from cursor: MatchCursor?, page: inout MatchPage,
        into writer: inout ByteWriter
    ) -> MatchCursor? {
        let root = tenantRoot(tenant)
        guard root != 0 else { return nil }
        if areas != .wildcard, cursor == nil || cursor?.isWildcard == false {
            let entry = findExact(root, topic)
            if entry != 0 {
                let location = Location(
                    slot: slot(entry, Exact.own), holder: .exact, handle: entry)
                if var next = emit(location, from: cursor, page: &page, into: &writer) {
                    next.layoutNumber = layoutNumber
                    return next
                }
            }
        }
        guard areas != .exact,
            var next = matchWildcards(
                root, topic, from: cursor?.isWildcard == true ? cursor : nil, page: &page,
                into: &writer)
        else { return nil }
        next.layoutNumber = layoutNumber
        next.isWildcard = true
        return next
    }

    private mutating func matchWildcards(
        _ root: UInt32, _ topic: UnsafeRawBufferPointer, from cursor: MatchCursor?,
        page: inout MatchPage, into writer: inout ByteWriter
    ) -> MatchCursor? {
        beginLevels(topic)
        pending.removeAll(keepingCapacity: true)
        var resume = cursor
        if let cursor {
            seek(root, topic, cursor)
        } else {
            pending.append(MatchFrame(link: root, depth: 0, isHash: false))
        }
        while let frame = pending.popLast() {
            let isSpent = page.visitsLeft <= 0 || writer.count >= page.bytesEnd
            if isSpent, resume == nil {
                var next = MatchCursor()
                next.choices = choices(frame)
                return next
            }
            page.visitsLeft -= 1
            guard let location = visit(frame, topic) else { continue }
            var position: MatchCursor?
            if let from = resume {
                // Only the first filter can be the one that the cursor stopped in.
                if choices(location) == from.choices { position = from }
                resume = nil
            }
            if var next = emit(location, from: position, page: &page, into: &writer) {
                next.choices = choices(location)
                return next
            }
        }
        return nil
    }

    private func choices(_ frame: MatchFrame) -> [UInt8] {
        if frame.isHash { return choices(hashLocation(frame.link)) }
        return frame.link & Self.leafBit == 0
            ? choices(ownLocation(frame.link)) : choices(leafLocation(frame.link & ~Self.leafBit))
    }

    /// Visits a node: returns the filter that ends in it, if it matches, and leaves the nodes
    /// below it pending, so that they come in the order level, "+", "#".
    private mutating func visit(
        _ frame: MatchFrame, _ topic: UnsafeRawBufferPointer
    ) -> Location? {
        if frame.isHash { return hashLocation(frame.link) }
        let depth = Int(frame.depth)
        if frame.link & Self.leafBit != 0 {
            let leaf = frame.link & ~Self.leafBit
            let start = levelStart(depth, topic)
            return tailMatches(leafTail(leaf), topic, from: start) ? leafLocation(leaf) : nil
        }
        let branch = frame.link
        // "#" and "+" at the beginning do not match a topic that begins with "$".
        let hidesWildcards = depth == 0 && topic.first == UInt8(ascii: "$")
        if word(branch, Branch.hash) != 0, !hidesWildcards {
            pending.append(MatchFrame(link: branch, depth: frame.depth, isHash: true))
        }
        let start = levelStart(depth, topic)
        if start > topic.count {
            return depth > 0 && word(branch, Branch.own) != 0 ? ownLocation(branch) : nil
        }
        let plus = word(branch, Branch.plus)
        if plus != 0, !hidesWildcards {
            pending.append(MatchFrame(link: plus, depth: frame.depth + 1, isHash: false))
        }
        if word(branch, Branch.children) != 0 {
            let link = findChild(branch, levelName(depth, topic), levelHash(depth, topic))
            if link != 0 {
                pending.append(MatchFrame(link: link, depth: frame.depth + 1, isHash: false))
            }
        }
        return nil
    }

    /// Whether the last stretch of a filter ("" or "/" and levels) matches a topic from `start`,
    /// where its next level begins; `start` behind the end means that no level is left.
    private func tailMatches(
        _ tail: UnsafeRawBufferPointer, _ topic: UnsafeRawBufferPointer, from start: Int
    ) -> Bool {
        var position = 0
        var start = start
        while position < tail.count {
            let level = level(tail, from: position + 1)
            if isHash(level.name) { return true }
            if start > topic.count { return false }
            let other = self.level(topic, from: start)
            if !isPlus(level.name), !same(level.name, other.name) { return false }
            position = level.end
            start = other.end + 1
        }
        return start > topic.count
    }

    // MARK: Levels of the topic

    private mutating func beginLevels(_ topic: UnsafeRawBufferPointer) {
        levelStarts.removeAll(keepingCapacity: true)
        levelHashes.removeAll(keepingCapacity: true)
        levelStarts.append(0)
    }

    /// Where the topic's level number `depth` begins; behind the end if there are fewer.
    private mutating func levelStart(_ depth: Int, _ topic: UnsafeRawBufferPointer) -> Int {
        while levelStarts.count <= depth {
            levelStarts.append(level(topic, from: levelStarts[levelStarts.count - 1]).end + 1)
        }
        return levelStarts[depth]
    }

    private mutating func levelName(
        _ depth: Int, _ topic: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        let start = levelStart(depth, topic)
        return UnsafeRawBufferPointer(
            rebasing: topic[start..<(levelStart(depth + 1, topic) - 1)])
    }

    private mutating func levelHash(_ depth: Int, _ topic: UnsafeRawBufferPointer) -> UInt64 {
        while levelHashes.count <= depth {
            levelHashes.append(hasher.hash(levelName(levelHashes.count, topic)))
        }
        return levelHashes[depth]
    }

    // MARK: Going on

    /// How a filter matches: a choice for each of its levels.
    func choices(_ location: Location) -> [UInt8] {
        var tailChoices: [UInt8] = []
        var reversed: [UInt8] = []
        var branch = location.handle
        func choice(_ name: UnsafeRawBufferPointer) -> UInt8 {
            isPlus(name) ? MatchCursor.plus : isHash(name) ? MatchCursor.hash : MatchCursor.plain
        }
        if location.isHash { tailChoices.append(MatchCursor.hash) }
        if location.holder == .leaf {
            reversed.append(choice(linkName(location.handle | Self.leafBit)))
            let tail = leafTail(location.handle)
            var position = 0
            while position < tail.count {
                let level = level(tail, from: position + 1)
                tailChoices.append(choice(level.name))
                position = level.end
            }
            branch = word(location.handle, Leaf.parent)
        }
        while word(branch, Branch.parent) != 0 {
            reversed.append(choice(branchName(branch)))
            branch = word(branch, Branch.parent)
        }
        return reversed.reversed() + tailChoices
    }

    /// Leaves pending what comes at or after the cursor's filter.
    private mutating func seek(
        _ root: UInt32, _ topic: UnsafeRawBufferPointer, _ cursor: MatchCursor
    ) {
        let choices = cursor.choices
        var branch = root
        for (depth, choice) in choices.enumerated() {
            let hidesWildcards = depth == 0 && topic.first == UInt8(ascii: "$")
            if word(branch, Branch.hash) != 0, !hidesWildcards {
                pending.append(MatchFrame(link: branch, depth: Int32(depth), isHash: true))
            }
            if choice == MatchCursor.hash { return }
            guard levelStart(depth, topic) <= topic.count else { return }
            let plus = hidesWildcards ? 0 : word(branch, Branch.plus)
            var link = plus
            if choice == MatchCursor.plain {
                if plus != 0 {
                    pending.append(
                        MatchFrame(link: plus, depth: Int32(depth + 1), isHash: false))
                }
                link = findChild(branch, levelName(depth, topic), levelHash(depth, topic))
            }
            if link == 0 { return }
            if link & Self.leafBit != 0 {
                let leaf = leafLocation(link & ~Self.leafBit)
                if !self.choices(leaf).lexicographicallyPrecedes(choices) {
                    pending.append(
                        MatchFrame(link: link, depth: Int32(depth + 1), isHash: false))
                }
                return
            }
            branch = link
        }
        // The filter itself, or what is now in its place.
        pending.append(MatchFrame(link: branch, depth: Int32(choices.count), isHash: false))
    }
}
