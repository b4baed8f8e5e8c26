import MQTT
import TestKit
import Testing

/// What of a message arrives: properties, expiry, aliases, and the limits that a client set.
@Suite("Delivery", .waiting)
struct DeliveryTests {
    @Test(
        """
        [MQTT-3.3.2-4, MQTT-3.3.2-15, MQTT-3.3.2-16, MQTT-3.3.2-17, MQTT-3.3.2-18, MQTT-3.3.2-20] \
        properties are passed on unaltered, user properties in order
        """, arguments: Host.all, QoS.allCases)
    func propertiesArePassedOn(host: Host, qos: QoS) throws {
        let scene = Scene(host)
        let (stored, _) = try scene.kept("stored")
        let clients = [try scene.connected("a"), stored]
        for client in clients { try client.subscribe(scene.topic(), id: 5) }
        let publisher = try scene.connected("p")
        let block = bytes(
            """
            26 ('z') ('1') 01 01 26 ('a') ('') 03 ('text/plain') 09 (0001FF)
            08 ('answer/here') 26 ('z') ('3')
            """)
        try publisher.publish(scene.topic(), "höher", qos: qos, properties: block)
        for client in clients {
            let arrival = try client.receive()
            #expect(arrival.userProperties == ["z=1", "a=", "z=3"])
            #expect(arrival.payloadFormat == 1)
            #expect(arrival.contentType == "text/plain")
            #expect(arrival.responseTopic == "answer/here")
            #expect(arrival.correlation == [0, 1, 0xFF])
            #expect(arrival.text == "höher")
            #expect(arrival.subscriptionIDs == [5])
            #expect(arrival.expiry == nil)
        }
        let old = try scene.connected("old", .v311)
        try old.subscribe(scene.topic())
        try publisher.publish(scene.topic(), "höher", qos: qos, properties: block)
        #expect(try old.receive().text == "höher")
    }

    @Test("[MQTT-3.3.2-4] a payload format indicator of 0 stays 0", arguments: Host.all)
    func payloadFormat0(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected()
        try client.subscribe(scene.topic())
        try client.publish(scene.topic(), "x", properties: [1, 0])
        #expect(try client.receive().payloadFormat == 0)
    }

    // MARK: Expiry

    @Test(
        """
        [MQTT-3.3.2-5] a message that expired before delivery began is not delivered
        """, arguments: Host.punctual)
    func expiredIsDropped(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept()
        try first.subscribe(scene.topic())
        try first.disconnect()
        let publisher = try scene.connected("p")
        try publisher.publish(scene.topic(), "short", expiry: 1)
        try publisher.publish(scene.topic(), "long", expiry: 100)
        #expect(publisher.isSilent(for: .milliseconds(1_700)))
        let (second, _) = try scene.kept()
        #expect(try second.receive().text == "long")
        try second.expectNothing()
    }

    @Test(
        """
        [MQTT-3.3.2-6] the forwarded expiry interval is what is left of it
        """, arguments: Host.punctual)
    func expiryIsReduced(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept()
        try first.subscribe(scene.topic())
        try first.disconnect()
        let publisher = try scene.connected("p")
        let live = try scene.connected("live")
        try live.subscribe(scene.topic())
        try publisher.publish(scene.topic(), "message", expiry: 100)
        #expect((99...100).contains(try live.receive().expiry ?? 0))
        #expect(publisher.isSilent(for: .milliseconds(2_100)))
        let (second, _) = try scene.kept()
        #expect((97...98).contains(try second.receive().expiry ?? 0))
    }

    // MARK: Aliases from the server

    @Test(
        """
        [MQTT-3.1.2-26, MQTT-3.3.2-11] no topic alias exceeds the client's maximum
        """, arguments: Host.all)
    func aliasesAreBounded(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected { $0.properties.topicAliasMaximum = 3 }
        try client.subscribe(scene.topic("#"))
        let publisher = try scene.connected("p")
        var used: Set<UInt16> = []
        for round in 0..<4 {
            for topic in 0..<6 {
                try publisher.publish(scene.topic("\(topic)"), "\(round) \(topic)")
                let arrival = try client.receive()
                #expect(arrival.alias <= 3)
                #expect(arrival.topic == scene.topic("\(topic)"))
                #expect(arrival.text == "\(round) \(topic)")
                if arrival.alias > 0 { used.insert(arrival.alias) }
            }
        }
        #expect(!used.isEmpty)
    }

