import Base

/// SUBACK or UNSUBACK as a value, for both ends.
package struct SubackPacket: Equatable, Sendable {
    package var packetID: UInt16
    /// One for each filter of the request, in its order. Empty in an UNSUBACK of 3.x.
    package var reasonCodes: [ReasonCode]
    package var reasonString: [UInt8]?
    package var userProperties = UserProperties()

    package init(packetID: UInt16, reasonCodes: [ReasonCode]) {
        self.packetID = packetID
        self.reasonCodes = reasonCodes
    }

    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> SubackPacket {
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        var packet = SubackPacket(packetID: try reader.readPacketID(bytes), reasonCodes: [])
        if options.version == .v5 {
            let block = try reader.takeProperties(bytes)
            var cursor = PropertyCursor(block, bytes, .acknowledgement, options)
            while let property = try cursor.next(bytes) {
                if property.id == .reasonString {
                    packet.reasonString = bytes.array(property.value)
                } else {
                    packet.userProperties.append(checked: property, bytes)
                }
            }
        } else if header.type == .unsuback {
            try reader.requireEnd()
            return packet
        }
        guard !reader.isAtEnd else { throw .acknowledgeListEmpty }
        while !reader.isAtEnd {
            packet.reasonCodes.append(try reader.readReasonCode(bytes, header.type))
        }
        return packet
    }
}
