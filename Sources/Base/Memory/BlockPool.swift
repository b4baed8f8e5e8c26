/// Memory for bytes in transit, in a few sizes, kept for reuse: one pool per loop.
///
/// ```
///  classes: 512, 4 Ki, 16 Ki, 64 Ki, 256 Ki bytes, each with a free list through the blocks
///  larger:  next power of two, straight from malloc and back
/// ```
/// A block is address and capacity; the capacity alone tells its class. Any pool may take back
/// any block, since each is its own allocation: blocks of mail are taken from one loop's pool and
/// given to another's. Limit: `keepMax` bytes kept per class; the rest goes back to malloc.
@usableFromInline
package struct BlockPool: ~Copyable {
    /// One class: the first free block, and how many there are.
    @usableFromInline struct FreeList {
        @usableFromInline var head: UnsafeMutableRawPointer?
        @usableFromInline var count: Int
    }

    @inlinable static var classCount: Int { 5 }

    @usableFromInline let lists: UnsafeMutablePointer<FreeList>
    @usableFromInline let keepMax: Int
    /// Bytes handed out and not given back (blocks of other pools given to this one count
    /// negative, so the sum over all loops is right).
    @inlinable
    package var bytesInUse: Int { bytesInUseStorage }
    @usableFromInline var bytesInUseStorage: Int
    /// Bytes kept for reuse.
    @inlinable
    package var bytesKept: Int { bytesKeptStorage }
    @usableFromInline var bytesKeptStorage: Int

    @usableFromInline
    package init(keepMax: Int = 4 * 1024 * 1024) {
        self.keepMax = keepMax
        lists = .allocate(capacity: Self.classCount)
        lists.initialize(repeating: FreeList(head: nil, count: 0), count: Self.classCount)
        bytesInUseStorage = 0
        bytesKeptStorage = 0
    }

    deinit {
        for index in 0..<Self.classCount {
            while let block = lists[index].head {
                lists[index].head = block.load(as: UnsafeMutableRawPointer?.self)
                block.deallocate()
            }
        }
        lists.deallocate()
    }

    /// The class that holds `count` bytes, or `classCount` if none does.
    @inlinable
    static func classIndex(holding count: Int) -> Int {
        if count <= 512 { return 0 }
        if count <= 4096 { return 1 }
        if count <= 16384 { return 2 }
        if count <= 65536 { return 3 }
        return count <= 262_144 ? 4 : classCount
    }

    @inlinable
    static func capacity(ofClass index: Int) -> Int {
        index == 0 ? 512 : 1024 &<< (index &* 2)
    }

    /// The capacity of the block that `take(atLeast: count)` gives.
    @inlinable
    package static func capacity(holding count: Int) -> Int {
        let index = classIndex(holding: count)
        if index < classCount { return capacity(ofClass: index) }
        return 1 &<< (Int.bitWidth &- (count &- 1).leadingZeroBitCount)
    }

    /// A block of at least `count` bytes, uninitialized, aligned to 16. Its capacity is
    /// `capacity(holding: count)`.
    @inlinable
    package mutating func take(atLeast count: Int) -> UnsafeMutableRawBufferPointer {
        let index = Self.classIndex(holding: count)
        let capacity = Self.capacity(holding: count)
        bytesInUseStorage &+= capacity
        if index < Self.classCount, let block = lists[index].head {
            lists[index].head = block.load(as: UnsafeMutableRawPointer?.self)
            lists[index].count &-= 1
            bytesKeptStorage &-= capacity
            return UnsafeMutableRawBufferPointer(start: block, count: capacity)
        }
        return .allocate(byteCount: capacity, alignment: 16)
    }

    /// Takes back a block of some pool.
    @inlinable
    package mutating func give(_ block: UnsafeMutableRawPointer, capacity: Int) {
        bytesInUseStorage &-= capacity
        let index = Self.classIndex(holding: capacity)
        if index < Self.classCount, (lists[index].count &+ 1) &* capacity <= keepMax {
            block.storeBytes(of: lists[index].head, as: UnsafeMutableRawPointer?.self)
            lists[index].head = block
            lists[index].count &+= 1
            bytesKeptStorage &+= capacity
        } else {
            block.deallocate()
        }
    }
}
