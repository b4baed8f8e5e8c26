import Base
import Broker
import MQTT
import Policy
import TestKit
import Testing

/// Files of users, rules and bans that change, or are broken, while clients are connected.
@Suite("Files about access", .serialized)
struct AccessFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory("access") }

    private func control(
        _ change: (inout Configuration) throws -> Void
    ) throws -> (AccessControl, Configuration) {
        var configuration = Configuration()
        try change(&configuration)
        let noon = WallTime(utc: "2026-06-01T12:00:00Z") ?? .zero
        let control = try AccessControl(configuration, wallTime: { noon }) {
            [UInt8](repeating: 1, count: $0)
        }
        return (control, configuration)
    }

    private func node(_ control: AccessControl) throws -> ServingNode {
        try ServingNode {
            $0.authenticator = control
            $0.authoriser = control
        }
    }

    private func named(_ user: String) -> (inout ConnectPacket) -> Void {
        { $0.username = Array(user.utf8) }
    }

    @Test("[refusal C13, D07] clients, users and networks are banned, and let in again")
    func bans() throws {
        let (control, configuration) = try control {
            $0.authentication.banFile = try directory.write(
                """
                # some stay out
                client  evil
                client  "left early"  until=2026-06-01T11:59:59Z
                user    mallory       until=2026-06-02
                user    mallet        tenant=acme
                network 192.0.2.0/24
                """, to: "bans")
        }
        defer { control.stop() }
        let node = try node(control)
        #expect(node.open(.v5, "evil").connack == .connack(0x8A))
        #expect(node.open(.v311, "evil").connack == .connack(0x05))
        #expect(node.open(.v5, "left early").connack == .connack(0))
        #expect(node.open(.v5, "x", change: named("mallory")).connack == .connack(0x8A))
        #expect(node.open(.v5, "y", change: named("acme/mallet")).connack == .connack(0x8A))
        let (mallet, connack) = node.open(.v5, "z", change: named("mallet"))
        #expect(connack == .connack(0))
        let (older, _) = node.open(.v311, "older", change: named("mallet"))
        // Now banned here too, while it is connected.
        try directory.write("user mallet\naddress 192.0.2.1", to: "bans")
        try control.reload(configuration)
        node.handle.wake()
        mallet.mustHear(.disconnect(0x87), .closed)
        older.mustHear(.closed, version: .v311)
        #expect(node.open(.v5, "evil").connack == .connack(0))
        node.checkThatOthersAreServed()
        try directory.write("network 127.0.0.0/8", to: "bans")
        try control.reload(configuration)
        #expect(node.open(.v5, "local").connack == .connack(0x8A))
    }

    @Test("[attack 16] permission withdrawn: live, retained and queued messages")
    func withdrawn() throws {
        let (control, configuration) = try control {
            $0.authorisation.file = try directory.write("default allow", to: "acl")
        }
        defer { control.stop() }
        let node = try node(control)
        let (owner, _) = node.open(.v5, "owner", change: named("owner"))
        let stored: (inout ConnectPacket) -> Void = {
            $0.username = Array("spy".utf8)
            $0.cleanStart = false
            $0.properties.sessionExpiryInterval = 600
        }
        let (away, _) = node.open(.v5, "away", change: stored)
        away.send(Greeting.subscribe("secret/#", qos: .atLeastOnce))
        away.mustHear(.suback([1]))
        away.send([0xE0, 0])
        away.mustHear(.closed)
        let (spy, _) = node.open(.v5, "spy", change: named("spy"))
        // The answer to PINGREQ comes when everything retained has been looked for.
        spy.send(Greeting.subscribe("#", qos: .atLeastOnce) + [0xC0, 0])
        spy.mustHear(.suback([1]), .pingresp)
        owner.send(Greeting.publish("secret/kept", [1], qos: .atLeastOnce, retain: true))
        owner.mustHear(.puback(0))
        #expect(spy.next()?.last == 1)
        try directory.write("deny publish,subscribe secret/# user=spy\ndefault allow", to: "acl")
        try control.reload(configuration)
        node.turn()
        owner.send(Greeting.publish("secret/new", [2], qos: .atLeastOnce))
        owner.mustHear(.puback(0))
        owner.send(Greeting.publish("open", [3], qos: .atLeastOnce))
        owner.mustHear(.puback(0))
        #expect(spy.next()?.last == 3)
        // A new wildcard subscription replays nothing of it, an old queue delivers nothing of it.
        let (late, _) = node.open(.v5, "late", change: named("spy"))
        late.send(Greeting.subscribe("#", qos: .atLeastOnce, packetID: 9))
        late.mustHear(.suback([1]))
        let (back, connack) = node.open(.v5, "away", change: stored)
        #expect(connack == .connack(0))
        for client in [late, back] {
            client.send([0xC0, 0])
            #expect(client.next() == [0xD0, 0])
        }
        node.checkThatOthersAreServed()
    }

    /// Wrong contents of files, by name.
    private static let broken: [(name: String, text: String)] = [
        ("users", ""), ("users", "alice"), ("acl", ""), ("acl", "allow"), ("acl", "\u{0}"),
        ("bans", "client"), ("bans", "planet mars"), ("bans", "address 300.1.1.1"),
        ("bans", "user a until=tomorrow"), ("bans", "client \"a"),
    ]

    @Test("[attack 17] empty and broken files: an error at start, without effect at a reload")
    func brokenFiles() throws {
        let hash = "$7$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA=="
        let (control, configuration) = try control {
            $0.authorisation.file = try directory.write(
                "deny publish closed\ndefault allow", to: "acl")
            $0.authentication.order = [.anonymous, .password]
            $0.authentication.passwordFile = try directory.write("alice:\(hash)", to: "users")
            $0.authentication.banFile = try directory.write("client evil", to: "bans")
        }
        defer { control.stop() }
        let node = try node(control)
        let (client, _) = node.open(.v5, "client")
        for (name, text) in Self.broken {
            let good = try FileBytes.read(directory.file(name))
            try directory.write(text, to: name)
            #expect(throws: PolicyFileError.self, "\(name): \(text)") {
                try control.reload(configuration)
            }
            #expect(throws: PolicyFileError.self, "\(name): \(text)") {
                try AccessControl(configuration, wallTime: { .zero }) {
                    [UInt8](repeating: 1, count: $0)
                }
            }
            try FileBytes.replace(directory.file(name), with: good)
        }
        client.send(Greeting.publish("closed", qos: .atLeastOnce))
        client.mustHear(.puback(0x87))
        client.send(Greeting.publish("open", qos: .atLeastOnce))
        client.mustHear(.puback(0x10))
        #expect(node.open(.v5, "evil").connack == .connack(0x8A))
        node.checkThatOthersAreServed()
    }

    @Test("[attack 18] a reload without a free descriptor changes nothing, and the next one works")
    func reloadWithoutDescriptors() async {
        await #expect(processExitsWith: .success) {
            let directory = try TemporaryDirectory("reload")
            var configuration = Configuration()
            configuration.authorisation.file = try directory.write(
                "deny publish closed\ndefault allow", to: "acl")
            let control = try AccessControl(configuration, wallTime: { .zero }) {
                [UInt8](repeating: 1, count: $0)
            }
            let node = try ServingNode {
                $0.authenticator = control
                $0.authoriser = control
            }
            let (client, _) = node.open(.v5, "client")
            try directory.write("default allow", to: "acl")
            let taken = Descriptors.takeAll()
            #expect(throws: PolicyFileError.self) { try control.reload(configuration) }
            client.send(Greeting.publish("closed", qos: .atLeastOnce))
            client.mustHear(.puback(0x87))
            node.checkThatOthersAreServed()
            Descriptors.giveBack(taken)
            try control.reload(configuration)
            node.turn()
            client.send(Greeting.publish("closed", qos: .atLeastOnce))
            client.mustHear(.puback(0x10))
        }
    }

    @Test("[attack 27] every number about retained messages at 0 is a meaning or an error")
    func retainedKnobs() throws {
        let names = [
            "TotalRetainTopics", "TotalRetainMessageSpaceBytes", "TotalRetainedMessagesPerSeconds",
            "TotalRetainedBytesPerSecond", "TotalRetainMatchPerSeconds",
            "TotalRetainMatchBytesPerSecond", "RetainMessageMatchLimit",
        ]
        var settings: [String: String] = [:]
        for name in names {
            var overrides = TenantOverrides()
            do {
                try overrides.set(name, to: "0")
                settings[name] = "0"
            } catch {
                #expect("\(error)".contains(name))
            }
        }
        #expect(settings.count >= 5)
        let node = try ServingNode(settings)
        let (client, _) = node.open()
        client.send(Greeting.publish("kept", [1], qos: .atLeastOnce, retain: true))
        client.mustHear(.puback(0x10))
        client.send(Greeting.subscribe("#", qos: .atLeastOnce))
        client.mustHear(.suback([1]))
        if settings["RetainMessageMatchLimit"] == nil { #expect(client.next()?.last == 1) }
        node.checkThatOthersAreServed()
    }
}
