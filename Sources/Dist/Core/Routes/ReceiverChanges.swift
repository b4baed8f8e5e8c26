import Base
import KV

/// Adding and removing receivers, and sweeping those of fenced epochs.
extension RouteTable {
    mutating func addReceiver(
        _ item: RouteItem, to head: UnsafeMutablePointer<UInt32>
    ) -> Outcome {
        guard let groupKind = item.groupKind else {
            let plain = plainSlot(head)
            return item.isStored ? addStored(item, plain) : addTransient(item, plain)
        }
        let kind = groupKind.rawValue + 2
        let groups = makeGroupsSlot(head)
        var group = findGroup(groups.pointee, kind, item.group)
        if group == 0 {
            guard item.membersMax > 0 else {
                dropEmptyPair(head)
                return Outcome(code: .groupFull)
            }
            group = arena.allocate(Block.groupName + item.group.count)
            arena[group].storeBytes(of: kind, toByteOffset: Block.kind, as: UInt8.self)
            setWord(group, Block.members, 0)
            setWord(group, Block.memberCount, 0)
            store(item.group, group, countAt: Block.count, at: Block.groupName)
            let wasChain = groups.pointee & Self.tableBit == 0
            setInsert(groups, group, groupHash(kind, item.group))
            // A page may have ended within a chain of groups, whose order this has changed.
            if wasChain, groups.pointee & Self.tableBit != 0 { layoutNumber &+= 1 }
        }
        return addMember(item, group)
    }

    private mutating func addMember(_ item: RouteItem, _ group: UInt32) -> Outcome {
        let members = slot(group, Block.members)
        let count = word(group, Block.memberCount)
        if item.isStored {
            if count >= item.membersMax, findStored(members.pointee, item.clientID) == 0 {
                return Outcome(code: .groupFull)
            }
            let outcome = addStored(item, members)
            if outcome.code == .added { setWord(group, Block.memberCount, count + 1) }
            return outcome
        }
        if let place = places.find(item.place, item.epoch),
            findMember(members.pointee, place, item.token) != 0
        {
            return Outcome(code: .unchanged)
        }
        guard count < item.membersMax else { return Outcome(code: .groupFull) }
        let place = places.retain(item.place, item.epoch)
        let block = makeTransient(BlockKind.member, place, item.token)
        setInsert(members, block, memberHash(place, item.token))
        setWord(group, Block.memberCount, count + 1)
        return Outcome(code: .added)
    }

    private mutating func makeTransient(
        _ kind: UInt8, _ place: UInt16, _ token: UInt64
    ) -> UInt32 {
        let block = arena.allocate(Block.transientBytes)
        arena[block].storeBytes(of: kind, toByteOffset: Block.kind, as: UInt8.self)
        arena[block].storeBytes(of: place, toByteOffset: Block.count, as: UInt16.self)
        setLong(block, Block.token, token)
        return block
    }

    private mutating func addTransient(
        _ item: RouteItem, _ head: UnsafeMutablePointer<UInt32>
    ) -> Outcome {
        if let place = places.find(item.place, item.epoch) {
            let block = findTransient(head.pointee, place)
            if block != 0 {
                let old = long(block, Block.token)
                guard old != item.token else { return Outcome(code: .unchanged) }
                setLong(block, Block.token, item.token)
                return Outcome(code: .replaced, oldToken: old)
            }
        }
        let place = places.retain(item.place, item.epoch)
        setInsert(
            head, makeTransient(BlockKind.transient, place, item.token), placeHash(place))
        return Outcome(code: .added)
    }

    private mutating func addStored(
        _ item: RouteItem, _ head: UnsafeMutablePointer<UInt32>
    ) -> Outcome {
        let known = findStored(head.pointee, item.clientID)
        if known != 0 {
            let same =
                long(known, Block.incarnation) == item.incarnation
                && options(known) == item.options
                && word(known, Block.subscriptionID) == item.subscriptionID
            if !same { setStored(known, item) }
            return Outcome(code: same ? .unchanged : .replaced)
        }
        let block = arena.allocate(Block.clientID + item.clientID.count)
        arena[block].storeBytes(
            of: BlockKind.stored, toByteOffset: Block.kind, as: UInt8.self)
        store(item.clientID, block, countAt: Block.count, at: Block.clientID)
        setStored(block, item)
        setInsert(head, block, clientHash(item.clientID))
        return Outcome(code: .added)
    }

    private func setStored(_ block: UInt32, _ item: RouteItem) {
        arena[block].storeBytes(of: item.options, toByteOffset: Block.options, as: UInt8.self)
        setLong(block, Block.incarnation, item.incarnation)
        setWord(block, Block.subscriptionID, item.subscriptionID)
    }

    /// False if there is no such receiver with this token or incarnation.
    mutating func removeReceiver(
        _ item: RouteItem, from head: UnsafeMutablePointer<UInt32>
    ) -> Bool {
        guard let groupKind = item.groupKind else {
            return removeOne(item, plainSlot(head), isMember: false)
        }
        guard head.pointee & Self.pairBit != 0 else { return false }
        let groups = makeGroupsSlot(head)
        let group = findGroup(groups.pointee, groupKind.rawValue + 2, item.group)
        guard group != 0, removeOne(item, slot(group, Block.members), isMember: true) else {
            return false
        }
        setWord(group, Block.memberCount, word(group, Block.memberCount) - 1)
        dropEmptyGroup(group, head)
        return true
    }

