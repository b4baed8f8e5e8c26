/// The exclusive-or that clients put over their payload (RFC 6455, 5.3).
///
/// Keys are 32-bit values as they lie in memory: on the little-endian machines we run on, byte `i`
/// of the key is bits `8i ..< 8i + 8`.
package enum Mask {
    /// Writes `count` bytes, masked or unmasked, from `source` to `target`. The two may overlap if
    /// `target` is not above `source`: every block is read before it is written.
    package static func apply(
        _ mask: UInt32, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer,
        count: Int
    ) {
        let wide = UInt64(mask) &* 0x1_0000_0001
        let block = SIMD4<UInt64>(repeating: wide)
        var offset = 0
        while offset &+ 32 <= count {
            let bytes = (source + offset).loadUnaligned(as: SIMD4<UInt64>.self)
            (target + offset).storeBytes(of: bytes ^ block, as: SIMD4<UInt64>.self)
            offset &+= 32
        }
        while offset &+ 8 <= count {
            let bytes = (source + offset).loadUnaligned(as: UInt64.self)
            (target + offset).storeBytes(of: bytes ^ wide, as: UInt64.self)
            offset &+= 8
        }
        var key = mask
        while offset < count {
            let byte = (source + offset).load(as: UInt8.self)
            (target + offset).storeBytes(
                of: byte ^ UInt8(truncatingIfNeeded: key), as: UInt8.self)
            key = turned(key, by: 1)
            offset &+= 1
        }
    }

    /// The key for the byte that follows `count` bytes.
    package static func turned(_ mask: UInt32, by count: Int) -> UInt32 {
        let bits = UInt32(truncatingIfNeeded: count & 3) &* 8
        return mask &>> bits | mask &<< (32 &- bits)
    }
}
