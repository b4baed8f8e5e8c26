import Base
import MQTT
import TestKit
import Testing

@Suite("PUBLISH in place")
struct PublishTests {
    func publish(_ text: String) -> (packet: PublishPacket?, buffer: [UInt8]) {
        let buffer = Vector("", .server(.v5), first: 0x32, text).packet
        let packet = buffer.withRawSpan { span -> PublishPacket? in
            guard
                case .frame(let header) = FixedHeader.decode(
                    span, offset: 0, maximumPacketSize: .max)
            else { return nil }
            return try? PublishPacket.decode(header, span, .server(.v5))
        }
        return (packet, buffer)
    }

    @Test("ranges point at the parts, the topic's length directly before it")
    func ranges() throws {
        let (found, buffer) = publish("('a/b') 0102 {03 ('c') 08 ('r') 09 ('d')} 'payload'")
        let packet = try #require(found)
        #expect(buffer[packet.topic.range].elementsEqual("a/b".utf8))
        #expect(buffer[Int(packet.topic.offset) - 1] == 3)
        #expect(buffer[packet.contentType.range].elementsEqual("c".utf8))
        #expect(buffer[packet.responseTopic.range].elementsEqual("r".utf8))
        #expect(buffer[packet.correlationData.range].elementsEqual("d".utf8))
        #expect(buffer[packet.payload.range].elementsEqual("payload".utf8))
        #expect(packet.packetID == 0x0102)
    }

    @Test(
        "what is passed on is one range unless something else stands between",
        arguments: [
            ("01 01 26 ('k') ('v')", "01 01 26 ('k') ('v')", true),
            ("02 0000003C 01 01 26 ('k') ('v')", "01 01 26 ('k') ('v')", true),
            ("01 01 26 ('k') ('v') 23 0001", "01 01 26 ('k') ('v')", true),
            ("02 0000003C 01 01 26 ('k') ('v') 23 0001", "01 01 26 ('k') ('v')", true),
            ("01 01 23 0001 26 ('k') ('v')", "01 01 26 ('k') ('v')", false),
            (
                "26 ('a') () 02 0000003C 26 ('b') () 23 0001 26 ('a') ()",
                "26 ('a') () 26 ('b') () 26 ('a') ()", false
            ),
            ("23 0001", "", true),
            ("", "", true),
        ])
    func forwarded(block: String, expected: String, isContiguous: Bool) throws {
        let (found, buffer) = publish("('t') 0001 {\(block)}")
        let packet = try #require(found)
        #expect(packet.isForwardedContiguous == isContiguous)
        #expect(packet.forwardedSize == UInt32(bytes(expected).count))
        var writer = ByteWriter()
        buffer.withRawSpan { packet.writeForwarded($0, into: &writer) }
        #expect(writer.array == bytes(expected))
    }

    @Test("a payload that claims to be UTF-8 can be checked")
    func payloadFormat() throws {
        for (text, expected) in [
            ("('t') 0001 {01 01} 'text'", true), ("('t') 0001 {01 01} FF", false),
            ("('t') 0001 {01 00} FF", true), ("('t') 0001 00 FF", true),
            ("('t') 0001 {01 01} 00", true),
        ] {
            let (found, buffer) = publish(text)
            let packet = try #require(found)
            #expect(buffer.withRawSpan { packet.payloadMatchesFormat($0) } == expected)
        }
    }

    @Test("the packet id of a shared copy can be written at its offset")
    func packetIDOffset() throws {
        for payloadSize in [0, 100, 200, 20_000] {
            for version in [ProtocolVersion.v311, .v5] {
                let fields = PublishFields(
                    version: version, qos: .atLeastOnce, dup: false, retain: false,
                    packetID: 0xABCD,
                    topicAlias: 0, messageExpiry: nil)
                let payload = [UInt8](repeating: 7, count: payloadSize)
                var writer = ByteWriter()
                PublishEncoding.encode(
                    fields, topic: Array("a/b".utf8), forwarded: [], subscriptionIDs: [],
                    payload: payload, into: &writer)
                let plan = PublishEncoding(
                    fields, topicSize: 5, forwardedSize: 0, payloadSize: payloadSize,
                    subscriptionIDs: UnsafeBufferPointer(start: nil, count: 0))
                #expect(plan.totalSize == writer.count)
                #expect(plan.headerSize == writer.count - payloadSize)
                #expect(writer.array[plan.packetIDOffset] == 0xAB)
                #expect(writer.array[plan.packetIDOffset + 1] == 0xCD)
            }
        }
    }
}

