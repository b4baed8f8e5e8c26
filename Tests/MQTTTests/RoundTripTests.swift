import Base
import MQTT
import TestKit
import Testing

/// What is encoded is decoded to the same value: random packets of every type and version.
@Suite("Round trips")
struct RoundTripTests {
    /// Encodes, finds the frame, decodes; records an issue if that is not possible.
    func decode<T>(
        _ options: DecodeOptions, _ encode: (inout ByteWriter) -> Void,
        _ decode: (FixedHeader, RawSpan, DecodeOptions) throws(DecodeFault) -> T
    ) -> T? {
        var writer = ByteWriter()
        encode(&writer)
        let packet = writer.array
        return packet.withRawSpan { span -> T? in
            let frame = FixedHeader.decode(span, offset: 0, maximumPacketSize: .max)
            guard case .frame(let header) = frame, header.totalSize == packet.count else {
                Issue.record("\(frame) of \(packet.count) bytes")
                return nil
            }
            do throws(DecodeFault) {
                return try decode(header, span, options)
            } catch {
                Issue.record("\(error) in \(packet)")
                return nil
            }
        }
    }

    @Test("CONNECT and CONNACK", arguments: Seed.series(10))
    func connections(seed: Seed) {
        var packets = RandomPackets(random: seed.random())
        for version in ProtocolVersion.allCases {
            for _ in 0..<50 {
                let connect = packets.connect(version)
                #expect(
                    decode(.server(version), { connect.encode(into: &$0) }, ConnectPacket.decode)
                        == connect)
                let connack = packets.connack(version)
                #expect(
                    decode(
                        .client(version),
                        { writer in _ = connack.encode(version, limit: .max, into: &writer) },
                        ConnackPacket.decode) == connack)
            }
        }
    }

    @Test("SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK", arguments: Seed.series(10))
    func subscriptions(seed: Seed) {
        var packets = RandomPackets(random: seed.random())
        for version in ProtocolVersion.allCases {
            for _ in 0..<50 {
                let subscribe = packets.subscribe(version)
                #expect(
                    decode(.server(version), { subscribe.encode(version, into: &$0) }) {
                        header, span, options throws(DecodeFault) in
                        try SubscribePacket.decode(header, span, options).request(span)
                    } == subscribe)
                let unsubscribe = packets.unsubscribe(version)
                #expect(
                    decode(.server(version), { unsubscribe.encode(version, into: &$0) }) {
                        header, span, options throws(DecodeFault) in
                        try UnsubscribePacket.decode(header, span, options).request(span)
                    } == unsubscribe)
                for type in [PacketType.suback, .unsuback] {
                    let answer = packets.suback(type, version)
                    #expect(
                        decode(
                            .client(version),
                            { writer in
                                _ = answer.encode(type, version, limit: .max, into: &writer)
                            }, SubackPacket.decode) == answer)
                }
            }
        }
    }

    @Test("DISCONNECT and AUTH, both ways", arguments: Seed.series(10))
    func endings(seed: Seed) {
        var packets = RandomPackets(random: seed.random())
        for receiver in [PacketReceiver.server, .client] {
            var options = DecodeOptions.server(.v5)
            options.receiver = receiver
            for _ in 0..<50 {
                let disconnect = packets.disconnect(receiver)
                #expect(
                    decode(
                        options,
                        { writer in _ = disconnect.encode(.v5, limit: .max, into: &writer) },
                        DisconnectPacket.decode) == disconnect)
                let auth = packets.auth(receiver)
                #expect(
                    decode(
                        options, { writer in _ = auth.encode(limit: .max, into: &writer) },
                        AuthPacket.decode) == auth)
            }
        }
    }

    @Test("acknowledgements, short and with properties", arguments: Seed.series(10))
    func acknowledgements(seed: Seed) {
        var packets = RandomPackets(random: seed.random())
        for type in [PacketType.puback, .pubrec, .pubrel, .pubcomp] {
            for _ in 0..<50 {
                let (packetID, code) = (packets.packetID(), packets.code(type))
                let user = packets.userProperties()
                let reason = packets.optional { $0.text(9) }
                let found = decode(
                    .server(.v5),
                    { writer in
                        AckEncoding.encode(
                            type, packetID: packetID, reasonCode: code, reasonString: reason,
                            userProperties: user, limit: .max, into: &writer)
                    }
                ) { header, span, options throws(DecodeFault) in
                    let packet = try AckPacket.decode(header, span, options)
                    #expect(header.type == type)
                    #expect(packet.packetID == packetID && packet.reasonCode == code)
                    #expect(packet.userProperties(span) == user)
                    return packet.reasonString.offset == 0 ? nil : span.array(packet.reasonString)
                }
                #expect(found == .some(reason))
            }
        }
    }

    @Test("PUBLISH with every mixture of parts", arguments: Seed.series(20))
    func publishes(seed: Seed) {
        var packets = RandomPackets(random: seed.random())
        for version in ProtocolVersion.allCases {
            for _ in 0..<100 { publish(version, &packets) }
        }
    }

    func publish(_ version: ProtocolVersion, _ packets: inout RandomPackets) {
        let isNew = version == .v5
        let qos = packets.qos()
        let fields = PublishFields(
            version: version, qos: qos, dup: qos != .atMostOnce && packets.chance(),
            retain: packets.chance(), packetID: qos == .atMostOnce ? 0 : packets.packetID(),
            topicAlias: isNew && packets.chance() ? packets.packetID() : 0,
            messageExpiry: isNew ? packets.optional { $0.number() } : nil)
        let topic = packets.text(30, countMin: fields.topicAlias == 0 ? 1 : 0)
        let forwarded = isNew ? packets.forwarded() : []
        let ids: [UInt32] =
            isNew ? (0..<packets.random.below(3)).map { _ in 1 + packets.number() % 1_000_000 } : []
        let payload = packets.data(200)
        let matches = decode(
            .client(version),
            { writer in
                PublishEncoding.encode(
                    fields, topic: topic, forwarded: forwarded, subscriptionIDs: ids,
                    payload: payload, into: &writer)
            }
        ) { header, span, options throws(DecodeFault) in
            let packet = try PublishPacket.decode(header, span, options)
            var writer = ByteWriter()
            packet.writeForwarded(span, into: &writer)
            return packet.qos == qos && packet.dup == fields.dup
                && packet.retain == fields.retain && packet.packetID == fields.packetID
                && packet.topicAlias == fields.topicAlias
                && packet.messageExpiry == fields.messageExpiry
                && span.array(packet.topic) == topic && span.array(packet.payload) == payload
                && packet.subscriptionIDs(span) == ids && writer.array == forwarded
                && packet.isForwardedContiguous
        }
        #expect(matches == true, "\(fields) \(topic)")
    }
}
