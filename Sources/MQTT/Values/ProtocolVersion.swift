/// The version of the protocol that a connection speaks: a value, never a subclass.
///
/// The raw value is the protocol level byte of CONNECT.
@usableFromInline
package enum ProtocolVersion: UInt8, CaseIterable, Comparable, Sendable {
    case v31 = 3
    case v311 = 4
    case v5 = 5

    @inlinable
    package static func < (left: ProtocolVersion, right: ProtocolVersion) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The protocol name that goes with the level.
    @usableFromInline
    package var protocolName: StaticString { self == .v31 ? "MQIsdp" : "MQTT" }
}

/// Quality of service of a message or the maximum of a subscription.
@usableFromInline
package enum QoS: UInt8, CaseIterable, Comparable, Sendable, BitwiseCopyable {
    case atMostOnce = 0
    case atLeastOnce = 1
    case exactlyOnce = 2

    @inlinable
    package static func < (left: QoS, right: QoS) -> Bool { left.rawValue < right.rawValue }
}

/// The control packet type: bits 7 to 4 of the first byte.
@usableFromInline
package enum PacketType: UInt8, CaseIterable, Sendable {
    case connect = 1
    case connack = 2
    case publish = 3
    case puback = 4
    case pubrec = 5
    case pubrel = 6
    case pubcomp = 7
    case subscribe = 8
    case suback = 9
    case unsubscribe = 10
    case unsuback = 11
    case pingreq = 12
    case pingresp = 13
    case disconnect = 14
    case auth = 15

    /// The flag bits that the type must carry; PUBLISH gives them meanings of its own.
    @inlinable
    package var requiredFlags: UInt8 {
        switch self {
        case .pubrel, .subscribe, .unsubscribe: 0b0010
        case .connect, .connack, .publish, .puback, .pubrec, .pubcomp, .suback, .unsuback,
            .pingreq, .pingresp, .disconnect, .auth:
            0
        }
    }
}

/// Which end reads a packet: some properties are allowed in one direction only.
@usableFromInline
package enum PacketReceiver: Sendable {
    case server
    case client
}
