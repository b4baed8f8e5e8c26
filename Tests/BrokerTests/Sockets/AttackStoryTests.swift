import Base
import MQTT
import Policy
import TestKit
import Testing

/// Attacks that take more than one packet or more than one connection.
@Suite("Bad behaviour over time", .serialized)
struct AttackStoryTests {
    private func connect(
        _ node: ServingNode, _ clientID: String, _ version: ProtocolVersion = .v5,
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> (client: WireClient, connack: HostileRow.Answer?) {
        let client = WireClient(port: node.port)
        client.send(Greeting.connect(version, clientID, change: change))
        return (client, HostileRow.answer(client, version))
    }

    private func next(_ client: WireClient) -> HostileRow.Answer? {
        HostileRow.answer(client, .v5)
    }

    @Test("[attack 02] many that announce a large CONNECT and fall silent hold nobody up")
    func halfConnects() throws {
        let node = try ServingNode()
        let silent = (0..<200).map { _ in WireClient(port: node.port) }
        for client in silent {
            client.send([0x10, 0x80, 0x80, 0x02] + Greeting.text("MQTT") + [5, 2, 0, 0])
        }
        node.checkThatOthersAreServed()
        for client in silent { client.close() }
        node.checkThatDescriptorsReturn()
        node.checkThatOthersAreServed()
    }

    @Test("[attack 05] refused CONNECTs with wills, hundreds of them, leave nothing open")
    func refusedWills() throws {
        let node = try ServingNode()
        for number in 0..<300 {
            let (client, connack) = connect(node, "will-\(number)") {
                $0.will = WillMessage(
                    topic: Array("$SYS/will".utf8), payload: [UInt8](repeating: 7, count: 20_000),
                    qos: .exactlyOnce, retain: true)
            }
            #expect(connack == .connack(0x90))
            #expect(next(client) == .closed)
        }
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 09] an alias ends with its connection")
    func aliasAfterReconnect() throws {
        let node = try ServingNode()
        let (first, _) = connect(node, "hostile")
        first.send(Greeting.publish("a/b", qos: .atLeastOnce, alias: 3))
        first.send(Greeting.publish("", qos: .atLeastOnce, packetID: 3, alias: 3))
        #expect(next(first) == .puback(0x10))
        #expect(next(first) == .puback(0x10))
        first.close()
        let (second, _) = connect(node, "hostile")
        second.send(Greeting.publish("", qos: .atLeastOnce, alias: 3))
        #expect(next(second) == .disconnect(0x82))
        #expect(next(second) == .closed)
        second.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 11] a client has so many filters and no more")
    func manyFilters() throws {
        let node = try ServingNode(["MaxTopicFiltersPerInbox": "20"])
        let (client, _) = connect(node, "hostile")
        for number in 0..<25 {
            let filter = (0..<15).map { $0 % 2 == 0 ? "+" : "\(number)" }.joined(separator: "/")
            client.send(Greeting.subscribe(filter + "/#", packetID: UInt16(number + 1)))
            #expect(next(client) == .suback([number < 20 ? 0 : 0x97]))
        }
        let topic = (0..<16).map { "\($0 % 25)" }.joined(separator: "/")
        client.send(Greeting.publish(topic, qos: .atLeastOnce))
        #expect(next(client) == .puback(0x10))
        node.checkThatOthersAreServed()
        client.close()
        node.checkThatDescriptorsReturn()
    }

    /// Rules under which `secret` is closed to all but one.
    private func guarded() throws -> ServingNode {
        let rules = """
            default allow
            allow publish,subscribe  secret/#  user=boss
            deny  publish,subscribe  secret/#
            """
        let table = try AccessFileDecoder.decode(Array(rules.utf8), path: "rules")
        return try ServingNode { $0.authoriser = FileAuthoriser(table) }
    }

    @Test("[attack 13] a share name does not open what the filter behind it may not see")
    func sharedSecret() throws {
        let node = try guarded()
        let (client, _) = connect(node, "hostile")
        for (number, filter) in ["$share/g/secret/#", "$oshare/g/secret/a", "secret/+"]
            .enumerated()
        {
            client.send(Greeting.subscribe(filter, packetID: UInt16(number + 1)))
            #expect(next(client) == .suback([0x87]), "\(filter)")
        }
        client.send(Greeting.subscribe("$share/g/open/#", packetID: 9))
        #expect(next(client) == .suback([0]))
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 15] a filter broader than the rules gets no message that they deny")
    func broadFilter() throws {
        let node = try guarded()
        let (spy, _) = connect(node, "spy")
        spy.send(Greeting.subscribe("#", qos: .atLeastOnce))
        #expect(next(spy) == .suback([1]))
        let (boss, connack) = connect(node, "boss") { $0.username = Array("boss".utf8) }
        #expect(connack == .connack(0))
        boss.send(Greeting.publish("secret/plan", [1], qos: .atLeastOnce))
        #expect(next(boss) == .puback(0))
        boss.send(Greeting.publish("open/plan", [2], qos: .atLeastOnce))
        #expect(next(boss) == .puback(0))
        let delivery = spy.next()
        #expect(delivery?[0] == 0x32)
        #expect(delivery?.dropFirst(4).starts(with: Array("open/plan".utf8)) == true)
        spy.close()
        boss.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 20] a client id belongs to its user, and to its tenant")
    func foreignClientID() throws {
        let node = try ServingNode()
        func session(_ user: String) -> (client: WireClient, connack: HostileRow.Answer?) {
            connect(node, "device") {
                $0.username = Array(user.utf8)
                $0.cleanStart = false
                $0.properties.sessionExpiryInterval = 600
            }
        }
        let owner = session("alice")
        #expect(owner.connack == .connack(0))
        let thief = session("mallory")
        #expect(thief.connack == .connack(0x85))
        #expect(next(thief.client) == .closed)
        let neighbour = session("acme/alice")
        #expect(neighbour.connack == .connack(0))
        owner.client.send([0xC0, 0])
        #expect(next(owner.client) == .pingresp)
        // Nor once the owner is away.
        owner.client.close()
        #expect(session("mallory").connack == .connack(0x85))
        neighbour.client.close()
        thief.client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 28] [refusal P17] distinct retained topics without end: some, then no more")
    func retainedTopics() throws {
        let node = try ServingNode(["TotalRetainTopics": "8"])
        let (client, _) = connect(node, "hostile")
        var taken = 0
        for number in 0..<100 {
            client.send(
                Greeting.publish("kept/\(number)", [1], qos: .atLeastOnce, retain: true))
            let answer = next(client)
            if answer != .puback(0x97) { taken += 1 }
            #expect([.puback(0x10), .puback(0x97)].contains(answer))
        }
        #expect(taken > 0 && taken <= 8)
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 32] correlation data of 60,000 bytes, again and again")
    func correlationData() throws {
        let node = try ServingNode()
        let (client, _) = connect(node, "hostile")
        let data = [9] + Greeting.text16([UInt8](repeating: 1, count: 60_000))
        for _ in 0..<50 {
            client.send(Greeting.publish("a", qos: .atLeastOnce, forwarded: data))
            #expect(next(client) == .puback(0x10))
        }
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 33] sessions that never expire: the server's bound counts, and their number")
    func eternalSessions() throws {
        let node = try ServingNode([
            "TotalPersistentSessions": "3", "MaxSessionExpirySeconds": "1000",
        ])
        var refused = 0
        for number in 0..<12 {
            let client = WireClient(port: node.port)
            client.send(
                Greeting.connect(.v5, "eternal-\(number)") {
                    $0.properties.sessionExpiryInterval = .max
                })
            let connack = client.next() ?? []
            if connack.dropFirst(3).first == 0x97 {
                refused += 1
            } else {
                // Session expiry interval, as the server sees it.
                #expect(connack.dropFirst(5).starts(with: [0x11, 0, 0, 0x03, 0xE8]))
            }
            client.close()
        }
        // The count is kept per range, of which there are four.
        #expect(refused > 0, "all twelve were taken")
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 34] wills as large as they may be, to be published in a hundred years")
    func largeWills() throws {
        let node = try ServingNode(["MaxLastWillBytes": "30000"])
        func will(_ size: Int) -> WillMessage {
            var will = WillMessage(
                topic: Array("late".utf8), payload: [UInt8](repeating: 1, count: size),
                qos: .atLeastOnce, retain: false)
            will.delayInterval = .max
            return will
        }
        for number in 0..<40 {
            let (client, connack) = connect(node, "will-\(number)") {
                $0.will = will(number % 2 == 0 ? 30_000 : 30_001)
                $0.properties.sessionExpiryInterval = .max
            }
            #expect(connack == .connack(number % 2 == 0 ? 0 : 0x97))
            client.close()
        }
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("a burst of connections that go as soon as they have come leaves nothing behind")
    func burst() throws {
        let node = try ServingNode()
        for round in 0..<200 {
            let client = WireClient(port: node.port)
            let hello = Greeting.connect(.v5, "burst-\(round % 7)") {
                $0.cleanStart = round % 3 != 0
                $0.properties.sessionExpiryInterval = round % 2 == 0 ? 0 : 60
            }
            // Sometimes cut in the middle, sometimes with more behind it.
            client.send(Array(hello.prefix(round % 4 == 0 ? hello.count / 2 : hello.count)))
            if round % 5 == 0 { client.send(Greeting.subscribe("x/#", qos: .exactlyOnce)) }
            if round % 6 == 0 { client.send(Greeting.publish("x/y", [1], qos: .exactlyOnce)) }
            client.close()
        }
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }
}