    private mutating func dropEmptyGroup(
        _ group: UInt32, _ head: UnsafeMutablePointer<UInt32>
    ) {
        guard word(group, Block.memberCount) == 0 else { return }
        setRemove(makeGroupsSlot(head), group, blockHash(group))
        arena.free(group, blockBytes(group))
        dropEmptyPair(head)
    }

    private mutating func removeOne(
        _ item: RouteItem, _ head: UnsafeMutablePointer<UInt32>, isMember: Bool
    ) -> Bool {
        var block: UInt32 = 0
        if item.isStored {
            block = findStored(head.pointee, item.clientID)
            guard block != 0, long(block, Block.incarnation) == item.incarnation else {
                return false
            }
        } else {
            guard let place = places.find(item.place, item.epoch) else { return false }
            block =
                isMember
                ? findMember(head.pointee, place, item.token)
                : findTransient(head.pointee, place)
            guard block != 0, long(block, Block.token) == item.token else { return false }
        }
        free(block, from: head)
        return true
    }

    private mutating func free(_ block: UInt32, from head: UnsafeMutablePointer<UInt32>) {
        setRemove(head, block, blockHash(block))
        if kind(block) != BlockKind.stored { places.release(blockPlace(block)) }
        arena.free(block, blockBytes(block))
    }

    // MARK: Enumeration

    /// The filters that hang on a position of the exact table (`SweepPhase.exact`), of the table of
    /// children, or of the table of tenants: together, each filter once.
    func locations(phase: SweepPhase, position: Int) -> [Location] {
        var found: [Location] = []
        var link: UInt32
        switch phase {
        case .exact:
            let entry = exact.handle(at: position)
            if entry == 0 { return [] }
            return [Location(slot: slot(entry, Exact.own), holder: .exact, handle: entry)]
        case .children: link = children.handle(at: position)
        case .tenants: link = tenants.handle(at: position)
        }
        // A "+" hangs on its parent alone: follow the chain of them.
        while link != 0 {
            if link & Self.leafBit != 0 {
                found.append(leafLocation(link & ~Self.leafBit))
                break
            }
            if word(link, Branch.own) != 0 { found.append(ownLocation(link)) }
            if word(link, Branch.hash) != 0 { found.append(hashLocation(link)) }
            link = word(link, Branch.plus)
        }
        return found
    }

    func slotCount(_ phase: SweepPhase) -> Int {
        switch phase {
        case .exact: exact.slotCount
        case .children: children.slotCount
        case .tenants: tenants.slotCount
        }
    }

    /// Calls `body` with the tenant and filter of every location.
    func forEachFilter(
        _ body: (Location, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) {
        var writer = ByteWriter(capacity: 256)
        for phase in SweepPhase.allCases {
            for position in 0..<slotCount(phase) {
                for location in locations(phase: phase, position: position) {
                    writer.removeAll()
                    appendFilter(location, into: &writer)
                    body(location, tenantName(location), writer.bytes)
                }
            }
        }
    }

    /// Writes a receiver into an item that would add it. False if it is fenced.
    private func fill(_ item: inout RouteItem, _ block: UInt32) -> Bool {
        item.isStored = kind(block) == BlockKind.stored
        if item.isStored {
            item.clientID = blockClientID(block)
            item.incarnation = long(block, Block.incarnation)
            item.options = options(block)
            item.subscriptionID = word(block, Block.subscriptionID)
            return true
        }
        let entry = places[blockPlace(block)]
        item.place = entry.place
        item.epoch = entry.epoch
        item.token = long(block, Block.token)
        return !entry.isFenced
    }

    // MARK: Sweeping and cutting

    /// Removes receivers of a filter: all, or those of fenced epochs. Their keys are deleted
    /// unless `writes` is to stay as it is. Returns how many receivers were looked at.
    mutating func clear(
        _ location: Location, onlyFenced: Bool, deleted: (RouteItem) -> Void
    ) -> Int {
        var filter = ByteWriter(capacity: 64)
        appendFilter(location, into: &filter)
        var item = RouteItem()
        item.tenant = tenantName(location)
        item.filter = filter.bytes
        let head = location.slot
        var looked = clear(plainSlot(head), &item, onlyFenced, deleted).looked
        var groups: [UInt32] = []
        setForEach(groupsHead(head.pointee)) { groups.append($0) }
        for group in groups {
            item.groupKind = GroupKind(rawValue: kind(group) - 2)
            item.group = blockGroupName(group)
            let cleared = clear(slot(group, Block.members), &item, onlyFenced, deleted)
            looked += cleared.looked
            setWord(group, Block.memberCount, word(group, Block.memberCount) - cleared.removed)
            dropEmptyGroup(group, head)
        }
        if head.pointee == 0 { filterCount -= 1 }
        prune(location)
        return looked
    }

    private mutating func clear(
        _ head: UnsafeMutablePointer<UInt32>, _ item: inout RouteItem, _ onlyFenced: Bool,
        _ deleted: (RouteItem) -> Void
    ) -> (looked: Int, removed: UInt32) {
        var looked = 0
        var doomed: [UInt32] = []
        setForEach(head.pointee) { block in
            looked += 1
            let isFenced = kind(block) != BlockKind.stored && places[blockPlace(block)].isFenced
            if !onlyFenced || isFenced { doomed.append(block) }
        }
        for block in doomed {
            _ = fill(&item, block)
            deleted(item)
            free(block, from: head)
            routeCount -= 1
        }
        return (looked, UInt32(doomed.count))
    }
}

/// The three tables that together hold every filter once.
enum SweepPhase: CaseIterable {
    case exact, children, tenants
}