    @Test(
        "[MQTT-3.1.2-27] no topic alias where the client's maximum is 0", arguments: Host.all)
    func noAliasUnasked(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected()
        try client.subscribe(scene.topic())
        let publisher = try scene.connected("p")
        for _ in 0..<4 {
            try publisher.publish(scene.topic(), alias: 1)
            let arrival = try client.receive()
            #expect(arrival.alias == 0)
            #expect(arrival.writtenTopic == scene.topic())
        }
    }

    // MARK: Aliases from the client

    @Test(
        "[MQTT-3.3.2-12] every alias from 1 to the maximum of CONNACK is accepted",
        arguments: Host.all)
    func aliasesAreAccepted(host: Host) throws {
        let scene = Scene(host)
        let client = scene.client()
        let maximum = try client.connect().properties.topicAliasMaximum
        #expect(maximum > 0)
        try client.subscribe(scene.topic("#"))
        for alias in 1...maximum {
            try client.publish(scene.topic("\(alias)"), "named", alias: alias)
        }
        for alias in 1...maximum { try client.publish("", "alias \(alias)", alias: alias) }
        for alias in 1...maximum {
            let arrival = try client.receive()
            #expect(arrival.topic == scene.topic("\(alias)"))
        }
        for alias in 1...maximum {
            let arrival = try client.receive()
            #expect(arrival.topic == scene.topic("\(alias)"))
            #expect(arrival.text == "alias \(alias)")
        }
        // A new name under an old number.
        try client.publish(scene.topic("new"), alias: 1)
        try client.publish("", alias: 1)
        #expect(try client.receive().topic == scene.topic("new"))
        #expect(try client.receive().topic == scene.topic("new"))
    }

    @Test(
        """
        [MQTT-3.2.2-17, MQTT-3.2.2-18, MQTT-3.3.2-8, MQTT-3.3.2-9] an alias above the maximum of \
        CONNACK, or of 0, is refused with 0x94
        """, arguments: Host.all)
    func wrongAliasIsRefused(host: Host) throws {
        let scene = Scene(host)
        let first = scene.client("a")
        let maximum = try first.connect().properties.topicAliasMaximum
        first.sendPublish(scene.topic(), qos: .atLeastOnce, packetID: 1, alias: maximum + 1)
        try first.expectRefusal(.topicAliasInvalid)
        let second = scene.client("b")
        let connack = try second.connect { $0.username = Array("noAlias/u".utf8) }
        #expect(connack.properties.topicAliasMaximum == 0)
        second.sendPublish(scene.topic(), alias: 1)
        try second.expectRefusal(.topicAliasInvalid)
        let third = try scene.connected("c")
        third.send(packet(0x30, "('t') 03 23 0000"))
        try third.expectRefusal(.topicAliasInvalid)
    }

    // MARK: Packet size

    @Test(
        """
        [MQTT-3.1.2-24, MQTT-3.1.2-25] a message too large for a client is dropped as if it had \
        been sent, and what follows comes
        """, arguments: Host.all, QoS.allCases)
    func oversizeIsDropped(host: Host, qos: QoS) throws {
        let scene = Scene(host)
        let (stored, _) = try scene.kept("stored") { $0.properties.maximumPacketSize = 100 }
        // Several of them on one worker share one frame.
        let clients =
            try (0..<4).map { number in
                try scene.connected("\(number)") { $0.properties.maximumPacketSize = 100 }
            } + [stored]
        for client in clients { try client.subscribe(scene.topic()) }
        let publisher = try scene.connected("p")
        let overhead = 2 + 2 + scene.topic().utf8.count + (qos == .atMostOnce ? 0 : 2) + 1
        for count in [150, 101 - overhead, 100 - overhead, 200, 1] {
            try publisher.publish(
                scene.topic(), String(repeating: "x", count: count), qos: qos)
        }
        for client in clients {
            let first = try client.receive()
            #expect(first.size == 100)
            #expect(try client.receive().text == "x")
            try client.expectNothing()
        }
        // "As if it had been sent": it does not come later either.
        try stored.disconnect()
        let (again, _) = try scene.kept("stored")
        try again.expectNothing()
    }

