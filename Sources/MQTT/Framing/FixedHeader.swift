import Base

/// The first bytes of a packet, and where its body lies in the buffer.
///
/// Decoded once per packet; typed decoders take it together with the same buffer.
package struct FixedHeader: Equatable, Sendable {
    package var type: PacketType
    /// Bits 3 to 0 of the first byte.
    package var flags: UInt8
    /// Whether the remaining length has its shortest form: MQTT 5 demands it, 3.x does not.
    package var isLengthMinimal: Bool
    /// Variable header and payload.
    package var body: ByteRange
    /// Bytes of the whole packet, from the first byte of the fixed header.
    package var totalSize: Int

    @inlinable
    package init(
        type: PacketType, flags: UInt8, isLengthMinimal: Bool, body: ByteRange, totalSize: Int
    ) {
        self.type = type
        self.flags = flags
        self.isLengthMinimal = isLengthMinimal
        self.body = body
        self.totalSize = totalSize
    }
}

/// What the bytes at a position of the stream are.
package enum FrameResult: Equatable, Sendable {
    /// Not a whole packet yet. `totalSize` is the size of the packet, 0 while it is unknown.
    case needMore(totalSize: Int)
    case frame(FixedHeader)
    case fault(DecodeFault)
}

extension FixedHeader {
    /// Bytes that a fixed header takes at most.
    package static var sizeMax: Int { 5 }

    /// Looks for a packet at `offset`. Runs for every packet, copies nothing, and refuses a packet
    /// larger than `maximumPacketSize` from its header alone, before anything is buffered.
    @inlinable
    package static func decode(
        _ bytes: RawSpan, offset: Int, maximumPacketSize: Int
    ) -> FrameResult {
        let available = bytes.byteCount &- offset
        guard offset >= 0, available > 0 else { return .needMore(totalSize: 0) }
        let first = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
        guard let type = PacketType(rawValue: first &>> 4) else {
            return .fault(.packetTypeReserved)
        }
        guard available > 1 else { return .needMore(totalSize: 0) }
        var length = Int(bytes.unsafeLoad(fromUncheckedByteOffset: offset &+ 1, as: UInt8.self))
        var headerSize = 2
        var isMinimal = true
        if length >= 128 {
            length &= 127
            var last: UInt8 = 128
            while last >= 128 {
                guard headerSize < Self.sizeMax else { return .fault(.remainingLengthMalformed) }
                guard available > headerSize else { return .needMore(totalSize: 0) }
                last = bytes.unsafeLoad(
                    fromUncheckedByteOffset: offset &+ headerSize, as: UInt8.self)
                length |= Int(last & 127) &<< (7 &* (headerSize &- 1))
                headerSize &+= 1
            }
            isMinimal = last != 0
        }
        let totalSize = headerSize &+ length
        guard totalSize <= maximumPacketSize else { return .fault(.packetTooLarge) }
        guard totalSize <= available else { return .needMore(totalSize: totalSize) }
        return .frame(
            FixedHeader(
                type: type, flags: first & 0x0F, isLengthMinimal: isMinimal,
                body: ByteRange(offset: offset &+ headerSize, count: length),
                totalSize: totalSize))
    }

    /// Checks what the header alone can break: reserved flags and the form of the length.
    ///
    /// MQTT 3.1 gave DUP a meaning on re-sent PUBREL, SUBSCRIBE and UNSUBSCRIBE and left the
    /// flags of other packets unused, so nothing is refused there.
    func check(_ version: ProtocolVersion) throws(DecodeFault) {
        if version == .v5 && !isLengthMinimal { throw .remainingLengthNotMinimal }
        if flags != type.requiredFlags && version != .v31 { throw .flagsReserved }
    }
}
