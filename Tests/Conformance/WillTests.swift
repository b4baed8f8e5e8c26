import MQTT
import TestKit
import Testing

/// Messages that the server publishes for clients that went away.
@Suite("Wills", .waiting)
struct WillTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    private func will(
        _ topic: String, _ text: String, qos: QoS = .atLeastOnce, retain: Bool = false,
        delay: UInt32 = 0
    ) -> WillMessage {
        var will = WillMessage(
            topic: Array(topic.utf8), payload: Array(text.utf8), qos: qos, retain: retain)
        will.delayInterval = delay
        return will
    }

    private func watcher(_ scene: borrowing Scene) throws -> ScriptedClient {
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic(), asPublished: true)
        try watcher.expectNothing()
        return watcher
    }

    @Test(
        """
        [MQTT-3.1.2-7, MQTT-3.1.2-8, MQTT-3.1.2-14] [v3 MQTT-3.1.2-8, MQTT-3.1.2-16] the will is \
        published when the connection breaks, at its QoS, not retained
        """, arguments: Host.all, versions)
    func willIsPublished(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        for qos in QoS.allCases {
            let client = try scene.connected("a", version) {
                $0.will = will(scene.topic(), "gone \(qos)", qos: qos)
            }
            client.cut()
            let arrival = try watcher.receive()
            #expect(arrival.text == "gone \(qos)")
            #expect(arrival.qos == qos)
            #expect(!arrival.retain)
        }
        let late = try scene.connected("late")
        try late.subscribe(scene.topic())
        try late.expectNothing()
    }

    @Test(
        """
        [MQTT-3.14.4-3, MQTT-3.1.2-10] [v3 MQTT-3.14.4-3, MQTT-3.1.2-10] DISCONNECT discards the \
        will
        """, arguments: Host.all, versions)
    func disconnectDiscardsWill(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let first = try scene.connected("a", version) {
            $0.will = will(scene.topic(), "discarded")
        }
        try first.disconnect()
        let second = try scene.connected("a", version) { $0.will = will(scene.topic(), "next") }
        second.cut()
        #expect(try watcher.receive().text == "next")
    }

    @Test(
        """
        [MQTT-3.1.2-10] [v3 MQTT-3.1.2-10, MQTT-3.1.2-12] a will is published once; a connection \
        without one publishes none
        """, arguments: Host.all, versions)
    func willIsPublishedOnce(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let (first, _) = try scene.kept("a", version) { $0.will = will(scene.topic(), "once") }
        first.cut()
        #expect(try watcher.receive().text == "once")
        // The resumed session has no will of its own, and the old one is used up.
        try scene.kept("a", version).client.cut()
        let (third, _) = try scene.kept("a", version) { $0.will = will(scene.topic(), "third") }
        third.cut()
        #expect(try watcher.receive().text == "third")
    }

    @Test(
        "[MQTT-3.1.2-8, MQTT-3.14.2-1] DISCONNECT with 0x04 has the will published",
        arguments: Host.all)
    func disconnectWithWill(host: Host) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let client = try scene.connected { $0.will = will(scene.topic(), "wanted") }
        try client.disconnect(.disconnectWithWillMessage)
        #expect(try watcher.receive().text == "wanted")
    }

    @Test(
        """
        [MQTT-3.1.2-8] [v3 MQTT-3.1.2-8] the will is published when the server closes the \
        connection for a protocol error
        """, arguments: Host.all, versions)
    func willAfterProtocolError(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let client = try scene.connected("a", version) {
            $0.will = will(scene.topic(), "misbehaved")
        }
        client.send(bytes("F7 00"))
        #expect(try watcher.receive().text == "misbehaved")
    }

    @Test(
        "[MQTT-3.1.2-8] [v3 MQTT-3.1.2-8] the will is published when the session is taken over",
        arguments: Host.all, versions)
    func willAfterTakeover(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let first = try scene.connected("a", version) { $0.will = will(scene.topic(), "first") }
        let second = try scene.connected("a", version)
        try first.expectRefusal(.sessionTakenOver)
        #expect(try watcher.receive().text == "first")
        try second.disconnect()
        try watcher.expectNothing()
    }

    // MARK: Delay

    @Test(
        "[MQTT-3.1.2-8] a will waits for its delay", arguments: Host.punctual)
    func willWaits(host: Host) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let (client, _) = try scene.kept { $0.will = will(scene.topic(), "later", delay: 1) }
        client.cut()
        #expect(watcher.isSilent(for: .milliseconds(700)))
        #expect(try watcher.receive().text == "later")
    }

    @Test(
        "[MQTT-3.1.2-8] a will does not wait longer than its session lasts",
        arguments: Host.all)
    func willComesWithEndOfSession(host: Host) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let client = try scene.connected {
            $0.will = will(scene.topic(), "session ended", delay: 3_600)
        }
        client.cut()
        #expect(try watcher.receive().text == "session ended")
        let expiring = try scene.connected("b", expiry: 1) {
            $0.will = will(scene.topic(), "session expired", delay: 3_600)
        }
        expiring.cut()
        #expect(try watcher.receive().text == "session expired")
    }

    @Test(
        "[MQTT-3.1.3-9] a connection to the session within the delay cancels the will",
        arguments: Host.punctual)
    func resumeCancelsWill(host: Host) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let (first, _) = try scene.kept { $0.will = will(scene.topic(), "cancelled", delay: 1) }
        first.cut()
        let (second, present) = try scene.kept()
        #expect(present)
        #expect(watcher.isSilent(for: .milliseconds(1_700)))
        try second.disconnect()
        try watcher.expectNothing()
    }

    @Test(
        """
        [MQTT-3.1.3-10] the will is published with its properties, user properties in order
        """, arguments: Host.all)
    func willHasProperties(host: Host) throws {
        let scene = Scene(host)
        let watcher = try watcher(scene)
        let client = try scene.connected { packet in
            var message = will(scene.topic(), "text")
            message.messageExpiry = 1_000
            message.payloadFormat = 1
            message.forwardedProperties = bytes(
                """
                01 01 03 ('text/plain') 08 ('answers') 09 (00FF)
                26 ('b') ('1') 26 ('a') ('2') 26 ('b') ('3')
                """)
            packet.will = message
        }
        client.cut()
        let arrival = try watcher.receive()
        #expect(arrival.userProperties == ["b=1", "a=2", "b=3"])
        #expect(arrival.payloadFormat == 1)
        #expect(arrival.contentType == "text/plain")
        #expect(arrival.responseTopic == "answers")
        #expect(arrival.correlation == [0x00, 0xFF])
        #expect((arrival.expiry ?? 0) > 900)
    }
}
