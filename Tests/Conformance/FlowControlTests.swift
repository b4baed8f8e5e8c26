import MQTT
import Testing

/// Receive maximum, both ways.
@Suite("Flow control", .waiting)
struct FlowControlTests {
    @Test(
        """
        [MQTT-3.3.4-7] more open publishes than the server's receive maximum are refused with 0x93
        """, arguments: Host.all)
    func serverWindowIsKept(host: Host) throws {
        let scene = Scene(host)
        for isStored in [false, true] {
            let client = scene.client(isStored ? "b" : "a")
            let connack = try client.connect { packet in
                packet.username = Array("narrow/u".utf8)
                packet.properties.sessionExpiryInterval = isStored ? 60 : 0
            }
            #expect(connack.properties.receiveMaximum == 2)
            for packetID in 1...2 as ClosedRange<UInt16> {
                client.sendPublish(scene.topic(), qos: .exactlyOnce, packetID: packetID)
                #expect(try !client.acknowledged(.pubrec, packetID).isFailure)
            }
            // A repeat is no new message.
            client.sendPublish(scene.topic(), qos: .exactlyOnce, packetID: 1, dup: true)
            #expect(try !client.acknowledged(.pubrec, 1).isFailure)
            client.send(.pubrel, 1)
            #expect(try !client.acknowledged(.pubcomp, 1).isFailure)
            client.sendPublish(scene.topic(), qos: .exactlyOnce, packetID: 3)
            #expect(try !client.acknowledged(.pubrec, 3).isFailure)
            client.sendPublish(scene.topic(), qos: .exactlyOnce, packetID: 4)
            try client.expectRefusal(.receiveMaximumExceeded)
        }
    }

    @Test(
        """
        [MQTT-3.3.4-9, MQTT-3.3.4-10, MQTT-4.9.0-1, MQTT-4.9.0-2, MQTT-4.9.0-3] the client's \
        receive maximum bounds what is open, and delays nothing else
        """, arguments: Host.all, [QoS.atLeastOnce, .exactlyOnce])
    func clientWindowIsKept(host: Host, qos: QoS) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        let stored = try scene.kept("b") { $0.properties.receiveMaximum = 2 }.client
        let clients = [
            try scene.connected("a") { $0.properties.receiveMaximum = 2 }, stored,
        ]
        for client in clients {
            try client.subscribe(scene.topic("t"))
        }
        for number in 0..<5 { try publisher.publish(scene.topic("t"), "\(number)", qos: qos) }
        for client in clients {
            var open = [try client.message(), try client.message()]
            #expect(open.map(\.text) == ["0", "1"])
            try client.expectNothing()
            // Other packets are processed and answered; QoS 0 may wait or not.
            try client.subscribe(scene.topic("more"))
            client.sendPublish(scene.topic("own"), qos: .atLeastOnce, packetID: 50)
            #expect(try !client.acknowledged(.puback, 50).isFailure)
            try client.expectNothing()
            // Each end of an exchange makes room for one.
            for number in 2..<5 {
                try client.finish(open.removeFirst())
                open.append(try client.message())
                #expect(open.last?.text == "\(number)")
                try client.expectNothing()
            }
            for arrival in open { try client.finish(arrival) }
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-4.9.0-2] a QoS 2 exchange holds its place in the window until PUBCOMP; a refusing \
        PUBREC frees it
        """, arguments: Host.all)
    func windowCountsUntilPubcomp(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        for client in [
            try scene.connected("a") { $0.properties.receiveMaximum = 1 },
            try scene.kept("b") { $0.properties.receiveMaximum = 1 }.client,
        ] {
            try client.subscribe(scene.topic())
            for number in 0..<3 {
                try publisher.publish(scene.topic(), "\(number)", qos: .exactlyOnce)
            }
            let first = try client.message()
            client.send(.pubrec, first.packetID)
            try client.acknowledged(.pubrel, first.packetID)
            try client.expectNothing()
            client.send(.pubcomp, first.packetID)
            let second = try client.message()
            #expect(second.text == "1")
            client.send(.pubrec, second.packetID, .quotaExceeded)
            #expect(try client.receive().text == "2")
            try client.expectNothing()
            try client.unsubscribe(scene.topic())
        }
    }
}
