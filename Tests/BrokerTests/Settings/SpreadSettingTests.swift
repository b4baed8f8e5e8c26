import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// How far one message spreads, and how many bytes a second.
@Suite("Settings of fan-out and bandwidth")
struct SpreadSettingTests {
    private func text(_ count: Int) -> String { String(repeating: "x", count: count) }

    // MARK: Fan-out

    @Test("[setting MaxGroupFanout] [refusal Q09] as many shared groups get a message")
    func groupFanout() throws {
        let rig = try SettingRig()
        let members = (0..<3).map { rig.connect("member-\($0)", to: $0) }
        for (number, member) in members.enumerated() {
            #expect(rig.subscribe(member, "$share/g\(number)/a") == "0x2")
        }
        let publisher = rig.connect("publisher")
        #expect(rig.publish(publisher, "a") == "0x0")
        rig.pass()
        #expect(members.map(\.received.count) == [1, 1, 1])
        try rig.set(["MaxGroupFanout": "2"])
        #expect(rig.publish(publisher, "a") == "0x0")
        rig.pass()
        #expect(members.map(\.received.count).reduce(0, +) == 5)
        #expect(rig.drops(.fanoutLimit) == 1)
        #expect(rig.records(.groupFanoutThrottled) == 1)
    }

    @Test(
        "[setting MaxPersistentFanout, MaxPersistentFanoutBytes] [refusal Q09] stored receivers",
        arguments: [("MaxPersistentFanout", "2"), ("MaxPersistentFanoutBytes", "300")])
    func storedFanout(name: String, value: String) throws {
        let rig = try SettingRig()
        let readers = (0..<3).map { rig.connect("reader-\($0)", to: $0, expiry: 100) }
        for reader in readers { #expect(rig.subscribe(reader, "a") == "0x2") }
        let transient = rig.connect("transient")
        #expect(rig.subscribe(transient, "a") == "0x2")
        let publisher = rig.connect("publisher")
        #expect(rig.publish(publisher, "a", text(110)) == "0x0")
        rig.pass()
        #expect(readers.map(\.received.count) == [1, 1, 1])
        try rig.set([name: value])
        #expect(rig.publish(publisher, "a", text(111)) == "0x0")
        rig.pass()
        #expect(readers.map(\.received.count).reduce(0, +) == 5)
        #expect(transient.received.count == 2)
        #expect(rig.drops(.fanoutLimit) == 1)
        let isBytes = name == "MaxPersistentFanoutBytes"
        #expect(rig.records(.persistentFanoutThrottled) == (isBytes ? 0 : 1))
        #expect(rig.records(.persistentFanoutBytesThrottled) == (isBytes ? 1 : 0))
    }

    @Test(
        """
        [setting TotalTransientFanOutBytesPerSeconds, TotalPersistentFanOutBytesPerSeconds] \
        [refusal Q14] bytes a second to all sessions of a kind
        """,
        arguments: [
            ("TotalTransientFanOutBytesPerSeconds", 0),
            ("TotalPersistentFanOutBytesPerSeconds", 100),
        ] as [(String, UInt32)])
    func fanoutBytes(name: String, expiry: UInt32) throws {
        let rig = try SettingRig()
        let readers = (0..<4).map { rig.connect("reader-\($0)", to: $0 % 3, expiry: expiry) }
        for reader in readers { #expect(rig.subscribe(reader, "a") == "0x2") }
        let publisher = rig.connect("publisher")
        #expect(rig.publish(publisher, "a", text(200)) == "0x0")
        rig.pass()
        #expect(readers.map(\.received.count) == [1, 1, 1, 1])
        try rig.set([name: "600"])
        #expect(rig.publish(publisher, "a", text(201)) == "0x0")
        rig.pass()
        let got = readers.map(\.received.count).reduce(0, +)
        #expect(got == 6)
        #expect(rig.drops(.resourceExhausted) == 2)
        #expect(rig.records(.outOfTenantResource) == 2)
        rig.rig.skip(.seconds(3))
        #expect(rig.publish(publisher, "a", text(20)) == "0x0")
        rig.pass()
        #expect(readers.map(\.received.count).reduce(0, +) == 10)
    }

    // MARK: Bandwidth

    /// Seconds until `condition` holds, in tenths.
    private func seconds(_ rig: SettingRig, until condition: () -> Bool) -> Double {
        let start = rig.rig.now
        while !condition(), rig.rig.now - start < .seconds(60) {
            rig.rig.skip(.milliseconds(100))
            rig.pass(2)
        }
        return Double((rig.rig.now - start).nanoseconds) / 1e9
    }

    @Test("[setting InBoundBandWidth] bytes a second that are read from a connection")
    func inbound() throws {
        let rig = try SettingRig()
        let publisher = rig.connect("publisher")
        func burst() -> Double {
            for _ in 0..<10 {
                publisher.publish("a", text(990) + "\(rig.next())", qos: .atLeastOnce)
            }
            return seconds(rig) { publisher.sending.isEmpty }
        }
        #expect(burst() < 0.5)
        try rig.set(["InBoundBandWidth": "2000"])
        let time = burst()
        #expect(time > 3 && time < 6, "\(time)")
        #expect(rig.end(of: publisher) == nil)
        // Switched off while it is held.
        publisher.publish("a", text(20_000), qos: .atLeastOnce)
        publisher.publish("a", "last", qos: .atLeastOnce)
        rig.pass()
        try rig.set(["InBoundBandWidth": "unlimited"])
        rig.pass()
        #expect(publisher.sending.isEmpty)
    }

    @Test(
        "[setting OutBoundBandWidth] bytes a second of messages to a connection",
        arguments: [
            0, 100,
        ] as [UInt32])
    func outbound(expiry: UInt32) throws {
        let rig = try SettingRig()
        let reader = rig.connect("reader", to: 1, expiry: expiry)
        #expect(rig.subscribe(reader, "a") == "0x2")
        let publisher = rig.connect("publisher")
        var sent: [String] = []
        func burst() -> Double {
            for number in 0..<10 {
                let payload = text(990) + "\(rig.next())"
                // QoS 0 waits as well; a stored session's is pushed or dropped.
                let qos: QoS = expiry == 0 && number % 2 == 0 ? .atMostOnce : .atLeastOnce
                publisher.publish("a", payload, qos: qos)
                sent.append(payload)
            }
            return seconds(rig) { reader.received.count >= sent.count }
        }
        #expect(burst() < 0.5)
        try rig.set(["OutBoundBandWidth": "2000"])
        let time = burst()
        #expect(time > 3 && time < 7, "\(time)")
        #expect(Set(reader.payloads) == Set(sent) && reader.payloads.count == sent.count)
        for qos in [QoS.atMostOnce, .atLeastOnce] {
            let got = reader.received.filter { $0.qos == qos }.map(\.payload)
            let known = Set(got)
            #expect(got == sent.filter { known.contains($0) })
        }
        publisher.publish("a", text(20_000), qos: .atLeastOnce)
        publisher.publish("a", "last", qos: .atLeastOnce)
        rig.pass()
        #expect(reader.payloads.last != "last")
        try rig.set(["OutBoundBandWidth": "unlimited"])
        rig.pass()
        #expect(reader.payloads.last == "last")
    }

    @Test(
        """
        [setting TotalInboundBytesPerSecond] [refusal D14] reading slows down for the tenant's \
        clients; who is held too long is sent away
        """,
        arguments: [ProtocolVersion.v5, .v311])
    func tenantInbound(version: ProtocolVersion) throws {
        let rig = try SettingRig()
        let clients = (0..<2).map { rig.connect("client-\($0)", version, to: $0) }
        let other = rig.connect("other", to: 2, user: "elsewhere/other")
        try rig.set(["TotalInboundBytesPerSecond": "2000"])
        for _ in 0..<4 {
            for client in clients {
                client.publish("a", text(990) + "\(rig.next())", qos: .atLeastOnce)
            }
        }
        let time = seconds(rig) { clients.allSatisfy { $0.sending.isEmpty } }
        #expect(time > 2 && time < 5, "\(time)")
        rig.rig.skip(.seconds(3))
        rig.pass()
        clients[0].publish("a", text(50_000), qos: .atLeastOnce)
        rig.pass()
        clients[1].publish("a", "held", qos: .atLeastOnce)
        rig.pass()
        clients[1].publish("a", "held longer", qos: .atLeastOnce)
        rig.rig.skip(.seconds(6))
        rig.pass()
        let end = version == .v5 ? "DISCONNECT 0x96" : "closed"
        #expect(rig.end(of: clients[0]) == end)
        #expect(rig.end(of: clients[1]) == end)
        #expect(rig.count(.resourceThrottled) == 2)
        #expect(rig.publish(other, "a", text(5_000)) == "0x10")
    }
}
