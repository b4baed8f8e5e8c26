import MQTT
import TestKit
import Testing

/// From the first byte of a connection to CONNACK.
@Suite("Connecting", .waiting)
struct ConnectTests {
    @Test(
        "[MQTT-3.1.0-1] [v3 MQTT-3.1.0-1] the first packet is CONNECT or the connection ends",
        arguments: Host.all, ["C0 00", "82 06 0001 ('a') 01", "30 03 ('t')", "E0 00", "F0 00"])
    func firstPacketIsConnect(host: Host, first: String) throws {
        let client = Scene(host).client()
        client.send(bytes(first))
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.0-2] [MQTT-3.2.0-2] [v3 MQTT-3.1.0-2] a second CONNECT ends the connection \
        without a second CONNACK
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func secondConnectEndsConnection(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        client.send { client.connectPacket().encode(into: &$0) }
        try client.expectRefusal(.protocolError)
    }

    @Test(
        "[MQTT-3.1.2-1] [v3 MQTT-3.1.2-1] another protocol name ends the connection",
        arguments: Host.all, ["('MQTX') 05 02 0000 00 ('a')", "('mqtt') 04 02 0000 ('a')"])
    func protocolNameIsChecked(host: Host, body: String) throws {
        let client = Scene(host).client()
        client.send(packet(0x10, body))
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.2-2] [v3 MQTT-3.1.2-2] an unknown protocol version is answered with CONNACK \
        0x01 and closed
        """, arguments: Host.all, ["06", "01"])
    func versionIsChecked(host: Host, level: String) throws {
        let client = Scene(host).client("a", .v311)
        client.send(packet(0x10, "('MQTT') \(level) 02 0000 00 ('a')"))
        #expect(try client.connack().reasonCode == .unsupportedProtocolVersion)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.4-5, MQTT-3.2.0-1] [v3 MQTT-3.1.4-4, MQTT-3.2.0-1] CONNACK of success is the \
        first packet, whatever the client sent behind CONNECT
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func connackComesFirst(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = scene.client("a", version)
        client.send { writer in
            client.connectPacket().encode(into: &writer)
            let options = SubscriptionOptions(rawValue: 1)
            SubscribeRequest(
                packetID: 7,
                entries: [.init(filter: Array(scene.topic().utf8), options: options)]
            ).encode(version, into: &writer)
            PingEncoding.pingreq(into: &writer)
        }
        let connack = try client.connack()
        #expect(connack.reasonCode == .success)
        #expect(!connack.sessionPresent)
        guard case .suback(let suback) = try client.next() else { throw Surprise("SUBACK", #line) }
        #expect(suback.packetID == 7)
        guard case .pingresp = try client.next() else { throw Surprise("PINGRESP", #line) }
    }

    @Test(
        """
        [MQTT-3.1.4-2, MQTT-3.2.2-6, MQTT-3.2.2-7, MQTT-3.2.2-8, MQTT-4.13.2-1] \
        [v3 MQTT-3.2.2-4, MQTT-3.2.2-5] a refused CONNECT is answered with a reason, without a \
        session, and closed
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func refusedConnectIsClosed(host: Host, version: ProtocolVersion) throws {
        let client = Scene(host).client("a", version)
        let connack = try client.connect { $0.username = Array("unknown".utf8) }
        #expect(connack.reasonCode == .badUserNameOrPassword)
        #expect(!connack.sessionPresent)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.4-6] [v3 MQTT-3.1.4-5] what follows a refused CONNECT is not processed
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func nothingIsProcessedAfterRefusal(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic())
        let client = scene.client("a", version)
        client.send { writer in
            var connect = client.connectPacket()
            connect.username = Array("unknown".utf8)
            connect.encode(into: &writer)
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: .atMostOnce, dup: false, retain: false, packetID: 0,
                    topicAlias: 0, messageExpiry: nil),
                topic: Array(scene.topic().utf8), forwarded: [], subscriptionIDs: [],
                payload: Array("ghost".utf8), into: &writer)
        }
        #expect(try client.connack().reasonCode == .badUserNameOrPassword)
        try client.expectClosed()
        try scene.connected("b").publish(scene.topic(), "real")
        #expect(try watcher.receive().text == "real")
    }

    @Test(
        """
        [MQTT-3.1.4-3] [v3 MQTT-3.1.4-2] a second connection with a client identifier ends the \
        first
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func takeoverEndsFirst(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let first = try scene.connected("a", version)
        let second = try scene.connected("a", version)
        try first.expectRefusal(.sessionTakenOver)
        try second.expectNothing()
    }

    // MARK: Client identifiers

    @Test(
        """
        [MQTT-3.1.3-5] [v3 MQTT-3.1.3-5] client identifiers of 1 to 23 letters and digits are \
        accepted
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func plainIdentifiersAreAccepted(host: Host, version: ProtocolVersion) throws {
        let letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        let parts = [letters.prefix(23), letters.dropFirst(23).prefix(23), letters.suffix(16)]
        for id in parts + ["Z"] {
            let client = Scene(host).client("a", version)
            let connack = try client.connect { $0.clientID = Array(id.utf8) }
            #expect(connack.reasonCode == .success, "\(id)")
            #expect(connack.properties.assignedClientID == nil)
            try client.disconnect()
        }
    }

    @Test(
        """
        [MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16] an empty client identifier is replaced by a \
        unique one, which is returned and used as if it had been given
        """, arguments: Host.all)
    func identifierIsAssigned(host: Host) throws {
        let clients = [Scene(host).client(), Scene(host).client()]
        let ids = try clients.map { client in
            let connack = try client.connect { $0.clientID = [] }
            #expect(connack.reasonCode == .success)
            return try #require(connack.properties.assignedClientID)
        }
        #expect(ids[0] != ids[1])
        #expect(!ids[0].isEmpty)
        let other = Scene(host).client()
        let connack = try other.connect { $0.clientID = ids[0] }
        #expect(connack.properties.assignedClientID == nil)
        try clients[0].expectRefusal(.sessionTakenOver)
        try clients[1].expectNothing()
    }

    @Test(
        "[v3 MQTT-3.1.3-6] an empty client identifier with a clean session is accepted",
        arguments: Host.all)
    func emptyIdentifierOf311(host: Host) throws {
        let clients = [Scene(host).client("a", .v311), Scene(host).client("a", .v311)]
        for client in clients {
            #expect(try client.connect { $0.clientID = [] }.reasonCode == .success)
        }
        for client in clients { try client.expectNothing() }
    }

    @Test(
        """
        [v3 MQTT-3.1.3-7, MQTT-3.1.3-8] an empty client identifier without clean session is \
        answered with 0x02 and closed
        """, arguments: Host.all)
    func emptyIdentifierNeedsCleanSession(host: Host) throws {
        let client = Scene(host).client("a", .v311)
        let connack = try client.connect(cleanStart: false) { $0.clientID = [] }
        #expect(connack.reasonCode == .clientIdentifierNotValid)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.3-8] [v3 MQTT-3.1.3-9] a refused client identifier is answered with 0x85 (3.x \
        0x02) and closed
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func longIdentifierIsRefused(host: Host, version: ProtocolVersion) throws {
        let client = Scene(host).client("a", version)
        let connack = try client.connect { $0.clientID = Array(repeating: 0x61, count: 1_025) }
        #expect(connack.reasonCode == .clientIdentifierNotValid)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.3-2] [v3 MQTT-3.1.3-2] state belongs to the client identifier
        """, arguments: Host.all, [ProtocolVersion.v5, .v311])
    func stateBelongsToIdentifier(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept("a", version)
        try first.subscribe(scene.topic())
        try first.disconnect()
        try scene.connected("p").publish(scene.topic(), "for a")
        let (other, otherPresent) = try scene.kept("b", version)
        #expect(!otherPresent)
        try other.expectNothing()
        let (again, present) = try scene.kept("a", version)
        #expect(present)
        #expect(try again.receive().text == "for a")
    }

    // MARK: What CONNACK announces

    @Test(
        """
        [MQTT-3.1.2-28] response information is not sent unless it was asked for
        """, arguments: Host.all)
    func responseInformationIsNotVolunteered(host: Host) throws {
        let connack = try Scene(host).client().connect()
        #expect(connack.properties.responseInformation == nil)
    }

    @Test(
        """
        [MQTT-3.2.2-9, MQTT-3.2.2-10, MQTT-3.2.2-11] a maximum QoS is announced; SUBSCRIBE with \
        any QoS is accepted; PUBLISH above it is refused with 0x9B
        """, arguments: Host.all)
    func maximumQoSIsKept(host: Host) throws {
        let scene = Scene(host)
        let client = scene.client()
        let connack = try client.connect { $0.username = Array("qos1/u".utf8) }
        #expect(connack.properties.maximumQoS == .atLeastOnce)
        for qos in QoS.allCases {
            let suback = try client.subscribe(scene.topic("\(qos)"), qos: qos)
            #expect(suback.reasonCodes.allSatisfy { !$0.isFailure })
        }
        client.sendPublish(scene.topic(), qos: .exactlyOnce, packetID: 9)
        try client.expectRefusal(.qosNotSupported)
    }

    @Test(
        "[MQTT-3.2.2-12] a will above the maximum QoS refuses the CONNECT", arguments: Host.all)
    func willAboveMaximumQoS(host: Host) throws {
        let client = Scene(host).client()
        let connack = try client.connect { packet in
            packet.username = Array("qos1/u".utf8)
            packet.will = WillMessage(
                topic: Array("w".utf8), payload: [], qos: .exactlyOnce, retain: false)
        }
        #expect(connack.reasonCode == .qosNotSupported)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.2.2-13, MQTT-3.2.2-14] where retaining is off, CONNACK says so, a retained will \
        refuses the CONNECT and a retained PUBLISH is refused with 0x9A
        """, arguments: Host.all)
    func retainingIsOff(host: Host) throws {
        let scene = Scene(host)
        let first = scene.client()
        let refused = try first.connect { packet in
            packet.username = Array("noRetain/u".utf8)
            packet.will = WillMessage(
                topic: Array("w".utf8), payload: [], qos: .atMostOnce, retain: true)
        }
        #expect(refused.reasonCode == .retainNotSupported)
        try first.expectClosed()
        let second = scene.client()
        let connack = try second.connect { $0.username = Array("noRetain/u".utf8) }
        #expect(!connack.properties.retainAvailable)
        second.sendPublish(scene.topic(), qos: .atLeastOnce, retain: true, packetID: 1)
        try second.expectRefusal(.retainNotSupported)
    }

    @Test(
        """
        [MQTT-3.2.2-15] the maximum packet size is announced, and a larger packet is refused \
        with 0x95
        """, arguments: Host.all)
    func largePacketIsRefused(host: Host) throws {
        let scene = Scene(host)
        let client = scene.client()
        let connack = try client.connect { $0.username = Array("small/u".utf8) }
        #expect(connack.properties.maximumPacketSize == 200)
        let fitting = String(repeating: "x", count: 150)
        #expect(try client.publish("t", fitting) != .packetTooLarge)
        client.sendPublish("t", String(repeating: "x", count: 250))
        try client.expectRefusal(.packetTooLarge)
    }

    @Test(
        """
        [MQTT-3.2.2-19, MQTT-3.2.2-20] CONNACK is never larger than the client takes, also with \
        a reason to tell
        """, arguments: Host.all)
    func connackFits(host: Host) throws {
        let client = Scene(host).client()
        let connack = try client.connect { packet in
            packet.clientID = Array(repeating: 0x61, count: 1_025)
            packet.properties.maximumPacketSize = 8
        }
        #expect(connack.reasonCode == .clientIdentifierNotValid)
        #expect(connack.properties.reasonString == nil)
        #expect(connack.properties.userProperties.isEmpty)
        try client.expectClosed()
    }

    // MARK: Keep alive

    @Test(
        """
        [MQTT-3.1.2-22, MQTT-3.2.2-22] [v3 MQTT-3.1.2-24] one and a half keep alives of silence \
        end the connection as a network failure would
        """, arguments: Host.punctual, [ProtocolVersion.v5, .v311])
    func silenceEndsConnection(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic())
        let client = scene.client("a", version)
        let start = ContinuousClock.now
        let connack = try client.connect(keepAlive: 1) { packet in
            packet.will = WillMessage(
                topic: Array(scene.topic().utf8), payload: Array("gone".utf8), qos: .atLeastOnce,
                retain: false)
        }
        #expect(connack.properties.serverKeepAlive == nil)
        try client.expectRefusal(.keepAliveTimeout)
        #expect(ContinuousClock.now - start >= .milliseconds(1_400))
        #expect(try watcher.receive().text == "gone")
    }

    @Test(
        "[MQTT-3.1.2-22] a server keep alive takes the place of the client's",
        arguments: Host.punctual)
    func serverKeepAliveHolds(host: Host) throws {
        let client = Scene(host).client()
        let connack = try client.connect(keepAlive: 1) { $0.username = Array("slow/u".utf8) }
        #expect(connack.properties.serverKeepAlive == 60)
        #expect(client.isSilent(for: .milliseconds(1_900)))
        try client.expectNothing()
    }
}
