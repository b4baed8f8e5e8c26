import Base
import EventLoops
import Glibc
import TestKit
import Testing

/// Opens connections from the rig's own loop, which may be the server too.
extension LoopRig {
    static func loopback(_ port: UInt16) -> ListenerAddress {
        .ip(PeerAddress(.v4Loopback, port: port))
    }

    var ownAddress: ListenerAddress { Self.loopback(port) }

    func open(
        _ address: ListenerAddress, change: (inout ConnectOptions) -> Void = { _ in }
    ) -> ConnectResult {
        var options = ConnectOptions()
        change(&options)
        return loop.connect(to: address, options)
    }

    /// A connection to the rig's own listener, as both ends know it.
    func openPair(
        change: (inout ConnectOptions) -> Void = { _ in }
    ) throws -> (ours: ConnectionID, theirs: ConnectionID) {
        let (opened, accepted) = (handler.connected.count, handler.open.count)
        guard case .started(let id) = open(ownAddress, change: change) else {
            throw ConnectFailure.tableFull
        }
        run { handler.connected.count > opened && handler.open.count > accepted }
        let theirs = try #require(handler.open.last)
        return (id, theirs)
    }

    /// What comes of a connection that is to fail.
    func failure(
        _ address: ListenerAddress, change: (inout ConnectOptions) -> Void = { _ in }
    ) -> ConnectFailure? {
        let before = handler.connectFailures.count
        switch open(address, change: change) {
        case .failed(let failure): return failure
        case .started(let id):
            run { handler.connectFailures.count > before || handler.connected.contains(id) }
            return handler.connectFailures.last { $0.id == id }?.failure
        }
    }
}

