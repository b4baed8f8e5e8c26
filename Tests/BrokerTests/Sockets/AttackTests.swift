import Base
import MQTT
import TestKit
import Testing

/// CONNECT of 5.0 with chosen flags and properties, and what follows the client id.
private func connect5(_ flags: UInt8, _ properties: [UInt8], _ rest: [UInt8] = []) -> [UInt8] {
    Greeting.packet(
        0x10,
        Greeting.text("MQTT") + [5, flags, 0, 0] + measured(properties)
            + Greeting.text("hostile") + rest)
}

private func measured(_ bytes: [UInt8]) -> [UInt8] { Greeting.measured(bytes) }

/// SUBSCRIBE or UNSUBSCRIBE of 5.0 from its parts.
private func subscribe5(_ properties: [UInt8], _ entries: [UInt8]) -> [UInt8] {
    Greeting.packet(0x82, [0, 1] + measured(properties) + entries)
}

private func publish5(_ topic: [UInt8], _ properties: [UInt8], qos: UInt8 = 0) -> [UInt8] {
    Greeting.packet(
        0x30 | qos << 1,
        Greeting.text16(topic) + (qos > 0 ? [0, 7] : []) + measured(properties) + [1, 2])
}

private let userProperty: [UInt8] = [38, 0, 0, 0, 0]

