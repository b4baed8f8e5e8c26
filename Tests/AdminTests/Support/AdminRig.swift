import Admin
import Base
import Broker
import EventLoops
import MQTT
import Policy
import Testing

/// A node and its HTTP port in the test process, on ports that the kernel chose.
final class AdminRig {
    let node: Node
    let server: AdminServer
    let state: AdminState
    let httpPort: UInt16
    let mqttPort: UInt16

    init(
        keys: APIKeyTable = APIKeyTable(), bodyBytesMax: Int = 64 << 10,
        change: (inout AdminOptions) -> Void = { _ in },
        node changeNode: (inout NodeOptions) -> Void = { _ in }
    ) throws {
        var options = NodeOptions()
        options.loops = LoopOptions(poller: .epoll, workers: 2)
        options.loops.pinsThreads = false
        let loopback = ListenerAddress.ip(PeerAddress(IPAddress(v4: 0x7F00_0001), port: 0))
        options.listeners = [
            NodeOptions.Listener(name: "tcp", socket: ListenerOptions(address: loopback))
        ]
        changeNode(&options)
        node = try Node(options)
        state = AdminState(
            version: "test", startedAtMilliseconds: 1_700_000_000_000, keys: keys,
            bodyBytesMax: bodyBytesMax)
        var admin = AdminOptions(address: .ip(.v4Loopback, port: 0))
        change(&admin)
        server = try AdminServer(admin, door: node.door, state: state)
        httpPort = server.address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        var port: UInt16 = 0
        if case .ip(let place) = node.listeners[0].address { port = place.port }
        mqttPort = port
    }

    deinit {
        node.handle.stop()
        node.join()
        server.stop()
    }

    /// One request on a connection of its own.
    func request(
        _ method: String, _ target: String, json: String? = nil, headers: [String] = []
    ) -> HTTPReply? {
        let connection = HTTPConnection(port: httpPort)
        var lines = ["\(method) \(target) HTTP/1.1", "Host: localhost"] + headers
        if let json {
            lines += ["Content-Type: application/json", "Content-Length: \(json.utf8.count)"]
        }
        connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (json ?? ""))
        return connection.reply(hasBody: method != "HEAD")
    }

    /// A connected MQTT 5 client.
    func client(_ clientID: String, isStored: Bool = false) -> MQTTConnection {
        let client = MQTTConnection(port: mqttPort)
        var packet = ConnectPacket(
            version: .v5, cleanStart: !isStored, keepAlive: 0, clientID: Array(clientID.utf8))
        packet.properties.sessionExpiryInterval = isStored ? 300 : 0
        client.send { packet.encode(into: &$0) }
        let connack = client.next()
        #expect(connack?.first == 0x20 && connack?[3] == 0, "CONNACK: \(connack ?? [])")
        return client
    }
}

/// As much of an MQTT client as these tests need.
final class MQTTConnection {
    private let connection: HTTPConnection

    init(port: UInt16) { connection = HTTPConnection(port: port) }

    func send(_ write: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        write(&writer)
        connection.send(writer.array)
    }

    /// The next packet; nil at the end of the connection.
    func next() -> [UInt8]? {
        guard var packet = connection.read(2) else { return nil }
        var size = Int(packet[1] & 0x7F)
        if packet[1] & 0x80 != 0 {
            guard let more = connection.read(1) else { return nil }
            packet += more
            size += Int(more[0]) << 7
        }
        guard let rest = connection.read(size) else { return nil }
        return packet + rest
    }

    func subscribe(_ filter: String) {
        let options = SubscriptionOptions(
            maximumQoS: .exactlyOnce, noLocal: false, retainAsPublished: false,
            retainHandling: .send)
        let request = SubscribeRequest(
            packetID: 1,
            entries: [SubscribeRequest.Entry(filter: Array(filter.utf8), options: options)])
        send { request.encode(.v5, into: &$0) }
        #expect(next()?.first == 0x90)
    }
}
