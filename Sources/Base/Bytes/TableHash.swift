/// The keyed hash of tables in memory: 128-bit multiply folding over eight bytes at a time.
///
/// The key comes from the system (from the simulator in tests), so that nobody outside can choose
/// colliding topics or client ids. Never stored: see `BucketHash` for what is.
@usableFromInline
package struct TableHash: Sendable {
    /// Two secret words; odd, so that multiplication loses nothing.
    @usableFromInline let key: (UInt64, UInt64)

    @usableFromInline
    package init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        key = (random.next() | 1, random.next() | 1)
    }

    @inlinable
    package func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        hash(bytes, salt: 0)
    }

    /// `salt` separates key spaces that share a table, for instance tenants.
    @inlinable @inline(__always)
    package func hash(_ bytes: UnsafeRawBufferPointer, salt: UInt64) -> UInt64 {
        let count = bytes.count
        var state = key.0 ^ salt &* 0x9E37_79B9_7F4A_7C15
        var offset = 0
        while offset &+ 16 <= count {
            state = fold(
                load(bytes, offset) ^ key.1, load(bytes, offset &+ 8) ^ state)
            offset &+= 16
        }
        var low: UInt64 = 0
        var high: UInt64 = 0
        if offset &+ 8 <= count {
            low = load(bytes, offset)
            high = count > offset &+ 8 ? tail(bytes, from: offset &+ 8) : 0
        } else if offset < count {
            low = tail(bytes, from: offset)
        }
        state = fold(low ^ key.1, high ^ state)
        return fold(state ^ key.0, UInt64(truncatingIfNeeded: count) ^ key.1)
    }

    @inlinable
    package func hash(_ value: UInt64) -> UInt64 {
        fold(value ^ key.0, key.1)
    }

    @inlinable @inline(__always)
    func load(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// The last one to seven bytes.
    @inlinable
    func tail(_ bytes: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
        var word: UInt64 = 0
        var offset = bytes.count
        while offset > start {
            offset &-= 1
            word = (word &<< 8) | UInt64(bytes[offset])
        }
        return word
    }

    @inlinable @inline(__always)
    func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}
