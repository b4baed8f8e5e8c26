import MQTT
import TestKit
import Testing

/// Retained messages: kept by topic, sent to new subscriptions.
@Suite("Retained messages", .waiting)
struct RetainedTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    /// What a new subscriber is sent for a filter.
    private func replay(
        _ scene: borrowing Scene, _ filter: String, count: Int,
        _ version: ProtocolVersion = .v5
    ) throws -> [Arrival] {
        let client = try scene.connected("late", version)
        try client.subscribe(filter)
        let arrivals = try (0..<count).map { _ in try client.receive() }
        try client.expectNothing()
        try client.disconnect()
        return arrivals
    }

    @Test(
        """
        [MQTT-3.3.1-5] [v3 MQTT-3.3.1-5, MQTT-3.3.1-6, MQTT-3.3.1-7, MQTT-3.3.1-8] the last \
        retained message of every matching topic is sent to a new subscription, at its QoS, with \
        RETAIN
        """, arguments: Host.all, versions)
    func lastIsKept(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic("d"))
        try watcher.expectNothing()
        try publisher.publish(scene.topic("a"), "old", qos: .exactlyOnce, retain: true)
        try publisher.publish(scene.topic("a"), "new a", qos: .atLeastOnce, retain: true)
        try publisher.publish(scene.topic("b/c"), "c", qos: .exactlyOnce, retain: true)
        try publisher.publish(scene.topic("d"), "old", qos: .atLeastOnce, retain: true)
        try publisher.publish(scene.topic("d"), "new d", qos: .atMostOnce, retain: true)
        // QoS 0 has no acknowledgement: its live copy says that it was kept.
        #expect(try watcher.receive(count: 2) == ["old", "new d"])
        let arrivals = try replay(scene, scene.topic("#"), count: 3, version)
        #expect(Set(arrivals.map(\.text)) == ["new a", "c", "new d"])
        #expect(arrivals.allSatisfy { $0.retain && !$0.dup })
        let byTopic = Dictionary(uniqueKeysWithValues: arrivals.map { ($0.topic, $0.qos) })
        #expect(byTopic[scene.topic("a")] == .atLeastOnce)
        #expect(byTopic[scene.topic("b/c")] == .exactlyOnce)
        #expect(byTopic[scene.topic("d")] == .atMostOnce)
        #expect(try replay(scene, scene.topic("+"), count: 2, version).count == 2)
        #expect(try replay(scene, scene.topic("a"), count: 1, version)[0].text == "new a")
        for topic in ["a", "b/c", "d"] { try publisher.publish(scene.topic(topic), retain: true) }
    }

    @Test(
        """
        [MQTT-3.3.1-6, MQTT-3.3.1-7] [v3 MQTT-3.3.1-10, MQTT-3.3.1-11] an empty payload removes \
        the retained message, is delivered, and is not kept itself
        """, arguments: Host.all, versions)
    func emptyRemoves(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        // What follows SUBSCRIBE is read when the retained messages were sent.
        try watcher.expectNothing()
        for qos in QoS.allCases {
            try publisher.publish(scene.topic(), "kept", retain: true)
            #expect(try watcher.receive().text == "kept")
            try publisher.publish(scene.topic(), "", qos: qos, retain: true)
            let empty = try watcher.receive()
            #expect(empty.payload.isEmpty)
            #expect(!empty.retain)
            try publisher.publish(scene.topic("other"), "x")
            #expect(try replay(scene, scene.topic("#"), count: 0, version).isEmpty)
        }
    }

    @Test(
        """
        [MQTT-3.3.1-8] [v3 MQTT-3.3.1-12] RETAIN 0 neither stores nor removes a retained message
        """, arguments: Host.all, versions)
    func plainLeavesRetained(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        try publisher.publish(scene.topic(), "plain")
        #expect(try replay(scene, scene.topic(), count: 0, version).isEmpty)
        try publisher.publish(scene.topic(), "kept", retain: true)
        try publisher.publish(scene.topic(), "plain")
        try publisher.publish(scene.topic(), "")
        #expect(try replay(scene, scene.topic(), count: 1, version)[0].text == "kept")
        try publisher.publish(scene.topic(), retain: true)
    }

    @Test(
        """
        [MQTT-4.6.0-5] [v3 MQTT-4.6.0-6] plain and retained messages of one topic keep the order \
        of sending
        """, arguments: Host.all, versions)
    func plainDoesNotOvertake(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        let publisher = try scene.connected("p", version)
        for number in 1...20 as ClosedRange<UInt16> {
            publisher.sendPublish(
                scene.topic(), "\(number)", qos: .atLeastOnce, retain: number % 3 == 0,
                packetID: number)
        }
        #expect(try watcher.receive(count: 20) == (1...20).map(String.init))
        try publisher.publish(scene.topic(), retain: true)
    }

    @Test(
        """
        [MQTT-3.3.1-9] more retained messages than are read at once come all
        """, arguments: Host.all)
    func manyAreSent(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        let count = 400
        let large = String(repeating: "x", count: 12_000)
        // Acknowledged, so that none is still on its way to its range when somebody subscribes.
        for number in 0...count {
            try publisher.publish(
                scene.topic("\(number)"), large, qos: .atLeastOnce, retain: true)
        }
        let client = try scene.connected("late")
        try client.subscribe(scene.topic("+"), qos: .atMostOnce)
        let topics = try (0...count).map { _ in try client.receive().topic }
        #expect(Set(topics).count == count + 1)
        try client.expectNothing()
        for number in 0...count { publisher.sendPublish(scene.topic("\(number)"), retain: true) }
        try publisher.expectNothing()
    }

    @Test(
        """
        [v3 MQTT-3.3.1-9] RETAIN is 0 on a message that matches an established subscription
        """, arguments: Host.all, versions)
    func liveCopyIsPlain(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        // What follows SUBSCRIBE is read when the retained messages were sent.
        try watcher.expectNothing()
        let publisher = try scene.connected("p", version)
        try publisher.publish(scene.topic(), "live", retain: true)
        #expect(try !watcher.receive().retain)
        try watcher.expectNothing()
        try publisher.publish(scene.topic(), retain: true)
    }

    @Test(
        """
        [v3 MQTT-3.1.2-7] retained messages outlive the session that published them
        """, arguments: Host.all, versions)
    func retainedOutlivesSession(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        try publisher.publish(scene.topic(), "stays", retain: true)
        try publisher.disconnect()
        #expect(try replay(scene, scene.topic(), count: 1, version)[0].text == "stays")
        try scene.connected("p", version).publish(scene.topic(), retain: true)
    }

    @Test(
        """
        [MQTT-3.3.1-9, MQTT-3.3.1-10, MQTT-3.3.1-11] retain handling 0 sends retained messages on \
        every subscribe, 1 to new subscriptions, 2 never
        """, arguments: Host.all)
    func retainHandling(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        try publisher.publish(scene.topic(), "kept", retain: true)
        for (name, isStored) in [("a", false), ("b", true)] {
            let client = isStored ? try scene.kept(name).client : try scene.connected(name)
            try client.subscribe(scene.topic(), retained: .doNotSend)
            try client.expectNothing()
            try client.subscribe(scene.topic(), retained: .sendIfNew)
            try client.expectNothing()
            try client.subscribe(scene.topic(), retained: .send)
            #expect(try client.receive().text == "kept")
            try client.subscribe(scene.topic(), retained: .send)
            #expect(try client.receive().text == "kept")
            try client.unsubscribe(scene.topic())
            try client.subscribe(scene.topic(), retained: .sendIfNew)
            #expect(try client.receive().text == "kept")
            try client.subscribe(scene.topic(), retained: .sendIfNew)
            try client.expectNothing()
        }
        try publisher.publish(scene.topic(), retain: true)
    }

    @Test(
        "[MQTT-3.3.1-9] a shared subscription is sent no retained messages", arguments: Host.all)
    func sharedGetsNone(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        try publisher.publish(scene.topic(), "kept", retain: true)
        #expect(try replay(scene, "$share/g/" + scene.topic(), count: 0).isEmpty)
        try publisher.publish(scene.topic(), retain: true)
    }

    @Test(
        """
        [MQTT-3.3.2-17, MQTT-3.3.2-18, MQTT-3.3.2-6] a retained message keeps its properties, and \
        its expiry runs
        """, arguments: Host.punctual)
    func retainedKeepsProperties(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        try publisher.publish(
            scene.topic("long"), "x", retain: true, expiry: 100,
            properties: bytes("26 ('b') ('1') 26 ('a') ('2') 03 ('text')"))
        try publisher.publish(scene.topic("short"), "x", retain: true, expiry: 1)
        #expect(publisher.isSilent(for: .milliseconds(2_100)))
        let client = try scene.connected("late")
        try client.subscribe(scene.topic("#"), id: 9)
        let arrival = try client.receive()
        #expect(arrival.topic == scene.topic("long"))
        #expect(arrival.userProperties == ["b=1", "a=2"])
        #expect(arrival.contentType == "text")
        #expect((90...98).contains(arrival.expiry ?? 0))
        #expect(arrival.subscriptionIDs == [9])
        try client.expectNothing()
    }

    @Test(
        """
        [MQTT-3.8.4-4] [v3 MQTT-3.8.4-3] replacing a subscription loses no message and sends the \
        retained ones again
        """, arguments: Host.all, versions)
    func replacingLosesNothing(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        try publisher.publish(scene.topic(), "kept", retain: true)
        let client = try scene.connected("a", version)
        try client.subscribe(scene.topic())
        #expect(try client.receive().text == "kept")
        for number in 0..<20 {
            publisher.sendPublish(
                scene.topic(), "\(number)", qos: .atLeastOnce, packetID: UInt16(100 + number))
            if number % 4 == 0 { try client.subscribe(scene.topic()) }
        }
        for number in 0..<20 { try publisher.acknowledged(.puback, UInt16(100 + number)) }
        var live: [String] = []
        var replayed = 0
        for _ in 0..<25 {
            let arrival = try client.receive()
            if arrival.retain { replayed += 1 } else { live.append(arrival.text) }
        }
        #expect(live == (0..<20).map(String.init))
        #expect(replayed == 5)
        try publisher.publish(scene.topic(), retain: true)
    }

    @Test(
        """
        [MQTT-3.1.2-15] [v3 MQTT-3.1.2-17] a will with RETAIN is published as a retained message
        """, arguments: Host.all, versions)
    func willIsRetained(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic(), asPublished: true)
        // What follows SUBSCRIBE is read when the retained messages were sent.
        try watcher.expectNothing()
        let client = try scene.connected("a", version) {
            $0.will = WillMessage(
                topic: Array(scene.topic().utf8), payload: Array("stays".utf8),
                qos: .atLeastOnce, retain: true)
        }
        client.cut()
        let live = try watcher.receive()
        #expect(live.text == "stays")
        #expect(live.retain)
        let late = try scene.connected("late")
        try late.subscribe(scene.topic())
        let replayed = try late.receive()
        #expect(replayed.text == "stays")
        #expect(replayed.retain)
        try late.publish(scene.topic(), retain: true)
    }
}
