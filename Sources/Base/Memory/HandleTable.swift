/// Open addressing from a 32-bit hash to a 32-bit handle: the index of tables whose keys lie in
/// blocks of their own.
///
/// ```
///  slot: tag u32 (the hash) | handle u32 (0: empty)          home of a slot: tag & mask
/// ```
/// Linear probing, filled to at most seven eighths; removal shifts back, so there are no graves;
/// it shrinks at one eighth. Keys are compared by the caller, only where the tag is equal. The tag
/// must come from a keyed hash (`TableHash`) if outsiders choose keys. Bounded by its owner.
@usableFromInline
package struct HandleTable: ~Copyable {
    /// A handle with the hash that led to it.
    @usableFromInline
    package struct Slot: BitwiseCopyable {
        @usableFromInline var tag: UInt32
        @usableFromInline var handle: UInt32
        @inlinable
        init(tag: UInt32, handle: UInt32) {
            self.tag = tag
            self.handle = handle
        }
    }

    @usableFromInline var slots: UnsafeMutablePointer<Slot>
    /// Number of slots less one; a power of two less one.
    @usableFromInline var mask: Int
    @usableFromInline var liveCount = 0
    /// Handles in the table.
    @inlinable
    package var count: Int { liveCount }

    package init() {
        mask = 15
        slots = Self.emptySlots(16)
    }

    deinit { slots.deallocate() }

    private static func emptySlots(_ count: Int) -> UnsafeMutablePointer<Slot> {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: count)
        slots.initialize(repeating: Slot(tag: 0, handle: 0), count: count)
        return slots
    }

    package var byteCount: Int { (mask + 1) * MemoryLayout<Slot>.stride }
    /// Slots, empty ones included: positions for `handle(at:)`.
    package var slotCount: Int { mask + 1 }

    /// The handle in a slot, 0 if empty. Positions change with every insertion and removal.
    @inlinable
    package func handle(at position: Int) -> UInt32 { slots[position & mask].handle }

    /// The next handle whose tag is equal, 0 if there is none: the look-up for callers to whom a
    /// closure over all their tables would be a copy of them. `position` begins as the tag.
    @inlinable @inline(__always)
    package func candidate(_ tag: UInt32, _ position: inout Int) -> UInt32 {
        while true {
            let slot = slots[position & mask]
            position = (position & mask) &+ 1
            if slot.handle == 0 || slot.tag == tag { return slot.handle }
        }
    }

    /// Adds a handle that is not in the table.
    package mutating func insert(_ tag: UInt32, _ handle: UInt32) {
        if (liveCount + 1) * 8 > (mask + 1) * 7 { resize(to: (mask + 1) * 2) }
        place(Slot(tag: tag, handle: handle))
        liveCount += 1
    }

    /// Puts another handle in the place of one that is in the table, under the same tag.
    package mutating func replace(_ tag: UInt32, _ old: UInt32, with new: UInt32) {
        guard let position = position(tag, old) else { return }
        slots[position].handle = new
    }

    /// Removes a handle. Returns false if it was not there.
    @discardableResult
    package mutating func remove(_ tag: UInt32, _ handle: UInt32) -> Bool {
        guard var hole = position(tag, handle) else { return false }
        var next = (hole + 1) & mask
        while slots[next].handle != 0 {
            let home = Int(slots[next].tag) & mask
            // A slot may move back into the hole unless its home lies behind the hole.
            if (next &- home) & mask >= (next &- hole) & mask {
                slots[hole] = slots[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        slots[hole] = Slot(tag: 0, handle: 0)
        liveCount -= 1
        if mask > 63, liveCount * 8 < mask + 1 { resize(to: (mask + 1) / 2) }
        return true
    }

    package mutating func removeAll() {
        slots.deallocate()
        mask = 15
        slots = Self.emptySlots(16)
        liveCount = 0
    }

    private func position(_ tag: UInt32, _ handle: UInt32) -> Int? {
        var position = Int(tag) & mask
        while slots[position].handle != 0 {
            if slots[position].handle == handle { return position }
            position = (position + 1) & mask
        }
        return nil
    }

    private func place(_ slot: Slot) {
        var position = Int(slot.tag) & mask
        while slots[position].handle != 0 { position = (position + 1) & mask }
        slots[position] = slot
    }

    private mutating func resize(to size: Int) {
        let old = slots
        let oldCount = mask + 1
        slots = Self.emptySlots(size)
        mask = size - 1
        for position in 0..<oldCount where old[position].handle != 0 { place(old[position]) }
        old.deallocate()
    }
}
