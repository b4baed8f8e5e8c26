import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

extension EventRow {
    /// Stored sessions in inbox ranges of all workers.
    private static func readers(_ stage: RigStage, _ filter: (Int) -> String) -> [RigClient] {
        (0..<12).map { number in
            let client = stage.client("client-\(number)", expiry: 600)
            _ = stage.subscribe(client, filter(number))
            return client
        }
    }

    /// One message for twelve stored receivers.
    private static func fanOut(_ stage: RigStage, _ filter: (Int) -> String) {
        let clients = readers(stage, filter)
        let publisher = stage.client("publisher")
        publisher.publish("a", "0123456789", qos: .atLeastOnce)
        stage.settle(clients + [publisher]) { publisher.sending.isEmpty }
    }

    static let sessions: [EventRow] = [
        EventRow(
            "[event disted] a message and how many it goes to",
            .dist(.disted(topic: "a", messages: 1, fanout: 2)), clientID: "publisher",
            play: { stage in
                for worker in [0, 1] {
                    let client = stage.client("client-\(worker)", to: worker)
                    _ = stage.subscribe(client, "a")
                }
                stage.publish(stage.client("publisher"), "a", "x")
            }),
        EventRow(
            "[event distError] nobody says who receives a topic",
            .dist(.distError(topic: "a", messages: 1, code: "storeError")), clientID: nil,
            play: { stage in
                let client = stage.client("client")
                stage.rig.isolated = [0, 1, 2]
                client.publish("a", "x")
                stage.run([client], until: .distError)
            }),
        EventRow(
            "[event delivered] sessions of a worker have a message",
            .dist(.delivered(receiver: "worker 2 of node 1", messages: 1)), clientID: nil,
            play: { stage in
                _ = stage.subscribe(stage.client("client", to: 2), "a")
                stage.publish(stage.client("publisher"), "a", "x")
            }),
        EventRow(
            "[event deliverError] inboxes that are out of reach", .deliverError, clientID: nil,
            expects: { event in
                guard case .dist(.deliverError(let receiver, 1..., _)) = event else {
                    return false
                }
                return receiver.hasPrefix("client-")
            },
            play: { stage in
                let clients = readers(stage) { _ in "a" }
                let publisher = stage.client("publisher")
                stage.publish(publisher, "a", "known")
                stage.rig.isolated = [1]
                publisher.publish("a", "lost", qos: .atLeastOnce)
                stage.run(clients + [publisher], until: .deliverError)
            }),
        EventRow(
            "[event persistentFanoutThrottled] more stored receivers than the tenant allows",
            .dist(.persistentFanoutThrottled(topic: "a", max: 3)), clientID: "publisher",
            settings: ["MaxPersistentFanout": "3"], play: { fanOut($0) { _ in "a" } }),
        EventRow(
            "[event persistentFanoutBytesThrottled] more bytes for stored receivers than allowed",
            .dist(.persistentFanoutBytesThrottled(topic: "a", maxBytes: 20)),
            clientID: "publisher", settings: ["MaxPersistentFanoutBytes": "20"],
            play: { fanOut($0) { _ in "a" } }),
        EventRow(
            "[event groupFanoutThrottled] more shared groups than the tenant allows",
            .dist(.groupFanoutThrottled(topic: "a", max: 2)), clientID: "publisher",
            settings: ["MaxGroupFanout": "2"], play: { fanOut($0) { "$share/g\($0)/a" } }),
        EventRow(
            "[event matched] a subscription has its route",
            .dist(.matched(filter: "$share/g/a/+", receiver: "client")),
            play: { stage in _ = stage.subscribe(stage.client("client"), "$share/g/a/+") }),
        EventRow(
            "[event matchError] a subscription gets no route", .matchError, clientID: "client",
            expects: { event in
                guard case .dist(.matchError("a", "client", _)) = event else { return false }
                return true
            },
            play: { stage in
                let client = stage.client("client")
                stage.rig.isolated = [0, 1, 2]
                _ = client.subscribe(["a"])
                stage.run([client], until: .matchError)
            }),
        EventRow(
            "[event unmatched] a subscription ends",
            .dist(.unmatched(filter: "a", receiver: "client")),
            play: { stage in
                let client = stage.client("client")
                _ = stage.subscribe(client, "a")
                _ = client.unsubscribe(["a"])
            }),
        EventRow(
            "[event unmatched] a stored subscription ends",
            .dist(.unmatched(filter: "a", receiver: "client")),
            play: { stage in
                let client = stage.client("client", expiry: 600)
                _ = stage.subscribe(client, "a")
                _ = client.unsubscribe(["a"])
            }),
        EventRow(
            "[event unmatchError] a route that stays behind for now", .unmatchError, clientID: nil,
            expects: { event in
                guard case .dist(.unmatchError(let filter, let receiver, _)) = event else {
                    return false
                }
                return receiver == "client-" + filter.dropFirst(2)
            },
            play: { stage in
                let clients = readers(stage) { "f/\($0)" }
                stage.rig.isolated = [1]
                for (number, client) in clients.enumerated() {
                    _ = client.unsubscribe(["f/\(number)"])
                }
                stage.run(clients, until: .unmatchError)
            }),
        EventRow(
            "[event overflowed] a full queue, its newest dropped",
            .session(.overflowed(isOldest: false, dropCount: 4)),
            settings: ["SessionInboxSize": "1"], play: { $0.overflow() }),
        EventRow(
            "[event overflowed] a full queue, its oldest dropped", .overflowed,
            settings: ["SessionInboxSize": "1", "SlowConsumerPolicy": "dropOldest"],
            expects: { event in
                guard case .session(.overflowed(true, 1...)) = event else { return false }
                return true
            },
            play: { $0.overflow() }),
        EventRow(
            "[event outOfTenantResource] more connections than the tenant may have",
            .session(.outOfTenantResource(resource: .totalConnections)),
            settings: ["TotalConnections": "1"],
            play: { stage in
                _ = stage.client("other")
                let client = RigClient(stage.rig, "client")
                stage.connect(client)
            }),
        EventRow(
            "[event mqttSessionStart] a session begins",
            .session(.sessionStart(sessionID: "user/client", isStored: true)),
            play: { _ = $0.client("client", user: "user", expiry: 60) }),
        EventRow(
            "[event mqttSessionStop] a transient session ends",
            .session(.sessionStop(sessionID: "user/client", isStored: false)),
            play: { $0.client("client", user: "user").leave() }),
        EventRow(
            "[event mqttSessionStop] a stored session gives way to a clean start",
            .session(.sessionStop(sessionID: "user/client", isStored: true)),
            play: { stage in
                let client = stage.client("client", user: "user", expiry: 60)
                client.leave()
                stage.settle([client]) { client.link == nil }
                stage.connect(client, user: "user")
            }),
        EventRow(
            "[event sessionTakenOver] the client id connects elsewhere",
            .session(.takenOver(sessionID: "user/client")),
            play: { stage in
                _ = stage.client("client", user: "user")
                _ = stage.client("client", to: 1, user: "user")
            }),
        EventRow(
            "[event sessionExpired] its interval has passed",
            .session(.expired(sessionID: "user/client")),
            settings: ["MinSessionExpirySeconds": "1"],
            play: { stage in
                let client = stage.client("client", user: "user", expiry: 60)
                client.leave()
                stage.settle([client]) { client.link == nil }
                stage.rig.skip(.seconds(61))
            }),
        EventRow(
            "[event slowConsumer] a queue is full for the first time",
            .slowConsumer, settings: ["SessionInboxSize": "1"],
            expects: { event in
                guard case .session(.slowConsumer(1, 20...)) = event else { return false }
                return true
            },
            play: { $0.overflow() }),
        EventRow(
            "[event messageDropped] the mail of another worker is full",
            .session(.messageDropped(topic: "a", qos: 0, reason: .mailboxFull)),
            clientID: "publisher",
            play: { stage in
                _ = stage.subscribe(stage.client("client", to: 2), "a")
                let publisher = stage.client("publisher")
                for place in stage.rig.places {
                    place.port.backlog = WorkerLimits.mailBacklogMax + 1
                }
                publisher.publish("a", "x")
            }),
        EventRow(
            "[event settingsChanged] a tenant's settings change",
            .node(.settingsChanged(settings: ["DebugModeEnabled", "MaximumQoS"])), clientID: nil,
            play: { stage in
                var overrides = TenantOverrides()
                try overrides.set("MaximumQoS", to: "1")
                let wanted = overrides
                try stage.rig.options.tenants.update { table throws(SettingError) in
                    try table.store(wanted, for: .standard)
                }
            }),
    ]
}