@Suite("Connections that a loop opens")
struct ConnectingTests {
    /// A listening socket that nobody accepts from, with its port.
    private func deafListener(backlog: Int32) -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, size)
                _ = listen(descriptor, backlog)
                _ = getsockname(descriptor, $0, &size)
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    @Test("bytes pass both ways, and the end is told to both", arguments: PollerKind.backends)
    func echo(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        var received: [ConnectionID: [UInt8]] = [:]
        rig.handler.onReceived = {
            received[$0, default: []] += $1; return $1.count
        }
        let (ours, theirs) = try rig.openPair()
        [1, 2, 3].withUnsafeBytes { rig.loop.append(ours, $0) }
        let answer = OutputTests.bytes(400_000)
        answer.withUnsafeBytes { rig.loop.append(theirs, $0) }
        rig.run { received[ours]?.count == answer.count }
        #expect(received[ours] == answer)
        #expect(received[theirs]?.count == 24)
        rig.loop.close(ours, afterFlush: true)
        rig.run { rig.handler.ended.count == 2 }
        #expect(rig.handler.ended.first { $0.id == ours }?.reason == .closedByUs)
        #expect(rig.handler.ended.first { $0.id == theirs }?.reason == .peerClosed)
        rig.run { rig.loop.connectionCount == 0 }
        #expect(rig.loop.connectionCount == 0)
        #expect(rig.loop.counters.opened == 1)
        #expect(rig.loop.blockBytes == 0)
    }

    @Test("a refusal is told with its reason", arguments: PollerKind.backends)
    func refused(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let listener = deafListener(backlog: 1)
        Glibc.close(listener.descriptor)
        #expect(rig.failure(LoopRig.loopback(listener.port)) == .refused)
        let path = try TemporaryDirectory("connect").file("nobody.sock")
        #expect(rig.failure(.unix(path: path)) == .refused)
        rig.run { rig.loop.connectionCount == 0 }
        #expect(rig.loop.connectionCount == 0)
        #expect(rig.handler.connected == [])
    }

    @Test("a peer that does not answer is given up at the deadline", arguments: PollerKind.backends)
    func timeout(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let listener = deafListener(backlog: 0)
        defer { Glibc.close(listener.descriptor) }
        let queued = (0..<2).map { _ in LoopbackClient(port: listener.port) }
        let failure = rig.failure(LoopRig.loopback(listener.port)) {
            $0.timeout = .milliseconds(20)
        }
        #expect(failure == .timeout)
        #expect(queued.allSatisfy { $0.failure == nil })
        rig.run { rig.loop.connectionCount == 0 }
        #expect(rig.loop.connectionCount == 0)
    }

    @Test("a connection that is given up is told once", arguments: PollerKind.backends)
    func givenUp(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let listener = deafListener(backlog: 0)
        defer { Glibc.close(listener.descriptor) }
        let queued = (0..<2).map { _ in LoopbackClient(port: listener.port) }
        for afterFlush in [true, false] {
            let failure = { () -> ConnectFailure? in
                guard case .started(let id) = rig.open(LoopRig.loopback(listener.port)) else {
                    return nil
                }
                [UInt8](repeating: 1, count: 10).withUnsafeBytes { rig.loop.append(id, $0) }
                #expect(rig.loop.outputCount(id) == 0, "output before connected goes nowhere")
                rig.turn(2)
                rig.loop.close(id, afterFlush: afterFlush)
                rig.loop.close(id, afterFlush: false)
                rig.run { rig.loop.connectionCount == 0 }
                return rig.handler.connectFailures.last { $0.id == id }?.failure
            }()
            #expect(failure == .closedByUs)
        }
        #expect(rig.handler.connectFailures.count == 2)
        #expect(rig.loop.connectionCount == 0)
        #expect(queued.count == 2)
        guard case .started = rig.open(LoopRig.loopback(listener.port)) else {
            Issue.record("not started")
            return
        }
        rig.shutDown()
        #expect(rig.handler.connectFailures.last?.failure == .closedByUs)
    }

    @Test("the source address is the one that was asked for", arguments: PollerKind.backends)
    func source(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let source = try #require(IPAddress("127.0.0.9"))
        _ = try rig.openPair { $0.source = PeerAddress(source, port: 0) }
        #expect(rig.handler.peers.last?.peer.address == source)
        let foreign = try #require(IPAddress("192.0.2.7"))
        let failure = rig.failure(rig.ownAddress) { $0.source = PeerAddress(foreign, port: 0) }
        #expect(failure == .exhausted(errno: EADDRNOTAVAIL))
    }

    @Test("a full table is told at once, and a place that is free again is used")
    func tableFull() throws {
        let rig = try LoopRig(.epoll) { $0.connectionsMax = 2 }
        let (ours, _) = try rig.openPair()
        #expect(rig.open(rig.ownAddress) == .failed(.tableFull))
        rig.loop.close(ours, afterFlush: false)
        rig.run { rig.loop.connectionCount == 0 }
        _ = try rig.openPair()
    }

    @Test("a Unix socket is connected to by its path", arguments: PollerKind.backends)
    func unix(poller: PollerKind) throws {
        let directory = try TemporaryDirectory("connect")
        let path = directory.file("loop.sock")
        let rig = try LoopRig(poller, listeners: [ListenerOptions(address: .unix(path: path))])
        rig.handler.onReceived = { [unowned rig] connection, bytes in
            if rig.handler.open.contains(connection) {
                rig.loop.append(connection, UnsafeRawBufferPointer(bytes))
            }
            return bytes.count
        }
        guard case .started(let id) = rig.open(.unix(path: path)) else {
            Issue.record("not started")
            return
        }
        rig.run { rig.handler.connected == [id] }
        [7].withUnsafeBytes { rig.loop.append(id, $0) }
        let before = rig.loop.counters.bytesIn
        rig.run { rig.loop.counters.bytesIn == before + 16 }
        #expect(rig.loop.counters.bytesIn == before + 16)
    }

    @Test(
        "many connections come and go, and nothing stays", arguments: PollerKind.backends,
        Seed.series(3))
    func churn(poller: PollerKind, seed: Seed) throws {
        let rig = try LoopRig(poller)
        rig.handler.echoFrames()
        var random = seed.random()
        var started = 0
        for _ in 0..<60 {
            for _ in 0..<random.below(12) {
                if case .started(let id) = rig.open(rig.ownAddress) {
                    started += 1
                    if random.chance(percent: 10) { rig.loop.close(id, afterFlush: false) }
                }
            }
            rig.turn(random.below(4))
            for id in rig.handler.connected where random.chance(percent: 5) {
                rig.loop.close(id, afterFlush: random.chance(percent: 50))
            }
        }
        rig.run { rig.handler.connected.count + rig.handler.connectFailures.count == started }
        for id in rig.handler.connected { rig.loop.close(id, afterFlush: false) }
        rig.run { rig.loop.connectionCount == 0 }
        #expect(rig.loop.connectionCount == 0)
        #expect(
            rig.handler.connected.count + rig.handler.connectFailures.count == started)
        #expect(rig.loop.blockBytes == 0)
    }
}

