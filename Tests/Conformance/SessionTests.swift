import MQTT
import Testing

/// What outlives a connection, and what does not.
@Suite("Sessions", .waiting)
struct SessionTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    @Test(
        """
        [MQTT-3.1.2-5, MQTT-3.1.2-6, MQTT-3.1.2-23, MQTT-3.2.2-1, MQTT-3.2.2-3] \
        [v3 MQTT-3.1.2-4, MQTT-3.2.2-2, MQTT-3.2.2-3, MQTT-4.1.0-1] without clean start a session \
        is made once and then resumed
        """, arguments: Host.all, versions)
    func sessionIsResumed(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (first, wasThere) = try scene.kept("a", version)
        #expect(!wasThere)
        try first.subscribe(scene.topic("one"), scene.topic("two/+"))
        first.cut()
        let (second, isThere) = try scene.kept("a", version)
        #expect(isThere)
        let publisher = try scene.connected("p")
        try publisher.publish(scene.topic("two/x"), "live")
        #expect(try second.receive().text == "live")
        try second.disconnect()
        #expect(try scene.kept("a", version).present)
    }

    @Test(
        """
        [MQTT-3.1.2-4, MQTT-3.1.4-4, MQTT-3.2.2-2] [v3 MQTT-3.1.2-6, MQTT-3.1.4-3, MQTT-3.2.2-1] \
        clean start discards the old session
        """, arguments: Host.all, versions)
    func cleanStartDiscards(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept("a", version)
        try first.subscribe(scene.topic())
        try first.disconnect()
        let publisher = try scene.connected("p")
        try publisher.publish(scene.topic(), "for the old one")
        let second = scene.client("a", version)
        let connack = try second.connect(cleanStart: true)
        #expect(!connack.sessionPresent)
        try publisher.publish(scene.topic(), "for nobody")
        try second.expectNothing()
    }

    @Test(
        "[v3 MQTT-3.1.2-6] a session with CleanSession 1 ends with its connection",
        arguments: Host.all)
    func cleanSessionEnds(host: Host) throws {
        let scene = Scene(host)
        let first = try scene.connected("a", .v311)
        try first.subscribe(scene.topic())
        try first.disconnect()
        let (second, present) = try scene.kept("a", .v311)
        #expect(!present)
        try scene.connected("p").publish(scene.topic(), "for nobody")
        try second.expectNothing()
    }

    @Test(
        "[MQTT-4.1.0-1] [v3 MQTT-4.1.0-2] a session lasts at least as long as its connection",
        arguments: Host.punctual, versions)
    func sessionLastsWithConnection(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version, expiry: 1)
        try client.subscribe(scene.topic())
        #expect(client.isSilent(for: .milliseconds(1_500)))
        try scene.connected("p").publish(scene.topic(), "still there")
        #expect(try client.receive().text == "still there")
    }

    @Test(
        "[MQTT-4.1.0-2] a session is discarded when its expiry interval has passed",
        arguments: Host.punctual)
    func sessionExpires(host: Host) throws {
        let scene = Scene(host)
        let first = try scene.connected("a", expiry: 1)
        try first.subscribe(scene.topic())
        try first.disconnect()
        let clock = try scene.connected("clock")
        #expect(clock.isSilent(for: .milliseconds(1_600)))
        try clock.publish(scene.topic(), "too late")
        let (second, present) = try scene.kept("a")
        #expect(!present)
        try second.expectNothing()
    }

    @Test(
        "[MQTT-4.1.0-2] without an expiry interval the session ends with its connection",
        arguments: Host.all)
    func sessionWithoutExpiryEnds(host: Host) throws {
        let scene = Scene(host)
        let first = try scene.connected("a", cleanStart: false)
        try first.subscribe(scene.topic())
        try first.disconnect()
        let (second, present) = try scene.kept("a")
        #expect(!present)
        try scene.connected("p").publish(scene.topic(), "for nobody")
        try second.expectNothing()
    }

    @Test(
        "[MQTT-4.1.0-2] DISCONNECT with an expiry interval of 0 ends the session",
        arguments: Host.all)
    func disconnectEndsSession(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept()
        try first.subscribe(scene.topic())
        try first.disconnect(expiry: 0)
        #expect(try !scene.kept().present)
    }

    @Test(
        "[MQTT-4.13.1-1] an expiry interval that rises from 0 in DISCONNECT is a protocol error",
        arguments: Host.all)
    func expiryDoesNotRise(host: Host) throws {
        let scene = Scene(host)
        var packet = DisconnectPacket(reasonCode: .normalDisconnection)
        packet.sessionExpiryInterval = 60
        // A will, or aliases, make it no other.
        for hasWill in [false, true] {
            let client = try scene.connected("\(hasWill)") {
                guard hasWill else { return }
                $0.will = WillMessage(
                    topic: Array(scene.topic().utf8), payload: [1], qos: .atMostOnce,
                    retain: false)
                $0.properties.topicAliasMaximum = 5
            }
            client.send { packet.encode(.v5, limit: .max, into: &$0) }
            try client.expectRefusal(.protocolError)
        }
    }

    @Test(
        """
        [v3 MQTT-3.1.2-5] QoS 1 and 2 messages are stored for an offline session and come in order
        """, arguments: Host.all, versions)
    func messagesAreStored(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept("a", version)
        try first.subscribe(scene.topic("#"))
        first.cut()
        let publisher = try scene.connected("p")
        for number in 0..<20 {
            try publisher.publish(
                scene.topic("\(number % 3)"), "\(number)",
                qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce)
        }
        let (second, present) = try scene.kept("a", version)
        #expect(present)
        let texts = try second.receive(count: 20)
        #expect(
            texts.filter { Int($0)! % 2 == 0 } == stride(from: 0, to: 20, by: 2).map(String.init))
        #expect(
            texts.filter { Int($0)! % 2 == 1 } == stride(from: 1, to: 20, by: 2).map(String.init))
        try second.expectNothing()
    }

    @Test(
        """
        [MQTT-3.1.2-5, MQTT-4.1.0-2] a connection without an expiry interval resumes the session \
        with its queue and its subscriptions, and ends it
        """, arguments: Host.all)
    func resumedWithoutExpiry(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept()
        try first.subscribe(scene.topic("#"))
        first.cut()
        let publisher = try scene.connected("p")
        try publisher.publish(scene.topic("1"), "one", qos: .atLeastOnce)
        try publisher.publish(scene.topic("2"), "two", qos: .exactlyOnce)
        let (second, present) = try scene.kept { $0.properties.sessionExpiryInterval = 0 }
        #expect(present)
        let queued = try (0..<2).map { _ in try second.message() }
        #expect(queued.map(\.text) == ["one", "two"])
        for arrival in queued { try second.finish(arrival) }
        try publisher.publish(scene.topic("3"), "three", qos: .exactlyOnce)
        #expect(try second.receive().text == "three")
        try second.subscribe("$share/g/" + scene.topic("shared"))
        second.cut()
        try publisher.publish(scene.topic("4"), "for nobody", qos: .atLeastOnce)
        let (third, isThere) = try scene.kept()
        #expect(!isThere)
        try third.expectNothing()
    }

    // MARK: Resuming what was under way

    @Test(
        """
        [MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.3.2-3, MQTT-4.3.3-3] \
        [v3 MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.6.0-1] on resume unacknowledged messages come \
        again, in order, with DUP, under their identifiers
        """, arguments: Host.all, versions)
    func unacknowledgedComeAgain(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept("a", version)
        try first.subscribe(scene.topic("#"))
        let publisher = try scene.connected("p")
        for (index, qos) in [QoS.atLeastOnce, .exactlyOnce, .atLeastOnce].enumerated() {
            try publisher.publish(scene.topic("\(index)"), "\(index)", qos: qos)
        }
        let before = try (0..<3).map { _ in try first.message() }
        #expect(before.allSatisfy { !$0.dup })
        // At no other time: nothing comes again within the connection.
        try first.expectNothing()
        first.cut()
        let (second, _) = try scene.kept("a", version)
        let after = try (0..<3).map { _ in try second.message() }
        #expect(after.allSatisfy { $0.dup })
        #expect(after.map(\.packetID) == before.map(\.packetID))
        #expect(after.map(\.text) == before.map(\.text))
        #expect(after.map(\.qos) == before.map(\.qos))
        for arrival in after { try second.finish(arrival) }
        try second.expectNothing()
    }

    @Test(
        """
        [MQTT-4.4.0-1, MQTT-4.3.3-5, MQTT-4.3.3-6] [v3 MQTT-4.4.0-1, MQTT-4.3.3-1] on resume an \
        owed PUBREL comes again, and its PUBLISH does not
        """, arguments: Host.all, versions)
    func pubrelComesAgain(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept("a", version)
        try first.subscribe(scene.topic())
        try scene.connected("p").publish(scene.topic(), "once", qos: .exactlyOnce)
        let arrival = try first.message()
        first.send(.pubrec, arrival.packetID)
        try first.acknowledged(.pubrel, arrival.packetID)
        first.cut()
        let (second, _) = try scene.kept("a", version)
        let pubrel = try second.acknowledgement()
        #expect(pubrel.type == .pubrel)
        #expect(pubrel.packetID == arrival.packetID)
        second.send(.pubcomp, arrival.packetID)
        try second.expectNothing()
    }

    @Test(
        """
        [MQTT-4.4.0-2] what was acknowledged, or refused with 0x80 or above, does not come again
        """, arguments: Host.all)
    func acknowledgedDoNotComeAgain(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept()
        try first.subscribe(scene.topic())
        let publisher = try scene.connected("p")
        for (text, qos) in [("1", QoS.atLeastOnce), ("2", .atLeastOnce), ("3", .exactlyOnce)] {
            try publisher.publish(scene.topic(), text, qos: qos)
        }
        first.send(.puback, try first.message().packetID)
        first.send(.puback, try first.message().packetID, .unspecifiedError)
        first.send(.pubrec, try first.message().packetID, .quotaExceeded)
        try first.expectNothing()
        try first.disconnect()
        let (second, present) = try scene.kept()
        #expect(present)
        try publisher.publish(scene.topic(), "4")
        #expect(try second.receive().text == "4")
        try second.expectNothing()
    }

    @Test(
        """
        [v3 MQTT-4.6.0-4] PUBREL packets are sent in the order of PUBREC
        """, arguments: Host.all, versions)
    func pubrelsKeepOrder(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (client, _) = try scene.kept("a", version)
        try client.subscribe(scene.topic())
        let publisher = try scene.connected("p")
        for number in 0..<6 {
            try publisher.publish(scene.topic(), "\(number)", qos: .exactlyOnce)
        }
        let ids = try (0..<6).map { _ in try client.message().packetID }
        let order = [ids[0], ids[1], ids[2], ids[3], ids[4], ids[5]]
        for id in order { client.send(.pubrec, id) }
        #expect(try (0..<6).map { _ in try client.acknowledgement().packetID } == order)
        for id in order { client.send(.pubcomp, id) }
        try client.expectNothing()
    }

    @Test(
        "[MQTT-3.3.2-7] topic aliases end with their connection", arguments: Host.all)
    func aliasesEnd(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept()
        try first.publish(scene.topic(), alias: 1)
        try first.publish("", alias: 1)
        try first.disconnect()
        let (second, present) = try scene.kept()
        #expect(present)
        second.sendPublish("", alias: 1)
        let incoming = try second.next()
        guard case .disconnect(let packet, _) = incoming else {
            throw Surprise("got \(incoming)", #line)
        }
        #expect([.topicAliasInvalid, .protocolError].contains(packet.reasonCode))
        try second.expectClosed()
    }
}
