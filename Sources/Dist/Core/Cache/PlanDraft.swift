import Base
import KV

/// A plan in the making: answers of several ranges merged, patches applied, then laid out.
///
/// Lives as long as a question, or as it takes to patch a small plan.
package struct PlanDraft {
    /// A filter of one worker's table.
    package struct Transient: Hashable {
        package var place: Place
        package var token: UInt64
    }

    /// A stored session; `filterID` is 0 for a member of a group.
    package struct Stored: Equatable {
        package var clientID: [UInt8]
        package var filterID: UInt64
        package var incarnation: UInt64
        package var options: UInt8
        package var subscriptionID: UInt32
    }

    /// A shared subscription and its members.
    package struct Group: Equatable {
        package var group: RouteGroup
        package var filter: [UInt8]
        package var transients: [Transient] = []
        package var stored: [Stored] = []
        /// The round-robin cursor of the plan that this draft was made from.
        var cursor: UInt32 = 0
    }

    package var transients: [Transient] = []
    package var stored: [Stored] = []
    package var groups: [Group] = []

    package init() {}

    // MARK: Answers

    /// Adds one page of one range's answer. False if the bytes are damaged.
    package mutating func merge(_ bytes: RawSpan, _ part: ByteRange) -> Bool {
        var reader = ByteReader(offset: Int(part.offset), end: part.end)
        var filterID: UInt64 = 0
        var group = 0
        do throws(ByteShortage) {
            while !reader.isAtEnd {
                switch try reader.readUInt8(bytes) {
                case DistQuestion.transientTag:
                    transients.append(try transient(bytes, &reader))
                case DistQuestion.storedTag:
                    stored.append(try stored(bytes, &reader, filterID))
                case DistQuestion.filterTag: filterID = try reader.readUInt64(bytes)
                case DistQuestion.groupTag:
                    guard let kind = GroupKind(rawValue: try reader.readUInt8(bytes)) else {
                        return false
                    }
                    let name = bytes.array(try reader.takeLengthPrefixed16(bytes))
                    let filter = bytes.array(try reader.takeLengthPrefixed16(bytes))
                    group = groupIndex(RouteGroup(kind: kind, name: name), filter)
                case DistQuestion.memberTransientTag:
                    let member = try transient(bytes, &reader)
                    guard group < groups.count else { return false }
                    groups[group].transients.append(member)
                case DistQuestion.memberStoredTag:
                    let member = try stored(bytes, &reader, 0)
                    guard group < groups.count else { return false }
                    groups[group].stored.append(member)
                default: return false
                }
            }
            return true
        } catch {
            return false
        }
    }

    private func transient(
        _ bytes: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> Transient {
        Transient(place: try reader.readPlace(bytes), token: try reader.readUInt64(bytes))
    }

    private func stored(
        _ bytes: RawSpan, _ reader: inout ByteReader, _ filterID: UInt64
    ) throws(ByteShortage) -> Stored {
        Stored(
            clientID: bytes.array(try reader.takeLengthPrefixed16(bytes)), filterID: filterID,
            incarnation: try reader.readUInt64(bytes), options: try reader.readUInt8(bytes),
            subscriptionID: try reader.readUInt32(bytes))
    }

    private mutating func groupIndex(_ group: RouteGroup, _ filter: [UInt8]) -> Int {
        if let index = groups.lastIndex(where: { $0.group == group && $0.filter == filter }) {
            return index
        }
        groups.append(Group(group: group, filter: filter))
        return groups.count - 1
    }

    // MARK: Patches

    /// Applies one addition or removal whose filter matches the topic.
    mutating func apply(_ item: RouteItem) {
        let transient = Transient(place: item.place, token: item.token)
        guard let kind = item.groupKind else {
            if item.isStored {
                Self.apply(item, BucketHash.hash(item.filter), &stored)
            } else {
                Self.apply(item.action, transient, &transients)
            }
            return
        }
        let name = RouteGroup(kind: kind, name: [UInt8](item.group))
        let index = groupIndex(name, [UInt8](item.filter))
        if item.isStored {
            Self.apply(item, 0, &groups[index].stored)
        } else {
            Self.apply(item.action, transient, &groups[index].transients)
        }
        if groups[index].transients.isEmpty, groups[index].stored.isEmpty {
            groups.remove(at: index)
        }
    }

    private static func apply(
        _ action: RouteAction, _ receiver: Transient, _ list: inout [Transient]
    ) {
        let index = list.firstIndex(of: receiver)
        switch action {
        case .add: if index == nil { list.append(receiver) }
        case .remove: if let index { list.remove(at: index) }
        case .fence: break
        }
    }

    private static func apply(
        _ item: RouteItem, _ filterID: UInt64, _ list: inout [Stored]
    ) {
        let index = list.firstIndex {
            $0.filterID == filterID && $0.clientID.elementsEqual(item.clientID)
        }
        switch item.action {
        case .add:
            let new = Stored(
                clientID: [UInt8](item.clientID), filterID: filterID,
                incarnation: item.incarnation, options: item.options,
                subscriptionID: item.subscriptionID)
            if let index { list[index] = new } else { list.append(new) }
        case .remove: if let index { list.remove(at: index) }
        case .fence: break
        }
    }
}

// MARK: - Laying out

extension PlanDraft {
    /// The draft of a plan, to be patched.
    package init(_ plan: RoutePlan, own: Place) {
        transients = plan.ownTokens.map { Transient(place: own, token: $0) }
        for place in plan.places {
            for index in place.tokenRange {
                transients.append(
                    Transient(place: place.place, token: plan.otherTokens[index]))
            }
        }
        stored = plan.stored.map {
            Stored(
                clientID: [UInt8](plan.string($0.clientID)), filterID: $0.filterID,
                incarnation: $0.incarnation, options: $0.options,
                subscriptionID: $0.subscriptionID)
        }
        for group in plan.groups {
            var draft = Group(
                group: RouteGroup(kind: group.kind, name: [UInt8](plan.string(group.name))),
                filter: [UInt8](plan.string(group.filter)), cursor: group.cursor)
            for index in group.memberRange { draft.append(plan.members[index], plan) }
            groups.append(draft)
        }
    }

    /// The plan as one block, with one reference that is the caller's.
    func plan(own: Place) -> RoutePlan {
        var strings = ByteWriter(capacity: 256)
        let ownTokens = transients.filter { $0.place == own }.map(\.token)
        let others = transients.filter { $0.place != own }.sorted { Self.precedes($0, $1) }
        let places = Self.places(others)
        // A session's filters stand together: it gets one copy, whatever their number.
        let stored = stored.sorted { $0.clientID.lexicographicallyPrecedes($1.clientID) }
            .map { $0.planStored(&strings) }
        var members: [PlanMember] = []
        let groups = groups.map { $0.planGroup(own, &members, &strings) }

        var header = RoutePlan.Header()
        var end = RoutePlan.headerBytes + ownTokens.count * 8
        func take<T>(_ list: [T]) -> UInt32 {
            defer { end += list.count * MemoryLayout<T>.stride }
            return UInt32(end)
        }
        header.ownCount = UInt32(ownTokens.count)
        header.placesOffset = take(places)
        header.placeCount = UInt32(places.count)
        header.othersOffset = take(others.map(\.token))
        header.otherCount = UInt32(others.count)
        header.storedOffset = take(stored)
        header.storedCount = UInt32(stored.count)
        header.groupsOffset = take(groups)
        header.groupCount = UInt32(groups.count)
        header.membersOffset = take(members)
        header.memberCount = UInt32(members.count)
        header.stringsOffset = UInt32(end)
        header.byteCount = UInt32(end + strings.count)

        let base = UnsafeMutableRawPointer.allocate(
            byteCount: Int(header.byteCount), alignment: 8)
        base.initializeMemory(as: RoutePlan.Header.self, to: header)
        func lay<T>(_ list: [T], _ offset: UInt32) {
            list.withUnsafeBytes { copy($0, to: base + Int(offset)) }
        }
        lay(ownTokens, UInt32(RoutePlan.headerBytes))
        lay(places, header.placesOffset)
        lay(others.map(\.token), header.othersOffset)
        lay(stored, header.storedOffset)
        lay(groups, header.groupsOffset)
        lay(members, header.membersOffset)
        copy(strings.bytes, to: base + Int(header.stringsOffset))
        return RoutePlan(base: base)
    }

    private static func precedes(_ left: Transient, _ right: Transient) -> Bool {
        left.place.node == right.place.node
            ? left.place.worker < right.place.worker : left.place.node < right.place.node
    }

    private static func places(_ sorted: [Transient]) -> [PlanPlace] {
        var places: [PlanPlace] = []
        for (index, transient) in sorted.enumerated() {
            if let last = places.last, last.place == transient.place {
                places[places.count - 1].tokenCount += 1
            } else {
                places.append(
                    PlanPlace(
                        place: transient.place, firstToken: UInt32(index), tokenCount: 1))
            }
        }
        return places
    }
}

extension PlanDraft.Stored {
    fileprivate func planStored(_ strings: inout ByteWriter) -> PlanStored {
        defer { strings.append(clientID) }
        return PlanStored(
            incarnation: incarnation, filterID: filterID,
            clientID: ByteRange(offset: strings.count, count: clientID.count),
            subscriptionID: subscriptionID, options: options)
    }

    fileprivate func planMember(_ strings: inout ByteWriter) -> PlanMember {
        let plan = planStored(&strings)
        return PlanMember(
            place: Place(node: NodeID(0), worker: WorkerIndex(0)), token: 0,
            incarnation: incarnation, clientID: plan.clientID, subscriptionID: subscriptionID,
            options: options, isStored: true)
    }
}

extension PlanDraft.Group {
    fileprivate mutating func append(_ member: PlanMember, _ plan: RoutePlan) {
        if !member.isStored {
            transients.append(PlanDraft.Transient(place: member.place, token: member.token))
            return
        }
        stored.append(
            PlanDraft.Stored(
                clientID: [UInt8](plan.string(member.clientID)), filterID: 0,
                incarnation: member.incarnation, options: member.options,
                subscriptionID: member.subscriptionID))
    }

    fileprivate func planGroup(
        _ own: Place, _ members: inout [PlanMember], _ strings: inout ByteWriter
    ) -> PlanGroup {
        let here = transients.filter { $0.place == own }
        let near = transients.filter { $0.place != own && $0.place.node == own.node }
        let far = transients.filter { $0.place.node != own.node }
        let first = members.count
        for transient in here + near + far {
            members.append(
                PlanMember(
                    place: transient.place, token: transient.token, incarnation: 0,
                    clientID: .empty, subscriptionID: 0, options: 0, isStored: false))
        }
        for session in stored { members.append(session.planMember(&strings)) }
        let name = ByteRange(offset: strings.count, count: group.name.count)
        strings.append(group.name)
        let filterRange = ByteRange(offset: strings.count, count: filter.count)
        strings.append(filter)
        return PlanGroup(
            name: name, filter: filterRange, firstMember: UInt32(first),
            memberCount: UInt32(members.count - first), ownCount: UInt32(here.count),
            nodeCount: UInt32(here.count + near.count),
            transientCount: UInt32(transients.count), cursor: cursor, kind: group.kind)
    }
}
