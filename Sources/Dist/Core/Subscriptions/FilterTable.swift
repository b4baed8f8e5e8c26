import Base

/// One session's subscription to one filter: eight bytes.
@usableFromInline
package struct Subscriber: Equatable, Sendable {
    /// The session's slot on its worker.
    @usableFromInline package var session: Int32
    /// Upper four bits: QoS (2), No Local, Retain As Published; lower 28: identifier, 0 for none.
    @usableFromInline var packed: UInt32

    /// `options` as in SUBSCRIBE; Retain Handling is not kept.
    @inlinable
    package init(session: Int32, options: UInt8, subscriptionID: UInt32) {
        self.session = session
        packed = UInt32(options & 0xF) &<< 28 | subscriptionID & 0x0FFF_FFFF
    }

    /// The lower four bits of the byte of SUBSCRIBE.
    @inlinable @inline(__always)
    package var options: UInt8 { UInt8(truncatingIfNeeded: packed &>> 28) }
    @inlinable @inline(__always)
    package var subscriptionID: UInt32 { packed & 0x0FFF_FFFF }
    @inlinable @inline(__always)
    package var qos: UInt8 { options & 3 }
}

/// Names a filter of one worker's table in routes: slot and generation. Never 0.
@usableFromInline
package struct FilterToken: Hashable, Sendable {
    @usableFromInline package var rawValue: UInt64
    @inlinable
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    init(slot: UInt32, generation: UInt32) {
        rawValue = UInt64(generation) &<< 32 | UInt64(slot)
    }

    /// Index in the table: what a session keeps in its list of filters.
    @inlinable
    package var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    @inlinable
    package var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue &>> 32) }
}

