import Base

/// A cursor over the body of one packet: every read is checked, and what is short or ill-formed is
/// a `DecodeFault`.
///
/// Holds positions only. `end` never lies behind the buffer, so bytes before it may be loaded
/// without a second check.
@usableFromInline
package struct BodyReader {
    @usableFromInline var offset: Int
    /// One past the last byte that may be read.
    @usableFromInline var end: Int
    /// What texts must not contain.
    @usableFromInline let textOptions: TextScan.Options

    @inlinable @inline(__always)
    init(_ body: ByteRange, _ bytes: RawSpan, _ options: DecodeOptions) {
        offset = Int(body.offset)
        end = min(body.end, bytes.byteCount)
        textOptions = options.rejectsControlCharacters ? .text.strict : .text
    }

    @inlinable @inline(__always)
    var remaining: Int { end &- offset }
    @inlinable @inline(__always)
    var isAtEnd: Bool { offset >= end }

    /// Everything that was not read yet.
    @inlinable @inline(__always)
    var rest: ByteRange { ByteRange(offset: offset, count: max(0, end &- offset)) }

    @inlinable @inline(__always)
    mutating func readUInt8(_ bytes: RawSpan) throws(DecodeFault) -> UInt8 {
        guard offset < end else { throw .truncated }
        defer { offset &+= 1 }
        return bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    @inlinable @inline(__always)
    mutating func readUInt16(_ bytes: RawSpan) throws(DecodeFault) -> UInt16 {
        guard end &- offset >= 2 else { throw .truncated }
        defer { offset &+= 2 }
        return UInt16(
            bigEndian: bytes.unsafeLoadUnaligned(
                fromUncheckedByteOffset: offset, as: UInt16.self))
    }

    @inlinable @inline(__always)
    mutating func readUInt32(_ bytes: RawSpan) throws(DecodeFault) -> UInt32 {
        guard end &- offset >= 4 else { throw .truncated }
        defer { offset &+= 4 }
        return UInt32(
            bigEndian: bytes.unsafeLoadUnaligned(
                fromUncheckedByteOffset: offset, as: UInt32.self))
    }

    @inlinable @inline(__always)
    mutating func take(_ count: Int) throws(DecodeFault) -> ByteRange {
        guard end &- offset >= count else { throw .truncated }
        defer { offset &+= count }
        return ByteRange(offset: offset, count: count)
    }

    /// Bytes behind a 16-bit length.
    @inlinable @inline(__always)
    mutating func takeBinary(_ bytes: RawSpan) throws(DecodeFault) -> ByteRange {
        try take(Int(readUInt16(bytes)))
    }

    /// A UTF-8 encoded string, checked.
    @inlinable @inline(__always)
    mutating func takeText(_ bytes: RawSpan) throws(DecodeFault) -> ByteRange {
        let text = try takeBinary(bytes)
        try Self.accept(TextScan.check(bytes, text, textOptions), wildcard: .topicWildcard)
        return text
    }

    /// A topic name, checked as text and for wildcards; `wildcard` is the fault of the latter.
    @inlinable @inline(__always)
    mutating func takeTopicName(
        _ bytes: RawSpan, wildcard: DecodeFault
    ) throws(DecodeFault) -> ByteRange {
        let topic = try takeBinary(bytes)
        let verdict = TextScan.check(bytes, topic, textOptions.withoutWildcards)
        try Self.accept(verdict, wildcard: wildcard)
        return topic
    }

    @inlinable @inline(__always)
    static func accept(
        _ verdict: TextScan.Verdict, wildcard: DecodeFault
    ) throws(DecodeFault) {
        switch verdict {
        case .valid: return
        case .illFormed: throw .textIllFormed
        case .null: throw .textNull
        case .wildcard: throw wildcard
        case .controlCharacter: throw .textControlCharacter
        }
    }

    @inlinable @inline(__always)
    mutating func readPacketID(_ bytes: RawSpan) throws(DecodeFault) -> UInt16 {
        let packetID = try readUInt16(bytes)
        if packetID == 0 { throw .packetIDZero }
        return packetID
    }

    /// A variable byte integer in its shortest form.
    @inlinable @inline(__always)
    mutating func readVariable(_ bytes: RawSpan) throws(DecodeFault) -> UInt32 {
        if offset < end {
            let byte = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            if byte < 128 {
                offset &+= 1
                return UInt32(byte)
            }
        }
        return try readLongVariable(bytes)
    }

    @usableFromInline
    mutating func readLongVariable(_ bytes: RawSpan) throws(DecodeFault) -> UInt32 {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while true {
            let byte = try readUInt8(bytes)
            value |= UInt32(byte & 0x7F) &<< shift
            if byte < 0x80 {
                if byte == 0 && shift > 0 { throw .variableIntegerNotMinimal }
                return value
            }
            shift &+= 7
            if shift > 21 { throw .variableIntegerMalformed }
        }
    }

    /// The property block: reads its length and takes it.
    @inlinable @inline(__always)
    mutating func takeProperties(_ bytes: RawSpan) throws(DecodeFault) -> ByteRange {
        let length = Int(try readVariable(bytes))
        guard remaining >= length else { throw .propertyLengthOverrun }
        return try take(length)
    }

    @inlinable @inline(__always)
    func requireEnd() throws(DecodeFault) {
        if offset < end { throw .trailingBytes }
    }
}
