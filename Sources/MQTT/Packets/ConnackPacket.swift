import Base

/// CONNACK as a value, for both ends.
package struct ConnackPacket: Equatable, Sendable {
    package var sessionPresent: Bool
    /// In 3.x one of the codes that `ReasonCode.connackReturnCode` maps.
    package var reasonCode: ReasonCode
    package var properties = ConnackProperties()

    package init(sessionPresent: Bool, reasonCode: ReasonCode) {
        self.sessionPresent = sessionPresent
        self.reasonCode = reasonCode
    }
}

/// The properties of CONNACK; what equals the value that absence means is not sent.
package struct ConnackProperties: Equatable, Sendable {
    /// Seconds; nil if the server takes the client's.
    package var sessionExpiryInterval: UInt32?
    package var receiveMaximum: UInt16 = 65_535
    package var maximumQoS: QoS = .exactlyOnce
    package var retainAvailable = true
    /// Bytes; nil without a limit.
    package var maximumPacketSize: UInt32?
    package var assignedClientID: [UInt8]?
    package var topicAliasMaximum: UInt16 = 0
    package var reasonString: [UInt8]?
    package var userProperties = UserProperties()
    package var wildcardSubscriptionAvailable = true
    package var subscriptionIDAvailable = true
    package var sharedSubscriptionAvailable = true
    /// Seconds; nil if the server takes the client's.
    package var serverKeepAlive: UInt16?
    package var responseInformation: [UInt8]?
    package var serverReference: [UInt8]?
    package var authenticationMethod: [UInt8]?
    package var authenticationData: [UInt8]?

    package init() {}
}

extension ConnackPacket {
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> ConnackPacket {
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        let flags = try reader.readUInt8(bytes)
        if flags > 1 { throw .connackFlagsReserved }
        var packet = ConnackPacket(sessionPresent: flags == 1, reasonCode: .success)
        if options.version == .v5 {
            packet.reasonCode = try reader.readReasonCode(bytes, .connack)
            let block = try reader.takeProperties(bytes)
            var cursor = PropertyCursor(block, bytes, .connack, options)
            while let property = try cursor.next(bytes) {
                packet.properties.take(property, bytes)
            }
        } else {
            guard let code = ReasonCode(connackReturnCode: try reader.readUInt8(bytes)) else {
                throw .reasonCodeNotAllowed
            }
            packet.reasonCode = code
        }
        try reader.requireEnd()
        return packet
    }
}

extension ConnackProperties {
    fileprivate mutating func take(_ property: Property, _ bytes: RawSpan) {
        let number = property.number
        switch property.id {
        case .sessionExpiryInterval: sessionExpiryInterval = number
        case .receiveMaximum: receiveMaximum = UInt16(truncatingIfNeeded: number)
        case .maximumQoS: maximumQoS = number == 0 ? .atMostOnce : .atLeastOnce
        case .retainAvailable: retainAvailable = number == 1
        case .maximumPacketSize: maximumPacketSize = number
        case .assignedClientIdentifier: assignedClientID = bytes.array(property.value)
        case .topicAliasMaximum: topicAliasMaximum = UInt16(truncatingIfNeeded: number)
        case .reasonString: reasonString = bytes.array(property.value)
        case .userProperty: userProperties.append(checked: property, bytes)
        case .wildcardSubscriptionAvailable: wildcardSubscriptionAvailable = number == 1
        case .subscriptionIdentifierAvailable: subscriptionIDAvailable = number == 1
        case .sharedSubscriptionAvailable: sharedSubscriptionAvailable = number == 1
        case .serverKeepAlive: serverKeepAlive = UInt16(truncatingIfNeeded: number)
        case .responseInformation: responseInformation = bytes.array(property.value)
        case .serverReference: serverReference = bytes.array(property.value)
        case .authenticationMethod: authenticationMethod = bytes.array(property.value)
        case .authenticationData: authenticationData = bytes.array(property.value)
        case .payloadFormatIndicator, .messageExpiryInterval, .contentType, .responseTopic,
            .correlationData, .subscriptionIdentifier, .requestProblemInformation,
            .willDelayInterval, .requestResponseInformation, .topicAlias:
            // The cursor lets none of these through in CONNACK.
            break
        }
    }
}
