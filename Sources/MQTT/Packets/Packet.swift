import Base

/// Any packet, decoded: for clients, tests and fuzzing. The broker's hot path switches on the
/// header's type and calls the typed decoder instead.
package enum Packet: Equatable, Sendable {
    case connect(ConnectPacket)
    case connack(ConnackPacket)
    case publish(PublishPacket)
    case acknowledgement(PacketType, AckPacket)
    case subscribe(SubscribePacket)
    case suback(SubackPacket)
    case unsubscribe(UnsubscribePacket)
    case unsuback(SubackPacket)
    case pingreq
    case pingresp
    case disconnect(DisconnectPacket)
    case auth(AuthPacket)

    /// Decodes whatever `header` announces. Packets that only the other end sends are faults.
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> Packet {
        try checkDirection(header.type, options.receiver)
        switch header.type {
        case .connect: return .connect(try ConnectPacket.decode(header, bytes, options))
        case .connack: return .connack(try ConnackPacket.decode(header, bytes, options))
        case .publish: return .publish(try PublishPacket.decode(header, bytes, options))
        case .puback, .pubrec, .pubrel, .pubcomp:
            return .acknowledgement(header.type, try AckPacket.decode(header, bytes, options))
        case .subscribe: return .subscribe(try SubscribePacket.decode(header, bytes, options))
        case .suback: return .suback(try SubackPacket.decode(header, bytes, options))
        case .unsubscribe:
            return .unsubscribe(try UnsubscribePacket.decode(header, bytes, options))
        case .unsuback: return .unsuback(try SubackPacket.decode(header, bytes, options))
        case .pingreq:
            try PingPacket.check(header, options)
            return .pingreq
        case .pingresp:
            try PingPacket.check(header, options)
            return .pingresp
        case .disconnect: return .disconnect(try DisconnectPacket.decode(header, bytes, options))
        case .auth: return .auth(try AuthPacket.decode(header, bytes, options))
        }
    }

    private static func checkDirection(
        _ type: PacketType, _ receiver: PacketReceiver
    ) throws(DecodeFault) {
        switch type {
        case .connect, .subscribe, .unsubscribe, .pingreq:
            if receiver == .client { throw .packetTypeUnexpected }
        case .connack, .suback, .unsuback, .pingresp:
            if receiver == .server { throw .packetTypeUnexpected }
        case .publish, .puback, .pubrec, .pubrel, .pubcomp, .disconnect, .auth:
            return
        }
    }
}
