import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

extension EventRow {
    private static let closed = "deny publish closed\ndeny subscribe closed\ndefault allow\n"

    private static func qos(_ number: Int) -> QoS { QoS(rawValue: UInt8(number)) ?? .atMostOnce }

    private static func refused(
        _ title: String, _ number: Int, _ event: PublishEvent
    ) -> EventRow {
        EventRow(title, .publish(event), rules: closed) { stage in
            stage.client("client").publish("closed", "12345", qos: qos(number))
        }
    }

    /// A publish whose acknowledgement never leaves, as the client has gone.
    private static func unacknowledged(_ title: String, _ event: PublishEvent, _ number: Int)
        -> EventRow
    {
        EventRow(title, .publish(event)) { stage in
            let client = stage.client("client")
            stage.rig.isolated = [0, 1, 2]
            client.publish("a", "x", qos: qos(number))
            stage.pass([client], turns: 5)
            client.cut()
        }
    }

    static let publishes: [EventRow] = [
        EventRow(
            "[event oversizePacketDropped] a message larger than its receiver takes",
            .packet(.oversizePacketDropped(packetType: "PUBLISH", size: 100)),
            play: { stage in
                let client = stage.client("client") { $0.properties.maximumPacketSize = 60 }
                _ = stage.subscribe(client, "a")
                stage.publish(client, "a", String(repeating: "x", count: 100))
            }),
        EventRow(
            "[event pingReq] PINGREQ", .packet(.pingReq(answered: true)),
            play: { $0.client("client").sendRaw([0xC0, 0]) }),
        EventRow(
            "[event subAcked] SUBACK",
            .packet(.subAcked(packetID: 1, filters: ["a", "b/#/c"], granted: ["2", "143"])),
            play: { stage in _ = stage.subscribe(stage.client("client"), "a", "b/#/c") }),
        EventRow(
            "[event unsubAcked] UNSUBACK",
            .packet(.unsubAcked(packetID: 1, filters: ["a", "b"])),
            play: { _ = $0.client("client").unsubscribe(["a", "b"]) }),
        EventRow(
            "[event subStalled] a client that takes nothing",
            .subStalled,
            expects: { event in
                guard case .packet(.subStalled(let bytes, 0)) = event else { return false }
                return bytes > 1 << 20
            },
            play: { stage in
                let client = stage.client("client")
                _ = stage.subscribe(client, "a", qos: .atMostOnce)
                let publisher = stage.client("publisher")
                let payload = String(repeating: "x", count: 100_000)
                for _ in 0..<12 { publisher.publish("a", payload) }
            }),
        EventRow(
            "[event discard] the message that passes the publish rate",
            .publish(.discard(rateLimit: 1, topic: "b", qos: 1)), settings: ["MsgPubPerSec": "1"],
            play: { stage in
                let client = stage.client("client")
                client.publish("a", "x")
                client.publish("b", "y", qos: .atLeastOnce)
            }),
        EventRow(
            "[event willDisted] a client that is lost",
            .publish(.willDisted(topic: "will", qos: 1, size: 3)),
            play: { stage in
                stage.client("client") {
                    $0.will = WillMessage(
                        topic: Array("will".utf8), payload: [1, 2, 3], qos: .atLeastOnce,
                        retain: false)
                }.cut()
            }),
        EventRow(
            "[event willDistError] a will that its owner may not publish",
            .publish(.willDistError(topic: "closed", qos: 1, reason: "noPubPermission")),
            rules: closed,
            play: { stage in
                stage.client("client") {
                    $0.will = WillMessage(
                        topic: Array("closed".utf8), payload: [1], qos: .atLeastOnce,
                        retain: false)
                }.cut()
            }),
        refused(
            "[event qos0DistError] QoS 0 to a forbidden topic", 0,
            .qos0DistError(topic: "closed", size: 5, reason: "noPubPermission")),
        refused(
            "[event qos1DistError] QoS 1 to a forbidden topic", 1,
            .qos1DistError(topic: "closed", size: 5, reason: "noPubPermission")),
        refused(
            "[event qos2DistError] QoS 2 to a forbidden topic", 2,
            .qos2DistError(topic: "closed", size: 5, reason: "noPubPermission")),
        EventRow(
            "[event pubAcked] PUBACK", .publish(.pubAcked(packetID: 1, topic: "a/b", size: 2)),
            play: { $0.client("client").publish("a/b", "xy", qos: .atLeastOnce) }),
        EventRow(
            "[event pubReced] PUBREC", .publish(.pubReced(packetID: 1, topic: "a/b", size: 2)),
            play: { $0.client("client").publish("a/b", "xy", qos: .exactlyOnce) }),
        unacknowledged(
            "[event pubAckDropped] gone before PUBACK", .pubAckDropped(packetID: 1, topic: "a"),
            1),
        unacknowledged(
            "[event pubRecDropped] gone before PUBREC", .pubRecDropped(packetID: 1, topic: "a"),
            2),
        EventRow(
            "[event msgRetained] a retained message",
            .retain(.msgRetained(topic: "r", isWill: false, qos: 1, size: 2)),
            play: { $0.client("client").publish("r", "xy", qos: .atLeastOnce, retain: true) }),
        EventRow(
            "[event msgRetained] a will that is retained",
            .retain(.msgRetained(topic: "w", isWill: true, qos: 1, size: 1)),
            play: { stage in
                stage.client("client") {
                    $0.will = WillMessage(
                        topic: Array("w".utf8), payload: [1], qos: .atLeastOnce, retain: true)
                }.cut()
            }),
        EventRow(
            "[event retainMsgCleared] an empty retained message",
            .retain(.retainMsgCleared(topic: "r", isWill: false)),
            play: { $0.client("client").publish("r", "", retain: true) }),
        EventRow(
            "[event retainMsgMatched] a subscription to retained messages",
            .retain(.retainMsgMatched(filter: "r/+", qos: 1, count: 2)),
            play: { stage in
                let client = stage.client("client")
                for topic in ["r/1", "r/2"] { stage.publish(client, topic, "x", retain: true) }
                _ = stage.subscribe(client, "r/+", qos: .atLeastOnce)
            }),
        EventRow(
            "[event msgRetainedError] the topic's range is out of reach",
            .retain(
                .msgRetainedError(topic: "r", isWill: false, reason: "the outcome is not known")),
            play: { stage in
                let client = stage.client("client")
                stage.rig.isolated = [0, 1, 2]
                client.publish("r", "xy", qos: .atLeastOnce, retain: true)
                stage.run([client], until: .msgRetainedError)
            }),
        EventRow(
            "[event matchRetainError] the retained messages are out of reach",
            .matchRetainError, clientID: nil,
            expects: { event in
                guard case .retain(.matchRetainError(let filter, "storeError")) = event else {
                    return false
                }
                return filter.hasPrefix("r/")
            },
            play: { stage in
                let clients = (0..<24).map { stage.client("client-\($0)") }
                // The routes are there, so that subscribing once more needs no other worker.
                for (number, client) in clients.enumerated() {
                    _ = stage.subscribe(client, "r/\(number)")
                }
                stage.rig.isolated = [1]
                for (number, client) in clients.enumerated() {
                    _ = client.subscribe(["r/\(number)"])
                }
                stage.run(clients, until: .matchRetainError)
            }),
        EventRow(
            "[event retainedDropped] more retained topics than the tenant may have",
            .session(.retainedDropped(topic: "r/2", reason: .retainRefused)),
            settings: ["TotalRetainTopics": "1"], change: { $0.rangesPerStore = 1 },
            play: { stage in
                let client = stage.client("client")
                stage.publish(client, "r/1", "x", retain: true)
                client.publish("r/2", "x", retain: true)
            }),
        EventRow(
            "[event pubActionDisallow] a PUBLISH that the rules forbid",
            .access(.pubActionDisallow(topic: "closed", qos: 2, isWill: false, isRetain: true)),
            rules: closed,
            play: { $0.client("client").publish("closed", "x", qos: .exactlyOnce, retain: true) }),
        EventRow(
            "[event subActionDisallow] a SUBSCRIBE that the rules forbid",
            .access(.subActionDisallow(filter: "closed", qos: 2)), rules: closed,
            play: { stage in _ = stage.subscribe(stage.client("client"), "closed") }),
        EventRow(
            "[event unsubActionDisallow] an UNSUBSCRIBE that the authoriser forbids",
            .access(.unsubActionDisallow(filter: "a")),
            change: { options in
                options.authoriser = ScriptedAuthoriser { action in
                    if case .unsubscribe = action {
                        .now(ScriptedAuthoriser.no)
                    } else {
                        .now(ScriptedAuthoriser.free)
                    }
                }
            },
            play: { _ = $0.client("client").unsubscribe(["a"]) }),
        EventRow(
            "[event accessControlError] an authoriser that does not answer",
            .access(.accessControlError(cause: "no answer in time")),
            change: { options in
                options.authoriser = ScriptedAuthoriser { action in
                    if case .publish = action { .never } else { .now(ScriptedAuthoriser.free) }
                }
            },
            play: { $0.client("client").publish("a", "x", qos: .atLeastOnce) }),
    ]

