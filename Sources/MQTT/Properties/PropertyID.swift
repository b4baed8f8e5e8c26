/// The property identifiers of MQTT 5, named as in its table 2-4.
package enum PropertyID: UInt8, CaseIterable, Sendable {
    case payloadFormatIndicator = 0x01
    case messageExpiryInterval = 0x02
    case contentType = 0x03
    case responseTopic = 0x08
    case correlationData = 0x09
    case subscriptionIdentifier = 0x0B
    case sessionExpiryInterval = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case authenticationMethod = 0x15
    case authenticationData = 0x16
    case requestProblemInformation = 0x17
    case willDelayInterval = 0x18
    case requestResponseInformation = 0x19
    case responseInformation = 0x1A
    case serverReference = 0x1C
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQoS = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case wildcardSubscriptionAvailable = 0x28
    case subscriptionIdentifierAvailable = 0x29
    case sharedSubscriptionAvailable = 0x2A

    /// A set of identifiers is one word: all of them are below 64.
    @inline(__always)
    var bit: UInt64 { 1 &<< UInt64(rawValue) }
}

/// Where a property block stands: what may be in it depends on that alone.
package enum PropertyContext: CaseIterable, Sendable {
    case connect
    case will
    case connack
    case publish
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    case acknowledgement
    case subscribe
    case unsubscribe
    case disconnect
    case auth

    /// The allowed identifiers as a set of bits.
    @inline(__always)
    var allowed: UInt64 {
        let user = PropertyID.userProperty.bit
        switch self {
        case .connect:
            return user | PropertyID.sessionExpiryInterval.bit
                | PropertyID.authenticationMethod.bit | PropertyID.authenticationData.bit
                | PropertyID.requestProblemInformation.bit
                | PropertyID.requestResponseInformation.bit | PropertyID.receiveMaximum.bit
                | PropertyID.topicAliasMaximum.bit | PropertyID.maximumPacketSize.bit
        case .will:
            return Self.forwarded | PropertyID.messageExpiryInterval.bit
                | PropertyID.willDelayInterval.bit
        case .connack: return Self.connackSet
        case .publish:
            return Self.forwarded | PropertyID.messageExpiryInterval.bit
                | PropertyID.topicAlias.bit | PropertyID.subscriptionIdentifier.bit
        case .acknowledgement: return user | PropertyID.reasonString.bit
        case .subscribe: return user | PropertyID.subscriptionIdentifier.bit
        case .unsubscribe: return user
        case .disconnect:
            return user | PropertyID.sessionExpiryInterval.bit | PropertyID.serverReference.bit
                | PropertyID.reasonString.bit
        case .auth:
            return user | PropertyID.authenticationMethod.bit
                | PropertyID.authenticationData.bit | PropertyID.reasonString.bit
        }
    }

    @inline(__always)
    private static var connackSet: UInt64 {
        let limits =
            PropertyID.receiveMaximum.bit | PropertyID.maximumQoS.bit
            | PropertyID.retainAvailable.bit | PropertyID.maximumPacketSize.bit
            | PropertyID.topicAliasMaximum.bit | PropertyID.serverKeepAlive.bit
            | PropertyID.wildcardSubscriptionAvailable.bit
            | PropertyID.subscriptionIdentifierAvailable.bit
            | PropertyID.sharedSubscriptionAvailable.bit
        return limits | PropertyID.userProperty.bit | PropertyID.sessionExpiryInterval.bit
            | PropertyID.assignedClientIdentifier.bit | PropertyID.reasonString.bit
            | PropertyID.responseInformation.bit | PropertyID.serverReference.bit
            | PropertyID.authenticationMethod.bit | PropertyID.authenticationData.bit
    }

    /// What a server passes on unchanged and in order: payload format, content type, response
    /// topic, correlation data, user properties.
    @inline(__always)
    static var forwarded: UInt64 {
        PropertyID.payloadFormatIndicator.bit | PropertyID.contentType.bit
            | PropertyID.responseTopic.bit | PropertyID.correlationData.bit
            | PropertyID.userProperty.bit
    }

    /// What may stand in a block more than once.
    @inline(__always)
    var repeatable: UInt64 {
        let user = PropertyID.userProperty.bit
        return self == .publish ? user | PropertyID.subscriptionIdentifier.bit : user
    }
}
