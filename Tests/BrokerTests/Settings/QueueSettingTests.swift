import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// Bounds and policies of queues, changed while clients that do not read are connected.
@Suite("Settings of queues and windows")
struct QueueSettingTests {
    /// A client that takes one message at a time and acknowledges none.
    private func slowReader(_ rig: SettingRig, expiry: UInt32 = 0) -> RigClient {
        let reader = rig.connect("slow", to: 1, expiry: expiry) {
            $0.properties.receiveMaximum = 1
        }
        reader.acknowledges = false
        #expect(rig.subscribe(reader, "q") == "0x2")
        return reader
    }

    private func publish(_ rig: SettingRig, _ payloads: ClosedRange<Int>, _ client: RigClient) {
        for payload in payloads { _ = rig.publish(client, "q", "\(payload)") }
        rig.pass()
    }

    /// Acknowledges what came and reads the rest, in a new connection if the session is stored.
    private func drain(_ rig: SettingRig, _ reader: RigClient, expiry: UInt32) -> [String] {
        reader.acknowledges = true
        if expiry > 0 {
            rig.end(reader)
            rig.connect(reader, to: 2, expiry: expiry)
        } else {
            let last = UInt16(reader.received.count)
            reader.sendRaw([0x40, 2, UInt8(last >> 8), UInt8(last & 255)])
        }
        rig.pass(60)
        var seen: Set<String> = []
        return reader.payloads.filter { seen.insert($0).inserted }
    }

    @Test(
        "[setting SessionInboxSize] [refusal Q01] as many messages wait as the tenant allows",
        arguments: [0, 100] as [UInt32])
    func inboxSize(expiry: UInt32) throws {
        let rig = try SettingRig(["SlowConsumerPolicy": "dropNewest"])
        let reader = slowReader(rig, expiry: expiry)
        let publisher = rig.connect("publisher")
        publish(rig, 1...3, publisher)
        #expect(rig.drops(.overflow) == 0)
        // The one on its way counts in a stored session's queue.
        try rig.set(["SessionInboxSize": expiry > 0 ? "4" : "3"])
        rig.pass(20)
        publish(rig, 4...6, publisher)
        #expect(rig.drops(.overflow) == 2)
        #expect(drain(rig, reader, expiry: expiry) == ["1", "2", "3", "4"])
    }

    @Test("[refusal Q10] a group whose members are away holds as much as a session may")
    func groupInbox() throws {
        let rig = try SettingRig(["SessionInboxSize": "3", "SlowConsumerPolicy": "dropNewest"])
        let member = rig.connect("member", to: 1, expiry: 100)
        #expect(rig.subscribe(member, "$share/g/q") == "0x2")
        rig.end(member)
        let publisher = rig.connect("publisher")
        publish(rig, 1...5, publisher)
        #expect(rig.drops(.groupUnavailable) == 2)
        #expect(rig.drops(.overflow) == 0)
        rig.connect(member, to: 2, expiry: 100)
        rig.pass(60)
        #expect(member.payloads == ["1", "2", "3"])
    }

    @Test("a page of a replay leaves out what came live since the first one")
    func pagedReplay() throws {
        let rig = try SettingRig(["SessionInboxSize": "20"])
        let publisher = rig.connect("publisher")
        for topic in 0..<30 {
            _ = publisher.publish("r/\(topic)", "old \(topic)", qos: .atLeastOnce, retain: true)
        }
        rig.pass(60)
        let reader = rig.connect("reader", to: 1, expiry: 100)
        reader.acknowledges = false
        _ = reader.subscribe(["r/+"], qos: .atLeastOnce)
        rig.pass(60)
        let first = Set(reader.payloads)
        #expect(!first.isEmpty && first.count < 30)
        for topic in 0..<30 {
            _ = publisher.publish("r/\(topic)", "new \(topic)", qos: .atMostOnce, retain: true)
        }
        rig.pass(60)
        reader.acknowledges = true
        for id in 1...UInt8(first.count) { reader.sendRaw([0x40, 2, 0, id]) }
        rig.pass(200)
        let new = reader.received.filter { $0.payload.hasPrefix("new") }
        #expect(new.count == 30 && new.allSatisfy { !$0.isRetained })
    }

    @Test(
        "[setting SessionQueueBytes] [refusal Q01] as many bytes wait as the tenant allows",
        arguments: [0, 100] as [UInt32])
    func queueBytes(expiry: UInt32) throws {
        let rig = try SettingRig()
        let reader = slowReader(rig, expiry: expiry)
        let publisher = rig.connect("publisher")
        publish(rig, 1...2, publisher)
        try rig.set(["SessionQueueBytes": "1024"])
        rig.pass(20)
        _ = rig.publish(publisher, "q", String(repeating: "x", count: 2_000))
        rig.pass()
        #expect(rig.drops(.overflow) == 1)
        publish(rig, 3...3, publisher)
        #expect(rig.drops(.overflow) == 1)
        #expect(drain(rig, reader, expiry: expiry) == ["1", "2", "3"])
    }

