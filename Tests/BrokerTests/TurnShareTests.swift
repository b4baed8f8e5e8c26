import Base
import Broker
import MQTT
import Policy
import Simulation
import Synchronization
import Testing

/// How much of a loop's turn one client, and one tenant, may have.
@Suite("Parts of a turn")
struct TurnShareTests {
    @Test("whoever sends much is read on in the next turn, and a neighbour is heard in between")
    func yields() throws {
        let rig = try SettingRig(workers: 1) { $0.fanOut.turnDeliveries = 8 }
        let readers = (0..<4).map { rig.connect("reader-\($0)") }
        for reader in readers { #expect(rig.subscribe(reader, "a") == "0x2") }
        let publisher = rig.connect("publisher")
        let neighbour = rig.connect("neighbour")
        for client in [publisher, neighbour] {
            #expect(rig.publish(client, client === publisher ? "a" : "b", "first") != "no answer")
        }
        let worker = rig.rig.places[0].worker
        var before = worker.metrics.publishesOut
        for number in 0..<60 { publisher.publish("a", "\(number)") }
        neighbour.publish("b", "between", qos: .atLeastOnce)
        var most: UInt64 = 0
        var heardAfter: UInt64?
        let start = before
        rig.settle {
            most = max(most, worker.metrics.publishesOut - before)
            before = worker.metrics.publishesOut
            if heardAfter == nil, neighbour.sending.isEmpty { heardAfter = before - start }
            return readers.allSatisfy { $0.received.count == 61 }
        }
        // A message more than its part, at most.
        #expect(most > 0 && most <= 8 + 4)
        #expect(heardAfter.map { $0 < 120 } == true)
        #expect(worker.metrics.inputsYielded >= 10)
        for reader in readers {
            #expect(reader.payloads == ["first"] + (0..<60).map { "\($0)" })
        }
    }

    @Test("who is above its bandwidth is read some times a second, not for each packet")
    func heldInput() throws {
        let rig = try SettingRig()
        try rig.set(["InBoundBandWidth": "100000"])
        let publisher = rig.connect("publisher")
        // Uses up the burst; from here on a packet is worth a millisecond.
        publisher.publish("a", String(repeating: "x", count: 120_000), qos: .atLeastOnce)
        rig.settle { publisher.sending.isEmpty }
        for number in 0..<100 {
            publisher.publish(
                "a", "\(number) " + String(repeating: "y", count: 90), qos: .atLeastOnce)
        }
        let start = rig.rig.now
        var reads = 0
        var waiting = publisher.sending.count
        rig.settle(20_000) {
            // A millisecond each, also where nothing happens.
            rig.rig.skip(.zero)
            if publisher.sending.count < waiting { reads += 1 }
            waiting = publisher.sending.count
            return waiting == 0
        }
        let time = rig.rig.now - start
        #expect(waiting == 0)
        // Nothing is given away: the bytes take their time, in fewer parts than packets.
        #expect(time >= .milliseconds(95) && time < .seconds(1), "\(time)")
        #expect((2...25).contains(reads), "\(reads)")
    }

    /// Refuses one resource while it is told to.
    private final class OneRefusal: Throttler {
        let resource: ResourceType
        let isRefusing = Atomic(true)
        let asked = Atomic(0)

        init(_ resource: ResourceType) { self.resource = resource }

        func hasResource(_ resource: ResourceType, amount: Int, tenant: TenantName) -> Bool {
            guard resource == self.resource else { return true }
            asked.add(1, ordering: .relaxed)
            return !isRefusing.load(ordering: .relaxed)
        }
    }

    private func rig(_ throttler: OneRefusal) throws -> SettingRig {
        try SettingRig { $0.throttler = throttler }
    }

    @Test("a throttler refuses connections, and what it refused is not used")
    func refusedConnection() throws {
        let throttler = OneRefusal(.totalConnections)
        let rig = try rig(throttler)
        #expect(rig.outcome(ofConnect: rig.connect("first")) == "0x97")
        #expect(rig.used(.totalConnections) == 0)
        throttler.isRefusing.store(false, ordering: .relaxed)
        #expect(rig.outcome(ofConnect: rig.connect("second")) == "0x0")
        #expect(rig.used(.totalConnections) == 1)
        #expect(throttler.asked.load(ordering: .relaxed) == 2)
    }

    @Test("a throttler that refuses bytes holds publishers back until it relents")
    func refusedBytes() throws {
        let throttler = OneRefusal(.totalInboundBytesPerSecond)
        throttler.isRefusing.store(false, ordering: .relaxed)
        let rig = try rig(throttler)
        let publisher = rig.connect("publisher")
        #expect(rig.publish(publisher, "a", "passes") == "0x10")
        throttler.isRefusing.store(true, ordering: .relaxed)
        publisher.publish("a", "the last that was read", qos: .atLeastOnce)
        publisher.publish("a", "held", qos: .atLeastOnce)
        rig.pass(50)
        #expect(publisher.acknowledged["held"] == nil)
        throttler.isRefusing.store(false, ordering: .relaxed)
        rig.rig.skip(.milliseconds(200))
        rig.pass(20)
        #expect(publisher.acknowledged["held"] == .noMatchingSubscribers)
    }
}
