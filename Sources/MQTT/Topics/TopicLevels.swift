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
