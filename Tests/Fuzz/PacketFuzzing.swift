import Base
import MQTT

/// The packet decoder, for every version and both receivers.
enum PacketFuzzing {
    static let target = FuzzTarget(
        name: "mqtt-decoder",
        what: "a stream of packets: no crash, one meaning, canonical form stays",
        corpus: corpus, run: run)

    /// Packets of every kind, small, so that changes meet something that matters.
    private static let corpus: [[UInt8]] = samples()

    private static func samples() -> [[UInt8]] {
        var samples: [[UInt8]] = []
        for version in ProtocolVersion.allCases {
            samples += requests(version) + answers(version) + publishes(version)
        }
        return samples
    }

    private static func bytes(_ encode: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        encode(&writer)
        return writer.array
    }

    private static var user: UserProperties {
        var user = UserProperties()
        user.append(name: "k", value: "ü")
        user.append(name: "k", value: "")
        return user
    }

    private static func requests(_ version: ProtocolVersion) -> [[UInt8]] {
        var connect = ConnectPacket(
            version: version, cleanStart: true, keepAlive: 60, clientID: Array("client".utf8))
        let plain = bytes { connect.encode(into: &$0) }
        connect.username = Array("user".utf8)
        connect.password = Array("secret".utf8)
        var will = WillMessage(
            topic: Array("will/topic".utf8), payload: Array("gone".utf8), qos: .atLeastOnce,
            retain: true)
        if version == .v5 {
            will.delayInterval = 5
            will.messageExpiry = 6
            will.forwardedProperties = [1, 1] + user.bytes
            connect.properties.sessionExpiryInterval = 100
            connect.properties.receiveMaximum = 10
            connect.properties.maximumPacketSize = 1_000
            connect.properties.authenticationMethod = Array("SCRAM".utf8)
            connect.properties.authenticationData = [1, 2, 3]
            connect.properties.userProperties = user
        }
        connect.will = will
        let full = bytes { connect.encode(into: &$0) }
        let options = SubscriptionOptions(
            maximumQoS: .exactlyOnce, noLocal: false, retainAsPublished: true,
            retainHandling: .sendIfNew)
        var subscribe = SubscribeRequest(
            packetID: 7,
            entries: ["a/+/#", "$share/g/a/b"].map {
                SubscribeRequest.Entry(filter: Array($0.utf8), options: options)
            })
        subscribe.subscriptionID = 300
        let unsubscribe = UnsubscribeRequest(packetID: 8, filters: [Array("a/b".utf8)])
        return [
            plain, full, bytes { subscribe.encode(version, into: &$0) },
            bytes { unsubscribe.encode(version, into: &$0) },
            bytes { PingEncoding.pingreq(into: &$0) },
        ]
    }

    private static func answers(_ version: ProtocolVersion) -> [[UInt8]] {
        var connack = ConnackPacket(sessionPresent: true, reasonCode: .success)
        connack.properties.assignedClientID = Array("assigned".utf8)
        connack.properties.serverKeepAlive = 30
        connack.properties.userProperties = user
        let suback = SubackPacket(packetID: 7, reasonCodes: [.grantedQoS2, .notAuthorized])
        var disconnect = DisconnectPacket(reasonCode: .useAnotherServer)
        disconnect.serverReference = Array("node:1883".utf8)
        var auth = AuthPacket(reasonCode: .continueAuthentication)
        auth.authenticationMethod = Array("SCRAM".utf8)
        auth.authenticationData = [4, 5, 6]
        let acks = [PacketType.puback, .pubrec, .pubrel, .pubcomp].map { type in
            bytes {
                AckEncoding.encode(
                    type, packetID: 9, reasonCode: .success,
                    reasonString: version == .v5 ? Array("why".utf8) : nil,
                    userProperties: version == .v5 ? user : UserProperties(), limit: .max,
                    into: &$0)
            }
        }
        return acks + [
            bytes { _ = connack.encode(version, limit: .max, into: &$0) },
            bytes { _ = suback.encode(.suback, version, limit: .max, into: &$0) },
            bytes { _ = suback.encode(.unsuback, version, limit: .max, into: &$0) },
            bytes { _ = disconnect.encode(version, limit: .max, into: &$0) },
            bytes { _ = auth.encode(limit: .max, into: &$0) },
            bytes { PingEncoding.pingresp(into: &$0) },
        ]
    }

    private static func publishes(_ version: ProtocolVersion) -> [[UInt8]] {
        QoS.allCases.map { qos in
            bytes {
                PublishEncoding.encode(
                    PublishFields(
                        version: version, qos: qos, dup: qos != .atMostOnce, retain: true,
                        packetID: 11, topicAlias: version == .v5 ? 3 : 0, messageExpiry: 60),
                    topic: Array("topic/名/level".utf8),
                    forwarded: version == .v5
                        ? [1, 1, 3, 0, 1, 0x63, 8, 0, 1, 0x72, 9, 0, 1, 7] + user.bytes : [],
                    subscriptionIDs: version == .v5 && qos == .atMostOnce ? [5] : [],
                    payload: Array("payload".utf8), into: &$0)
            }
        }
    }

    private static func run(_ input: [UInt8], _ random: inout SeededRandom) -> String? {
        let maximum = random.chance(percent: 90) ? 1 << 20 : random.below(64)
        for version in ProtocolVersion.allCases {
            for receiver in [PacketReceiver.server, .client] {
                var options = DecodeOptions.server(version)
                options.receiver = receiver
                options.rejectsControlCharacters = random.chance(percent: 20)
                if let failure = checkStream(input, options, maximum) { return failure }
            }
        }
        return nil
    }

    /// Walks the stream as a connection does.
    private static func checkStream(
        _ input: [UInt8], _ options: DecodeOptions, _ maximum: Int
    ) -> String? {
        var offset = 0
        while case .frame(let header) = frame(input, offset, maximum) {
            let packet = Array(input[offset..<(offset + header.totalSize)])
            let here = meaning(input, offset, options)
            if here != meaning(packet, 0, options) {
                return "another meaning at offset \(offset), \(options)"
            }
            guard case .canonical(let canonical) = here else { return nil }
            if meaning(canonical, 0, options) != here {
                return "canonical form changes, \(options): \(canonical)"
            }
            offset += header.totalSize
        }
        return nil
    }

    private static func frame(_ input: [UInt8], _ offset: Int, _ maximum: Int) -> FrameResult {
        input.withRawSpan {
            FixedHeader.decode($0, offset: offset, maximumPacketSize: maximum)
        }
    }

    private enum Meaning: Equatable {
        case canonical([UInt8])
        case fault(DecodeFault)
        case noFrame
    }

    private static func meaning(
        _ input: [UInt8], _ offset: Int, _ options: DecodeOptions
    ) -> Meaning {
        input.withRawSpan { span in
            guard
                case .frame(let header) = FixedHeader.decode(
                    span, offset: offset, maximumPacketSize: .max)
            else { return .noFrame }
            do throws(DecodeFault) {
                let packet = try Packet.decode(header, span, options)
                var version = options.version
                if case .connect(let connect) = packet { version = connect.version }
                var writer = ByteWriter()
                packet.encode(span, version, into: &writer)
                return .canonical(writer.array)
            } catch {
                return .fault(error)
            }
        }
    }
}
