import MQTT
import TestKit
import Testing

/// CONNECT packets that are wrong: each ends the connection, after one CONNACK at most.
@Suite("Malformed CONNECT", .waiting)
struct ConnectFormatTests {
    /// A wrong CONNECT: what follows protocol name and level.
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let body: String

        init(_ title: String, _ body: String) {
            testDescription = title
            self.body = body
        }
    }

    static let rows5 = [
        Row("[MQTT-3.1.2-3] reserved flag", "03 0000 00 ('a')"),
        Row("[MQTT-3.1.2-9] will flag, nothing behind", "06 0000 00 ('a')"),
        Row("[MQTT-3.1.2-9] will flag, properties alone", "06 0000 00 ('a') 00"),
        Row("[MQTT-3.1.2-9] will flag, no payload", "06 0000 00 ('a') 00 ('w')"),
        Row("[MQTT-3.1.2-11] will QoS without will flag", "0A 0000 00 ('a')"),
        Row("[MQTT-3.1.2-12] will QoS 3", "1E 0000 00 ('a') 00 ('w') ('p')"),
        Row("[MQTT-3.1.2-13] will retain without will flag", "22 0000 00 ('a')"),
        Row("[MQTT-3.1.2-16] user name without flag", "02 0000 00 ('a') ('user')"),
        Row("[MQTT-3.1.2-17] user name flag without user name", "82 0000 00 ('a')"),
        Row("[MQTT-3.1.2-18] password without flag", "82 0000 00 ('a') ('user') ('word')"),
        Row("[MQTT-3.1.2-19] password flag without password", "42 0000 00 ('a')"),
        Row("[MQTT-3.1.3-3] no client identifier", "02 0000 00"),
        Row("[MQTT-3.1.3-4] client identifier not UTF-8", "02 0000 00 (FF)"),
        Row("[MQTT-3.1.3-11] will topic not UTF-8", "06 0000 00 ('a') 00 (C0AF) ('p')"),
        Row("[MQTT-3.1.3-12] user name not UTF-8", "82 0000 00 ('a') (EDA080)"),
        Row("[MQTT-3.1.4-1] property length missing", "02 0000"),
        Row("[MQTT-3.1.4-1] a property twice", "02 0000 06 21 0001 21 0001 ('a')"),
        Row("[MQTT-3.1.3-1] the user name before the client identifier", "C2 0000 00 ('u') (FF)"),
    ]

    @Test("a wrong CONNECT of 5.0", arguments: Host.all, rows5)
    func wrongConnectOf5(host: Host, row: Row) throws {
        let client = Scene(host).client()
        client.send(packet(0x10, "('MQTT') 05 " + row.body))
        let incoming = try client.next()
        if case .connack(let connack) = incoming {
            #expect(connack.reasonCode.isFailure)
            try client.expectClosed()
        } else if case .end = incoming {
            return
        } else {
            throw Surprise("got \(incoming)", #line)
        }
    }

    static let rows3 = [
        Row("[v3 MQTT-3.1.2-3] reserved flag", "03 0000 ('a')"),
        Row("[v3 MQTT-3.1.2-9] will flag, nothing behind", "06 0000 ('a')"),
        Row("[v3 MQTT-3.1.2-9] will flag, no message", "06 0000 ('a') ('w')"),
        Row("[v3 MQTT-3.1.2-11] will fields without flag", "02 0000 ('a') ('w') ('p')"),
        Row("[v3 MQTT-3.1.2-11, MQTT-3.1.2-13] will QoS without will flag", "0A 0000 ('a')"),
        Row("[v3 MQTT-3.1.2-14] will QoS 3", "1E 0000 ('a') ('w') ('p')"),
        Row("[v3 MQTT-3.1.2-11, MQTT-3.1.2-15] will retain without flag", "22 0000 ('a')"),
        Row("[v3 MQTT-3.1.2-18] user name without flag", "02 0000 ('a') ('user')"),
        Row("[v3 MQTT-3.1.2-19] user name flag without user name", "82 0000 ('a')"),
        Row("[v3 MQTT-3.1.2-20] password without flag", "82 0000 ('a') ('user') ('word')"),
        Row("[v3 MQTT-3.1.2-21] password flag without password", "C2 0000 ('a') ('user')"),
        Row("[v3 MQTT-3.1.2-22] password without user name", "42 0000 ('a') ('word')"),
        Row("[v3 MQTT-3.1.3-1] the user name before the client identifier", "82 0000 ('u') (FF)"),
        Row("[v3 MQTT-3.1.3-3] no client identifier", "02 0000"),
        Row("[v3 MQTT-3.1.3-4] client identifier not UTF-8", "02 0000 (FF)"),
        Row("[v3 MQTT-3.1.3-10] will topic not UTF-8", "06 0000 ('a') (C0AF) ('p')"),
        Row("[v3 MQTT-3.1.3-11] user name not UTF-8", "82 0000 ('a') (EDA080)"),
        Row("[v3 MQTT-1.5.3-1] client identifier with a surrogate", "02 0000 (EDA080)"),
        Row("[v3 MQTT-1.5.3-2] client identifier with U+0000", "02 0000 (6100)"),
    ]

    @Test(
        "[v3 MQTT-3.1.4-1, MQTT-3.2.2-6] a wrong CONNECT of 3.1.1 is closed without CONNACK",
        arguments: Host.all, rows3)
    func wrongConnectOf311(host: Host, row: Row) throws {
        let client = Scene(host).client("a", .v311)
        client.send(packet(0x10, "('MQTT') 04 " + row.body))
        try client.expectClosed()
    }

    @Test(
        "[MQTT-3.1.3-1] [v3 MQTT-3.1.3-1] the fields of CONNECT have their order",
        arguments: Host.all, [ProtocolVersion.v5, .v311])
    func fieldsHaveTheirOrder(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic())
        let client = scene.client("a", version)
        let properties = version == .v5 ? "00" : ""
        client.send(
            packet(
                0x10,
                """
                ('MQTT') \(version == .v5 ? "05" : "04") C6 0000 \(properties) \
                ('\(client.clientID)') \(properties) ('\(scene.topic())') ('last words') \
                ('user') ('word')
                """))
        #expect(try client.connack().reasonCode == .success)
        client.cut()
        #expect(try watcher.receive().text == "last words")
    }
}
