import Base

/// The first bytes of a packet, and where its body lies in the buffer.
///
/// Decoded once per packet; typed decoders take it together with the same buffer. Kept in three
/// registers, because it is passed for every packet.
@usableFromInline
package struct FixedHeader: Equatable, Sendable {
    /// Bits 0-7 first byte, 8-15 size of the fixed header, 16 remaining length not minimal.
    @usableFromInline let bits: UInt32
    /// Variable header and payload.
    @usableFromInline
    package let body: ByteRange

    @inlinable
    init(first: UInt8, headerSize: Int, isLengthMinimal: Bool, body: ByteRange) {
        bits =
            UInt32(first) | UInt32(truncatingIfNeeded: headerSize) &<< 8
            | (isLengthMinimal ? 0 : 1 &<< 16)
        self.body = body
    }

    @inlinable
    package var type: PacketType {
        // The framing refuses type 0, the only value without a case.
        PacketType(rawValue: UInt8(truncatingIfNeeded: bits &>> 4) & 0x0F) ?? .pingreq
    }
    /// Bits 3 to 0 of the first byte.
    @inlinable
    package var flags: UInt8 { UInt8(truncatingIfNeeded: bits) & 0x0F }
    /// Whether the remaining length has its shortest form: MQTT 5 demands it, 3.x does not.
    @inlinable
    package var isLengthMinimal: Bool { bits &>> 16 == 0 }
    /// Bytes of the whole packet, from the first byte of the fixed header.
    @inlinable
    package var totalSize: Int { Int(bits &>> 8 & 0xFF) &+ Int(body.count) }
}

/// What the bytes at a position of the stream are.
@usableFromInline
package enum FrameResult: Equatable, Sendable {
    /// Not a whole packet yet. `totalSize` is the size of the packet, 0 while it is unknown.
    case needMore(totalSize: Int)
    case frame(FixedHeader)
    case fault(DecodeFault)
}

extension FixedHeader {
    /// Bytes that a fixed header takes at most.
    @usableFromInline
    package static var sizeMax: Int { 5 }

    /// Looks for a packet at `offset`. Runs for every packet, copies nothing, and refuses a packet
    /// larger than `maximumPacketSize` from its header alone, before anything is buffered.
    @inlinable @inline(__always)
    package static func decode(
        _ bytes: RawSpan, offset: Int, maximumPacketSize: Int
    ) -> FrameResult {
        let available = bytes.byteCount &- offset
        if offset >= 0, available >= 2 {
            let first = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            let length = Int(
                bytes.unsafeLoad(fromUncheckedByteOffset: offset &+ 1, as: UInt8.self))
            let totalSize = length &+ 2
            if length < 128, first >= 0x10, totalSize <= available,
                totalSize <= maximumPacketSize
            {
                return .frame(
                    FixedHeader(
                        first: first, headerSize: 2, isLengthMinimal: true,
                        body: ByteRange(offset: offset &+ 2, count: length)))
            }
        }
        return decodeAny(bytes, offset: offset, maximumPacketSize: maximumPacketSize)
    }

    /// Everything but a whole small packet.
    @usableFromInline
    static func decodeAny(
        _ bytes: RawSpan, offset: Int, maximumPacketSize: Int
    ) -> FrameResult {
        let available = bytes.byteCount &- offset
        guard offset >= 0, available > 0 else { return .needMore(totalSize: 0) }
        let first = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
        guard first >= 0x10 else { return .fault(.packetTypeReserved) }
        var length = 0
        var headerSize = 1
        var last: UInt8 = 128
        while last >= 128 {
            guard headerSize < Self.sizeMax else { return .fault(.remainingLengthMalformed) }
            guard available > headerSize else { return .needMore(totalSize: 0) }
            last = bytes.unsafeLoad(fromUncheckedByteOffset: offset &+ headerSize, as: UInt8.self)
            length |= Int(last & 127) &<< (7 &* (headerSize &- 1))
            headerSize &+= 1
        }
        let totalSize = headerSize &+ length
        guard totalSize <= maximumPacketSize else { return .fault(.packetTooLarge) }
        guard totalSize <= available else { return .needMore(totalSize: totalSize) }
        return .frame(
            FixedHeader(
                first: first, headerSize: headerSize,
                isLengthMinimal: last != 0 || headerSize == 2,
                body: ByteRange(offset: offset &+ headerSize, count: length)))
    }

    /// As `PacketType.requiredFlags`, from the type's number: 2 for PUBREL, SUBSCRIBE, UNSUBSCRIBE.
    @inlinable @inline(__always)
    var requiredFlags: UInt8 {
        UInt8(truncatingIfNeeded: (0b0101_0100_0000 as UInt32) &>> (bits &>> 4 & 0x0F)) &<< 1 & 2
    }

    /// Checks what the header alone can break: reserved flags and the form of the length.
    ///
    /// MQTT 3.1 gave DUP a meaning on re-sent PUBREL, SUBSCRIBE and UNSUBSCRIBE and left the
    /// flags of other packets unused, so nothing is refused there.
    @inlinable @inline(__always)
    func check(_ version: ProtocolVersion) throws(DecodeFault) {
        if version == .v5 && !isLengthMinimal { throw .remainingLengthNotMinimal }
        if flags != requiredFlags && version != .v31 { throw .flagsReserved }
    }
}
