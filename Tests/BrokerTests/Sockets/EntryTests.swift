import Base
import Broker
import MQTT
import Policy
import TestKit
import Testing

/// Who is let in: authenticators and client ids, over real sockets.
@Suite("Entry", .serialized)
struct EntryTests {
    private func gate() throws -> ServingNode {
        try ServingNode { $0.authenticator = GateAuthenticator() }
    }

    private func named(_ user: String) -> (inout ConnectPacket) -> Void {
        { $0.username = Array(user.utf8) }
    }

    private func stepping(_ word: String) -> (inout ConnectPacket) -> Void {
        {
            $0.properties.authenticationMethod = Array(GateAuthenticator.method.utf8)
            $0.properties.authenticationData = Array(word.utf8)
        }
    }

    private func auth(
        _ code: UInt8, _ word: String, method: String = GateAuthenticator.method
    ) -> [UInt8] {
        let properties = [0x15] + Greeting.text(method) + [0x16] + Greeting.text(word)
        return Greeting.packet(0xF0, [code] + Greeting.measured(properties))
    }

    @Test("[refusal C11] a wrong password; [refusal C14] an authenticator that fails")
    func refusals() throws {
        let node = try gate()
        let rows: [(String, UInt8, UInt8)] = [("wrong", 0x86, 4), ("broken", 0x88, 3)]
        for (user, newer, older) in rows {
            let first = node.open(.v5, "client", change: named(user))
            #expect(first.connack == .connack(newer))
            first.client.mustHear(.closed)
            let second = node.open(.v311, "client", change: named(user))
            #expect(second.connack == .connack(older))
            second.client.mustHear(.closed, version: .v311)
        }
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[refusal C14] an authenticator that does not answer in time")
    func silentAuthenticator() throws {
        let node = try ServingNode {
            $0.authenticator = GateAuthenticator()
            $0.listeners[0].connectTimeout = .milliseconds(300)
        }
        #expect(node.open(.v5, "a", change: named("silent")).connack == .connack(0x88))
        #expect(node.open(.v311, "b", change: named("silent")).connack == .connack(0x03))
        // A client that owes us a step is not answered.
        let (slow, challenge) = node.open(.v5, "c", change: stepping("go on"))
        #expect(challenge == .auth(0x18))
        slow.mustHear(.closed)
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[refusal C16, C17] an enhanced authentication that fails, and one that is disturbed")
    func enhanced() throws {
        let node = try gate()
        let (refused, answer) = node.open(.v5, "client", change: stepping("no"))
        #expect(answer == .connack(0x87))
        refused.mustHear(.closed)
        let (late, challenge) = node.open(.v5, "client", change: stepping("go on"))
        #expect(challenge == .auth(0x18))
        late.send(auth(0x18, "no"))
        late.mustHear(.connack(0x87), .closed)
        for packet in [[0xC0, 0], Greeting.publish("a"), Greeting.subscribe("a")] {
            let (client, _) = node.open(.v5, "client", change: stepping("go on"))
            client.send(packet)
            client.mustHear(.connack(0x82), .closed)
        }
        let (client, _) = node.open(.v5, "client", change: stepping("go on"))
        client.send(auth(0x18, "yes"))
        client.mustHear(.connack(0))
        node.checkThatOthersAreServed()
    }

    @Test("[refusal D18] [attack 36] AUTH again with another method, another user, a wrong word")
    func reauthentication() throws {
        let node = try gate()
        let rows: [([UInt8], UInt8)] = [
            (auth(0x19, "x", method: "other"), 0x82), (auth(0x19, "be somebody else"), 0x87),
            (auth(0x19, "no"), 0x87), (auth(0x19, "wrong"), 0x87), (auth(0x18, "yes"), 0x82),
        ]
        for (packet, code) in rows {
            let (client, connack) = node.open(.v5, "client", change: stepping("yes"))
            #expect(connack == .connack(0))
            client.send(auth(0x19, "yes"))
            client.mustHear(.auth(0))
            client.send(packet)
            client.mustHear(.disconnect(code), .closed)
        }
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[refusal C10] a client id that belongs to another user")
    func boundClientID() throws {
        let node = try ServingNode()
        func open(_ version: ProtocolVersion, _ user: String) -> HostileRow.Answer? {
            node.open(version, "device") {
                $0.username = Array(user.utf8)
                $0.cleanStart = false
                if version == .v5 { $0.properties.sessionExpiryInterval = 600 }
            }.connack
        }
        #expect(open(.v5, "alice") == .connack(0))
        #expect(open(.v5, "mallory") == .connack(0x85))
        #expect(open(.v311, "mallory") == .connack(0x02))
    }
}