    // MARK: Out

    /// A client that subscribes to `a/+` and publishes to it.
    private static func echo(_ title: String, _ event: PushEvent, _ number: Int) -> EventRow {
        EventRow(title, .push(event)) { stage in
            let client = stage.client("client")
            _ = stage.subscribe(client, "a/+")
            stage.publish(client, "a/b", "xyz", qos: qos(number))
            stage.settle([client]) { client.received.count == 1 }
            stage.pass([client])
        }
    }

    private static func oversize(
        _ title: String, _ number: Int, _ event: PushEvent
    ) -> EventRow {
        EventRow(title, .push(event)) { stage in
            let client = stage.client("client") { $0.properties.maximumPacketSize = 60 }
            _ = stage.subscribe(client, "a")
            let publisher = stage.client("publisher", to: 1)
            stage.publish(
                publisher, "a", String(repeating: "x", count: 100), qos: qos(number))
        }
    }

    private static func unconfirmed(
        _ title: String, _ number: Int, _ event: PushEvent
    ) -> EventRow {
        EventRow(title, .push(event)) { stage in
            let client = stage.client("client")
            client.acknowledges = false
            _ = stage.subscribe(client, "a")
            stage.publish(stage.client("publisher", to: 1), "a", "x", qos: qos(number))
            stage.settle([client]) { client.received.count == 1 }
            client.cut()
        }
    }