@Suite("Answers")
struct AnswerTests {
    static let reason = Array("because".utf8)
    static var user: UserProperties {
        var user = UserProperties()
        user.append(name: "key", value: "value")
        return user
    }

    func connack(_ limit: Int) -> ConnackPacket? {
        var packet = ConnackPacket(sessionPresent: false, reasonCode: .quotaExceeded)
        packet.properties.reasonString = Self.reason
        packet.properties.userProperties = Self.user
        var writer = ByteWriter()
        writer.append(0xEE as UInt8)
        guard packet.encode(.v5, limit: limit, into: &writer) else {
            #expect(writer.array == [0xEE])
            return nil
        }
        #expect(writer.count - 1 <= limit)
        let bytes = Array(writer.array.dropFirst())
        return bytes.withRawSpan { span in
            guard
                case .frame(let header) = FixedHeader.decode(
                    span, offset: 0, maximumPacketSize: .max)
            else { return nil }
            return try? ConnackPacket.decode(header, span, .client(.v5))
        }
    }

    @Test("an answer too large loses its reason string, then its user properties [MQTT-3.2.2-19]")
    func trims() throws {
        let (bare, withUser, full) = (5, 5 + 13, 5 + 13 + 10)
        #expect(try #require(connack(full)).properties.reasonString == Self.reason)
        #expect(try #require(connack(full)).properties.userProperties == Self.user)
        #expect(try #require(connack(full - 1)).properties.reasonString == nil)
        #expect(try #require(connack(withUser)).properties.userProperties == Self.user)
        #expect(try #require(connack(withUser - 1)).properties.userProperties.isEmpty)
        #expect(try #require(connack(bare)).reasonCode == .quotaExceeded)
        #expect(connack(bare - 1) == nil)
    }

    @Test(
        "3.x refusals use the return codes that those versions have [v3 MQTT-3.2.2-6]",
        arguments: [
            (.success, 0), (.unsupportedProtocolVersion, 1), (.clientIdentifierNotValid, 2),
            (.serverUnavailable, 3), (.serverBusy, 3), (.quotaExceeded, 3),
            (.connectionRateExceeded, 3), (.badUserNameOrPassword, 4), (.notAuthorized, 5),
            (.banned, 5), (.malformedPacket, nil), (.protocolError, nil), (.packetTooLarge, nil),
        ] as [(ReasonCode, UInt8?)])
    func returnCodes(code: ReasonCode, expected: UInt8?) {
        var writer = ByteWriter()
        let isSent = ConnackPacket(sessionPresent: false, reasonCode: code)
            .encode(.v311, limit: .max, into: &writer)
        #expect(isSent == (expected != nil))
        #expect(writer.array == (expected.map { [0x20, 2, 0, $0] } ?? []))
    }

    @Test("session present never goes with a refusal, nor to 3.1 [MQTT-3.2.2-6] [v3 MQTT-3.2.2-4]")
    func sessionPresent() {
        for version in ProtocolVersion.allCases {
            for code in [ReasonCode.success, .notAuthorized] {
                var writer = ByteWriter()
                ConnackPacket(sessionPresent: true, reasonCode: code)
                    .encode(version, limit: .max, into: &writer)
                #expect((writer.array[2] == 1) == (version != .v31 && code == .success))
            }
        }
    }

    @Test("each reason code is allowed exactly where table 2-6 says so")
    func reasonCodes() {
        let counts: [(PacketType, Int)] = [
            (.connack, 22), (.puback, 9), (.pubrec, 9), (.pubrel, 2), (.pubcomp, 2),
            (.suback, 12), (.unsuback, 7), (.disconnect, 30), (.auth, 3), (.publish, 0),
        ]
        for (type, count) in counts {
            #expect(ReasonCode.allCases.filter { $0.isAllowed(in: type) }.count == count, "\(type)")
        }
        #expect(ReasonCode.allCases.count == 43)
    }

    @Test("the variable byte integer has the specification's sizes [MQTT-1.5.5-1]")
    func variableByteInteger() {
        let edges = [
            (0, "00"), (127, "7F"), (128, "80 01"), (16_383, "FF 7F"), (16_384, "80 80 01"),
            (2_097_151, "FF FF 7F"), (2_097_152, "80 80 80 01"), (268_435_455, "FF FF FF 7F"),
        ]
        for (value, expected) in edges {
            var place: [UInt8] = [0, 0, 0, 0]
            let size = place.withUnsafeMutableBytes {
                VariableByteInteger.write(value, to: $0.baseAddress!)
            }
            #expect(Array(place.prefix(size)) == bytes(expected))
            #expect(VariableByteInteger.size(of: value) == size)
        }
    }
}
