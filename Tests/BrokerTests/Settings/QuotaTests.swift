import Base
import Broker
import MQTT
import Policy
import Simulation
import TestKit
import Testing

/// Totals of a tenant: what is taken is given back, by whatever way it goes.
@Suite("Quotas of a tenant")
struct QuotaTests {
    private static let totals = ResourceType.allCases.filter { !$0.isRate }

    private func expectNothingUsed(
        _ rig: SettingRig, at location: SourceLocation = #_sourceLocation
    ) {
        rig.settle {
            Self.totals.allSatisfy { rig.used($0) == 0 }
                && rig.rig.places.allSatisfy { $0.worker.load.sessions == 0 }
        }
        for resource in Self.totals {
            let used = rig.used(resource)
            #expect(used == 0, "\(resource.name): \(used)", sourceLocation: location)
        }
    }

    /// Limits that are never reached: reservations are made, and given back.
    private static let limits = [
        "TotalConnections": "1000", "TotalSessionMemoryBytes": "1GiB",
        "TotalPersistentSessions": "1000", "TotalPersistentSessionSpaceBytes": "1GiB",
        "TotalTransientSubscriptions": "1000", "TotalPersistentSubscriptions": "1000",
        "TotalSharedSubscriptions": "1000", "TotalRetainTopics": "1000",
        "TotalRetainMessageSpaceBytes": "1GiB", "MaxSessionExpirySeconds": "40",
    ]

    @Test(
        "sessions that end by every way, and the range hosts that lose and split, leave nothing",
        arguments: Seed.series(3))
    func nothingLeaks(seed: Seed) throws {
        let rig = try SettingRig(Self.limits, seed: seed.value) {
            $0.hostFaultPercent = seed.value % 2 == 0 ? 5 : 0
            $0.splitsMax = 4
            $0.lateMailPercent = 10
        }
        var clients: [RigClient] = []
        for number in 0..<12 {
            let version: ProtocolVersion = number % 3 == 0 ? .v311 : .v5
            let client = rig.connect(
                "client-\(number)", version, to: number % 3, expiry: number % 2 == 0 ? 30 : 0
            ) {
                $0.properties.receiveMaximum = 1
                $0.will = WillMessage(
                    topic: Array("will/\(number)".utf8), payload: [1], qos: .atLeastOnce,
                    retain: number % 4 == 0)
            }
            client.acknowledges = number % 4 != 1
            clients.append(client)
            // Subscribed, again, shared, and some of it taken back.
            _ = client.subscribe(["a/#", "$share/g/a/+", "b"])
            _ = client.subscribe(["a/#", "b"])
            if number % 3 == 1 { _ = client.unsubscribe(["b", "$share/g/a/+"]) }
        }
        rig.pass(200)
        for (number, client) in clients.enumerated() {
            client.publish("a/\(number)", "x", qos: .atLeastOnce, retain: true)
            client.publish("b", "y", qos: .exactlyOnce)
            client.publish("a/\(number)", "z", qos: .atMostOnce, retain: true)
        }
        rig.pass(300)
        #expect(rig.used(.totalPersistentSubscriptions) > 0)
        #expect(rig.used(.totalRetainTopics) > 0 && rig.used(.totalRetainMessageSpaceBytes) > 0)
        // Taken over while it is live, and while it connects.
        for number in [0, 1] {
            let again = rig.connect("client-\(number)", to: 2, expiry: number == 0 ? 30 : 0)
            clients.append(again)
        }
        for (number, client) in clients.enumerated() {
            switch number % 4 {
            case 0: client.leave()
            case 1: client.cut()
            case 2: client.sendRaw([0, 0])
            default: client.leave(.disconnectWithWillMessage)
            }
        }
        rig.settle { clients.allSatisfy { $0.link == nil } }
        // Stored sessions expire; what is retained is cleared.
        rig.rig.skip(.seconds(60))
        rig.pass(300)
        let cleaner = rig.connect("cleaner")
        for number in 0..<12 {
            _ = rig.publish(cleaner, "a/\(number)", "", retain: true)
            _ = rig.publish(cleaner, "will/\(number)", "", retain: true)
        }
        rig.end(cleaner)
        expectNothingUsed(rig)
    }