    static let pushes: [EventRow] = [
        echo(
            "[event qos0Pushed] a message of QoS 0",
            .qos0Pushed(topic: "a/b", filter: "a/+", size: 3), 0),
        echo(
            "[event qos1Pushed] a message of QoS 1",
            .qos1Pushed(packetID: 1, isDup: false, topic: "a/b", filter: "a/+", size: 3), 1),
        echo(
            "[event qos2Pushed] a message of QoS 2",
            .qos2Pushed(packetID: 1, isDup: false, topic: "a/b", filter: "a/+", size: 3), 2),
        echo(
            "[event qos1Confirmed] PUBACK of the receiver",
            .qos1Confirmed(packetID: 1, delivered: true), 1),
        echo("[event qos2Received] PUBREC of the receiver", .qos2Received(packetID: 1), 2),
        echo(
            "[event qos2Confirmed] PUBCOMP of the receiver",
            .qos2Confirmed(packetID: 1, delivered: true), 2),
        EventRow(
            "[event qos1Confirmed] a receiver that refuses",
            .push(.qos1Confirmed(packetID: 1, delivered: false)),
            play: { stage in
                let client = stage.client("client")
                client.acknowledges = false
                _ = stage.subscribe(client, "a")
                stage.publish(client, "a", "x")
                stage.settle([client]) { client.received.count == 1 }
                client.sendRaw([0x40, 3, 0, 1, 0x83])
            }),
        oversize(
            "[event qos0Dropped] QoS 0, too large for its receiver", 0,
            .qos0Dropped(topic: "a", filter: "a", size: 100, reason: .oversize)),
        oversize(
            "[event qos1Dropped] QoS 1, too large for its receiver", 1,
            .qos1Dropped(topic: "a", filter: "a", size: 100, reason: .oversize)),
        oversize(
            "[event qos2Dropped] QoS 2, too large for its receiver", 2,
            .qos2Dropped(topic: "a", filter: "a", size: 100, reason: .oversize)),
        EventRow(
            "[event qos1Dropped] what waits for a client that goes",
            .push(.qos1Dropped(topic: "a", filter: "a", size: 1, reason: .sessionClosed)),
            play: { stage in
                stage.overflow(messages: 3)
                stage.client("client", to: 2).leave()
            }),
        unconfirmed(
            "[event qos1PushError] gone before PUBACK", 1,
            .qos1PushError(packetID: 1, reason: "the connection ended before PUBACK")),
        unconfirmed(
            "[event qos2PushError] gone before PUBREC", 2,
            .qos2PushError(packetID: 1, reason: "the connection ended before PUBREC")),
    ]
}
