/// Names a timer of one wheel; void once the timer has fired or was cancelled.
@usableFromInline
package struct TimerID: Hashable, Sendable {
    @usableFromInline
    package var rawValue: UInt64
    @inlinable
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Names no timer: cancelling it does nothing.
    @usableFromInline
    package static let none = TimerID(rawValue: 0)
}

/// A timer that is due: what its owner left with it.
@usableFromInline
package struct DueTimer: Equatable, Sendable {
    @usableFromInline
    package var token: UInt64
    /// Separates the users of a wheel.
    @usableFromInline
    package var kind: UInt32
}

/// A hierarchical timer wheel: schedule, cancel and fire in constant time, ordered by tick, then
/// by order of scheduling.
///
/// ```
///  level 0: 64 slots of 1 tick     level 1: 64 slots of 64 ticks    ...   level 7: 64^7 ticks
///  a timer lies on the level of the highest base-64 digit in which its tick differs from the
///  current one; when time reaches its slot, it moves down a level, or is due
/// ```
/// A tick is 2^20 ns (1.05 ms). A timer never fires early, and at most one tick late. Pure: time
/// is an argument. Owned by one loop. Limit: 2^31 timers; each costs 32 bytes. Nodes lie in chunks
/// that never move, so that growth neither copies nor leaves a hole of half their size behind.
@usableFromInline
package struct TimerWheel: ~Copyable {
    struct Node {
        var tick: UInt64
        var token: UInt64
        /// Odd while scheduled; the id carries it.
        var generation: UInt32
        var next: Int32
        var previous: Int32
        /// level * 64 + position, or `dueList`.
        var list: UInt16
        var kind: UInt16
    }

    /// A list of nodes in order of arrival.
    struct List {
        var head: Int32
        var tail: Int32
    }

    static var tickShift: UInt64 { 20 }
    static var levels: Int { 8 }
    static var dueList: Int { levels * 64 }
    private static var chunkShift: Int { 7 }
    private static var chunkSize: Int { 1 << chunkShift }

    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Node>>
    private var chunkCount = 0
    private var chunkCapacity = 8
    private var highWater: Int32 = 0
    private var freeHead: Int32 = -1
    private let lists: UnsafeMutablePointer<List>
    /// A bit per slot that has timers.
    private let occupied: UnsafeMutablePointer<UInt64>
    /// All timers of ticks up to this one are due or gone.
    private var current: UInt64
    /// Timers scheduled and not yet taken or cancelled.
    @usableFromInline
    package private(set) var count = 0

    @usableFromInline
    package init(now: Instant) {
        chunks = .allocate(capacity: chunkCapacity)
        lists = .allocate(capacity: Self.levels * 64 + 1)
        lists.initialize(repeating: List(head: -1, tail: -1), count: Self.levels * 64 + 1)
        occupied = .allocate(capacity: Self.levels)
        occupied.initialize(repeating: 0, count: Self.levels)
        current = now.nanoseconds >> Self.tickShift
    }

    deinit {
        for index in 0..<chunkCount { chunks[index].deallocate() }
        chunks.deallocate()
        lists.deallocate()
        occupied.deallocate()
    }

    /// Bytes of one timer.
    package static var nodeBytes: Int { MemoryLayout<Node>.stride }

    /// Bytes held, in use or not.
    package var byteCount: Int {
        chunkCount * Self.chunkSize * MemoryLayout<Node>.stride
            + (Self.levels * 64 + 1) * MemoryLayout<List>.stride
    }

    private func node(_ index: Int32) -> UnsafeMutablePointer<Node> {
        chunks[Int(index) &>> Self.chunkShift] + (Int(index) & (Self.chunkSize &- 1))
    }

    /// Leaves `token` to be returned by `popDue` once time has reached `deadline`.
    @usableFromInline
    package mutating func schedule(
        at deadline: Instant, token: UInt64, kind: UInt32 = 0
    ) -> TimerID {
        invariant(kind <= UInt16.max, "timer kind \(kind)")
        let index = freeNode()
        let node = node(index)
        // Rounded up, so that no timer fires early.
        let whole = deadline.nanoseconds >> Self.tickShift
        let isExact = whole << Self.tickShift == deadline.nanoseconds
        node.pointee.tick = isExact ? whole : whole + 1
        node.pointee.token = token
        node.pointee.kind = UInt16(truncatingIfNeeded: kind)
        node.pointee.generation &+= 1
        place(index)
        count += 1
        return TimerID(rawValue: UInt64(node.pointee.generation) << 32 | UInt64(index))
    }

    /// False if the timer has fired or was cancelled before.
    @discardableResult
    @usableFromInline
    package mutating func cancel(_ id: TimerID) -> Bool {
        let index = Int32(truncatingIfNeeded: id.rawValue & 0x7FFF_FFFF)
        guard index < highWater else { return false }
        let generation = UInt32(truncatingIfNeeded: id.rawValue >> 32)
        guard generation & 1 == 1, node(index).pointee.generation == generation else {
            return false
        }
        unlink(index)
        release(index)
        return true
    }

    /// Moves every timer of `now` or before to the due ones.
    @usableFromInline
    package mutating func advance(to now: Instant) {
        let target = now.nanoseconds >> Self.tickShift
        while let (level, position, start) = earliestSlot(), start <= target {
            current = max(current, start)
            let slot = level * 64 + position
            var index = lists[slot].head
            lists[slot] = List(head: -1, tail: -1)
            occupied[level] &= ~(1 << UInt64(position))
            while index >= 0 {
                let next = node(index).pointee.next
                place(index)
                index = next
            }
        }
        current = max(current, target)
    }

    /// The next due timer, or nil. It is gone from the wheel.
    @usableFromInline
    package mutating func popDue() -> DueTimer? {
        let index = lists[Self.dueList].head
        guard index >= 0 else { return nil }
        let node = node(index)
        let due = DueTimer(token: node.pointee.token, kind: UInt32(node.pointee.kind))
        unlink(index)
        release(index)
        return due
    }

    @usableFromInline
    package var hasDue: Bool { lists[Self.dueList].head >= 0 }

    /// When to call `advance` next: never later than the earliest timer, but perhaps earlier
    /// (when timers have to move down a level). `distantFuture` if there is none.
    @usableFromInline
    package var nextDeadline: Instant {
        if hasDue { return Instant(nanoseconds: current << Self.tickShift) }
        guard let (_, _, start) = earliestSlot() else { return .distantFuture }
        return Instant(nanoseconds: start << Self.tickShift)
    }

    /// The occupied slot that time reaches first: on the lowest level that has one, since each
    /// level spans one slot of the level above.
    private func earliestSlot() -> (level: Int, position: Int, start: UInt64)? {
        for level in 0..<Self.levels where occupied[level] != 0 {
            let position = occupied[level].trailingZeroBitCount
            let shift = UInt64(level * 6)
            let above = (current >> (shift + 6)) << (shift + 6)
            return (level, position, above | (UInt64(position) << shift))
        }
        return nil
    }

    private mutating func place(_ index: Int32) {
        let tick = node(index).pointee.tick
        guard tick > current else {
            append(index, to: Self.dueList)
            return
        }
        let highestBit = 63 - (tick ^ current).leadingZeroBitCount
        let level = highestBit / 6
        let position = Int((tick >> UInt64(level * 6)) & 63)
        occupied[level] |= 1 << UInt64(position)
        append(index, to: level * 64 + position)
    }

    private mutating func append(_ index: Int32, to list: Int) {
        let tail = lists[list].tail
        let node = node(index)
        node.pointee.list = UInt16(truncatingIfNeeded: list)
        node.pointee.next = -1
        node.pointee.previous = tail
        if tail >= 0 {
            self.node(tail).pointee.next = index
        } else {
            lists[list].head = index
        }
        lists[list].tail = index
    }

    private mutating func unlink(_ index: Int32) {
        let node = node(index).pointee
        let list = Int(node.list)
        if node.previous >= 0 {
            self.node(node.previous).pointee.next = node.next
        } else {
            lists[list].head = node.next
        }
        if node.next >= 0 {
            self.node(node.next).pointee.previous = node.previous
        } else {
            lists[list].tail = node.previous
        }
        if lists[list].head < 0, list != Self.dueList {
            occupied[list / 64] &= ~(1 << UInt64(list % 64))
        }
    }

    private mutating func freeNode() -> Int32 {
        if freeHead >= 0 {
            let index = freeHead
            freeHead = node(index).pointee.next
            return index
        }
        if Int(highWater) == chunkCount << Self.chunkShift { addChunk() }
        node(highWater).initialize(
            to: Node(
                tick: 0, token: 0, generation: 0, next: -1, previous: -1, list: 0, kind: 0))
        highWater += 1
        return highWater - 1
    }

    private mutating func addChunk() {
        if chunkCount == chunkCapacity {
            let larger = UnsafeMutablePointer<UnsafeMutablePointer<Node>>.allocate(
                capacity: chunkCapacity * 2)
            larger.moveInitialize(from: chunks, count: chunkCount)
            chunks.deallocate()
            chunks = larger
            chunkCapacity *= 2
        }
        chunks[chunkCount] = .allocate(capacity: Self.chunkSize)
        chunkCount += 1
    }

    private mutating func release(_ index: Int32) {
        let node = node(index)
        node.pointee.generation &+= 1
        node.pointee.next = freeHead
        freeHead = index
        count -= 1
    }
}