    @Test(
        """
        [MQTT-3.4.2-2, MQTT-3.4.2-3, MQTT-3.5.2-2, MQTT-3.5.2-3, MQTT-3.6.2-2, MQTT-3.6.2-3] \
        [MQTT-3.7.2-2, MQTT-3.7.2-3, MQTT-3.14.2-3, MQTT-3.14.2-4] acknowledgements and DISCONNECT \
        are never larger than the client takes, also with a reason to tell
        """, arguments: Host.all)
    func acknowledgementsFit(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected { packet in
            packet.username = Array("guarded".utf8)
            packet.properties.maximumPacketSize = 20
        }
        client.sendPublish("forbidden/t", qos: .atLeastOnce, packetID: 1)
        client.sendPublish("forbidden/t", qos: .exactlyOnce, packetID: 2)
        client.send(.pubrec, 3)
        client.send(.pubrel, 4)
        let found = try (0..<4).map { _ in try client.acknowledgement() }
        #expect(Set(found.map(\.type)) == [.puback, .pubrec, .pubrel, .pubcomp])
        #expect(found.allSatisfy { $0.code.isFailure && $0.size <= 20 })
        client.sendPublish("forbidden/t")
        guard case .disconnect(let packet, let size) = try client.next() else {
            throw Surprise("wanted DISCONNECT", #line)
        }
        #expect(packet.reasonCode == .notAuthorized)
        #expect(size <= 20)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.9.2-1, MQTT-3.9.2-2, MQTT-3.11.2-1, MQTT-3.11.2-2] SUBACK and UNSUBACK are never \
        larger than the client takes, also with a reason to tell
        """, arguments: Host.all)
    func subacksFit(host: Host) throws {
        let client = try Scene(host).connected { packet in
            packet.username = Array("guarded".utf8)
            packet.properties.maximumPacketSize = 20
        }
        let suback = try client.subscribe("forbidden/#")
        #expect(suback.reasonCodes == [.notAuthorized])
        #expect(suback.reasonString == nil)
        #expect(suback.userProperties.isEmpty)
        let unsuback = try client.unsubscribe("forbidden/#")
        #expect(unsuback.reasonString == nil)
        #expect(unsuback.userProperties.isEmpty)
    }

    @Test(
        """
        [MQTT-3.1.2-29] with request problem information 0 nothing but PUBLISH, CONNACK and \
        DISCONNECT has a reason string or user properties
        """, arguments: Host.all)
    func noProblemInformation(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected { packet in
            packet.username = Array("guarded".utf8)
            packet.properties.requestProblemInformation = false
        }
        let suback = try client.subscribe("forbidden/#", scene.topic())
        #expect(suback.reasonCodes.map(\.isFailure) == [true, false])
        #expect(suback.reasonString == nil && suback.userProperties.isEmpty)
        let unsuback = try client.unsubscribe("forbidden/+", "a#")
        #expect(unsuback.reasonString == nil && unsuback.userProperties.isEmpty)
        client.sendPublish("forbidden/t", qos: .atLeastOnce, packetID: 1)
        client.sendPublish("forbidden/t", qos: .exactlyOnce, packetID: 2)
        client.send(.pubrec, 3)
        client.send(.pubrel, 4)
        // Five bytes hold no properties.
        for _ in 0..<4 { #expect(try client.acknowledgement().size == 5) }
        try client.publish(scene.topic(), properties: bytes("26 ('a') ('b')"))
        #expect(try client.receive().userProperties == ["a=b"])
    }
}
