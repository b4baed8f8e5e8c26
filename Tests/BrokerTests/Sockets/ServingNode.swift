import Base
import Broker
import EventLoops
import Glibc
import MQTT
import Policy
import Testing
import WebSocket

/// A node in the test process on ports that the kernel chose, and a client that must be served
/// whatever others do.
final class ServingNode {
    private let node: Node
    /// Of each listener, in their order.
    let ports: [UInt16]
    var port: UInt16 { ports[0] }
    var webSocketPort: UInt16 { ports[1] }
    private let bystander: WireClient
    private var pings = 0

    /// Turns of the bystander until the node must have let go of a connection: more than in the
    /// second for which it waits that a client closes, too.
    private static let pingsMax = 200_000

    init(
        _ settings: [String: String] = [:], change: (inout NodeOptions) -> Void = { _ in }
    ) throws {
        var options = NodeOptions()
        options.loops = LoopOptions(poller: .epoll, workers: 2)
        options.loops.pinsThreads = false
        let loopback = PeerAddress(IPAddress(v4: 0x7F00_0001), port: 0)
        options.listeners = [
            NodeOptions.Listener(name: "tcp", socket: ListenerOptions(address: .ip(loopback))),
            NodeOptions.Listener(
                name: "ws", socket: ListenerOptions(address: .ip(loopback)),
                upgrade: UpgradeOptions(origins: ["https://example.org"])),
        ]
        var overrides = TenantOverrides()
        for (name, value) in settings { try overrides.set(name, to: value) }
        let wanted = overrides
        try options.tenants.update { table throws(SettingError) in
            try table.store(wanted, for: .standard)
        }
        change(&options)
        node = try Node(options)
        ports = node.listeners.map { listener -> UInt16 in
            switch listener.address {
            case .ip(let place): place.port
            case .unix: 0
            }
        }
        bystander = WireClient(port: ports[0])
        // In a tenant of its own, which the settings of a test do not concern.
        bystander.send(
            Greeting.connect(.v5, "bystander") { $0.username = Array("other/bystander".utf8) })
        let connack = bystander.next()
        #expect(connack?.first == 0x20 && connack?[3] == 0, "the bystander: \(connack ?? [])")
        bystander.send(Greeting.subscribe("bystander/#", qos: .atLeastOnce))
        #expect(bystander.next()?.first == 0x90)
    }

    deinit {
        node.handle.stop()
        node.join()
    }

    func drain() { node.handle.drain() }

    var handle: NodeHandle { node.handle }

    /// Every loop looks at limits, pressure and rules: it does at the end of a turn.
    func turn() {
        let turns = handle.turns
        while zip(handle.turns, turns).contains(where: { $0 < $1 + 2 }) { handle.wake() }
    }

    /// A client and what its CONNECT was answered.
    func open(
        _ version: ProtocolVersion = .v5, _ clientID: String = "client",
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> (client: WireClient, connack: HostileRow.Answer?) {
        let client = WireClient(port: port)
        client.send(Greeting.connect(version, clientID, change: change))
        return (client, HostileRow.answer(client, version))
    }

    var door: QueryDoor { node.door }

    /// Ends the node before its time.
    func stop() {
        node.handle.stop()
        node.join()
    }

    /// The bystander publishes to itself and hears PUBACK and its message.
    func checkThatOthersAreServed(at location: SourceLocation = #_sourceLocation) {
        bystander.send {
            PublishEncoding.encode(
                PublishFields(
                    version: .v5, qos: .atLeastOnce, dup: false, retain: false, packetID: 9,
                    topicAlias: 0, messageExpiry: nil),
                topic: Array("bystander/x".utf8), forwarded: [], subscriptionIDs: [],
                payload: [1], into: &$0)
        }
        let answers = [bystander.next(), bystander.next()]
        let types = Set(answers.compactMap { $0.map { $0[0] >> 4 } })
        #expect(types == [3, 4], "the bystander got \(answers)", sourceLocation: location)
        if let delivery = answers.compactMap({ $0 }).first(where: { $0[0] >> 4 == 3 }) {
            // Behind the topic: the packet identifier.
            let at = 2 + 2 + "bystander/x".utf8.count
            bystander.send([0x40, 2, delivery[at], delivery[at + 1]])
        }
    }

    /// Accepted sockets of this node that are open in this process.
    private var connectionCount: Int {
        (0..<4_096).filter { isServerSide(Int32($0)) }.count
    }

    private func isServerSide(_ descriptor: Int32) -> Bool {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let named = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &size)
            }
        }
        guard named == 0, address.sin_family == sa_family_t(AF_INET) else { return false }
        let local = UInt16(bigEndian: address.sin_port)
        guard ports.contains(local) else { return false }
        size = socklen_t(MemoryLayout<sockaddr_in>.size)
        var peer = sockaddr_in()
        return withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getpeername(descriptor, $0, &size)
            }
        } == 0
    }

    /// Every connection but the bystander's has given its descriptor back.
    func checkThatDescriptorsReturn(at location: SourceLocation = #_sourceLocation) {
        for turn in 0..<Self.pingsMax {
            if turn % 20 == 0, connectionCount <= 1 { return }
            bystander.send([0xC0, 0])
            guard bystander.next() == [0xD0, 0] else { break }
        }
        #expect(connectionCount <= 1, "connections are left", sourceLocation: location)
    }
}

/// Packets that correct clients send.
enum Greeting {
    static func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return writer.array
    }

    static func connect(
        _ version: ProtocolVersion, _ clientID: String,
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> [UInt8] {
        var packet = ConnectPacket(
            version: version, cleanStart: true, keepAlive: 0, clientID: Array(clientID.utf8))
        change(&packet)
        return bytes { packet.encode(into: &$0) }
    }

    static func subscribe(
        _ filter: String, qos: QoS = .atMostOnce, version: ProtocolVersion = .v5,
        packetID: UInt16 = 1
    ) -> [UInt8] {
        let options = SubscriptionOptions(
            maximumQoS: qos, noLocal: false, retainAsPublished: false, retainHandling: .send)
        let request = SubscribeRequest(
            packetID: packetID,
            entries: [SubscribeRequest.Entry(filter: Array(filter.utf8), options: options)])
        return bytes { request.encode(version, into: &$0) }
    }

    static func publish(
        _ topic: String, _ payload: [UInt8] = [], qos: QoS = .atMostOnce, retain: Bool = false,
        version: ProtocolVersion = .v5, packetID: UInt16 = 2, alias: UInt16 = 0,
        forwarded: [UInt8] = []
    ) -> [UInt8] {
        bytes {
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: qos, dup: false, retain: retain,
                    packetID: qos == .atMostOnce ? 0 : packetID, topicAlias: alias,
                    messageExpiry: nil),
                topic: Array(topic.utf8), forwarded: forwarded, subscriptionIDs: [],
                payload: payload, into: &$0)
        }
    }

    /// A packet of these type bits with this body.
    static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        bytes {
            $0.append(first)
            $0.append(measured(body))
        }
    }

    /// Bytes behind their length as a variable byte integer.
    static func measured(_ body: [UInt8]) -> [UInt8] {
        var length = body.count
        var head: [UInt8] = []
        repeat {
            head.append(UInt8(length & 127) | (length > 127 ? 128 : 0))
            length >>= 7
        } while length > 0
        return head + body
    }

    /// A text with its length.
    static func text(_ text: String) -> [UInt8] { text16(Array(text.utf8)) }

    static func text16(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
    }
}
