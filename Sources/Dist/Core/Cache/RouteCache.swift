import Base
import KV

/// The limits of a worker's route cache.
package struct RouteCacheLimits: Sendable {
    /// Topics in the cache, those with nobody to receive them included.
    package var entriesMax = 262_144
    /// Bytes of entries and plans; beyond it, topics that were not used lately go.
    package var bytesMax = 64 << 20
    /// Questions that may be open at once; a further topic is refused (`beginQuestion`: nil).
    package var openQuestionsMax = 8_192
    /// A larger plan is dropped when a route of its topic changes; a smaller one is patched.
    package var patchedPlanBytesMax = 4 << 10
    /// Patches of exact filters kept with one open question; beyond it, it begins again.
    package var questionPatchesMax = 256
    /// Pages of one question; beyond it, the question fails.
    package var questionPagesMax = 65_536

    package init() {}
}

/// What the cache says about a topic.
@usableFromInline
package enum RouteLookup {
    /// Valid while `changes` stays as it is, unless retained.
    case hit(RoutePlan)
    /// The question is open: publishes on this topic wait behind it.
    case pending(QuestionID)
    /// Nothing is known: ask.
    case miss
}

/// Names an open question of a route cache.
@usableFromInline
package struct QuestionID: Hashable, Sendable {
    @usableFromInline package var rawValue: UInt64
    @inlinable
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// Topics to plans, for one worker: a hit costs one look-up and no reference count.
///
/// ```
///  entry:  plan u64 (or question id) | checked through u64 | tenant u32 | count u16 | state u8 |
///          used u8 | topic
/// ```
/// Owned by its worker's loop. A patch of an exact filter finds its topic's entry by hash. A patch
/// of a filter with wildcards goes into a ring of the last 256 and is compared with a topic only
/// when that topic is looked up next: an entry remembers through which patch it was checked, so a
/// SUBSCRIBE costs the same however many topics are cached. Bounded by `RouteCacheLimits`; the
/// clock hand drops what was not used since it came by last.
@usableFromInline
package struct RouteCache: ~Copyable {
    @usableFromInline
    enum Entry {
        @usableFromInline static var value: Int { 0 }
        @usableFromInline static var checked: Int { 8 }
        @usableFromInline static var tenant: Int { 16 }
        @usableFromInline static var count: Int { 20 }
        @usableFromInline static var state: Int { 22 }
        @usableFromInline static var used: Int { 23 }
        @usableFromInline static var topic: Int { 24 }

        @usableFromInline static var ready: UInt8 { 0 }
        @usableFromInline static var pending: UInt8 { 1 }
    }

    /// Wildcard patches that can be made up for; a topic that missed more is asked for anew.
    static var ringSize: UInt64 { 256 }

    package let own: Place
    let limits: RouteCacheLimits
    @usableFromInline let hasher: TableHash
    @usableFromInline var arena = BlockArena()
    @usableFromInline var index = HandleTable()
    /// Wildcard patches seen so far: the number of the newest.
    @usableFromInline var wildcardSequence: UInt64 = 0 { didSet { changes &+= 1 } }
    /// Rises whenever a plan that was handed out may no longer be valid.
    @usableFromInline
    package private(set) var changes: UInt64 = 0
    var ring: [CachedPatch] = []
    /// Where the clock hand stands in `index`.
    var hand = 0
    var planBytes = 0
    var questions = QuestionTable()
    var tenants = CachedTenants()
    /// How far each range's patches were applied, to be told to it.
    var progress: [PatchProgress] = []
    package internal(set) var metrics = RouteCacheMetrics()

    /// `own`: the worker's place. `seed`: from the system, or the simulator.
    package init(own: Place, seed: UInt64, limits: RouteCacheLimits = RouteCacheLimits()) {
        self.own = own
        self.limits = limits
        hasher = TableHash(seed: seed)
    }

    deinit {
        for position in 0..<index.slotCount {
            let entry = index.handle(at: position)
            if entry != 0, state(entry) == Entry.ready { plan(entry).release() }
        }
    }

    /// Topics in the cache.
    package var count: Int { index.count }
    package var byteCount: Int { arena.liveBytes + index.byteCount + planBytes }

    // MARK: Looking up

    /// What is known about a topic. `tenant` is this worker's number for it.
    @inlinable
    package mutating func lookup(
        tenant: UInt32, topic: UnsafeRawBufferPointer
    ) -> RouteLookup {
        let blocks = arena.view
        let entry = find(tenant, topic, blocks)
        if entry == 0 { return .miss }
        let block = blocks[entry]
        if block.load(fromByteOffset: Entry.state, as: UInt8.self) == Entry.ready,
            block.load(fromByteOffset: Entry.checked, as: UInt64.self) == wildcardSequence
        {
            if block.load(fromByteOffset: Entry.used, as: UInt8.self) == 0 {
                block.storeBytes(of: 1, toByteOffset: Entry.used, as: UInt8.self)
            }
            return .hit(plan(block))
        }
        return lookupSlowly(entry)
    }

    func find(_ tenant: UInt32, _ topic: UnsafeRawBufferPointer) -> UInt32 {
        find(tenant, topic, arena.view)
    }

    @inlinable @inline(__always)
    func find(
        _ tenant: UInt32, _ topic: UnsafeRawBufferPointer, _ blocks: BlockView
    ) -> UInt32 {
        let tag = UInt32(truncatingIfNeeded: hasher.hash(topic, salt: UInt64(tenant)))
        var position = Int(tag)
        while true {
            let entry = index.candidate(tag, &position)
            if entry == 0 { return 0 }
            let block = blocks[entry]
            if block.load(fromByteOffset: Entry.tenant, as: UInt32.self) == tenant,
                Int(block.load(fromByteOffset: Entry.count, as: UInt16.self)) == topic.count,
                equalBytes(
                    topic,
                    UnsafeRawBufferPointer(start: block + Entry.topic, count: topic.count))
            {
                return entry
            }
        }
    }

    func plan(_ entry: UInt32) -> RoutePlan { plan(arena[entry]) }

    @inlinable @inline(__always)
    func plan(_ block: UnsafeMutableRawPointer) -> RoutePlan {
        // A ready entry always holds a plan's address.
        let address = block.load(fromByteOffset: Entry.value, as: UInt.self)
        return RoutePlan(base: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
    }

    /// The entry is being asked for, or has not been compared with the newest patches.
    @usableFromInline
    mutating func lookupSlowly(_ entry: UInt32) -> RouteLookup {
        if state(entry) == Entry.pending { return .pending(QuestionID(value(entry))) }
        guard catchUp(entry) else {
            drop(entry)
            return .miss
        }
        arena[entry].storeBytes(of: 1, toByteOffset: Entry.used, as: UInt8.self)
        return .hit(plan(entry))
    }

    // MARK: Entries

    func state(_ entry: UInt32) -> UInt8 {
        arena[entry].load(fromByteOffset: Entry.state, as: UInt8.self)
    }

    func value(_ entry: UInt32) -> UInt64 {
        arena[entry].load(fromByteOffset: Entry.value, as: UInt64.self)
    }

    func checked(_ entry: UInt32) -> UInt64 {
        arena[entry].load(fromByteOffset: Entry.checked, as: UInt64.self)
    }

    func setChecked(_ entry: UInt32) {
        arena[entry].storeBytes(
            of: wildcardSequence, toByteOffset: Entry.checked, as: UInt64.self)
    }

    func tenant(_ entry: UInt32) -> UInt32 {
        arena[entry].load(fromByteOffset: Entry.tenant, as: UInt32.self)
    }

    func topic(_ entry: UInt32) -> UnsafeRawBufferPointer {
        let count = arena[entry].load(fromByteOffset: Entry.count, as: UInt16.self)
        return UnsafeRawBufferPointer(start: arena[entry] + Entry.topic, count: Int(count))
    }

    mutating func insert(
        _ tenant: UInt32, _ topic: UnsafeRawBufferPointer, pending id: QuestionID
    ) {
        makeRoom()
        let entry = arena.allocate(Entry.topic + topic.count)
        let block = arena[entry]
        block.storeBytes(of: id.rawValue, toByteOffset: Entry.value, as: UInt64.self)
        block.storeBytes(of: tenant, toByteOffset: Entry.tenant, as: UInt32.self)
        block.storeBytes(
            of: UInt16(truncatingIfNeeded: topic.count), toByteOffset: Entry.count,
            as: UInt16.self)
        block.storeBytes(of: Entry.pending, toByteOffset: Entry.state, as: UInt8.self)
        block.storeBytes(of: 1, toByteOffset: Entry.used, as: UInt8.self)
        copy(topic, to: block + Entry.topic)
        setChecked(entry)
        index.insert(tag(tenant, topic), entry)
    }

    func tag(_ tenant: UInt32, _ topic: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(topic, salt: UInt64(tenant)))
    }

    /// Gives a ready or pending entry a new plan, whose reference passes to the entry.
    mutating func setPlan(_ entry: UInt32, _ plan: RoutePlan) {
        changes &+= 1
        if state(entry) == Entry.ready { releasePlan(entry) }
        arena[entry].storeBytes(
            of: UInt64(UInt(bitPattern: plan.base)), toByteOffset: Entry.value, as: UInt64.self)
        arena[entry].storeBytes(of: Entry.ready, toByteOffset: Entry.state, as: UInt8.self)
        planBytes += plan.byteCount
    }

    private mutating func releasePlan(_ entry: UInt32) {
        let old = plan(entry)
        planBytes -= old.byteCount
        old.release()
    }

    mutating func drop(_ entry: UInt32) {
        changes &+= 1
        if state(entry) == Entry.ready { releasePlan(entry) }
        let topic = topic(entry)
        index.remove(tag(tenant(entry), topic), entry)
        arena.free(entry, Entry.topic + topic.count)
    }

    /// Drops every plan; open questions stay open.
    mutating func dropPlans() {
        var ready: [UInt32] = []
        for position in 0..<index.slotCount {
            let entry = index.handle(at: position)
            if entry != 0, state(entry) == Entry.ready { ready.append(entry) }
        }
        for entry in ready { drop(entry) }
        metrics.clears += 1
    }

    /// Lets the clock hand go on until there is room. Pending entries stay; their number has a
    /// limit of its own.
    private mutating func makeRoom() {
        var stepsLeft = 2 * index.slotCount
        while index.count >= limits.entriesMax || byteCount >= limits.bytesMax, stepsLeft > 0 {
            stepsLeft -= 1
            if hand >= index.slotCount { hand = 0 }
            let entry = index.handle(at: hand)
            if entry == 0 || state(entry) != Entry.ready {
                hand += 1
            } else if arena[entry].load(fromByteOffset: Entry.used, as: UInt8.self) != 0 {
                arena[entry].storeBytes(of: 0, toByteOffset: Entry.used, as: UInt8.self)
                hand += 1
            } else {
                drop(entry)
                metrics.evictions += 1
            }
        }
    }
}

/// Counts what a route cache has done; read by the metrics page.
package struct RouteCacheMetrics: Equatable, Sendable {
    package var questions: UInt64 = 0
    /// Questions that had to begin again.
    package var questionsAgain: UInt64 = 0
    package var evictions: UInt64 = 0
    /// Plans that a patch changed, and that it dropped.
    package var patchedPlans: UInt64 = 0
    package var droppedPlans: UInt64 = 0
    package var patches: UInt64 = 0
    /// Times that every plan was dropped: a fence, or a gap in a range's patches.
    package var clears: UInt64 = 0
    package var unreadableMessages: UInt64 = 0
}
