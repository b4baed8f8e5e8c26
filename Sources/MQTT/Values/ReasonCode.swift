/// The reason codes of MQTT 5, named as in its table 2-6.
///
/// Below 0x80 success, from 0x80 failure. The names that share the value 0 are aliases.
@usableFromInline
package enum ReasonCode: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    case success = 0x00
    case grantedQoS1 = 0x01
    case grantedQoS2 = 0x02
    case disconnectWithWillMessage = 0x04
    case noMatchingSubscribers = 0x10
    case noSubscriptionExisted = 0x11
    case continueAuthentication = 0x18
    case reauthenticate = 0x19
    case unspecifiedError = 0x80
    case malformedPacket = 0x81
    case protocolError = 0x82
    case implementationSpecificError = 0x83
    case unsupportedProtocolVersion = 0x84
    case clientIdentifierNotValid = 0x85
    case badUserNameOrPassword = 0x86
    case notAuthorized = 0x87
    case serverUnavailable = 0x88
    case serverBusy = 0x89
    case banned = 0x8A
    case serverShuttingDown = 0x8B
    case badAuthenticationMethod = 0x8C
    case keepAliveTimeout = 0x8D
    case sessionTakenOver = 0x8E
    case topicFilterInvalid = 0x8F
    case topicNameInvalid = 0x90
    case packetIdentifierInUse = 0x91
    case packetIdentifierNotFound = 0x92
    case receiveMaximumExceeded = 0x93
    case topicAliasInvalid = 0x94
    case packetTooLarge = 0x95
    case messageRateTooHigh = 0x96
    case quotaExceeded = 0x97
    case administrativeAction = 0x98
    case payloadFormatInvalid = 0x99
    case retainNotSupported = 0x9A
    case qosNotSupported = 0x9B
    case useAnotherServer = 0x9C
    case serverMoved = 0x9D
    case sharedSubscriptionsNotSupported = 0x9E
    case connectionRateExceeded = 0x9F
    case maximumConnectTime = 0xA0
    case subscriptionIdentifiersNotSupported = 0xA1
    case wildcardSubscriptionsNotSupported = 0xA2

    /// The name of 0x00 in DISCONNECT.
    @usableFromInline
    package static var normalDisconnection: ReasonCode { .success }
    /// The name of 0x00 in SUBACK.
    @usableFromInline
    package static var grantedQoS0: ReasonCode { .success }

    @inlinable
    package var isFailure: Bool { rawValue >= 0x80 }

    /// The SUBACK code that grants a maximum QoS.
    @inlinable
    package static func granted(_ qos: QoS) -> ReasonCode {
        switch qos {
        case .atMostOnce: .success
        case .atLeastOnce: .grantedQoS1
        case .exactlyOnce: .grantedQoS2
        }
    }
}

extension ReasonCode {
    /// The CONNACK return code of MQTT 3.1 and 3.1.1, or nil where those versions have none: then
    /// the connection is closed without CONNACK.
    @usableFromInline
    package var connackReturnCode: UInt8? {
        switch self {
        case .success: 0
        case .unsupportedProtocolVersion: 1
        case .clientIdentifierNotValid: 2
        case .serverUnavailable, .serverBusy, .quotaExceeded, .connectionRateExceeded,
            .useAnotherServer, .serverMoved, .serverShuttingDown, .unspecifiedError,
            .implementationSpecificError:
            3
        case .badUserNameOrPassword: 4
        case .notAuthorized, .banned, .badAuthenticationMethod, .topicNameInvalid,
            .retainNotSupported, .qosNotSupported:
            5
        case .grantedQoS1, .grantedQoS2, .disconnectWithWillMessage, .noMatchingSubscribers,
            .noSubscriptionExisted, .continueAuthentication, .reauthenticate, .malformedPacket,
            .protocolError, .keepAliveTimeout, .sessionTakenOver, .topicFilterInvalid,
            .packetIdentifierInUse, .packetIdentifierNotFound, .receiveMaximumExceeded,
            .topicAliasInvalid, .packetTooLarge, .messageRateTooHigh, .administrativeAction,
            .payloadFormatInvalid, .sharedSubscriptionsNotSupported, .maximumConnectTime,
            .subscriptionIdentifiersNotSupported, .wildcardSubscriptionsNotSupported:
            nil
        }
    }

