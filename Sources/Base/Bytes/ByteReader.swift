/// The bytes did not have the shape that was asked for. Callers translate it to their own fault.
@usableFromInline
package struct ByteShortage: Error, Equatable {
    @inlinable
    package init() {}
}

/// Part of a buffer by position, so that a decoded value refers to bytes without holding them.
@usableFromInline
package struct ByteRange: Equatable, Sendable {
    @usableFromInline
    package var offset: UInt32
    @usableFromInline
    package var count: UInt32

    @inlinable
    package init(offset: Int, count: Int) {
        self.offset = UInt32(truncatingIfNeeded: offset)
        self.count = UInt32(truncatingIfNeeded: count)
    }

    @inlinable
    package static var empty: ByteRange { ByteRange(offset: 0, count: 0) }

    @inlinable
    package var isEmpty: Bool { count == 0 }
    @inlinable
    package var end: Int { Int(offset) &+ Int(count) }
    @inlinable
    package var range: Range<Int> { Int(offset)..<end }
}

/// A cursor over bytes that came from outside: every read is checked, nothing is copied.
///
/// Holds only the position; the bytes are passed to each call, so the cursor has no lifetime of
/// its own and can live in any struct.
@usableFromInline
package struct ByteReader: Sendable {
    /// Position of the next byte to read.
    @usableFromInline
    package var offset: Int
    /// One past the last byte that may be read.
    @usableFromInline
    package var end: Int

    @inlinable
    package init(offset: Int = 0, end: Int) {
        self.offset = offset
        self.end = end
    }

    @inlinable
    package init(_ bytes: RawSpan) {
        offset = 0
        end = bytes.byteCount
    }

    @inlinable
    package var remaining: Int { end &- offset }
    @inlinable
    package var isAtEnd: Bool { offset >= end }

    @inlinable
    package mutating func readUInt8(_ bytes: RawSpan) throws(ByteShortage) -> UInt8 {
        try read(bytes, as: UInt8.self)
    }

    @inlinable
    package mutating func readUInt16(_ bytes: RawSpan) throws(ByteShortage) -> UInt16 {
        try read(bytes, as: UInt16.self)
    }

    @inlinable
    package mutating func readUInt32(_ bytes: RawSpan) throws(ByteShortage) -> UInt32 {
        try read(bytes, as: UInt32.self)
    }

    @inlinable
    package mutating func readUInt64(_ bytes: RawSpan) throws(ByteShortage) -> UInt64 {
        try read(bytes, as: UInt64.self)
    }

    /// Reads a big-endian integer.
    @inlinable
    package mutating func read<I: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: RawSpan, as type: I.Type
    ) throws(ByteShortage) -> I {
        let size = MemoryLayout<I>.size
        guard remaining >= size else { throw ByteShortage() }
        let value = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: I.self)
        offset &+= size
        return I(bigEndian: value)
    }

    /// Takes the next `count` bytes by position.
    @inlinable
    package mutating func take(_ count: Int) throws(ByteShortage) -> ByteRange {
        guard count >= 0, remaining >= count else { throw ByteShortage() }
        defer { offset &+= count }
        return ByteRange(offset: offset, count: count)
    }

    /// Takes bytes behind a 16-bit length.
    @inlinable
    package mutating func takeLengthPrefixed16(_ bytes: RawSpan) throws(ByteShortage) -> ByteRange {
        try take(Int(readUInt16(bytes)))
    }

    /// Takes bytes behind a 32-bit length.
    @inlinable
    package mutating func takeLengthPrefixed32(_ bytes: RawSpan) throws(ByteShortage) -> ByteRange {
        try take(Int(readUInt32(bytes)))
    }
}

extension RawSpan {
    /// A copy of a part, for values that outlive the buffer.
    @usableFromInline
    package func array(_ part: ByteRange) -> [UInt8] {
        extracting(part.range).array
    }

    /// A copy of all bytes.
    @usableFromInline
    package var array: [UInt8] {
        withUnsafeBytes { [UInt8]($0) }
    }

    /// A string of a part; invalid UTF-8 is repaired, so check first where it matters.
    @usableFromInline
    package func string(_ part: ByteRange) -> String {
        extracting(part.range).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}

extension Array where Element == UInt8 {
    /// Calls `body` with the bytes as a checked span.
    @inlinable
    package func withRawSpan<R>(_ body: (RawSpan) -> R) -> R {
        withUnsafeBytes { body(RawSpan(_unsafeBytes: $0)) }
    }
}