@Suite("Bad input that brokers have fallen to", .serialized)
struct AttackTests {
    static let framing: [HostileRow] = [
        .init(
            "[attack 01] five continuation bytes, first packet", nil,
            [0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .closed),
        .init(
            "[attack 01] five continuation bytes, 5.0", .v5,
            [0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .disconnect(0x81), .closed),
        .init(
            "[attack 01] five continuation bytes, 3.1.1", .v311,
            [0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .closed),
        .init(
            "[attack 02] CONNECT of 256 MB", nil,
            [0x10, 0xFF, 0xFF, 0xFF, 0x7F] + Greeting.text("MQTT") + [5, 2], .connack(0x95),
            .closed),
        .init(
            "[attack 02] PUBLISH of 256 MB", .v5, [0x30, 0xFF, 0xFF, 0xFF, 0x7F],
            .disconnect(0x95), .closed),
        .init("[attack 03] first PUBLISH", nil, [0x30, 4, 0, 1, 0x61, 0], .closed),
        .init("[attack 03] first PINGREQ", nil, [0xC0, 0], .closed),
        .init("[attack 03] first AUTH", nil, [0xF0, 0], .closed),
        .init("[attack 03] first SUBSCRIBE", nil, Greeting.subscribe("a"), .closed),
        .init("[attack 03] first DISCONNECT", nil, [0xE0, 0], .closed),
        .init("[attack 03] first CONNACK", nil, [0x20, 2, 0, 0], .closed),
        .init("[attack 03] packet type 0", nil, [0, 0], .closed),
        .init(
            "[attack 03] HTTP on the MQTT port", nil,
            Array("GET / HTTP/1.1\r\n\r\n".utf8), .closed),
        .init(
            "[attack 04] second CONNECT, 5.0", .v5, Greeting.connect(.v5, "hostile"),
            .disconnect(0x82), .closed),
        .init(
            "[attack 04] second CONNECT, 3.1.1", .v311, Greeting.connect(.v311, "hostile"),
            .closed),
    ]

    static let properties: [HostileRow] = [
        .init(
            "[attack 05] will with a property that wills do not have", nil,
            connect5(
                0x06, [], measured([0x11, 0, 0, 0, 1]) + Greeting.text("w") + Greeting.text("")),
            .connack(0x81), .closed),
        .init(
            "[attack 05] will with a property twice", nil,
            connect5(
                0x06, [], measured([1, 1, 1, 1]) + Greeting.text("w") + Greeting.text("")),
            .connack(0x82), .closed),
        .init(
            "[attack 06] twelve thousand user properties in CONNECT", nil,
            connect5(2, (0..<12_000).flatMap { _ in userProperty }), .connack(0x97), .closed),
        .init(
            "[attack 06] forty thousand user properties in PUBLISH", .v5,
            publish5([0x61], (0..<40_000).flatMap { _ in userProperty }), .disconnect(0x97),
            .closed),
        .init(
            "[attack 07] property length beyond the packet", nil,
            Greeting.packet(0x10, Greeting.text("MQTT") + [5, 2, 0, 0, 0x7F]), .connack(0x81),
            .closed),
        .init(
            "[attack 07] a property twice", nil,
            connect5(2, [0x21, 0, 9, 0x21, 0, 9]), .connack(0x82), .closed),
        .init(
            "[attack 07] another packet's property", nil, connect5(2, [0x23, 0, 1]),
            .connack(0x81), .closed),
        .init(
            "[attack 07] property length beyond a PUBLISH", .v5,
            Greeting.packet(0x30, [0, 1, 0x61, 0x7F, 1]), .disconnect(0x81), .closed),
    ]

    static let topics: [HostileRow] = [
        .init(
            "[attack 08] empty topic without an alias, 5.0", .v5, publish5([], []),
            .disconnect(0x82), .closed),
        .init(
            "[attack 08] empty topic, 3.1.1", .v311, [0x30, 3, 0, 0, 1], .closed),
        .init(
            "[attack 09] topic alias 0", .v5, publish5([0x61], [0x23, 0, 0]), .disconnect(0x94),
            .closed),
        .init(
            "[attack 09] topic alias above the maximum", .v5, publish5([0x61], [0x23, 0, 99]),
            .disconnect(0x94), .closed),
        .init(
            "[attack 09] topic alias that was never set", .v5, publish5([], [0x23, 0, 3]),
            .disconnect(0x82), .closed),
        .init(
            "[attack 10] a topic of 65,535 slashes", .v5,
            publish5([UInt8](repeating: 0x2F, count: 65_535), [], qos: 1), .puback(0x90)),
        .init(
            "[attack 10] a filter of 65,535 slashes", .v5,
            subscribe5([], Greeting.text16([UInt8](repeating: 0x2F, count: 65_535)) + [0]),
            .suback([0x8F])),
        .init(
            "[attack 10] a filter of 32,767 single-level wildcards", .v5,
            subscribe5(
                [],
                Greeting.text16(
                    (0..<32_767).flatMap { $0 == 0 ? [0x2B] : [0x2F, 0x2B] as [UInt8] }) + [0]),
            .suback([0x8F])),
        .init(
            "[attack 12] shared filters without what they need", .v5,
            subscribe5(
                [],
                [
                    "$share/g", "$share//x", "$share/g/", "$share/+/x", "$share/a#b/x", "$share/",
                    "$share/g/#/x",
                ].flatMap { Greeting.text($0) + [0] }),
            .suback([0x8F, 0x8F, 0x8F, 0x8F, 0x8F, 0x8F, 0x8F])),
        .init(
            "[attack 14] names that are the server's, QoS 1", .v5,
            ["$SYS/a", "$queue/a", "$delayed/5/a", "$x", "$"].flatMap {
                Greeting.publish($0, qos: .atLeastOnce)
            }, .puback(0x90), .puback(0x90), .puback(0x90), .puback(0x90), .puback(0x90)),
        .init(
            "[attack 14] a name that is the server's, QoS 0", .v5,
            Greeting.publish("$SYS/a") + [0xC0, 0], .pingresp),
        .init(
            "[attack 14] a name that is the server's, 3.1.1", .v311,
            Greeting.publish("$SYS/a", qos: .atLeastOnce, version: .v311), .puback(0)),
    ]

    static let values: [HostileRow] = [
        .init(
            "[attack 29] subscription identifier 0", .v5,
            subscribe5([0x0B, 0], Greeting.text("a") + [0]), .disconnect(0x82), .closed),
        .init(
            "[attack 29] subscription identifier above 268,435,455", .v5,
            subscribe5([0x0B, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], Greeting.text("a") + [0]),
            .disconnect(0x81), .closed),
        .init(
            "[attack 29] subscription identifier in a client's PUBLISH", .v5,
            publish5([0x61], [0x0B, 1]), .disconnect(0x82), .closed),
        .init(
            "[attack 31] payload that is not the text it claims, QoS 1", .v5,
            Greeting.publish("a", [0xFF, 0xFE], qos: .atLeastOnce, forwarded: [1, 1]),
            .puback(0x99)),
        .init(
            "[attack 31] payload that is not the text it claims, QoS 2", .v5,
            Greeting.publish("a", [0xC0, 0x80], qos: .exactlyOnce, forwarded: [1, 1]),
            .pubrec(0x99)),
        .init(
            "[attack 31] payload that is not the text it claims, QoS 0", .v5,
            Greeting.publish("a", [0xED, 0xA0, 0x80], forwarded: [1, 1]), .disconnect(0x99),
            .closed),
        .init(
            "[attack 32] response topic with a wildcard", .v5,
            publish5([0x61], [8, 0, 1, 0x23]), .disconnect(0x82), .closed),
        .init(
            "[attack 35] message expiry 0", .v5,
            publish5([0x61], [2, 0, 0, 0, 0], qos: 1), .puback(0x10)),
        .init(
            "[attack 36] AUTH without a method in CONNECT", .v5,
            Greeting.packet(0xF0, [0x19] + measured([0x15] + Greeting.text("x"))),
            .disconnect(0x82), .closed),
        .init(
            "[attack 38] a client id that would write into a log", nil,
            Greeting.connect(.v5, "a\n\u{1B}[31mroot logged in"), .connack(0x85), .closed),
    ]

    /// Every ill-formed text at every place that a client can put one.
    static let texts: [HostileRow] = {
        let bad: [(String, [UInt8])] = [
            ("a null character", [0x61, 0]), ("a surrogate", [0xED, 0xA0, 0x80]),
            ("an overlong slash", [0xC0, 0xAF]), ("a lone continuation", [0x80]),
            ("beyond U+10FFFF", [0xF4, 0x90, 0x80, 0x80]), ("cut short", [0xE2, 0x82]),
        ]
        return bad.flatMap { name, bytes -> [HostileRow] in
            let text = Greeting.text16(bytes)
            return [
                HostileRow(
                    "[attack 30] \(name) in a client id", nil,
                    Greeting.packet(0x10, Greeting.text("MQTT") + [5, 2, 0, 0, 0] + text),
                    .connack(0x81), .closed),
                HostileRow(
                    "[attack 30] \(name) in a will topic", nil,
                    connect5(6, [], [0] + text + Greeting.text("")), .connack(0x81), .closed),
                HostileRow(
                    "[attack 30] \(name) in a topic", .v5, publish5(bytes, []),
                    .disconnect(0x81), .closed),
                HostileRow(
                    "[attack 30] \(name) in a filter", .v5, subscribe5([], text + [0]),
                    .disconnect(0x81), .closed),
                HostileRow(
                    "[attack 30] \(name) in a user property", .v5,
                    publish5([0x61], [38] + text + Greeting.text("")), .disconnect(0x81), .closed),
            ]
        }
    }()

    @Test("one packet", arguments: framing + properties + topics + values + texts)
    func onePacket(row: HostileRow) throws {
        row.check(try ServingNode())
    }
}
