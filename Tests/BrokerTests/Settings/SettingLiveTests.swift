import Base
import Broker
import MQTT
import Policy
import Simulation
import TestKit
import Testing

/// Settings that change what happens to clients that are connected, without a packet of theirs.
@Suite("Settings under live connections")
struct SettingLiveTests {
    @Test(
        """
        [setting MQTT3Enabled, MQTT4Enabled, MQTT5Enabled] [refusal D08] a version that is \
        turned off: who speaks it is sent away, and refused when it comes again
        """,
        arguments: [
            ("MQTT3Enabled", ProtocolVersion.v31, "closed", "0x84"),
            ("MQTT4Enabled", .v311, "closed", "0x84"),
            ("MQTT5Enabled", .v5, "DISCONNECT 0x98", "0x84"),
        ])
    func version(name: String, version: ProtocolVersion, end: String, code: String) throws {
        let rig = try SettingRig()
        let client = rig.connect("one", version)
        let others = [ProtocolVersion.v31, .v311, .v5].filter { $0 != version }.map {
            rig.connect("other-\($0)", $0, to: 1)
        }
        try rig.set([name: "false"])
        rig.settle { client.link == nil }
        #expect(rig.end(of: client) == end)
        #expect(others.allSatisfy { $0.isConnected })
        rig.connect(client)
        #expect(rig.outcome(ofConnect: client) == code)
        try rig.set([name: "true"])
        rig.connect(client)
        #expect(client.isConnected)
    }

    @Test("what CONNACK said holds as long as the connection")
    func announced() throws {
        let rig = try SettingRig()
        let client = rig.connect("one")
        client.acknowledges = false
        try rig.set([
            "MaxTopicAlias": "0", "ReceivingMaximum": "1", "MaxUserPayloadBytes": "200",
        ])
        let payload = String(repeating: "x", count: 1_000)
        #expect(rig.publish(client, "a", payload) == "0x10")
        client.sendRaw(Greeting.publish("a", [1], alias: 10))
        for packetID in 100..<150 as Range<UInt16> {
            client.sendRaw(Greeting.publish("a", [1], qos: .exactlyOnce, packetID: packetID))
        }
        rig.pass()
        #expect(client.isConnected)
        rig.connect(client)
        #expect(rig.publish(client, "a", payload + "y") == "DISCONNECT 0x95")
    }

    @Test(
        "[setting NoLWTWhenServerShuttingDown] [refusal Q13] wills when a worker drains",
        arguments: [true, false])
    func wills(isSilent: Bool) throws {
        let rig = try SettingRig()
        let reader = rig.connect("reader", to: 1)
        #expect(rig.subscribe(reader, "w") == "0x2")
        for number in 0..<3 {
            rig.connect("dying-\(number)", to: 0) {
                $0.will = WillMessage(
                    topic: Array("w".utf8), payload: [0x78], qos: .atLeastOnce, retain: false)
            }
        }
        if !isSilent { try rig.set(["NoLWTWhenServerShuttingDown": "false"]) }
        rig.rig.places[0].worker.drain()
        rig.pass(200)
        #expect(reader.payloads == (isSilent ? [] : ["x", "x", "x"]))
        #expect(rig.drops(.willSuppressed) == (isSilent ? 3 : 0))
    }

    @Test("[setting DebugModeEnabled] events of every single message")
    func debugMode() throws {
        let rig = try SettingRig()
        let client = rig.connect("one")
        func ping() -> Int {
            client.sendRaw([0xC0, 0])
            rig.pass()
            return rig.records(.pingReq)
        }
        #expect(ping() == 0)
        try rig.set(["DebugModeEnabled": "true"])
        #expect(ping() == 1)
        try rig.set(["DebugModeEnabled": "false"])
        #expect(ping() == 1)
        #expect(rig.count(.pingReq) == 3)
    }

    @Test(
        "[setting ByPassPermCheckError] [refusal P02, S04] a check that fails to answer"
    )
    func failingCheck() throws {
        let authoriser = ScriptedAuthoriser { action in
            if case .publish("x", _, _) = action { return .now(ScriptedAuthoriser.failed) }
            if case .subscribe("x", _) = action { return .now(ScriptedAuthoriser.failed) }
            return .now(ScriptedAuthoriser.free)
        }
        let rig = try SettingRig { $0.authoriser = authoriser }
        let client = rig.connect("one")
        #expect(rig.publish(client, "x") == "0x83")
        #expect(rig.subscribe(client, "x") == "0x83")
        try rig.set(["ByPassPermCheckError": "true"])
        #expect(rig.publish(client, "x") == "0x10")
        #expect(rig.subscribe(client, "x") == "0x2")
    }

    @Test("[setting RetainMessageMatchLimit] as many retained messages per filter")
    func matchLimit() throws {
        let rig = try SettingRig()
        let client = rig.connect("one")
        for topic in ["r/1", "r/2", "r/3"] {
            _ = rig.publish(client, topic, retain: true)
        }
        for (limit, count) in [("unlimited", 3), ("2", 2), ("0", 0)] {
            try rig.set(["RetainMessageMatchLimit": limit])
            let before = client.received.count
            #expect(rig.subscribe(client, "r/#") == "0x2")
            rig.pass()
            #expect(client.received.count - before == count)
        }
    }

    @Test(
        "[setting MaxResendTimes, ResendTimeoutSeconds] accepted, warned about, without effect"
    )
    func resend() throws {
        var overrides = TenantOverrides()
        try overrides.set("MaxResendTimes", to: "5")
        try overrides.set("ResendTimeoutSeconds", to: "1")
        #expect(overrides.check().errors.isEmpty)
        #expect(overrides.check().warnings.count == 2)
        let rig = try SettingRig()
        let reader = rig.connect("reader")
        reader.acknowledges = false
        #expect(rig.subscribe(reader, "a") == "0x2")
        try rig.set(["MaxResendTimes": "5", "ResendTimeoutSeconds": "1"])
        #expect(rig.publish(reader, "a", "once") == "0x0")
        for _ in 0..<5 {
            rig.rig.skip(.seconds(2))
            rig.pass()
        }
        #expect(reader.payloads == ["once"])
    }

    @Test("a configuration that is read again changes live connections")
    func reload() throws {
        var configuration = Configuration()
        let access = try AccessControl(configuration, wallTime: { .zero }) {
            [UInt8](repeating: 1, count: $0)
        }
        defer { access.stop() }
        let rig = try SettingRig { $0.tenants = access.tenants }
        let client = rig.connect("one")
        #expect(rig.publish(client, "a/b/c") == "0x10")
        try configuration.tenancy.defaults.set("MaxTopicLevels", to: "2")
        try access.reload(configuration)
        rig.pass(3)
        #expect(rig.publish(client, "a/b/c") == "0x90")
        // A tenant's own setting stands above the default.
        var own = TenantOverrides()
        try own.set("MaxTopicLevels", to: "4")
        configuration.tenancy.tenants = [.standard: own]
        try access.reload(configuration)
        rig.pass(3)
        #expect(rig.publish(client, "a/b/c") == "0x10")
    }
}
