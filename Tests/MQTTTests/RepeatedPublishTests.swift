import Base
import MQTT
import TestKit
import Testing

@Suite("A PUBLISH like the one before it")
struct RepeatedPublishTests {
    /// What a decoding of two packets in one buffer gave.
    struct Outcome {
        /// The second, read with the first as its pattern.
        var short: PublishPacket?
        /// The second, read in full.
        var full: PublishPacket?
        var isRepeatable: Bool
    }

    func decode(_ first: [UInt8], _ second: [UInt8], _ version: ProtocolVersion) -> Outcome? {
        (first + second).withRawSpan { span -> Outcome? in
            let options = DecodeOptions.server(version)
            guard
                case .frame(let header) = FixedHeader.decode(
                    span, offset: 0, maximumPacketSize: .max),
                let earlier = try? PublishPacket.decode(header, span, options),
                case .frame(let next) = FixedHeader.decode(
                    span, offset: first.count, maximumPacketSize: .max)
            else { return nil }
            return Outcome(
                short: PublishPacket.decode(next, span, version, like: earlier),
                full: try? PublishPacket.decode(next, span, options),
                isRepeatable: earlier.isRepeatable)
        }
    }

    func packet(
        _ first: UInt8, _ topic: String, id: UInt16?, properties: [UInt8]?, _ payload: String
    ) -> [UInt8] {
        var body: [UInt8] = [0, UInt8(topic.utf8.count)] + Array(topic.utf8)
        if let id { body += [UInt8(id >> 8), UInt8(id & 255)] }
        if let properties { body += properties }
        body += Array(payload.utf8)
        return [first, UInt8(body.count)] + body
    }

    @Test(
        "is read as it would be in full, or left to that",
        arguments: [ProtocolVersion.v31, .v311, .v5], [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func likeInFull(version: ProtocolVersion, qos: QoS) throws {
        let none: [UInt8]? = version == .v5 ? [0] : nil
        let first = 0x30 | qos.rawValue << 1
        let id: UInt16? = qos == .atMostOnce ? nil : 7
        let pattern = packet(first, "plant/7/heat", id: id, properties: none, "21.5")
        let others: [(what: String, bytes: [UInt8], isLike: Bool)] = [
            ("same", pattern, true),
            (
                "other id and payload",
                packet(first, "plant/7/heat", id: id.map { $0 + 1 }, properties: none, "longer"),
                true
            ),
            ("empty", packet(first, "plant/7/heat", id: id, properties: none, ""), true),
            ("other topic", packet(first, "plant/8/heat", id: id, properties: none, "1"), false),
            ("longer topic", packet(first, "plant/7/heats", id: id, properties: none, ""), false),
            ("shorter topic", packet(first, "plant/7/hea", id: id, properties: none, ""), false),
            ("retained", packet(first | 1, "plant/7/heat", id: id, properties: none, ""), false),
            ("DUP", packet(first | 8, "plant/7/heat", id: id, properties: none, ""), false),
            (
                "other QoS",
                packet(first ^ 2, "plant/7/heat", id: id, properties: none, "four"), false
            ),
            (
                "properties",
                packet(first, "plant/7/heat", id: id, properties: none.map { _ in [2, 1, 0] }, ""),
                version != .v5
            ),
            ("cut short", [first, 5, 0, 12, 0x70, 0x6C, 0x61], false),
            (
                "id 0", packet(first, "plant/7/heat", id: id.map { _ in 0 }, properties: none, ""),
                id == nil
            ),
        ]
        for other in others {
            let outcome = try #require(decode(pattern, other.bytes, version))
            #expect(outcome.isRepeatable)
            #expect((outcome.short != nil) == other.isLike, "\(other.what)")
            if let short = outcome.short, let full = outcome.full {
                #expect(short.qos == full.qos && short.dup == full.dup)
                #expect(short.retain == full.retain && short.packetID == full.packetID)
                #expect(short.topic == full.topic && short.payload == full.payload)
                #expect(full.properties.isEmpty)
            } else {
                #expect(outcome.short == nil, "\(other.what) is faulty and was read")
            }
        }
    }

    @Test("a pattern has no DUP, no RETAIN, no property and no alias")
    func patterns() throws {
        let next = packet(0x30, "t", id: nil, properties: [0], "")
        for (first, properties) in [(UInt8(0x31), [UInt8(0)]), (0x30, [2, 1, 0])] {
            let pattern = packet(first, "t", id: nil, properties: properties, "")
            #expect(try #require(decode(pattern, next, .v5)).isRepeatable == false)
        }
        let again = packet(0x3A, "t", id: 1, properties: [0], "")
        #expect(try #require(decode(again, next, .v5)).isRepeatable == false)
    }
}
