import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// Refusals where ranges do not answer: every proposal and question of the rig's hosts is lost,
/// refused or late from some moment on.
@Suite("Refusals without an answer of a range")
struct OutOfReachTests {
    private func stored(_ packet: inout ConnectPacket) {
        packet.cleanStart = false
        packet.properties.sessionExpiryInterval = 600
    }

    @Test("[refusal C24] nobody says whose the client id is")
    func claim() throws {
        let rig = try RefusalRig { $0.hostFaultPercent = 100 }.rig
        for (version, code) in [(ProtocolVersion.v5, 0x88), (.v311, 3)]
            as [(ProtocolVersion, UInt8)]
        {
            let wire = try #require(RigWire(rig, version))
            wire.send(Greeting.connect(version, "client"))
            wire.hears(.connack(code), .closed)
        }
    }

    @Test("[refusal P14] nobody says who receives a topic")
    func match() throws {
        let node = try RefusalRig()
        let newer = try node.open("newer")
        let older = try node.open("older", .v311)
        node.rig.setHostFaults(percent: 100)
        newer.send(Greeting.publish("x/1"))
        newer.send(Greeting.publish("x/2", qos: .atLeastOnce, packetID: 7))
        older.send(Greeting.publish("x/3", qos: .atLeastOnce, version: .v311, packetID: 7))
        newer.hears(.puback(0x83))
        older.hears(.closed)
        #expect(node.drops(.storeError) == 3)
        newer.send([0xC0, 0])
        newer.hears(.pingresp)
    }

    @Test("[refusal S15] a subscription's range is out of reach", arguments: [0, 600 as UInt32])
    func subscribe(expiry: UInt32) throws {
        let node = try RefusalRig()
        let newer = try node.open("newer") { $0.properties.sessionExpiryInterval = expiry }
        let older = try node.open("older", .v311) { $0.cleanStart = expiry == 0 }
        node.rig.setHostFaults(percent: 100)
        newer.send(Greeting.subscribe("x"))
        older.send(Greeting.subscribe("x", version: .v311))
        newer.hears(.suback([0x83]))
        older.hears(.suback([0x80]))
    }

    @Test("[refusal U06] an unsubscription's range is out of reach")
    func unsubscribe() throws {
        let node = try RefusalRig()
        let newer = try node.subscriber("newer", change: stored)
        let older = try node.subscriber("older", .v311) { $0.cleanStart = false }
        node.rig.setHostFaults(percent: 100)
        newer.send(Greeting.packet(0xA2, [0, 1, 0] + Greeting.text("a")))
        older.send(Greeting.packet(0xA2, [0, 1] + Greeting.text("a")))
        newer.hears(.unsuback([0x83]))
        older.hears(.closed)
    }

    @Test(
        "[refusal D15] what a stored session acknowledged cannot be kept",
        arguments: [ProtocolVersion.v5, .v311])
    func acknowledgement(version: ProtocolVersion) throws {
        let node = try RefusalRig()
        let wire = try node.subscriber("stored", qos: .exactlyOnce, version) {
            $0.cleanStart = false
            if version == .v5 { $0.properties.sessionExpiryInterval = 600 }
        }
        let publisher = try node.open("publisher")
        publisher.send(Greeting.publish("a", [1], qos: .exactlyOnce))
        let delivery = try #require(wire.delivery())
        node.rig.setHostFaults(percent: 100)
        wire.send([0x50, 2] + delivery.packetID)
        if version == .v5 { wire.hears(.disconnect(0x89)) }
        wire.hears(.closed)
    }

    @Test(
        "[refusal D16] nobody says whether a message was stored: no acknowledgement",
        arguments: [ProtocolVersion.v5, .v311])
    func insert(version: ProtocolVersion) throws {
        let node = try RefusalRig()
        let receiver = try node.subscriber("receiver", change: stored)
        let publisher = try node.open("publisher", version)
        publisher.send(
            Greeting.publish("a", [1], qos: .atLeastOnce, version: version, packetID: 1))
        publisher.hears(.puback(0))
        #expect(receiver.delivery()?.payload == [1])
        node.rig.setHostFaults(percent: 100)
        publisher.send(
            Greeting.publish("a", [2], qos: .atLeastOnce, version: version, packetID: 2))
        if version == .v5 { publisher.hears(.disconnect(0x89)) }
        publisher.hears(.closed)
    }
}
