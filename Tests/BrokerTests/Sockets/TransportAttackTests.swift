import Base
import Broker
import EventLoops
import MQTT
import Policy
import TestKit
import Testing

/// What comes before MQTT, against a whole node: TLS handshakes and PROXY headers.
@Suite("Attacks before the first packet", .serialized)
struct TransportAttackTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory("transport") }

    /// A node with a third listener.
    private func node(
        _ change: (inout NodeOptions.Listener) -> Void,
        loops: (inout LoopOptions) -> Void = { _ in }
    ) throws -> ServingNode {
        let loopback = ListenerAddress.ip(PeerAddress(IPAddress(v4: 0x7F00_0001), port: 0))
        return try ServingNode {
            var listener = NodeOptions.Listener(
                name: "third", socket: ListenerOptions(address: loopback))
            change(&listener)
            $0.listeners.append(listener)
            loops(&$0.loops)
        }
    }

    private func context() throws -> TLSContextStore {
        let child = try ChildProcess(
            path: "/usr/bin/env",
            arguments: [
                "-C", directory.path, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "chain", "-days",
                "9", "-subj", "/CN=localhost",
            ])
        try #require(child.waitForExit(within: .seconds(30)) == 0, "\(child.output)")
        let files = TLSCertificateFiles(
            chain: directory.file("chain"), key: directory.file("key"))
        let options = TLSServerOptions(certificates: [files])
        return TLSContextStore(
            try TLSContext.server(options, ticketKeys: TLSTicketKeys()))
    }

    private static func measured16(_ bytes: [UInt8]) -> [UInt8] { Greeting.text16(bytes) }

    /// A ClientHello of TLS 1.2 with a server name and the given protocols.
    private static func hello(name: [UInt8], protocols: [UInt8]) -> [UInt8] {
        let serverName = measured16([0] + measured16(name))
        let extensions: [UInt8] =
            [0, 0] + measured16(serverName) + [0, 16] + measured16(measured16(protocols))
            + [0, 10] + measured16(measured16([0, 23])) + [0, 11] + measured16([1, 0])
            + [0, 13] + measured16(measured16([4, 3]))
        let body: [UInt8] =
            [3, 3] + [UInt8](repeating: 7, count: 32) + [0] + measured16([0xC0, 0x2B]) + [1, 0]
            + measured16(extensions)
        let handshake = [1, 0] + measured16(body)
        return [22, 3, 1] + measured16(handshake)
    }

    private static let mqtt: [UInt8] = [4] + Array("mqtt".utf8)
    private static let good = hello(name: Array("localhost".utf8), protocols: mqtt)

    @Test("[attack 25] [refusal W03] handshakes half done are bounded, and end at their deadline")
    func halfOpen() throws {
        let store = try context()
        let node = try node {
            $0.socket.tls = store
            $0.socket.handshakeTime = .milliseconds(400)
        } loops: {
            $0.workers = 1
            $0.tls.handshakesMax = 4
        }
        let clients = (0..<10).map { _ in WireClient(port: node.ports[2]) }
        for client in clients { client.send(Self.good) }
        node.checkThatOthersAreServed()
        let answers = clients.map { $0.readAll() }
        #expect(answers.count { $0.first == 22 } == 4, "the server's part of the handshake")
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
        let later = WireClient(port: node.ports[2])
        later.send(Self.good)
        #expect(later.read(1) == [22])
    }

    @Test(
        "[attack 25] [refusal W05] garbage for a handshake is answered by an alert or the end"
    )
    func garbage() throws {
        let store = try context()
        let node = try node { $0.socket.tls = store }
        let long = [UInt8](repeating: 0x61, count: 255)
        let inputs: [[UInt8]] = [
            Greeting.connect(.v5, "plain"), [UInt8](repeating: 0, count: 100),
            [UInt8](repeating: 0xFF, count: 20_000), [22, 3, 1, 0xFF, 0xFF],
            [22, 3, 1, 0, 5, 1, 0xFF, 0xFF, 0xFF, 0],
            Self.hello(name: Array("localhost".utf8), protocols: [200, 1, 2, 3]),
            Self.hello(name: Array("localhost".utf8), protocols: [2, 0x68, 0x32]),
            Self.hello(name: Array("a\0b".utf8), protocols: Self.mqtt),
            [22, 3, 1] + Self.measured16(Array(Self.good.dropFirst(5).prefix(60))),
            [20, 3, 3, 0, 1, 1], [23, 3, 3, 0, 4, 1, 2, 3, 4], [21, 3, 3, 0, 2, 2, 0],
        ]
        for input in inputs {
            let client = WireClient(port: node.ports[2])
            client.send(input)
            client.endSending()
            let answer = client.readAll()
            #expect(answer.isEmpty || answer[0] == 21, "\(input.prefix(20)): \(answer.prefix(9))")
        }
        // A name that is as long as names may be is merely unknown.
        let client = WireClient(port: node.ports[2])
        client.send(Self.hello(name: long, protocols: Self.mqtt))
        #expect(client.read(1) == [22])
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    /// 192.0.2.1:256 to 192.0.2.2:1883.
    private static let addresses: [UInt8] = [192, 0, 2, 1, 192, 0, 2, 2, 1, 0, 7, 0x5B]

    private func proxied(_ trusted: String) throws -> ServingNode {
        let network = try #require(IPNetwork(trusted))
        return try node { $0.socket.proxy = ProxyOptions(trusted: [network]) }
    }

    @Test("[attack 26] [refusal W06, W07] PROXY headers: not trusted, truncated, LOCAL, garbage")
    func proxy() throws {
        let node = try proxied("127.0.0.0/8")
        let connect = Greeting.connect(.v5, "behind")
        let header = Self.signature + [0x21, 0x11, 0, 12] + Self.addresses
        func answer(_ bytes: [UInt8]) -> HostileRow.Answer? {
            let client = WireClient(port: node.ports[2])
            client.send(bytes)
            defer { client.close() }
            return HostileRow.answer(client, .v5)
        }
        // Anonymous clients are served on loopback only: the header's address counts.
        #expect(answer(header + connect) == .connack(0x87))
        #expect(answer(Self.signature + [0x20, 0, 0, 0] + connect) == .connack(0), "LOCAL")
        for wrong in [
            connect, Array("PROXY TCP4 1.2.3.4\r\n".utf8) + connect,
            Array("PROXY TCP4 ".utf8) + [UInt8](repeating: 0x31, count: 200),
            Self.signature + [0x31, 0x11, 0, 12] + Self.addresses + connect,
            Self.signature + [0x21, 0x11, 0, 4, 1, 2, 3, 4] + connect,
            Self.signature + [0x21, 0x11, 0xFF, 0xFF] + connect,
            // A field that says to be longer than the header.
            Self.signature + [0x21, 0x11, 0, 15] + Self.addresses + [4, 0, 9] + connect,
        ] {
            #expect(answer(wrong) == .closed, "\(wrong.prefix(30))")
        }
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
        let elsewhere = try proxied("10.0.0.0/8")
        let client = WireClient(port: elsewhere.ports[2])
        client.send(header + connect)
        #expect(client.readAll() == [])
        elsewhere.checkThatOthersAreServed()
        elsewhere.checkThatDescriptorsReturn()
    }
}
