import Base

/// PUBACK, PUBREC, PUBREL or PUBCOMP in place.
@usableFromInline
package struct AckPacket: Equatable, Sendable {
    @usableFromInline
    package var packetID: UInt16
    @usableFromInline
    package var reasonCode: ReasonCode
    /// Offset 0 means absent.
    @usableFromInline
    package var reasonString = ByteRange.empty
    /// The whole property block without its length.
    @usableFromInline
    package var properties = ByteRange.empty

    @inlinable
    package init(packetID: UInt16, reasonCode: ReasonCode) {
        self.packetID = packetID
        self.reasonCode = reasonCode
    }

    @inlinable @inline(__always)
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> AckPacket {
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        let packet = AckPacket(packetID: try reader.readPacketID(bytes), reasonCode: .success)
        if reader.isAtEnd { return packet }
        return try decodeLong(header, bytes, options)
    }

    /// With a reason code and perhaps properties.
    @usableFromInline
    static func decodeLong(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> AckPacket {
        var reader = BodyReader(header.body, bytes, options)
        var packet = AckPacket(packetID: try reader.readPacketID(bytes), reasonCode: .success)
        guard options.version == .v5 else { throw .trailingBytes }
        packet.reasonCode = try reader.readReasonCode(bytes, header.type)
        if reader.isAtEnd { return packet }
        packet.properties = try reader.takeProperties(bytes)
        var cursor = PropertyCursor(packet.properties, bytes, .acknowledgement, options)
        while let property = try cursor.next(bytes) {
            if property.id == .reasonString { packet.reasonString = property.value }
        }
        try reader.requireEnd()
        return packet
    }
}

extension BodyReader {
    /// A reason code that the packet type has.
    mutating func readReasonCode(
        _ bytes: RawSpan, _ type: PacketType
    ) throws(DecodeFault) -> ReasonCode {
        guard let code = ReasonCode(rawValue: try readUInt8(bytes)), code.isAllowed(in: type)
        else { throw .reasonCodeNotAllowed }
        return code
    }
}

/// PINGREQ and PINGRESP: nothing but a header, which can still be wrong.
@usableFromInline
package enum PingPacket {
    @usableFromInline
    package static func check(
        _ header: FixedHeader, _ options: DecodeOptions
    ) throws(DecodeFault) {
        try header.check(options.version)
        if !header.body.isEmpty { throw .trailingBytes }
    }
}
