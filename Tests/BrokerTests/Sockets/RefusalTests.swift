import Base
import Broker
import MQTT
import Policy
import TestKit
import Testing

/// Rows of Docs/REFUSALS.md that one node without storage can be brought to, each with the
/// settings under which it happens.
@Suite("Refusals", .serialized)
struct RefusalTests {
    /// A row with the tenant's settings.
    struct Row: CustomTestStringConvertible, Sendable {
        var settings: [String: String]
        var row: HostileRow
        var testDescription: String { row.testDescription }
    }

    private static func row(
        _ title: String, _ settings: [String: String], _ greets: ProtocolVersion?,
        _ bytes: [UInt8], _ answers: HostileRow.Answer...
    ) -> Row {
        Row(settings: settings, row: HostileRow(title, greets, bytes, answers: answers))
    }

    private static func row(
        _ title: String, _ greets: ProtocolVersion?, _ bytes: [UInt8],
        _ answers: HostileRow.Answer...
    ) -> Row {
        Row(settings: [:], row: HostileRow(title, greets, bytes, answers: answers))
    }

    private static func connect(
        _ version: ProtocolVersion, _ clientID: String = "refused",
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> [UInt8] { Greeting.connect(version, clientID, change: change) }

    private static func will(
        _ topic: String = "w", _ payload: [UInt8] = [1], qos: QoS = .atMostOnce,
        retain: Bool = false
    ) -> WillMessage {
        WillMessage(topic: Array(topic.utf8), payload: payload, qos: qos, retain: retain)
    }

    private static func filters(_ count: Int, _ version: ProtocolVersion = .v5) -> [UInt8] {
        let options: [UInt8] = [0]
        return Greeting.packet(
            0x82,
            [0, 1] + (version == .v5 ? [0] : [])
                + (0..<count).flatMap { Greeting.text("f/\($0)") + options })
    }

    private static func unsubscribe(_ filters: [String], _ version: ProtocolVersion) -> [UInt8] {
        Greeting.packet(
            0xA2,
            [0, 1] + (version == .v5 ? [0] : []) + filters.flatMap { Greeting.text($0) })
    }

    private static func ack(_ first: UInt8, _ packetID: UInt8, _ code: [UInt8] = []) -> [UInt8] {
        Greeting.packet(first, [0, packetID] + code)
    }

    static let connects: [Row] = [
        row("[refusal C02] not CONNECT first", nil, [0xC0, 0], .closed),
        row(
            "[refusal C03] CONNECT cut short, 5.0", nil,
            Greeting.packet(0x10, Greeting.text("MQTT") + [5, 2, 0]), .closed),
        row(
            "[refusal C03] a reserved flag in CONNECT, 5.0", nil,
            Greeting.packet(
                0x10, Greeting.text("MQTT") + [5, 3, 0, 0, 0] + Greeting.text("c")),
            .connack(0x81), .closed),
        row(
            "[refusal C03] CONNECT cut short, 3.1.1", nil,
            Greeting.packet(0x10, Greeting.text("MQTT") + [4, 2, 0]), .closed),
        row(
            "[refusal C04] receive maximum 0", nil,
            Greeting.packet(
                0x10, Greeting.text("MQTT") + [5, 2, 0, 0, 3, 0x21, 0, 0] + Greeting.text("c")),
            .connack(0x82), .closed),
        row(
            "[refusal C05] another protocol name", nil,
            Greeting.packet(0x10, Greeting.text("AMQP") + [5, 2, 0, 0, 0] + Greeting.text("c")),
            .closed),
        row(
            "[refusal C06] an unknown version", nil,
            Greeting.packet(0x10, Greeting.text("MQTT") + [9, 2, 0, 0, 0] + Greeting.text("c")),
            .connack(0x01), .closed),
        row(
            "[refusal C06] 3.1.1 switched off", ["MQTT4Enabled": "false"], nil, connect(.v311),
            .connack(0x01), .closed),
        row(
            "[refusal C06] 3.1 switched off", ["MQTT3Enabled": "false"], nil, connect(.v31),
            .connack(0x01), .closed),
        row(
            "[refusal C07] CONNECT too large, 5.0", nil,
            connect(.v5) {
                $0.username = [UInt8](repeating: 0x61, count: 65_530)
                $0.password = [UInt8](repeating: 1, count: 65_530)
            }, .connack(0x95), .closed),
        row(
            "[refusal C07] CONNECT too large, 3.1.1", nil,
            connect(.v311) {
                $0.username = [UInt8](repeating: 0x61, count: 65_530)
                $0.password = [UInt8](repeating: 1, count: 65_530)
            }, .closed),
        row(
            "[refusal C08] client id too long, 5.0", ["MaxClientIdBytes": "30"], nil,
            connect(.v5, String(repeating: "c", count: 31)), .connack(0x85), .closed),
        row(
            "[refusal C08] client id with a control character, 3.1.1", nil,
            connect(.v311, "c\u{7}"), .connack(0x02), .closed),
        row(
            "[refusal C09] no client id, 3.1.1 with CleanSession 0", nil,
            connect(.v311, "") { $0.cleanStart = false }, .connack(0x02), .closed),
        row("[refusal C09] no client id, 3.1", nil, connect(.v31, ""), .connack(0x02), .closed),
        row("[refusal C09] no client id, 5.0, is no refusal", nil, connect(.v5, ""), .connack(0)),
        row(
            "[refusal C15] unknown authentication method", nil,
            connect(.v5) { $0.properties.authenticationMethod = Array("X".utf8) },
            .connack(0x8C), .closed),
        row(
            "[refusal C25] will QoS above the maximum, 5.0", ["MaximumQoS": "1"], nil,
            connect(.v5) { $0.will = will(qos: .exactlyOnce) }, .connack(0x9B), .closed),
        row(
            "[refusal C25] will QoS above the maximum, 3.1.1", ["MaximumQoS": "1"], nil,
            connect(.v311) { $0.will = will(qos: .exactlyOnce) }, .closed),
        row(
            "[refusal C26] will to be retained, 5.0", ["RetainEnabled": "false"], nil,
            connect(.v5) { $0.will = will(retain: true) }, .connack(0x9A), .closed),
        row(
            "[refusal C26] will to be retained, 3.1.1", ["RetainEnabled": "false"], nil,
            connect(.v311) { $0.will = will(retain: true) }, .closed),
        row(
            "[refusal C27] will topic with a wildcard, 5.0", nil,
            connect(.v5) { $0.will = will("a/#") }, .connack(0x90), .closed),
        row(
            "[refusal C27] will topic with too many levels, 5.0", ["MaxTopicLevels": "3"], nil,
            connect(.v5) { $0.will = will("a/b/c/d") }, .connack(0x90), .closed),
        row(
            "[refusal C27] will topic with too many levels, 3.1.1", ["MaxTopicLevels": "3"], nil,
            connect(.v311) { $0.will = will("a/b/c/d") }, .closed),
        row(
            "[refusal C28] will payload too large, 5.0", ["MaxLastWillBytes": "10"], nil,
            connect(.v5) { $0.will = will("w", [UInt8](repeating: 1, count: 11)) },
            .connack(0x97), .closed),
        row(
            "[refusal C28] will payload too large, 3.1.1", ["MaxLastWillBytes": "10"], nil,
            connect(.v311) { $0.will = will("w", [UInt8](repeating: 1, count: 11)) }, .closed),
        row(
            "[refusal C29] will payload that is not the text it claims", nil,
            connect(.v5) {
                $0.will = will("w", [0xFF])
                $0.will?.forwardedProperties = [1, 1]
            }, .connack(0x99), .closed),
        row(
            "[refusal C30] more user properties than allowed", ["MaxUserProperties": "2"], nil,
            Greeting.packet(
                0x10,
                Greeting.text("MQTT") + [5, 2, 0, 0, 15]
                    + [38, 0, 0, 0, 0, 38, 0, 0, 0, 0, 38, 0, 0, 0, 0] + Greeting.text("c")),
            .connack(0x97), .closed),
        row(
            "[refusal C31] no CONNACK fits", nil,
            connect(.v5) { $0.properties.maximumPacketSize = 6 }, .closed),
        row(
            "[refusal C32] what follows a refused CONNECT is not processed", nil,
            connect(.v31, "") + [0xC0, 0, 0xC0, 0], .connack(0x02), .closed),
    ]

    static let live: [Row] = [
        row("[refusal D01] malformed, 5.0", .v5, [0x00, 0], .disconnect(0x81), .closed),
        row("[refusal D01] malformed, 3.1.1", .v311, [0x00, 0], .closed),
        row("[refusal D02] a packet of servers, 5.0", .v5, [0xD0, 0], .disconnect(0x82), .closed),
        row("[refusal D02] a packet of servers, 3.1.1", .v311, [0xD0, 0], .closed),
        row(
            "[refusal D03] too large, 5.0", .v5, [0x30, 0xFF, 0xFF, 0x7F], .disconnect(0x95),
            .closed),
        row("[refusal D03] too large, 3.1.1", .v311, [0x30, 0xFF, 0xFF, 0x7F], .closed),
        row(
            "[refusal D17] session expiry raised from 0", .v5, [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9],
            .disconnect(0x82), .closed),
        row(
            "[refusal D19] AUTH without a method in CONNECT", .v5,
            Greeting.packet(0xF0, [0x19, 4, 0x15] + Greeting.text("x")), .disconnect(0x82),
            .closed),
        row(
            "[refusal D20] more user properties than allowed", ["MaxUserProperties": "1"], .v5,
            Greeting.publish(
                "a", qos: .atLeastOnce, forwarded: [38, 0, 0, 0, 0, 38, 0, 0, 0, 0]),
            .disconnect(0x97), .closed),
    ]

    static let publishes: [Row] = [
        row(
            "[refusal P03] topic with too many levels, QoS 0", ["MaxTopicLevels": "2"], .v5,
            Greeting.publish("a/b/c"), .disconnect(0x90), .closed),
        row(
            "[refusal P03] topic with too many levels, QoS 1", ["MaxTopicLevels": "2"], .v5,
            Greeting.publish("a/b/c", qos: .atLeastOnce), .puback(0x90)),
        row(
            "[refusal P03] a level too long, QoS 2", ["MaxTopicLevelLength": "3"], .v5,
            Greeting.publish("a/bcde", qos: .exactlyOnce), .pubrec(0x90)),
        row(
            "[refusal P03] topic too long, 3.1.1", ["MaxTopicLength": "10"], .v311,
            Greeting.publish("a/b/c/d/e/f", qos: .atLeastOnce, version: .v311), .closed),
        row(
            "[refusal P04] topic with a wildcard, QoS 0", .v5, Greeting.publish("a/+"),
            .disconnect(0x90), .closed),
        row(
            "[refusal P04] topic with a wildcard, QoS 1", .v5,
            Greeting.publish("a/#", qos: .atLeastOnce), .disconnect(0x90), .closed),
        row(
            "[refusal P04] topic with a wildcard, 3.1.1", .v311,
            Greeting.publish("#", version: .v311), .closed),
        row(
            "[refusal P05] empty topic without an alias", .v5, Greeting.publish(""),
            .disconnect(0x82), .closed),
        row(
            "[refusal P06] a reserved name, QoS 0", .v5, Greeting.publish("$SYS/x") + [0xC0, 0],
            .pingresp),
        row(
            "[refusal P06] a reserved name, QoS 2", .v5,
            Greeting.publish("$SYS/x", qos: .exactlyOnce), .pubrec(0x90)),
        row(
            "[refusal P06] a reserved name, 3.1", .v31,
            Greeting.publish("$SYS/x", version: .v31)
                + Greeting.publish("$SYS/x", qos: .exactlyOnce, version: .v31),
            .pubrec(0)),
        row(
            "[refusal P07] alias above the maximum", .v5, Greeting.publish("a", alias: 11),
            .disconnect(0x94), .closed),
        row(
            "[refusal P07] alias that is not known", .v5, Greeting.publish("", alias: 10),
            .disconnect(0x82), .closed),
        row(
            "[refusal P08] QoS above the maximum, 5.0", ["MaximumQoS": "1"], .v5,
            Greeting.publish("a", qos: .exactlyOnce), .disconnect(0x9B), .closed),
        row(
            "[refusal P08] QoS above the maximum, 3.1.1", ["MaximumQoS": "1"], .v311,
            Greeting.publish("a", qos: .exactlyOnce, version: .v311), .closed),
        row(
            "[refusal P09] RETAIN where retaining is off, QoS 0", ["RetainEnabled": "false"], .v5,
            Greeting.publish("a", retain: true), .disconnect(0x9A), .closed),
        row(
            "[refusal P09] RETAIN where retaining is off, QoS 1", ["RetainEnabled": "false"], .v5,
            Greeting.publish("a", qos: .atLeastOnce, retain: true), .disconnect(0x9A), .closed),
        row(
            "[refusal P09] RETAIN where retaining is off, 3.1.1", ["RetainEnabled": "false"],
            .v311, Greeting.publish("a", retain: true, version: .v311), .closed),
        row(
            "[refusal P10] more open publishes than the receive maximum",
            ["ReceivingMaximum": "2"], .v5,
            (1...3 as ClosedRange<UInt16>).flatMap {
                Greeting.publish("a", qos: .exactlyOnce, packetID: $0)
            }, .disconnect(0x93), .closed),
        row(
            "[refusal P12] payload that is not the text it claims, QoS 0", .v5,
            Greeting.publish("a", [0xFF], forwarded: [1, 1]), .disconnect(0x99), .closed),
        row(
            "[refusal P12] payload that is not the text it claims, QoS 1", .v5,
            Greeting.publish("a", [0xFF], qos: .atLeastOnce, forwarded: [1, 1]), .puback(0x99)),
        row(
            "[refusal P13] publish rate passed, 5.0", ["MsgPubPerSec": "1"], .v5,
            Greeting.publish("a") + Greeting.publish("a"), .disconnect(0x96), .closed),
        row(
            "[refusal P13] publish rate passed, 3.1.1", ["MsgPubPerSec": "1"], .v311,
            Greeting.publish("a", version: .v311) + Greeting.publish("a", version: .v311),
            .closed),
        row(
            "[refusal P19] subscription identifier in a PUBLISH", .v5,
            Greeting.packet(0x30, Greeting.text("a") + [2, 0x0B, 1]), .disconnect(0x82), .closed),
    ]

    static let subscribes: [Row] = [
        row(
            "[refusal S01] a wildcard misplaced; the other filter is served", .v5,
            Greeting.packet(
                0x82, [0, 1, 0] + Greeting.text("a/b#") + [0] + Greeting.text("a/b") + [1]),
            .suback([0x8F, 1])),
        row(
            "[refusal S01] a wildcard misplaced, 3.1.1", .v311,
            Greeting.subscribe("a/b#", version: .v311), .suback([0x80])),
        row(
            "[refusal S17] an empty filter, 5.0", .v5, Greeting.subscribe(""), .disconnect(0x82),
            .closed),
        row(
            "[refusal S17] an empty filter, 3.1.1", .v311, Greeting.subscribe("", version: .v311),
            .suback([0x80])),
        row(
            "[refusal S02] too many levels, 5.0", ["MaxTopicLevels": "2"], .v5,
            Greeting.subscribe("a/b/c"), .suback([0x8F])),
        row(
            "[refusal S02] too many levels, 3.1.1", ["MaxTopicLevels": "2"], .v311,
            Greeting.subscribe("a/b/c", version: .v311), .suback([0x80])),
        row(
            "[refusal S05] wildcards off, 5.0", ["WildcardSubscriptionEnabled": "false"], .v5,
            Greeting.subscribe("a/+"), .disconnect(0xA2), .closed),
        row(
            "[refusal S05] wildcards off, 3.1.1", ["WildcardSubscriptionEnabled": "false"], .v311,
            Greeting.subscribe("a/+", version: .v311), .suback([0x80])),
        row(
            "[refusal S06] shared subscriptions off, 5.0",
            ["SharedSubscriptionEnabled": "false"], .v5, Greeting.subscribe("$share/g/a"),
            .disconnect(0x9E), .closed),
        row(
            "[refusal S06] shared subscriptions off, 3.1.1",
            ["SharedSubscriptionEnabled": "false"], .v311,
            Greeting.subscribe("$share/g/a", version: .v311), .suback([0x80])),
        row(
            "[refusal S07] subscription identifiers off",
            ["SubscriptionIdentifierEnabled": "false"], .v5,
            Greeting.packet(0x82, [0, 1, 2, 0x0B, 5] + Greeting.text("a") + [0]),
            .disconnect(0xA1), .closed),
        row(
            "[refusal S08] no local on a shared subscription", .v5,
            Greeting.packet(0x82, [0, 1, 0] + Greeting.text("$share/g/a") + [4]),
            .disconnect(0x82), .closed),
        row(
            "[refusal S09] too many filters in one packet, 5.0", ["MaxTopicFiltersPerSub": "3"],
            .v5, filters(4), .disconnect(0x97), .closed),
        row(
            "[refusal S09] too many filters in one packet, 3.1.1",
            ["MaxTopicFiltersPerSub": "3"], .v311, filters(4, .v311), .closed),
        row(
            "[refusal S10] more subscriptions than a session may have, 5.0",
            ["MaxTopicFiltersPerInbox": "2"], .v5, filters(3) + filters(2),
            .suback([0, 0, 0x97]), .suback([0, 0])),
        row(
            "[refusal S10] more subscriptions than a session may have, 3.1.1",
            ["MaxTopicFiltersPerInbox": "2"], .v311, filters(3, .v311), .suback([0, 0, 0x80])),
        row(
            "[refusal U03] an invalid filter, 5.0", .v5, unsubscribe(["a/#/b"], .v5),
            .unsuback([0x8F])),
        row(
            "[refusal U03] an invalid filter, 3.1.1", .v311, unsubscribe(["a/#/b"], .v311),
            .unsuback([])),
        row(
            "[refusal U04] too many filters in one packet, 5.0", ["MaxTopicFiltersPerSub": "3"],
            .v5, unsubscribe(["a", "b", "c", "d"], .v5), .disconnect(0x97), .closed),
        row(
            "[refusal U04] too many filters in one packet, 3.1.1",
            ["MaxTopicFiltersPerSub": "3"], .v311, unsubscribe(["a", "b", "c", "d"], .v311),
            .closed),
    ]

    static let acknowledgements: [Row] = [
        row("[refusal A01] PUBREL of the unknown, 5.0", .v5, ack(0x62, 9), .pubcomp(0x92)),
        row("[refusal A01] PUBREL of the unknown, 3.1.1", .v311, ack(0x62, 9), .pubcomp(0)),
        row("[refusal A02] PUBREC of the unknown, 5.0", .v5, ack(0x50, 9), .pubrel(0x92)),
        row("[refusal A02] PUBREC of the unknown, 3.1.1", .v311, ack(0x50, 9), .pubrel(0)),
        row(
            "[refusal S16] SUBSCRIBE with an identifier in use", .v5,
            Greeting.publish("a", qos: .exactlyOnce, packetID: 1)
                + Greeting.subscribe("a", packetID: 1), .suback([0x91]), .pubrec(0x10)),
        row(
            "[refusal U07] UNSUBSCRIBE with an identifier in use", .v5,
            Greeting.publish("a", qos: .exactlyOnce, packetID: 1) + unsubscribe(["a"], .v5),
            .unsuback([0x91]), .pubrec(0x10)),
        row(
            "[refusal P11] an identifier of an open QoS 2 exchange, 5.0", .v5,
            Greeting.publish("a", qos: .exactlyOnce, packetID: 1)
                + Greeting.publish("a", qos: .atLeastOnce, packetID: 1), .pubrec(0x10),
            .puback(0x91)),
        row(
            "[refusal P11] an identifier of an open QoS 2 exchange, 3.1.1", .v311,
            Greeting.publish("a", qos: .exactlyOnce, version: .v311, packetID: 1)
                + Greeting.publish("a", qos: .atLeastOnce, version: .v311, packetID: 1),
            .closed),
        row("[refusal A03] PUBACK of the unknown", .v5, ack(0x40, 9)),
        row("[refusal A03] PUBCOMP of the unknown, 3.1.1", .v311, ack(0x70, 9)),
    ]

    @Test(
        "one packet",
        arguments: connects + live + publishes + subscribes + acknowledgements)
    func onePacket(row: Row) throws {
        row.row.check(try ServingNode(row.settings))
    }

    // MARK: Rows of more than one connection

    private func open(
        _ node: ServingNode, _ version: ProtocolVersion = .v5, _ clientID: String = "refused",
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> (client: WireClient, connack: HostileRow.Answer?) {
        let client = WireClient(port: node.port)
        client.send(Greeting.connect(version, clientID, change: change))
        return (client, HostileRow.answer(client, version))
    }

    private func expect(
        _ client: WireClient, _ answers: HostileRow.Answer..., version: ProtocolVersion = .v5,
        at location: SourceLocation = #_sourceLocation
    ) {
        for answer in answers {
            #expect(HostileRow.answer(client, version) == answer, sourceLocation: location)
        }
    }

    @Test("[refusal C18] a tenant's connections are used up, and free again once one has gone")
    func connectionQuota() throws {
        let node = try ServingNode(["TotalConnections": "1"])
        let first = open(node, .v5, "first")
        #expect(first.connack == .connack(0))
        #expect(open(node, .v5, "second").connack == .connack(0x97))
        #expect(open(node, .v311, "second").connack == .connack(0x03))
        first.client.close()
        node.checkThatDescriptorsReturn()
        #expect(open(node, .v5, "second").connack == .connack(0))
    }

    /// Rules: `open` for all, the rest for nobody; one user may not even connect.
    private func ruled() throws -> ServingNode {
        let rules = """
            default deny
            allow publish,subscribe  open/#
            allow publish,subscribe  bystander/#
            deny  connect  user=banned
            """
        let table = try AccessFileDecoder.decode(Array(rules.utf8), path: "rules")
        return try ServingNode { $0.authoriser = FileAuthoriser(table) }
    }

    @Test("[refusal C12] authenticated, but not allowed to connect")
    func connectDenied() throws {
        let node = try ruled()
        for (version, code) in [(ProtocolVersion.v5, 0x87), (.v311, 5)]
            as [(ProtocolVersion, UInt8)]
        {
            let refused = open(node, version) { $0.username = Array("banned".utf8) }
            #expect(refused.connack == .connack(code))
            expect(refused.client, .closed)
        }
        node.checkThatOthersAreServed()
    }

    @Test("[refusal P01] a PUBLISH without permission")
    func publishDenied() throws {
        let node = try ruled()
        let (patient, _) = open(node, .v5, "patient")
        patient.send(Greeting.publish("closed/a", qos: .atLeastOnce))
        expect(patient, .puback(0x87))
        patient.send(Greeting.publish("closed/a", qos: .exactlyOnce))
        expect(patient, .pubrec(0x87))
        patient.send(Greeting.publish("open/a", qos: .exactlyOnce))
        expect(patient, .pubrec(0x10))
        patient.send(Greeting.publish("closed/a"))
        expect(patient, .disconnect(0x87), .closed)
        let (older, _) = open(node, .v311, "older")
        older.send(Greeting.publish("closed/a", qos: .atLeastOnce, version: .v311))
        expect(older, .closed, version: .v311)
        node.checkThatOthersAreServed()
    }

    @Test("[refusal S03] a SUBSCRIBE without permission, per filter")
    func subscribeDenied() throws {
        let node = try ruled()
        let filters = ["closed/a", "open/a", "#", "$share/g/closed/#"]
        for version in [ProtocolVersion.v5, .v311] {
            let (client, _) = open(node, version, "client-\(version)")
            let entries = filters.flatMap { filter -> [UInt8] in Greeting.text(filter) + [1] }
            let properties: [UInt8] = version == .v5 ? [0] : []
            client.send(Greeting.packet(0x82, [0, 1] + properties + entries))
            let no: UInt8 = version == .v5 ? 0x87 : 0x80
            expect(client, .suback([no, 1, no, no]), version: version)
        }
        node.checkThatOthersAreServed()
    }

    @Test("[refusal D05] the client id connected elsewhere")
    func takenOver() throws {
        let node = try ServingNode()
        for version in [ProtocolVersion.v5, .v311, .v31] {
            let (older, _) = open(node, version, "same-\(version)")
            let newer = open(node, .v5, "same-\(version)")
            #expect(newer.connack == .connack(0))
            if version == .v5 { expect(older, .disconnect(0x8E)) }
            expect(older, .closed, version: version)
        }
        node.checkThatOthersAreServed()
    }

    @Test("[refusal D09] the node shuts down")
    func shutDown() throws {
        let node = try ServingNode()
        let (newer, _) = open(node, .v5, "newer")
        let (older, _) = open(node, .v311, "older")
        node.drain()
        expect(newer, .disconnect(0x8B), .closed)
        expect(older, .closed, version: .v311)
    }

    @Test(
        "[refusal A04] an acknowledgement of the wrong kind",
        arguments: [
            (QoS.exactlyOnce, 0x40 as UInt8), (.exactlyOnce, 0x70), (.atLeastOnce, 0x50),
            (.atLeastOnce, 0x70),
        ])
    func wrongAcknowledgement(qos: QoS, first: UInt8) throws {
        let node = try ServingNode()
        for version in [ProtocolVersion.v5, .v311] {
            let (client, _) = open(node, version, "wrong")
            client.send(Greeting.subscribe("a", qos: qos, version: version))
            expect(client, .suback([qos.rawValue]), version: version)
            client.send(Greeting.publish("a", qos: qos, version: version))
            var delivery = client.next() ?? []
            if delivery.first.map({ $0 >> 4 }) != 3 { delivery = client.next() ?? [] }
            guard delivery.count > 6 else {
                Issue.record("no delivery: \(delivery)")
                continue
            }
            client.send([first, 2, delivery[5], delivery[6]])
            var last = HostileRow.answer(client, version)
            if case .puback = last { last = HostileRow.answer(client, version) }
            if case .pubrec = last { last = HostileRow.answer(client, version) }
            if version == .v5 {
                #expect(last == .disconnect(0x82))
                last = HostileRow.answer(client, version)
            }
            #expect(last == .closed)
        }
        node.checkThatOthersAreServed()
    }

    @Test("[refusal Q03] a message larger than its receiver takes is dropped, the next is not")
    func oversize() throws {
        let node = try ServingNode()
        let (client, _) = open(node) { $0.properties.maximumPacketSize = 60 }
        client.send(Greeting.subscribe("a", qos: .atLeastOnce))
        expect(client, .suback([1]))
        client.send(Greeting.publish("a", [UInt8](repeating: 1, count: 60), qos: .atLeastOnce))
        expect(client, .puback(0))
        client.send(Greeting.publish("a", [2]))
        #expect(client.next()?.last == 2)
        node.checkThatOthersAreServed()
    }
}