/// What the transient sessions of one worker have subscribed to.
///
/// ```
///  slot:   handle of the entry, or freeBit and the next free slot   (token: generation, slot)
///  entry:  generation u32 | tenant u32 | count u32 | a subscriber, or address of a list (8)
///          | filter count u16 | flags u8 | filter
///  list:   see SubscriberList; from the second subscriber on
/// ```
/// Filters are named by slots, so that a delivery finds its subscribers without comparing bytes,
/// and a session keeps four bytes per subscription to be able to leave. A member of a shared
/// subscription has an entry of its own: its filter is then the whole `$share/group/filter`, its
/// token names that member alone. Owned by its worker's loop; the Broker bounds subscriptions per
/// session and tenant.
@usableFromInline
package struct FilterTable: ~Copyable {
    @usableFromInline
    enum Entry {
        static var generation: Int { 0 }
        static var tenant: Int { 4 }
        static var count: Int { 8 }
        static var subscribers: Int { 12 }
        static var filterCount: Int { 20 }
        static var flags: Int { 22 }
        static var filter: Int { 23 }
        /// Flag: the entry is one member's of a group.
        static var member: UInt8 { 1 }
    }

    @usableFromInline static var freeBit: UInt32 { 1 << 31 }

    @usableFromInline var arena = BlockArena()
    /// From (tenant, filter) to slot plus one.
    var index = HandleTable()
    @usableFromInline var slots: UnsafeMutablePointer<UInt32>
    @usableFromInline var slotCount = 0
    var slotCapacity = 64
    var freeSlot = freeBit - 1
    var generation: UInt32
    let hasher: TableHash
    /// Bytes of subscriber lists.
    var listBytes = 0
    /// Subscriptions over all filters.
    package private(set) var subscriptionCount = 0

    package init(seed: UInt64) {
        hasher = TableHash(seed: seed)
        // Tokens of an earlier life of the node must not be taken for this one's.
        generation = UInt32(truncatingIfNeeded: hasher.hash(seed))
        slots = .allocate(capacity: slotCapacity)
    }

    deinit {
        for slot in 0..<slotCount where slots[slot] & Self.freeBit == 0 {
            let entry = arena[slots[slot]]
            if count(entry) > 1 { list(entry).deallocate() }
        }
        slots.deallocate()
    }

    /// Filters in the table.
    package var filterCount: Int { index.count }

    package var byteCount: Int {
        arena.touchedBytes + index.byteCount + slotCapacity * 4 + listBytes
    }

    /// Bytes of filters and subscribers in use, without what is held for new ones.
    package var liveBytes: Int { arena.liveBytes + listBytes }

    // MARK: Subscribing

    /// What a subscription came to.
    package struct Change: Equatable, Sendable {
        package var token: FilterToken
        /// The filter is new here: its route must be added.
        package var isFirst: Bool
        /// The session had this filter already; its options are the new ones.
        package var wasReplaced: Bool
    }

    /// Subscribes a session to a filter.
    package mutating func subscribe(
        tenant: UInt32, filter: UnsafeRawBufferPointer, subscriber: Subscriber
    ) -> Change {
        let tag = tag(tenant, filter, member: nil)
        var slot = find(tag, tenant, filter, member: nil)
        let isFirst = slot == nil
        if slot == nil { slot = insert(tag, tenant, filter, flags: 0) }
        let found = slot ?? 0
        let wasReplaced = addSubscriber(arena[slots[found]], subscriber)
        return Change(token: token(found), isFirst: isFirst, wasReplaced: wasReplaced)
    }

    /// Makes a session a member of a group; `filter` is the whole `$share/group/filter`. Each
    /// member's route is its own, so a new member is always first.
    package mutating func subscribeMember(
        tenant: UInt32, filter: UnsafeRawBufferPointer, subscriber: Subscriber
    ) -> Change {
        let tag = tag(tenant, filter, member: subscriber.session)
        var slot = find(tag, tenant, filter, member: subscriber.session)
        let isFirst = slot == nil
        if slot == nil { slot = insert(tag, tenant, filter, flags: Entry.member) }
        let found = slot ?? 0
        let wasReplaced = addSubscriber(arena[slots[found]], subscriber)
        return Change(token: token(found), isFirst: isFirst, wasReplaced: wasReplaced)
    }

    /// What a filter was when its last subscriber left it: its route must be removed.
    package struct Vacated: Equatable, Sendable {
        package var tenant: UInt32
        package var filter: [UInt8]
        package var token: FilterToken
        package var isMember: Bool
    }

    /// How a session left a filter.
    package enum Removal: Equatable, Sendable {
        case notSubscribed
        /// Others still have the filter.
        case left(slot: UInt32)
        case last(Vacated)
    }

    /// Takes a session from a filter.
    package mutating func unsubscribe(
        tenant: UInt32, filter: UnsafeRawBufferPointer, session: Int32, isMember: Bool
    ) -> Removal {
        let member = isMember ? session : nil
        let tag = tag(tenant, filter, member: member)
        guard let slot = find(tag, tenant, filter, member: member) else {
            return .notSubscribed
        }
        return remove(session: session, slot: UInt32(slot))
    }

    /// Takes a session from the filter in a slot, as a session that ends does for each of its own.
    package mutating func remove(session: Int32, slot: UInt32) -> Removal {
        guard Int(slot) < slotCount, slots[Int(slot)] & Self.freeBit == 0 else {
            return .notSubscribed
        }
        let entry = arena[slots[Int(slot)]]
        guard removeSubscriber(entry, session) else { return .notSubscribed }
        if count(entry) > 0 { return .left(slot: slot) }
        let vacated = Vacated(
            tenant: tenant(entry), filter: [UInt8](filter(entry)), token: token(Int(slot)),
            isMember: flags(entry) == Entry.member)
        free(Int(slot), session)
        return .last(vacated)
    }

    // MARK: Delivery

    /// The subscribers of a token; none if it is stale. Valid until the next change.
    @inlinable @inline(__always)
    package func subscribers(_ token: FilterToken) -> UnsafeBufferPointer<Subscriber> {
        let slot = Int(token.slot)
        guard slot < slotCount else { return UnsafeBufferPointer(start: nil, count: 0) }
        let handle = slots[slot]
        guard handle & Self.freeBit == 0 else {
            return UnsafeBufferPointer(start: nil, count: 0)
        }
        let entry = arena[handle]
        guard entry.load(fromByteOffset: 0, as: UInt32.self) == token.generation else {
            return UnsafeBufferPointer(start: nil, count: 0)
        }
        let count = Int(entry.load(fromByteOffset: 8, as: UInt32.self))
        if count == 1 {
            return UnsafeBufferPointer(
                start: (entry + 12).assumingMemoryBound(to: Subscriber.self), count: 1)
        }
        let list = UnsafeRawPointer(
            bitPattern: UInt(entry.loadUnaligned(fromByteOffset: 12, as: UInt64.self)))
        return UnsafeBufferPointer(
            start: list.unsafelyUnwrapped.advanced(by: SubscriberList.header)
                .assumingMemoryBound(to: Subscriber.self), count: count)
    }

    /// The filter in a slot, for those who list a session's subscriptions; nil if it is free.
    package func filter(slot: UInt32) -> (tenant: UInt32, filter: UnsafeRawBufferPointer)? {
        guard Int(slot) < slotCount, slots[Int(slot)] & Self.freeBit == 0 else { return nil }
        let entry = arena[slots[Int(slot)]]
        return (tenant(entry), filter(entry))
    }

    /// A session's subscription to the filter in a slot.
    package func subscriber(session: Int32, slot: UInt32) -> Subscriber? {
        guard Int(slot) < slotCount, slots[Int(slot)] & Self.freeBit == 0 else { return nil }
        let entry = arena[slots[Int(slot)]]
        if count(entry) == 1 {
            let only = loadSubscriber(entry)
            return only.session == session ? only : nil
        }
        let list = list(entry)
        return list.position(of: session, count(entry), hasher).map { list.entries[$0] }
    }

    /// The token of the filter in a slot, which must be in use.
    package func token(slot: UInt32) -> FilterToken { token(Int(slot)) }

    // MARK: Entries

    private func token(_ slot: Int) -> FilterToken {
        FilterToken(
            slot: UInt32(slot),
            generation: arena[slots[slot]].load(
                fromByteOffset: Entry.generation, as: UInt32.self))
    }

    private func count(_ entry: UnsafeMutableRawPointer) -> Int {
        Int(entry.load(fromByteOffset: Entry.count, as: UInt32.self))
    }

    private func tenant(_ entry: UnsafeMutableRawPointer) -> UInt32 {
        entry.load(fromByteOffset: Entry.tenant, as: UInt32.self)
    }

    private func flags(_ entry: UnsafeMutableRawPointer) -> UInt8 {
        entry.load(fromByteOffset: Entry.flags, as: UInt8.self)
    }

    private func filter(_ entry: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
        let count = entry.load(fromByteOffset: Entry.filterCount, as: UInt16.self)
        return UnsafeRawBufferPointer(start: entry + Entry.filter, count: Int(count))
    }

    private func list(_ entry: UnsafeMutableRawPointer) -> SubscriberList {
        let address = entry.loadUnaligned(fromByteOffset: Entry.subscribers, as: UInt64.self)
        return SubscriberList(
            base: UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped)
    }

    private func setList(_ entry: UnsafeMutableRawPointer, _ list: SubscriberList) {
        entry.storeBytes(
            of: UInt64(UInt(bitPattern: list.base)), toByteOffset: Entry.subscribers,
            as: UInt64.self)
    }

    private func loadSubscriber(_ entry: UnsafeMutableRawPointer) -> Subscriber {
        (entry + Entry.subscribers).loadUnaligned(as: Subscriber.self)
    }

    private func setCount(_ entry: UnsafeMutableRawPointer, _ count: Int) {
        entry.storeBytes(of: UInt32(count), toByteOffset: Entry.count, as: UInt32.self)
    }

    private func tag(
        _ tenant: UInt32, _ filter: UnsafeRawBufferPointer, member: Int32?
    ) -> UInt32 {
        let salt = UInt64(tenant) | (member.map { UInt64(UInt32(bitPattern: $0)) + 1 } ?? 0) << 32
        return UInt32(truncatingIfNeeded: hasher.hash(filter, salt: salt))
    }

    private func find(
        _ tag: UInt32, _ tenant: UInt32, _ filter: UnsafeRawBufferPointer, member: Int32?
    ) -> Int? {
        var position = Int(tag)
        while true {
            let value = index.candidate(tag, &position)
            if value == 0 { return nil }
            let entry = arena[slots[Int(value) - 1]]
            guard self.tenant(entry) == tenant, same(self.filter(entry), filter),
                (flags(entry) == Entry.member) == (member != nil)
            else { continue }
            if member == nil || loadSubscriber(entry).session == member { return Int(value) - 1 }
        }
    }

    private mutating func insert(
        _ tag: UInt32, _ tenant: UInt32, _ filter: UnsafeRawBufferPointer, flags: UInt8
    ) -> Int {
        generation &+= 1
        // Token 0 is never given, also after four thousand million filters.
        if generation == 0 { generation = 1 }
        let handle = arena.allocate(Entry.filter + filter.count)
        let entry = arena[handle]
        entry.storeBytes(of: generation, toByteOffset: Entry.generation, as: UInt32.self)
        entry.storeBytes(of: tenant, toByteOffset: Entry.tenant, as: UInt32.self)
        setCount(entry, 0)
        entry.storeBytes(
            of: UInt16(truncatingIfNeeded: filter.count), toByteOffset: Entry.filterCount,
            as: UInt16.self)
        entry.storeBytes(of: flags, toByteOffset: Entry.flags, as: UInt8.self)
        copy(filter, to: entry + Entry.filter)
        let slot = takeSlot(handle)
        index.insert(tag, UInt32(slot + 1))
        return slot
    }

    private mutating func takeSlot(_ handle: UInt32) -> Int {
        if freeSlot != Self.freeBit - 1 {
            let slot = Int(freeSlot)
            freeSlot = slots[slot] & ~Self.freeBit
            slots[slot] = handle
            return slot
        }
        if slotCount == slotCapacity {
            let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: slotCapacity * 2)
            larger.moveInitialize(from: slots, count: slotCount)
            slots.deallocate()
            slots = larger
            slotCapacity *= 2
        }
        slots[slotCount] = handle
        slotCount += 1
        return slotCount - 1
    }

    private mutating func free(_ slot: Int, _ session: Int32) {
        let handle = slots[slot]
        let entry = arena[handle]
        let filter = filter(entry)
        let member = flags(entry) == Entry.member ? session : nil
        index.remove(tag(tenant(entry), filter, member: member), UInt32(slot + 1))
        arena.free(handle, Entry.filter + filter.count)
        slots[slot] = freeSlot | Self.freeBit
        freeSlot = UInt32(slot)
    }

    // MARK: Subscribers of an entry

    /// True if the session was there and has new options now.
    private mutating func addSubscriber(
        _ entry: UnsafeMutableRawPointer, _ subscriber: Subscriber
    ) -> Bool {
        let count = count(entry)
        if count <= 1 {
            if count == 0 || loadSubscriber(entry).session == subscriber.session {
                entry.storeBytes(
                    of: subscriber, toByteOffset: Entry.subscribers, as: Subscriber.self)
                setCount(entry, 1)
                subscriptionCount += 1 - count
                return count == 1
            }
            let list = SubscriberList(capacity: 4)
            list.entries[0] = loadSubscriber(entry)
            listBytes += list.byteCount
            setList(entry, list)
        }
        var list = list(entry)
        if let position = list.position(of: subscriber.session, count, hasher) {
            list.entries[position] = subscriber
            return true
        }
        let before = list.byteCount
        list.append(subscriber, count, hasher)
        listBytes += list.byteCount - before
        setList(entry, list)
        setCount(entry, count + 1)
        subscriptionCount += 1
        return false
    }

    private mutating func removeSubscriber(
        _ entry: UnsafeMutableRawPointer, _ session: Int32
    ) -> Bool {
        let count = count(entry)
        if count == 1 {
            guard loadSubscriber(entry).session == session else { return false }
            setCount(entry, 0)
            subscriptionCount -= 1
            return true
        }
        var list = list(entry)
        guard let position = list.position(of: session, count, hasher) else { return false }
        let before = list.byteCount
        list.remove(at: position, count, hasher)
        listBytes += list.byteCount - before
        setCount(entry, count - 1)
        subscriptionCount -= 1
        if count - 1 == 1 {
            listBytes -= list.byteCount
            let last = list.entries[0]
            list.deallocate()
            entry.storeBytes(of: last, toByteOffset: Entry.subscribers, as: Subscriber.self)
        } else {
            setList(entry, list)
        }
        return true
    }
}
