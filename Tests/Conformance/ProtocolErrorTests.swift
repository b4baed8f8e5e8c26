import MQTT
import TestKit
import Testing

/// Packets that end a live connection.
@Suite("Malformed packets and protocol errors", .waiting)
struct ProtocolErrorTests {
    /// A wrong packet and what 5.0 says to it.
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let packet: [UInt8]
        let codes: [ReasonCode]

        init(_ title: String, _ first: UInt8, _ body: String, _ codes: ReasonCode...) {
            testDescription = title
            packet = TestKit.packet(first, body)
            self.codes = codes
        }
    }

    static let rows5 = [
        Row("[MQTT-1.5.4-1] topic not UTF-8", 0x30, "(C0AF) 00", .malformedPacket),
        Row("[MQTT-1.5.4-1] topic with a surrogate", 0x30, "(EDA080) 00", .malformedPacket),
        Row("[MQTT-1.5.4-2, MQTT-4.7.3-2] topic with U+0000", 0x30, "(6100) 00", .malformedPacket),
        Row("[MQTT-1.5.5-1] property length not minimal", 0x30, "('t') 8000", .malformedPacket),
        Row(
            "[MQTT-1.5.7-1] user property not UTF-8", 0x30, "('t') {26 ('a') (FF)}",
            .malformedPacket),
        Row("[MQTT-2.1.3-1] flags of PINGREQ", 0xC1, "", .malformedPacket),
        Row("[MQTT-2.1.3-1] type 0", 0x00, "", .malformedPacket),
        Row("[MQTT-2.2.2-1] SUBSCRIBE without property length", 0x82, "0001", .malformedPacket),
        Row("[MQTT-3.3.1-4] QoS 3", 0x36, "('t') 0001 00", .malformedPacket),
        Row("[MQTT-3.3.1-2] QoS 0 with DUP", 0x38, "('t') 00", .malformedPacket, .protocolError),
        Row("[MQTT-3.3.2-1] no topic name", 0x30, "", .malformedPacket),
        Row(
            "[MQTT-3.3.2-2, MQTT-4.7.0-1] topic with a wildcard", 0x30, "('a/+') 00",
            .topicNameInvalid),
        Row(
            "[MQTT-3.3.2-2, MQTT-4.7.0-1] topic with a #", 0x32, "('#') 0001 00",
            .topicNameInvalid),
        Row("[MQTT-4.7.3-1] empty topic without alias", 0x30, "('') 00", .protocolError),
        Row(
            "[MQTT-3.3.2-13] response topic not UTF-8", 0x30, "('t') {08 (FF)}",
            .malformedPacket),
        Row(
            "[MQTT-3.3.2-14] response topic with a wildcard", 0x30, "('t') {08 ('a/#')}",
            .protocolError, .malformedPacket, .topicNameInvalid),
        Row(
            "[MQTT-3.3.2-19] content type not UTF-8", 0x30, "('t') {03 (FF)}",
            .malformedPacket),
        Row(
            "[MQTT-3.3.4-6] subscription identifier from a client", 0x30, "('t') {0B 01}",
            .protocolError),
        Row("[MQTT-3.6.1-1] flags of PUBREL", 0x60, "0001", .malformedPacket),
        Row("[MQTT-3.8.1-1] flags of SUBSCRIBE", 0x80, "0001 00 ('a') 00", .malformedPacket),
        Row("[MQTT-3.8.3-1] filter not UTF-8", 0x82, "0001 00 (FF) 00", .malformedPacket),
        Row("[MQTT-3.8.3-2] SUBSCRIBE without a filter", 0x82, "0001 00", .protocolError),
        Row(
            "[MQTT-3.8.3-4] no local on a shared subscription", 0x82,
            "0001 00 ('$share/g/t') 04", .protocolError),
        Row(
            "[MQTT-3.8.3-5] reserved subscription options", 0x82, "0001 00 ('a') 40",
            .malformedPacket),
        Row(
            "[MQTT-3.8.3-5] subscription QoS 3", 0x82, "0001 00 ('a') 03", .malformedPacket,
            .protocolError),
        Row(
            "[MQTT-3.8.3-5] retain handling 3", 0x82, "0001 00 ('a') 30", .protocolError,
            .malformedPacket),
        Row("[MQTT-3.10.1-1] flags of UNSUBSCRIBE", 0xA0, "0001 00 ('a')", .malformedPacket),
        Row("[MQTT-3.10.3-1] filter not UTF-8", 0xA2, "0001 00 (FF)", .malformedPacket),
        Row("[MQTT-3.10.3-2] UNSUBSCRIBE without a filter", 0xA2, "0001 00", .protocolError),
        Row("[MQTT-3.14.1-1] flags of DISCONNECT", 0xE1, "", .malformedPacket),
        Row(
            "[MQTT-3.14.2-1] DISCONNECT with a code of CONNACK", 0xE0, "84", .malformedPacket,
            .protocolError),
        Row(
            "[MQTT-3.4.2-1] PUBACK with a code of SUBACK", 0x40, "0001 01", .malformedPacket,
            .protocolError),
        Row("[MQTT-4.13.1-1] CONNACK from a client", 0x20, "00 00 00", .protocolError),
    ]

    @Test(
        """
        [MQTT-4.13.1-1, MQTT-4.13.2-1, MQTT-3.14.4-1, MQTT-3.14.4-2] a wrong packet of 5.0 is \
        answered with DISCONNECT, and nothing follows
        """, arguments: Host.all, rows5)
    func wrongPacketOf5(host: Host, row: Row) throws {
        let scene = Scene(host)
        let client = try scene.connected()
        client.send(row.packet + [0xC0, 0])
        let incoming = try client.next()
        guard case .disconnect(let packet, _) = incoming else {
            throw Surprise("wanted DISCONNECT, got \(incoming)", #line)
        }
        #expect(row.codes.contains(packet.reasonCode), "\(packet.reasonCode)")
        // The decoder refuses a session expiry interval from a server [MQTT-3.14.2-2].
        try client.expectClosed()
    }

    static let rows3 = [
        Row("[v3 MQTT-1.5.3-1] topic not UTF-8", 0x30, "(C0AF)"),
        Row("[v3 MQTT-1.5.3-1] filter with a surrogate", 0x82, "0001 (EDA080) 00"),
        Row("[v3 MQTT-1.5.3-2, MQTT-4.7.3-2] topic with U+0000", 0x30, "(6100)"),
        Row("[v3 MQTT-2.2.2-1, MQTT-2.2.2-2] flags of PINGREQ", 0xC1, ""),
        Row("[v3 MQTT-2.3.1-1] SUBSCRIBE with identifier 0", 0x82, "0000 ('a') 00"),
        Row("[v3 MQTT-2.3.1-1] UNSUBSCRIBE with identifier 0", 0xA2, "0000 ('a')"),
        Row("[v3 MQTT-3.3.1-4] QoS 3", 0x36, "('t') 0001"),
        Row("[v3 MQTT-3.3.1-2] QoS 0 with DUP", 0x38, "('t')"),
        Row("[v3 MQTT-3.3.2-1] no topic name", 0x30, ""),
        Row("[v3 MQTT-3.3.2-2, MQTT-4.7.1-1] topic with a wildcard", 0x30, "('a/+')"),
        Row("[v3 MQTT-3.3.2-2, MQTT-4.7.1-1] topic with a #", 0x32, "('#') 0001"),
        Row("[v3 MQTT-4.7.3-1] empty topic", 0x30, "('')"),
        Row("[v3 MQTT-3.6.1-1] flags of PUBREL", 0x60, "0001"),
        Row("[v3 MQTT-3.8.1-1] flags of SUBSCRIBE", 0x80, "0001 ('a') 00"),
        Row("[v3 MQTT-3.8.3-1] filter not UTF-8", 0x82, "0001 (FF) 00"),
        Row("[v3 MQTT-3.8.3-3] SUBSCRIBE without a filter", 0x82, "0001"),
        Row("[v3 MQTT-3.8.3-4] subscription QoS 3", 0x82, "0001 ('a') 03"),
        Row("[v3 MQTT-3.8.3-4] reserved bits", 0x82, "0001 ('a') 04"),
        Row("[v3 MQTT-3.10.1-1] flags of UNSUBSCRIBE", 0xA0, "0001 ('a')"),
        Row("[v3 MQTT-3.10.3-1] filter not UTF-8", 0xA2, "0001 (FF)"),
        Row("[v3 MQTT-3.10.3-2] UNSUBSCRIBE without a filter", 0xA2, "0001"),
        Row("[v3 MQTT-3.14.1-1] flags of DISCONNECT", 0xE1, ""),
        Row("[v3 MQTT-4.8.0-1] AUTH, which 3.1.1 does not have", 0xF0, ""),
        Row("[v3 MQTT-4.8.0-1] SUBACK from a client", 0x90, "0001 00"),
    ]

    @Test(
        "[v3 MQTT-4.8.0-1] a wrong packet of 3.1.1 closes the connection",
        arguments: Host.all, rows3)
    func wrongPacketOf311(host: Host, row: Row) throws {
        let client = try Scene(host).connected("a", .v311)
        client.send(row.packet + [0xC0, 0])
        try client.expectClosed()
    }

    @Test(
        "[MQTT-3.14.0-1] nothing is disconnected with DISCONNECT before CONNACK",
        arguments: Host.all)
    func noDisconnectBeforeConnack(host: Host) throws {
        for first in ["10 05 ('MQT')", "10 0C ('MQTT') 05 02 0000 00 (FF)", "E0 00", "FF 00"] {
            let client = Scene(host).client()
            client.send(bytes(first))
            let incoming = try client.next()
            if case .connack(let packet) = incoming {
                #expect(packet.reasonCode.isFailure)
                try client.expectClosed()
            } else if case .end = incoming {
                continue
            } else {
                throw Surprise("got \(incoming)", #line)
            }
        }
    }

    @Test(
        """
        [MQTT-3.14.4-1] [v3 MQTT-3.14.4-3] what follows DISCONNECT is not processed
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func nothingAfterDisconnect(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic())
        let client = try scene.connected("a", version)
        client.send { writer in
            DisconnectPacket(reasonCode: .normalDisconnection)
                .encode(version, limit: .max, into: &writer)
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: .atMostOnce, dup: false, retain: false, packetID: 0,
                    topicAlias: 0, messageExpiry: nil),
                topic: Array(scene.topic().utf8), forwarded: [], subscriptionIDs: [],
                payload: Array("ghost".utf8), into: &writer)
        }
        try client.expectClosed()
        try scene.connected("p").publish(scene.topic(), "real")
        #expect(try watcher.receive().text == "real")
    }

    @Test(
        """
        [v3 MQTT-3.3.5-2] a PUBLISH of 3.1.1 that is not permitted closes the connection and \
        reaches nobody
        """, arguments: Host.all, QoS.allCases)
    func forbiddenPublishOf311(host: Host, qos: QoS) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe("forbidden/" + scene.topic())
        let client = try scene.connected("a", .v311) { $0.username = Array("guarded".utf8) }
        client.sendPublish(
            "forbidden/" + scene.topic(), "no", qos: qos,
            packetID: qos == .atMostOnce ? 0 : 1)
        try client.expectClosed()
        try watcher.expectNothing()
    }

    @Test(
        """
        [v3 MQTT-4.8.0-2] a PUBLISH of 3.1.1 that cannot be taken just now closes the connection \
        instead of being acknowledged
        """, arguments: Host.all)
    func transientErrorOf311(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", .v311) { $0.username = Array("brisk/u".utf8) }
        for packetID in 1...20 as ClosedRange<UInt16> {
            client.sendPublish(scene.topic(), qos: .atLeastOnce, packetID: packetID)
        }
        var acknowledged = 0
        while case .acknowledgement = try client.next() { acknowledged += 1 }
        #expect(acknowledged < 20)
        try client.expectClosed()
    }
}