@Suite("Sealed connections that a loop opens")
struct SealedConnectingTests {
    let authority: TLSAuthority
    let store: TLSContextStore

    init() throws {
        authority = try TLSAuthority()
        let files = try authority.issue("localhost", alternatives: "DNS:localhost,IP:127.0.0.1")
        store = TLSContextStore(
            try TLSContext.server(
                TLSServerOptions(certificates: [files]), ticketKeys: TLSTicketKeys()))
    }

    private func rig(_ poller: PollerKind) throws -> LoopRig {
        var listener = ListenerOptions.loopback
        listener.tls = store
        return try LoopRig(poller, listeners: [listener])
    }

    @Test("bytes pass sealed, by name and by address", arguments: PollerKind.backends)
    func echo(poller: PollerKind) throws {
        let rig = try rig(poller)
        let context = try TLSContext.client(TLSClientOptions(authorities: authority.certificate))
        for name in ["localhost", "127.0.0.1"] {
            var received: [ConnectionID: [UInt8]] = [:]
            rig.handler.onReceived = {
                received[$0, default: []] += $1; return $1.count
            }
            let (ours, theirs) = try rig.openPair {
                $0.tls = context
                $0.serverName = name
            }
            let there = OutputTests.bytes(70_000)
            there.withUnsafeBytes { rig.loop.append(ours, $0) }
            let back = OutputTests.bytes(200_000)
            back.withUnsafeBytes { rig.loop.append(theirs, $0) }
            rig.run { received[theirs] == there && received[ours] == back }
            #expect(received[theirs] == there && received[ours] == back)
            #expect(rig.loop.tlsAgreement(of: ours)?.version == "TLSv1.3")
            rig.loop.close(ours, afterFlush: true)
            rig.run { rig.loop.connectionCount == 0 }
        }
        #expect(rig.loop.tlsCounters.sessions == 0)
        #expect(rig.loop.blockBytes == 0)
    }

    @Test("a server that cannot prove its name is refused", arguments: PollerKind.backends)
    func refused(poller: PollerKind) throws {
        let rig = try rig(poller)
        let stranger = try TLSAuthority("Somebody else")
        let trusting = try TLSContext.client(TLSClientOptions(authorities: authority.certificate))
        let strange = try TLSContext.client(TLSClientOptions(authorities: stranger.certificate))
        for (context, name) in [(trusting, "example.org"), (strange, "localhost")] {
            let failure = rig.failure(rig.ownAddress) {
                $0.tls = context
                $0.serverName = name
            }
            guard case .handshake(let text) = failure else {
                Issue.record("\(name): \(String(describing: failure))")
                continue
            }
            #expect(text.hasPrefix("TLS: certificate refused"), "\(text)")
        }
        var careless = TLSClientOptions()
        careless.verifiesServer = false
        let context = try TLSContext.client(careless)
        _ = try rig.openPair {
            $0.tls = context
            $0.serverName = "example.org"
        }
    }

    @Test("a server that closes or is silent in the handshake", arguments: PollerKind.backends)
    func notTLS(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let context = try TLSContext.client(TLSClientOptions(authorities: authority.certificate))
        let silent = rig.failure(rig.ownAddress) {
            $0.tls = context
            $0.timeout = .milliseconds(20)
        }
        #expect(silent == .timeout)
        rig.handler.onReceived = { [unowned rig] connection, bytes in
            rig.loop.close(connection, afterFlush: true)
            return bytes.count
        }
        guard case .handshake = rig.failure(rig.ownAddress, change: { $0.tls = context }) else {
            Issue.record("\(rig.handler.connectFailures)")
            return
        }
        rig.run { rig.loop.connectionCount == 0 }
        #expect(rig.loop.tlsCounters.sessions == 0)
    }
}