    @Test(
        "[setting SlowConsumerPolicy] [refusal Q01] a full queue drops the newest or the oldest",
        arguments: [0, 100] as [UInt32])
    func dropPolicy(expiry: UInt32) throws {
        let rig = try SettingRig(["SessionInboxSize": expiry > 0 ? "3" : "2"])
        let reader = slowReader(rig, expiry: expiry)
        let publisher = rig.connect("publisher")
        publish(rig, 1...4, publisher)
        try rig.set(["SlowConsumerPolicy": "dropOldest"])
        rig.pass(20)
        publish(rig, 5...5, publisher)
        #expect(rig.drops(.overflow) == 2)
        // 4 was the newest. The oldest is 2, or 1 where it is still in the queue.
        let rest = drain(rig, reader, expiry: expiry)
        #expect(rest == (expiry > 0 ? ["1", "2", "3", "5"] : ["1", "3", "5"]))
    }

    @Test("[setting SlowConsumerPolicy] [refusal D12] or ends the connection")
    func endPolicy() throws {
        let rig = try SettingRig(["SessionInboxSize": "1"])
        let reader = slowReader(rig)
        let publisher = rig.connect("publisher")
        publish(rig, 1...3, publisher)
        #expect(rig.end(of: reader) == nil)
        try rig.set(["SlowConsumerPolicy": "disconnect"])
        publish(rig, 4...4, publisher)
        #expect(rig.end(of: reader) == "DISCONNECT 0x97")
    }

    @Test("[setting QueueQoS0Offline] [refusal Q05] QoS 0 for a session that is offline")
    func offlineQoS0() throws {
        let rig = try SettingRig()
        let reader = rig.connect("reader", to: 1, expiry: 100)
        #expect(rig.subscribe(reader, "q") == "0x2")
        rig.end(reader)
        let publisher = rig.connect("publisher")
        #expect(rig.publish(publisher, "q", "lost", qos: .atMostOnce) == "sent")
        #expect(rig.drops(.offlineQoS0) == 1)
        try rig.set(["QueueQoS0Offline": "true"])
        #expect(rig.publish(publisher, "q", "kept", qos: .atMostOnce) == "sent")
        rig.connect(reader, to: 2, expiry: 100)
        rig.pass()
        #expect(reader.payloads == ["kept"])
        #expect(rig.drops(.offlineQoS0) == 1)
    }

    @Test("[setting QoS0DropOldest] a full queue of QoS 0 drops its newest or its oldest")
    func qos0Policy() throws {
        let rig = try SettingRig(["QueueQoS0Offline": "true", "SessionInboxSize": "2"])
        let reader = rig.connect("reader", to: 1, expiry: 100) {
            $0.properties.receiveMaximum = 1
        }
        reader.acknowledges = false
        #expect(rig.subscribe(reader, "q") == "0x2")
        let publisher = rig.connect("publisher")
        // Nothing is pushed behind the first, so that the queue fills while the client is there.
        publish(rig, 1...1, publisher)
        for payload in ["a", "b", "c"] {
            _ = rig.publish(publisher, "q", payload, qos: .atMostOnce)
        }
        #expect(rig.drops(.overflow) == 1)
        try rig.set(["QoS0DropOldest": "true"])
        rig.pass(20)
        _ = rig.publish(publisher, "q", "d", qos: .atMostOnce)
        #expect(rig.drops(.overflow) == 2)
        // QoS 0 has drained nothing of what was promised.
        publish(rig, 2...2, publisher)
        let rest = drain(rig, reader, expiry: 100)
        #expect(rest.filter { Int($0) == nil } == ["b", "d"])
        #expect(rest.filter { Int($0) != nil } == ["1", "2"])
    }

    @Test("[setting MaxSendWindow] as many unacknowledged messages as the tenant allows")
    func sendWindow() throws {
        let rig = try SettingRig(["MaxSendWindow": "8"])
        let reader = rig.connect("reader", to: 1)
        reader.acknowledges = false
        #expect(rig.subscribe(reader, "q") == "0x2")
        let publisher = rig.connect("publisher")
        publish(rig, 1...10, publisher)
        #expect(reader.received.count == 8)
        try rig.set(["MaxSendWindow": "9"])
        rig.pass()
        #expect(reader.received.count == 9)
        try rig.set(["MaxSendWindow": "65535"])
        rig.pass()
        #expect(reader.received.count == 10)
    }

    @Test("[setting MinSendPerSec] a client that reads slowly gets the tenant's least")
    func leastWindow() throws {
        let rig = try SettingRig(["MinSendPerSec": "1", "MaxUserPayloadBytes": "4MiB"])
        let reader = rig.connect("reader", to: 1)
        reader.acknowledges = false
        #expect(rig.subscribe(reader, "q") == "0x2")
        let publisher = rig.connect("publisher")
        let link = try #require(reader.link)
        let large = String(repeating: "x", count: 600_000)
        // It takes nothing from its socket: above the high watermark from the second on.
        for _ in 0..<6 {
            publisher.publish("q", large + "\(rig.next())", qos: .atLeastOnce)
        }
        func written() -> Int { rig.rig.places[1].port[link.key]?.output.count ?? 0 }
        func wait() {
            for _ in 0..<100 {
                rig.rig.step()
                publisher.receive()
            }
        }
        wait()
        #expect(written() / large.utf8.count == 2)
        var wanted = TenantOverrides()
        try wanted.set("MinSendPerSec", to: "4")
        try wanted.set("MaxUserPayloadBytes", to: "4MiB")
        let overrides = wanted
        try rig.tenants.update { table throws(SettingError) in
            try table.store(overrides, for: .standard)
        }
        wait()
        #expect(written() / large.utf8.count == 4)
    }
}
