import Base
import Broker
import EventLoops
import MQTT
import PerfLoad
import PerfReport
import TestKit
import Testing
import WebSocket

/// A node of Apus in this process, with a listener for each transport.
struct LiveNode: Sendable {
    enum Transport: String, CaseIterable, Sendable {
        case tcp, tls, ws, wss
    }

    let addresses: [ListenerAddress]
    let authority: String

    /// Serves until the process ends.
    static let shared: LiveNode? = try? LiveNode()

    nonisolated(unsafe) private static var kept: [(Node, TemporaryDirectory)] = []

    private init() throws {
        let directory = try TemporaryDirectory("perf")
        let openssl = try ChildProcess(
            path: "/usr/bin/openssl",
            arguments: [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", directory.file("key.pem"), "-out", directory.file("cert.pem"),
                "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ])
        guard openssl.waitForExit(within: .seconds(20)) == 0 else {
            throw ConnectFailure.handshake(openssl.output)
        }
        authority = directory.file("cert.pem")
        let files = TLSCertificateFiles(
            chain: directory.file("cert.pem"), key: directory.file("key.pem"))
        var options = NodeOptions()
        options.loops = LoopOptions(poller: .epoll, workers: 2)
        options.loops.pinsThreads = false
        options.listeners = try Transport.allCases.map { transport in
            var socket = ListenerOptions(
                address: .ip(PeerAddress(.v4Loopback, port: 0)))
            if transport == .tls || transport == .wss {
                socket.tls = TLSContextStore(
                    try TLSContext.server(
                        TLSServerOptions(certificates: [files]), ticketKeys: TLSTicketKeys()))
            }
            return NodeOptions.Listener(
                name: transport.rawValue, socket: socket,
                upgrade: transport == .ws || transport == .wss ? UpgradeOptions() : nil)
        }
        let node = try Node(options)
        addresses = node.listeners.map(\.address)
        Self.kept.append((node, directory))
    }

    func options(_ transport: Transport = .tcp, prefix: String = #function) -> LoadOptions {
        let index = Transport.allCases.firstIndex(of: transport) ?? 0
        var options = LoadOptions.brief(addresses[index])
        options.prefix = "perf/\(transport)/" + prefix.prefix { $0 != "(" }
        if transport == .tls || transport == .wss {
            options.target.tls = TLSClientOptions(authorities: authority)
        }
        if transport == .ws || transport == .wss { options.target.webSocketPath = "/mqtt" }
        return options
    }
}

@Suite("Scenarios against Apus")
struct ScenarioTests {
    let node: LiveNode

    init() throws { node = try #require(LiveNode.shared) }

    private func expectFlawless(_ end: RunEnd, _ what: String = "") {
        #expect(end.sent > 0, "\(what)")
        #expect(end.received == end.expected, "\(what)")
        #expect(
            end.lost == 0 && end.duplicates == 0 && end.orderViolations == 0
                && end.misrouted == 0 && end.corrupt == 0, "\(what): \(end)")
    }

    @Test(
        "messages pass whole over every transport, in both versions",
        arguments: LiveNode.Transport.allCases, [ProtocolVersion.v311, .v5])
    func transports(transport: LiveNode.Transport, version: ProtocolVersion) throws {
        var options = node.options(transport, prefix: "transports\(version.rawValue)")
        options.target.version = version
        options.qos = .atLeastOnce
        options.payloadBytes = 300
        let memory = RunMemory()
        expectFlawless(try Throughput(.pair, options).run(memory))
        #expect(memory.record?.head.transport == transport.rawValue)
        #expect(memory.record?.end?.latency?.count ?? 0 > 0)
    }

    @Test(
        "every shape delivers every message, at every QoS, on one loop and on two",
        arguments: [TrafficShape.pair, .fanIn, .fanOut, .shared], [QoS.atMostOnce, .exactlyOnce])
    func shapes(shape: TrafficShape, qos: QoS) throws {
        for loops in 1...2 {
            var options = node.options(prefix: "shapes\(shape)\(qos.rawValue)\(loops)")
            options.qos = qos
            options.loops = loops
            options.target.version = .v5
            options.publishers = 4
            let end = try Throughput(shape, options).run(RunMemory())
            expectFlawless(end, "\(loops) loops")
            #expect(end.expected == end.sent * (shape == .fanOut ? 3 : 1))
        }
    }

    @Test("topics that differ by message are written for each")
    func manyTopics() throws {
        let options = node.options()
        var groups = TrafficShape.pair.groups(options)
        groups[0].subscriptions[0].filter = TextPattern("\(options.prefix)/%i/#")
        groups[0].ignoresOrder = true
        groups[1].publishing?.topic = TextPattern("\(options.prefix)/%i/%s/%rand_9/%c")
        expectFlawless(try Throughput(name: "topics", groups: groups, options).run(RunMemory()))
    }

    @Test("clients come from the addresses they were given")
    func sources() throws {
        var options = node.options()
        options.target.sources = ["127.0.0.5", "127.0.0.6"].compactMap { IPAddress($0) }
        expectFlawless(try Throughput(.pair, options).run(RunMemory()))
        options.target.sources = [try #require(IPAddress("192.0.2.1"))]
        #expect(throws: ScenarioError.self) {
            try Throughput(.pair, options).run(RunMemory())
        }
    }

    @Test(
        "connections are opened at their pace, and held",
        arguments: [
            ConnectionKind.open, .idle,
        ])
    func connections(kind: ConnectionKind) throws {
        var options = node.options(prefix: "connections\(kind)")
        options.connectsPerSecond = 400
        options.duration = .milliseconds(50)
        options.brokerPIDs = ProcessProbe.own.pids
        options.loops = 2
        let memory = RunMemory()
        let end = try Connections(kind, clients: 80, options).run(memory)
        #expect(end.connections == 80)
        #expect((end.connectsPerSecond ?? 0) < 450)
        #expect(memory.outcome?.opening.count == 80)
        #expect(memory.outcome?.suback.count == (kind == .idle ? 80 : 0))
        #expect(end.bytesPerConnection != nil)
        #expect((end.bytesByOwner != nil) == (kind == .idle))
    }

    @Test("after a storm all are back")
    func storm() throws {
        let memory = RunMemory()
        let end = try Connections(
            .storm, clients: 100, rounds: 3, node.options()
        ).run(memory)
        #expect(end.connections == 100)
        #expect(memory.outcome?.counters.opened == 400)
        #expect(memory.record?.faults.count == 3)
    }

    @Test("retained messages are fetched by each subscriber, and none is left")
    func retained() throws {
        var options = node.options()
        options.publishers = 2
        options.perSecond = 0
        let end = try Stored(.retained(messages: 500, filter: "#"), options).run(RunMemory())
        expectFlawless(end)
        #expect(end.received == 1500)
    }

    @Test(
        "stored sessions get what came while they were away, once",
        arguments: [
            ProtocolVersion.v311, .v5,
        ])
    func offline(version: ProtocolVersion) throws {
        var options = node.options(prefix: "offline\(version.rawValue)")
        options.target.version = version
        options.qos = .atLeastOnce
        options.subscribers = 5
        options.perSecond = 0
        let memory = RunMemory()
        let end = try Stored(.offline(messagesEach: 30), options).run(memory)
        expectFlawless(end)
        #expect(end.received == 150)
        #expect(memory.outcome?.counters.sessionsPresent == 10)
    }

    @Test("a mixture keeps its streams apart")
    func mixed() throws {
        var options = node.options()
        options.perSecond = 2000
        let (groups, rates) = Mixed.make(options, devices: 40)
        let end = try Throughput(
            name: "mixed", groups: groups, rates: rates, options
        ).run(RunMemory())
        expectFlawless(end)
    }

    @Test("a preset runs, made small")
    func preset() throws {
        for (name, scale) in [
            ("p2p-50K-50K-50K-50K", 0.0004), ("sharedsub-50K-500-50K-50K", 0.004),
            ("conn-tcp-400-5K", 0.1), ("false_300_300_q1_p32_50mps", 0.02),
        ] {
            let preset = try #require(Preset(name)).scaled(scale)
            var options = node.options(prefix: "preset")
            options.duration = .milliseconds(100)
            let end = try preset.run(options, RunMemory())
            #expect(end.lost == 0 && end.duplicates == 0, "\(name)")
        }
    }
}
