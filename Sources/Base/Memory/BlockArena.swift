/// Blocks of any size in stable memory, addressed by 31-bit handles in units of eight bytes.
///
/// ```
///  chunk (1 MiB): [block][block][free][block] ... [never used yet]   (never moved, never shrunk)
///  handle:        chunk number | unit within the chunk; 0 means none
///  free lists:    one per size up to 1 KiB, then one per power of two up to 1 MiB
/// ```
/// Owned by one loop. The size of a block is known to who frees it (from the block's own header),
/// so a block costs no bytes beside its own. A free block of the right size is taken first, then
/// fresh memory, then part of a larger small one. The owner bounds `byteCount` by a limit of its
/// own before it allocates.
@usableFromInline
package struct BlockArena: ~Copyable {
    @usableFromInline static var chunkShift: Int { 17 }
    static var chunkUnits: Int { 1 << chunkShift }
    /// Sizes in units that have a free list of their own.
    static var exactClasses: Int { 128 }
    static var classCount: Int { exactClasses + 10 }
    /// The largest block, in bytes.
    package static var blockBytesMax: Int { chunkUnits * 8 }
    /// Bytes that handles can address: 2^30 units.
    package static var byteCountMax: Int { 1 << 33 }

    @usableFromInline var chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>
    var chunkCount = 0
    var chunkCapacity = 8
    /// Fresh memory of the newest chunk, in units from the beginning of all chunks.
    var freshNext = 0
    var freshEnd = 0
    let freeHeads: UnsafeMutablePointer<UInt32>
    /// Which of the exact classes have free blocks.
    var exactFree: (UInt64, UInt64) = (0, 0)
    /// Bytes in blocks that are in use, rounded up to units.
    package private(set) var liveBytes = 0

    package init() {
        chunks = .allocate(capacity: chunkCapacity)
        freeHeads = .allocate(capacity: Self.classCount)
        freeHeads.initialize(repeating: 0, count: Self.classCount)
    }

    deinit {
        for index in 0..<chunkCount { chunks[index].deallocate() }
        chunks.deallocate()
        freeHeads.deallocate()
    }

    /// Bytes held, in use or not.
    package var byteCount: Int { chunkCount * Self.blockBytesMax }

    /// Bytes held that were ever used: what the system has really given.
    package var touchedBytes: Int { (freshNext - (freshEnd - chunkCount * Self.chunkUnits)) * 8 }

    /// The block's address; stable until it is freed.
    @inlinable
    package subscript(handle: UInt32) -> UnsafeMutableRawPointer {
        chunks[Int(handle) &>> Self.chunkShift]
            + (Int(handle) & (1 &<< Self.chunkShift &- 1)) &* 8
    }

    /// The arena for reading: what a closure on a hot path captures instead of its owner. Valid
    /// until the next allocation.
    @inlinable
    package var view: BlockView { BlockView(chunks: chunks) }

    /// Takes a block of at least `bytes` bytes, not cleared. At most `blockBytesMax`.
    package mutating func allocate(_ bytes: Int) -> UInt32 {
        let (index, units) = Self.sizeClass(bytes)
        liveBytes += units * 8
        if freeHeads[index] != 0 { return popFree(index) }
        if freshNext + units <= freshEnd { return takeFresh(units) }
        if index < Self.exactClasses, let larger = firstFree(from: index + 1) {
            let handle = popFree(larger)
            pushFree(handle + UInt32(units), units: larger + 1 - units)
            return handle
        }
        addChunk()
        return takeFresh(units)
    }

    /// Gives a block back; `bytes` as at its allocation.
    package mutating func free(_ handle: UInt32, _ bytes: Int) {
        let (index, units) = Self.sizeClass(bytes)
        liveBytes -= units * 8
        link(handle, index)
    }

    static func sizeClass(_ bytes: Int) -> (index: Int, units: Int) {
        let units = max(1, (bytes + 7) >> 3)
        if units <= exactClasses { return (units - 1, units) }
        let bits = Int.bitWidth - (units - 1).leadingZeroBitCount
        invariant(bits <= chunkShift, "a block of \(bytes) bytes")
        return (exactClasses + bits - 8, 1 << bits)
    }

    private mutating func takeFresh(_ units: Int) -> UInt32 {
        defer { freshNext += units }
        return UInt32(freshNext)
    }

    private mutating func popFree(_ index: Int) -> UInt32 {
        let handle = freeHeads[index]
        freeHeads[index] = self[handle].load(as: UInt32.self)
        if freeHeads[index] == 0 { mark(index, free: false) }
        return handle
    }

    private mutating func link(_ handle: UInt32, _ index: Int) {
        self[handle].storeBytes(of: freeHeads[index], as: UInt32.self)
        freeHeads[index] = handle
        mark(index, free: true)
    }

    private mutating func mark(_ index: Int, free: Bool) {
        guard index < Self.exactClasses else { return }
        let bit = UInt64(1) << UInt64(index & 63)
        if index < 64 {
            exactFree.0 = free ? exactFree.0 | bit : exactFree.0 & ~bit
        } else {
            exactFree.1 = free ? exactFree.1 | bit : exactFree.1 & ~bit
        }
    }

    private func firstFree(from index: Int) -> Int? {
        if index < 64 {
            let low = exactFree.0 & (UInt64.max << UInt64(index))
            if low != 0 { return low.trailingZeroBitCount }
        }
        let skip = max(0, index - 64)
        guard skip < 64 else { return nil }
        let high = exactFree.1 & (UInt64.max << UInt64(skip))
        return high == 0 ? nil : 64 + high.trailingZeroBitCount
    }

    /// Puts a run of units on the free lists; runs beyond the exact classes are cut into pieces.
    private mutating func pushFree(_ handle: UInt32, units: Int) {
        var handle = handle
        var rest = units
        while rest > 0 {
            let piece = min(rest, Self.exactClasses)
            link(handle, piece - 1)
            handle += UInt32(piece)
            rest -= piece
        }
    }

    private mutating func addChunk() {
        pushFree(UInt32(freshNext), units: freshEnd - freshNext)
        if chunkCount == chunkCapacity {
            let larger = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(
                capacity: chunkCapacity * 2)
            larger.moveInitialize(from: chunks, count: chunkCount)
            chunks.deallocate()
            chunks = larger
            chunkCapacity *= 2
        }
        invariant(byteCount < Self.byteCountMax, "arena of \(byteCount) bytes is full")
        chunks[chunkCount] = .allocate(byteCount: Self.blockBytesMax, alignment: 16)
        // Handle 0 means none, so the very first unit is never given out.
        freshNext = chunkCount << Self.chunkShift + (chunkCount == 0 ? 1 : 0)
        chunkCount += 1
        freshEnd = chunkCount << Self.chunkShift
    }
}

/// The blocks of an arena by handle, without the arena.
@usableFromInline
package struct BlockView {
    @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>

    @inlinable
    init(chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>) { self.chunks = chunks }

    @inlinable @inline(__always)
    package subscript(handle: UInt32) -> UnsafeMutableRawPointer {
        chunks[Int(handle) &>> BlockArena.chunkShift]
            + (Int(handle) & (1 &<< BlockArena.chunkShift &- 1)) &* 8
    }
}
