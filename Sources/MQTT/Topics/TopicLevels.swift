import Base

/// Walks the levels of a topic name or filter by bytes, without allocation or recursion.
///
/// `a//b` has the levels `a`, empty and `b`; `/` has two empty ones.
@usableFromInline
package struct TopicLevels: Sendable {
    /// Start of the next level; beyond `end` when there is none.
    @usableFromInline var offset: Int
    @usableFromInline let end: Int

    @inlinable
    package init(_ part: ByteRange) {
        offset = Int(part.offset)
        end = part.end
    }

    /// The next level as a part of `bytes`, or nil behind the last.
    @inlinable
    package mutating func next(_ bytes: RawSpan) -> ByteRange? {
        guard offset <= end, end <= bytes.byteCount else { return nil }
        let start = offset
        var at = start
        while at < end, bytes.unsafeLoad(fromUncheckedByteOffset: at, as: UInt8.self) != 0x2F {
            at &+= 1
        }
        offset = at &+ 1
        return ByteRange(offset: start, count: at &- start)
    }
}

extension TopicLevels {
    /// The longest name whose levels `count` counts: so many fit a byte.
    @usableFromInline
    static var countedBytesMax: Int { 254 }

    /// The number of levels of a name, eight bytes at a time. The part lies inside of `bytes`.
    @inlinable
    static func count(_ bytes: RawSpan, _ part: ByteRange) -> Int {
        let start = Int(part.offset)
        let end = part.end
        var offset = start
        // Slashes by their position in the word, one byte each.
        var sums: UInt64 = 0
        while offset &+ 8 <= end {
            sums &+= slashes(
                bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        var count = 1
        if offset < end {
            if part.count >= 8 {
                // The last eight bytes, without those that were counted: zeros take their places.
                let word = bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: end &- 8, as: UInt64.self)
                sums &+= slashes(UInt64(littleEndian: word) &>> UInt64((offset &+ 8 &- end) &* 8))
            } else {
                while offset < end {
                    let byte = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
                    count &+= byte == 0x2F ? 1 : 0
                    offset &+= 1
                }
            }
        }
        // The product's highest byte is the sum of all bytes.
        return count &+ Int((sums &* 0x0101_0101_0101_0101) &>> 56)
    }

    /// 1 in each byte that is a slash.
    @inlinable @inline(__always)
    static func slashes(_ word: UInt64) -> UInt64 {
        let others = word ^ 0x2F2F_2F2F_2F2F_2F2F
        let low = (others & 0x7F7F_7F7F_7F7F_7F7F) &+ 0x7F7F_7F7F_7F7F_7F7F
        return ~(low | others) &>> 7 & 0x0101_0101_0101_0101
    }
}

/// Small comparisons of parts of spans, for topic code.
@usableFromInline
package enum LevelBytes {
    /// Whether a part is this one byte.
    @inlinable
    package static func isByte(_ bytes: RawSpan, _ part: ByteRange, _ byte: UInt8) -> Bool {
        part.count == 1
            && bytes.unsafeLoad(fromByteOffset: Int(part.offset), as: UInt8.self) == byte
    }

    /// Whether a part begins with this byte.
    @inlinable
    package static func begins(_ bytes: RawSpan, _ part: ByteRange, with byte: UInt8) -> Bool {
        part.count > 0
            && bytes.unsafeLoad(fromByteOffset: Int(part.offset), as: UInt8.self) == byte
    }

    /// Whether two parts of two spans have equal bytes.
    @inlinable
    package static func equal(
        _ bytes: RawSpan, _ part: ByteRange, _ other: RawSpan, _ otherPart: ByteRange
    ) -> Bool {
        guard part.count == otherPart.count, part.end <= bytes.byteCount,
            otherPart.end <= other.byteCount
        else { return false }
        for index in 0..<Int(part.count) {
            let left = bytes.unsafeLoad(
                fromUncheckedByteOffset: Int(part.offset) &+ index, as: UInt8.self)
            let right = other.unsafeLoad(
                fromUncheckedByteOffset: Int(otherPart.offset) &+ index, as: UInt8.self)
            if left != right { return false }
        }
        return true
    }
}

extension ByteRange {
    /// The whole of a span.
    @usableFromInline
    package init(whole bytes: RawSpan) {
        self.init(offset: 0, count: bytes.byteCount)
    }
}
