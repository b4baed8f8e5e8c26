import Base
import Broker
import MQTT
import Policy
import Testing

/// Limits of listeners and of the whole node, over real sockets.
@Suite("Limits of the node", .serialized)
struct LimitTests {
    /// A node whose memory is what the test says.
    private func poor(_ sinks: [any EventSink] = []) throws -> ServingNode {
        try ServingNode {
            $0.measureMemory = { nil }
            $0.sinks = sinks
        }
    }

    private func use(_ bytes: Int, of node: ServingNode) {
        var limits = NodeLimits()
        limits.memory = 1_000
        _ = node.handle.load.measured(bytes, limits)
    }

    // MARK: Listeners

    @Test("[refusal W02] a listener has so many connections, and room again once one has gone")
    func listenerConnections() throws {
        let node = try ServingNode { $0.listeners[0].limits.connections = 2 }
        let second = node.open()
        #expect(second.connack == .connack(0))
        let third = WireClient(port: node.port)
        #expect(third.readAll() == [])
        // The other listener counts its own.
        #expect(WireClient(port: node.webSocketPort).isOpen)
        second.client.close()
        node.checkThatDescriptorsReturn()
        #expect(node.open().connack == .connack(0))
    }

    @Test("[refusal W02] an address has so many connections, whichever loop has them")
    func addressConnections() throws {
        let node = try ServingNode { $0.listeners[0].limits.connectionsPerAddress = 4 }
        let few = (0..<3).map { node.open(.v311, "few-\($0)") }
        #expect(few.map(\.connack) == [.connack(0), .connack(0), .connack(0)])
        for _ in 0..<5 { #expect(WireClient(port: node.port).readAll() == []) }
        node.checkThatOthersAreServed()
        for one in few { one.client.close() }
        node.checkThatDescriptorsReturn()
        #expect(node.open().connack == .connack(0))
    }

    @Test("[refusal C19] an address connects too often, and later again")
    func addressRate() throws {
        // One of the two is the bystander's.
        let node = try ServingNode { $0.listeners[0].limits.connectRatePerAddress = 2 }
        #expect(node.open().connack == .connack(0))
        let newer = node.open(.v5, "newer")
        #expect(newer.connack == .connack(0x9F))
        newer.client.mustHear(.closed)
        let older = node.open(.v311, "older")
        #expect(older.connack == .connack(0x03))
        older.client.mustHear(.closed, version: .v311)
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("a listener, and a node, above its connect rate lets connections wait, and takes all")
    func connectRate() throws {
        let byListener = try ServingNode { $0.listeners[0].limits.connectRate = 40 }
        let byNode = try ServingNode {
            var limits = NodeLimits()
            limits.connectRate = 40
            $0.limits = NodeLimitStore(limits)
        }
        for node in [byListener, byNode] {
            let clients = (0..<50).map { _ in WireClient(port: node.port) }
            for (number, client) in clients.enumerated() {
                client.send(Greeting.connect(.v5, "waiting-\(number)"))
            }
            for client in clients { client.mustHear(.connack(0)) }
            node.checkThatOthersAreServed()
        }
    }

    // MARK: The node

    @Test(
        "[refusal C21] the node has as many clients as it may; the limit is changed while it runs")
    func nodeConnections() throws {
        var limits = NodeLimits()
        limits.connections = 2
        let node = try ServingNode { $0.limits = NodeLimitStore(limits) }
        // Who has not said CONNECT takes no client's place.
        let silent = (0..<5).map { _ in WireClient(port: node.port) }
        let second = node.open()
        #expect(second.connack == .connack(0))
        let third = node.open(.v5, "third")
        #expect(third.connack == .connack(0x89))
        third.client.mustHear(.closed)
        #expect(node.open(.v311, "third").connack == .connack(0x03))
        limits.connections = 3
        node.handle.limits.replace(with: limits)
        node.checkThatOthersAreServed()
        node.handle.wake()
        #expect(opens(node, "third"))
        for client in silent { client.close() }
        second.client.close()
        node.checkThatDescriptorsReturn()
        #expect(node.handle.load.clients == 1)
    }

    /// Both loops must have seen the change.
    private func opens(_ node: ServingNode, _ clientID: String) -> Bool {
        for _ in 0..<1_000 where node.open(.v5, clientID).connack == .connack(0) { return true }
        return false
    }

    @Test("[refusal C21] the node is short of memory: nobody new, and publishers are slowed")
    func memoryHigh() throws {
        let node = try poor()
        let (before, _) = node.open(.v5, "before")
        use(850, of: node)
        #expect(node.open(.v5, "newer").connack == .connack(0x89))
        #expect(node.open(.v311, "older").connack == .connack(0x03))
        node.checkThatOthersAreServed()
        // Slowed, not refused, and other packets are not lost behind it.
        before.send(
            Greeting.publish("a", qos: .atLeastOnce, packetID: 1)
                + Greeting.publish("a", qos: .atLeastOnce, packetID: 2) + [0xC0, 0])
        before.mustHear(.puback(0x10), .puback(0x10), .pingresp)
        use(770, of: node)
        #expect(node.open(.v5, "newer").connack == .connack(0x89), "it ends further below")
        use(700, of: node)
        #expect(node.open(.v5, "newer").connack == .connack(0))
    }

    @Test("[refusal P16] the memory is used up: publishes are refused, and dropped with a reason")
    func memoryOver() throws {
        let notes = EventNotes()
        let node = try poor([notes])
        let (newer, _) = node.open(.v5, "newer")
        let (older, _) = node.open(.v311, "older")
        use(1_000, of: node)
        node.turn()
        newer.send(Greeting.publish("a", qos: .atLeastOnce, packetID: 1))
        newer.mustHear(.puback(0x83))
        newer.send(Greeting.publish("a", qos: .exactlyOnce, packetID: 2))
        newer.mustHear(.pubrec(0x83))
        newer.send(Greeting.publish("a") + [0xC0, 0])
        newer.mustHear(.pingresp)
        older.send(Greeting.publish("a", qos: .atLeastOnce, version: .v311, packetID: 1))
        older.mustHear(.closed, version: .v311)
        use(0, of: node)
        newer.send(Greeting.publish("a", qos: .atLeastOnce, packetID: 3))
        newer.mustHear(.puback(0x10))
        node.checkThatOthersAreServed()
        #expect(
            notes.drops(for: .memoryPressure) == [
                .qos0DistError, .qos1DistError, .qos1DistError, .qos2DistError,
            ])
    }

    @Test("[refusal C21, P21] a late loop lets nobody in and drops QoS 0, for a while")
    func loopLag() throws {
        let notes = EventNotes()
        let node = try ServingNode { $0.sinks = [notes] }
        let (client, _) = node.open(.v5, "before")
        var limits = NodeLimits()
        limits.loopLag = .nanoseconds(1)
        node.handle.limits.replace(with: limits)
        node.turn()
        #expect(node.open(.v5, "newer").connack == .connack(0x89))
        #expect(node.open(.v31, "older").connack == .connack(0x03))
        client.send(Greeting.subscribe("a"))
        client.mustHear(.suback([0]))
        client.send(Greeting.publish("a", [1]) + [0xC0, 0])
        #expect(client.next() == [0xD0, 0], "QoS 0 was to be dropped")
        client.send(Greeting.publish("a", [2], qos: .atLeastOnce))
        client.mustHear(.puback(0))
        node.checkThatOthersAreServed()
        #expect(notes.drops(for: .loopLate) == [.qos0DistError])
    }

    @Test("[refusal C07] the largest CONNECT is what the configuration says now")
    func bytesBeforeConnect() throws {
        let node = try ServingNode()
        let password = [UInt8](repeating: 1, count: 2_000)
        #expect(node.open { $0.password = password }.connack == .connack(0))
        var limits = NodeLimits()
        limits.bytesBeforeConnect = 1_024
        node.handle.limits.replace(with: limits)
        node.turn()
        #expect(node.open { $0.password = password }.connack == .connack(0x95))
        #expect(node.open { $0.password = [1] }.connack == .connack(0))
    }
}
