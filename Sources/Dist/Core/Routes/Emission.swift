import Base
import KV

/// Writing a filter's receivers into an answer, page by page.
extension RouteTable {
    /// Writes the receivers of one filter from `cursor` on. Returns where to go on if the page
    /// is full before the last one; `choices` are the caller's to fill in.
    func emit(
        _ location: Location, from cursor: MatchCursor?, page: inout MatchPage,
        into writer: inout ByteWriter
    ) -> MatchCursor? {
        let head = location.slot.pointee
        if cursor?.inGroups != true {
            var chain = cursor?.chain ?? 0
            var announced = false
            repeat {
                if writer.count >= page.bytesEnd {
                    var next = MatchCursor()
                    next.chain = chain
                    return next
                }
                let (first, next) = setChain(plainHead(head), chain)
                emitPlain(first, location, &announced, into: &writer)
                chain = next
            } while chain != 0
        }
        guard groupsHead(head) != 0 else { return nil }
        return emitGroups(location, from: cursor, page: &page, into: &writer)
    }

    private func emitPlain(
        _ first: UInt32, _ location: Location, _ announced: inout Bool,
        into writer: inout ByteWriter
    ) {
        var block = first
        while block != 0 {
            if kind(block) == BlockKind.stored, !announced {
                announced = true
                writer.append(DistQuestion.filterTag)
                writer.append(bigEndian: filterID(location))
            }
            emit(
                block, DistQuestion.transientTag, DistQuestion.storedTag, into: &writer)
            block = word(block, Block.next)
        }
    }

    /// One receiver; nothing if its epoch is fenced.
    private func emit(
        _ block: UInt32, _ transientTag: UInt8, _ storedTag: UInt8,
        into writer: inout ByteWriter
    ) {
        if kind(block) == BlockKind.stored {
            writer.append(storedTag)
            writer.append(string16: blockClientID(block))
            writer.append(bigEndian: long(block, Block.incarnation))
            writer.append(options(block))
            writer.append(bigEndian: word(block, Block.subscriptionID))
            return
        }
        let entry = places[blockPlace(block)]
        if entry.isFenced { return }
        writer.append(transientTag)
        writer.append(place: entry.place)
        writer.append(bigEndian: long(block, Block.token))
    }

    /// Names a filter for the dedication of patches: equal filters have equal ids everywhere.
    private func filterID(_ location: Location) -> UInt64 {
        var filter = ByteWriter(capacity: 64)
        appendFilter(location, into: &filter)
        return BucketHash.hash(filter.bytes)
    }

    // MARK: Groups

    private func emitGroups(
        _ location: Location, from cursor: MatchCursor?, page: inout MatchPage,
        into writer: inout ByteWriter
    ) -> MatchCursor? {
        let head = groupsHead(location.slot.pointee)
        var filter = ByteWriter(capacity: 64)
        appendFilter(location, into: &filter)
        var chain = cursor?.inGroups == true ? cursor?.chain ?? 0 : 0
        var resume = cursor?.inGroups == true ? cursor : nil
        repeat {
            let (first, next) = setChain(head, chain)
            for group in sortedGroups(first) {
                let name = groupName(group)
                var memberChain: UInt32 = 0
                if let from = resume?.group {
                    if precedes(name, from) { continue }
                    if name == from { memberChain = resume?.memberChain ?? 0 }
                }
                if let stopped = emitMembers(
                    group, name, filter.bytes, from: memberChain, page: &page, into: &writer)
                {
                    var next = MatchCursor()
                    next.inGroups = true
                    next.chain = chain
                    next.group = name
                    next.memberChain = stopped
                    return next
                }
            }
            resume = nil
            chain = next
        } while chain != 0
        return nil
    }

    /// Writes a group's members; returns the chain to go on with if the page is full.
    private func emitMembers(
        _ group: UInt32, _ name: RouteGroup, _ filter: UnsafeRawBufferPointer,
        from start: UInt32, page: inout MatchPage, into writer: inout ByteWriter
    ) -> UInt32? {
        if writer.count >= page.bytesEnd { return start }
        writer.append(DistQuestion.groupTag)
        writer.append(name.kind.rawValue)
        writer.append(lengthPrefixed16: name.name)
        writer.append(string16: filter)
        var chain = start
        repeat {
            // The heading alone may fill a page: at least one chain follows it.
            if chain != start, writer.count >= page.bytesEnd { return chain }
            var (block, next) = setChain(word(group, Block.members), chain)
            while block != 0 {
                emit(
                    block, DistQuestion.memberTransientTag, DistQuestion.memberStoredTag,
                    into: &writer)
                block = word(block, Block.next)
            }
            chain = next
        } while chain != 0
        return nil
    }

    private func groupName(_ group: UInt32) -> RouteGroup {
        RouteGroup(
            kind: GroupKind(rawValue: kind(group) - 2) ?? .unordered,
            name: [UInt8](blockGroupName(group)))
    }

    private func precedes(_ left: RouteGroup, _ right: RouteGroup) -> Bool {
        left.kind == right.kind
            ? left.name.lexicographicallyPrecedes(right.name)
            : left.kind.rawValue < right.kind.rawValue
    }

    /// The groups of one chain in order of kind and name: a chain is short.
    private func sortedGroups(_ first: UInt32) -> [UInt32] {
        var groups: [UInt32] = []
        var block = first
        while block != 0 {
            groups.append(block)
            block = word(block, Block.next)
        }
        if groups.count < 2 { return groups }
        return groups.sorted { precedes(groupName($0), groupName($1)) }
    }
}
