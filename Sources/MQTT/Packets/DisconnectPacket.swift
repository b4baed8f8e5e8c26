import Base

/// DISCONNECT as a value, for both ends.
package struct DisconnectPacket: Equatable, Sendable {
    package var reasonCode: ReasonCode
    /// Seconds; nil leaves the interval of CONNECT. Whether it may rise from 0 is the session's
    /// affair.
    package var sessionExpiryInterval: UInt32?
    package var reasonString: [UInt8]?
    package var serverReference: [UInt8]?
    package var userProperties = UserProperties()

    package init(reasonCode: ReasonCode) { self.reasonCode = reasonCode }

    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> DisconnectPacket {
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        var packet = DisconnectPacket(reasonCode: .normalDisconnection)
        if reader.isAtEnd { return packet }
        guard options.version == .v5 else { throw .trailingBytes }
        packet.reasonCode = try reader.readReasonCode(bytes, .disconnect)
        if reader.isAtEnd { return packet }
        let block = try reader.takeProperties(bytes)
        var cursor = PropertyCursor(block, bytes, .disconnect, options)
        while let property = try cursor.next(bytes) {
            if property.id == .sessionExpiryInterval {
                if options.receiver == .client { throw .sessionExpiryFromServer }
                packet.sessionExpiryInterval = property.number
            } else if property.id == .userProperty {
                packet.userProperties.append(checked: property, bytes)
            } else if property.id == .reasonString {
                packet.reasonString = bytes.array(property.value)
            } else {
                packet.serverReference = bytes.array(property.value)
            }
        }
        try reader.requireEnd()
        return packet
    }
}

/// AUTH as a value, for both ends. MQTT 5 only.
package struct AuthPacket: Equatable, Sendable {
    package var reasonCode: ReasonCode
    package var authenticationMethod: [UInt8]?
    package var authenticationData: [UInt8]?
    package var reasonString: [UInt8]?
    package var userProperties = UserProperties()

    package init(reasonCode: ReasonCode) { self.reasonCode = reasonCode }

    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> AuthPacket {
        guard options.version == .v5 else { throw .packetTypeUnexpected }
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        var packet = AuthPacket(reasonCode: .success)
        if !reader.isAtEnd {
            packet.reasonCode = try reader.readReasonCode(bytes, .auth)
            let block = try reader.takeProperties(bytes)
            try packet.readProperties(block, bytes, options)
            try reader.requireEnd()
            if packet.authenticationMethod == nil { throw .authenticationMethodMissing }
        }
        // Only a server ends an exchange, and only a client begins one again.
        let foreign: ReasonCode = options.receiver == .server ? .success : .reauthenticate
        if packet.reasonCode == foreign { throw .reasonCodeNotAllowed }
        return packet
    }

    private mutating func readProperties(
        _ block: ByteRange, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) {
        var cursor = PropertyCursor(block, bytes, .auth, options)
        while let property = try cursor.next(bytes) {
            if property.id == .authenticationMethod {
                authenticationMethod = bytes.array(property.value)
            } else if property.id == .authenticationData {
                authenticationData = bytes.array(property.value)
            } else if property.id == .reasonString {
                reasonString = bytes.array(property.value)
            } else {
                userProperties.append(checked: property, bytes)
            }
        }
    }
}