    /// The reason code that a CONNACK return code of MQTT 3.x stands for; nil for reserved ones.
    @usableFromInline
    package init?(connackReturnCode: UInt8) {
        switch connackReturnCode {
        case 0: self = .success
        case 1: self = .unsupportedProtocolVersion
        case 2: self = .clientIdentifierNotValid
        case 3: self = .serverUnavailable
        case 4: self = .badUserNameOrPassword
        case 5: self = .notAuthorized
        default: return nil
        }
    }

    /// Whether MQTT 5 defines the code for the packet type.
    @usableFromInline
    package func isAllowed(in type: PacketType) -> Bool {
        switch type {
        case .connack: self == .success || Self.connackCodes.contains(self)
        case .puback, .pubrec: self == .success || Self.publishResponseCodes.contains(self)
        case .pubrel, .pubcomp: self == .success || self == .packetIdentifierNotFound
        case .suback: self == .success || Self.subackCodes.contains(self)
        case .unsuback: self == .success || Self.unsubackCodes.contains(self)
        case .disconnect: self == .success || Self.disconnectCodes.contains(self)
        case .auth:
            self == .success || self == .continueAuthentication || self == .reauthenticate
        case .connect, .publish, .subscribe, .unsubscribe, .pingreq, .pingresp: false
        }
    }

    private static let connackCodes: [ReasonCode] = [
        .success, .unspecifiedError, .malformedPacket, .protocolError,
        .implementationSpecificError, .unsupportedProtocolVersion, .clientIdentifierNotValid,
        .badUserNameOrPassword, .notAuthorized, .serverUnavailable, .serverBusy, .banned,
        .badAuthenticationMethod, .topicNameInvalid, .packetTooLarge, .quotaExceeded,
        .payloadFormatInvalid, .retainNotSupported, .qosNotSupported, .useAnotherServer,
        .serverMoved, .connectionRateExceeded,
    ]

    private static let publishResponseCodes: [ReasonCode] = [
        .success, .noMatchingSubscribers, .unspecifiedError, .implementationSpecificError,
        .notAuthorized, .topicNameInvalid, .packetIdentifierInUse, .quotaExceeded,
        .payloadFormatInvalid,
    ]

    private static let subackCodes: [ReasonCode] = [
        .success, .grantedQoS1, .grantedQoS2, .unspecifiedError,
        .implementationSpecificError, .notAuthorized, .topicFilterInvalid,
        .packetIdentifierInUse, .quotaExceeded, .sharedSubscriptionsNotSupported,
        .subscriptionIdentifiersNotSupported, .wildcardSubscriptionsNotSupported,
    ]

    private static let unsubackCodes: [ReasonCode] = [
        .success, .noSubscriptionExisted, .unspecifiedError, .implementationSpecificError,
        .notAuthorized, .topicFilterInvalid, .packetIdentifierInUse,
    ]

    private static let disconnectCodes: [ReasonCode] = [
        .success, .disconnectWithWillMessage, .unspecifiedError, .malformedPacket,
        .protocolError, .implementationSpecificError, .notAuthorized, .serverBusy,
        .serverShuttingDown, .badAuthenticationMethod, .keepAliveTimeout, .sessionTakenOver,
        .topicFilterInvalid, .topicNameInvalid, .receiveMaximumExceeded, .topicAliasInvalid,
        .packetTooLarge, .messageRateTooHigh, .quotaExceeded, .administrativeAction,
        .payloadFormatInvalid, .retainNotSupported, .qosNotSupported, .useAnotherServer,
        .serverMoved, .sharedSubscriptionsNotSupported, .connectionRateExceeded,
        .maximumConnectTime, .subscriptionIdentifiersNotSupported,
        .wildcardSubscriptionsNotSupported,
    ]
}
