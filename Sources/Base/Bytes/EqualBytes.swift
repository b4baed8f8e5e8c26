/// Compares `left.count` bytes, eight at a time; `right` has at least as many.
///
/// For keys of a few dozen bytes on the way of a message, where a call of `memcmp` would cost more
/// than the comparison.
@inlinable @inline(__always)
package func equalBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    let count = left.count
    if count < 8 { return equalShortBytes(left, right) }
    guard let left = left.baseAddress, let right = right.baseAddress else { return false }
    var offset = 0
    while offset &+ 8 < count {
        if left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            != right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        {
            return false
        }
        offset &+= 8
    }
    // The last eight bytes, some of them perhaps a second time.
    return left.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        == right.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
}

/// Up to seven bytes: two overlapping words, or byte by byte.
@inlinable @inline(__always)
func equalShortBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    let count = left.count
    guard count > 0 else { return true }
    guard let left = left.baseAddress, let right = right.baseAddress else { return false }
    if count >= 4 {
        return left.loadUnaligned(as: UInt32.self) == right.loadUnaligned(as: UInt32.self)
            && left.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
                == right.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
    }
    for offset in 0..<count
    where left.load(fromByteOffset: offset, as: UInt8.self)
        != right.load(fromByteOffset: offset, as: UInt8.self)
    {
        return false
    }
    return true
}

extension RawSpan {
    /// Whether the `count` bytes at two offsets are the same; false if either part leaves the span.
    @inlinable @inline(__always)
    package func hasEqualBytes(_ first: Int, _ second: Int, count: Int) -> Bool {
        guard first >= 0, second >= 0, count >= 0, first &+ count <= byteCount,
            second &+ count <= byteCount
        else { return false }
        return withUnsafeBytes {
            equalBytes(
                UnsafeRawBufferPointer(rebasing: $0[first..<first &+ count]),
                UnsafeRawBufferPointer(rebasing: $0[second..<second &+ count]))
        }
    }
}