    @Test("CONNECTs that are refused, and subscriptions that are, take nothing")
    func refusedTakeNothing() throws {
        let rig = try SettingRig()
        let client = rig.connect("one", expiry: 30)
        let plain = rig.connect("two")
        try rig.set([
            "TotalConnections": "2", "TotalPersistentSessions": "1",
            "TotalTransientSubscriptions": "1", "TotalPersistentSubscriptions": "1",
            "TotalSharedSubscriptions": "1", "TotalRetainTopics": "1",
        ])
        for number in 0..<5 {
            _ = rig.connect(expiry: UInt32(number % 2) * 10)
            _ = rig.subscribe(plain, "a/\(number)", "$share/g/\(number)")
            _ = rig.subscribe(client, "a/\(number)", "$share/g/\(number)")
            _ = rig.publish(client, "r/\(number)", retain: true)
        }
        #expect(rig.used(.totalConnections) == 2)
        #expect(rig.used(.totalPersistentSessions) == 1)
        #expect(rig.used(.totalTransientSubscriptions) == 1)
        #expect(rig.used(.totalPersistentSubscriptions) == 1)
        #expect(rig.used(.totalSharedSubscriptions) == 0)
        #expect(rig.used(.totalRetainTopics) == 1)
        // Replacing is no new one, and what is given back can be had again.
        #expect(rig.subscribe(plain, "a/0") == "0x2")
        #expect(rig.subscribe(client, "a/0") == "0x2")
        #expect(rig.publish(client, "r/0", retain: true) == "0x10")
        #expect(rig.unsubscribe(client, "a/0") == "0x0")
        #expect(rig.subscribe(client, "$share/g/1") == "0x2")
        _ = rig.publish(client, "r/0", "", retain: true)
        #expect(rig.publish(client, "r/1", retain: true) == "0x10")
        // The stored session is there: it may be taken up, also by a clean start.
        rig.end(plain)
        rig.connect(client, to: 1, expiry: 30)
        #expect(client.connack?.sessionPresent == true)
        #expect(rig.used(.totalPersistentSessions) == 1)
    }

    @Test("a burst of commands cannot pass a limit together")
    func bursts() throws {
        let rig = try SettingRig([
            "TotalRetainTopics": "3", "TotalPersistentSubscriptions": "3",
        ])
        let client = rig.connect("one", expiry: 30)
        for number in 0..<10 {
            client.publish("r/\(number)", "\(number)", qos: .atLeastOnce, retain: true)
        }
        let packet = client.subscribe((0..<10).map { "f/\($0)" })
        rig.settle { client.sending.isEmpty && client.answers[packet] != nil }
        #expect(client.acknowledged.values.count { !$0.isFailure } == 3)
        #expect(client.answers[packet]?.count { !$0.isFailure } == 3)
        #expect(rig.used(.totalRetainTopics) == 3)
        #expect(rig.used(.totalPersistentSubscriptions) == 3)
    }

    @Test("[refusal P17] QoS 0 beyond the quota is delivered and not retained")
    func deliveredNotRetained() throws {
        let rig = try SettingRig()
        let reader = rig.connect("reader", to: 1)
        #expect(rig.subscribe(reader, "r/#") == "0x2")
        try rig.set(["TotalRetainTopics": "1"])
        for topic in ["r/1", "r/2"] {
            #expect(rig.publish(reader, topic, topic, qos: .atMostOnce, retain: true) == "sent")
        }
        #expect(Set(reader.payloads) == ["r/1", "r/2"])
        #expect(rig.used(.totalRetainTopics) == 1)
        #expect(rig.drops(.retainRefused) == 1)
        #expect(rig.records(.outOfTenantResource) == 1)
    }
}
