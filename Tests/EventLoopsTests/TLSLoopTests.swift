import Base
import Foundation
import EventLoops
import TestKit
import Testing

/// A TLS client over a socket, played between turns.
final class TLSSocket {
    let socket: LoopbackClient
    let side: TLSSide
    /// Bytes that the kernel has not taken.
    private var unsent: [UInt8] = []

    init(
        _ port: UInt16, _ context: TLSContext, prefix: [UInt8] = [],
        serverName: String = "localhost"
    ) throws {
        socket = LoopbackClient(port: port)
        side = try TLSSide(TLSEngine(TLSLimits()), context, serverName: serverName)
        unsent = prefix
        side.connect()
    }

    /// Moves what can be moved both ways.
    func pump() {
        unsent += side.takeOutgoing()
        if !unsent.isEmpty { unsent.removeFirst(socket.send(unsent)) }
        socket.read()
        let bytes = socket.take()
        if !bytes.isEmpty { side.receive(bytes) }
    }

    var isEstablished: Bool { side.events.first == .established }
}

@Suite("TLS and PROXY on loops")
struct TLSLoopTests {
    let authority: TLSAuthority
    let files: TLSCertificateFiles
    let clientContext: TLSContext

    init() throws {
        authority = try TLSAuthority()
        files = try authority.issue("localhost", alternatives: "DNS:localhost")
        clientContext = try TLSContext.client(
            TLSClientOptions(authorities: authority.certificate))
    }

    private func store(
        _ change: (inout TLSServerOptions) -> Void = { _ in }
    ) throws -> TLSContextStore {
        var options = TLSServerOptions(certificates: [files])
        change(&options)
        return TLSContextStore(try TLSContext.server(options, ticketKeys: TLSTicketKeys()))
    }

    private func rig(
        _ poller: PollerKind, tls: TLSContextStore? = nil, proxy: ProxyOptions? = nil,
        change: (inout LoopOptions) -> Void = { _ in }
    ) throws -> LoopRig {
        var listener = ListenerOptions.loopback
        listener.tls = tls
        listener.proxy = proxy
        return try LoopRig(poller, listeners: [listener], change: change)
    }

    @Test("frames come back whole through TLS, in any pieces", arguments: PollerKind.backends)
    func echo(poller: PollerKind) throws {
        let rig = try rig(poller, tls: store())
        rig.handler.echoFrames()
        let client = try TLSSocket(rig.port, clientContext)
        var random = SeededRandom(seed: 11)
        var sent: [UInt8] = []
        for round in 0..<60 {
            let frame = ConnectionTests.frame(random.below(3000), seed: UInt8(round))
            sent += frame
            let cut = random.below(frame.count)
            rig.run {
                client.pump(); return client.isEstablished
            }
            client.side.send(Array(frame[..<cut]))
            client.pump()
            if random.chance(percent: 50) { rig.turn() }
            client.side.send(Array(frame[cut...]))
            client.pump()
        }
        rig.run {
            client.pump(); return client.side.plain.count >= sent.count
        }
        #expect(client.side.plain == sent)
        #expect(rig.loop.blockBytes == 0, "an idle connection holds no block")
        #expect(rig.loop.tlsCounters.handshakes == 1)
    }

    @Test("much output keeps its order behind a slow reader", arguments: PollerKind.backends)
    func muchOutput(poller: PollerKind) throws {
        let rig = try rig(poller, tls: store())
        let client = try TLSSocket(rig.port, clientContext)
        #expect(
            rig.run {
                client.pump(); return !rig.handler.open.isEmpty
            })
        let id = rig.handler.open[0]
        let shared = OutputTests.bytes(300_000)
        let block = shared.withUnsafeBytes { SharedBlock.copy(of: $0) }
        var expected: [UInt8] = []
        for round in 0..<8 {
            let small = [UInt8](repeating: UInt8(round), count: 100 + round * 700)
            small.withUnsafeBytes { rig.loop.append(id, $0) }
            rig.loop.appendShared(id, block, 0..<shared.count)
            expected += small + shared
            if round % 2 == 0 { rig.turn() }
        }
        block.release()
        rig.loop.close(id, afterFlush: true)
        #expect(
            rig.run {
                client.pump(); return client.side.events.last == .closed
            })
        #expect(client.side.plain == expected)
    }

    @Test("a closed connection says farewell", arguments: PollerKind.backends)
    func farewell(poller: PollerKind) throws {
        let rig = try rig(poller, tls: store())
        let client = try TLSSocket(rig.port, clientContext)
        #expect(
            rig.run {
                client.pump(); return !rig.handler.open.isEmpty
            })
        rig.loop.close(rig.handler.open[0], afterFlush: true)
        #expect(
            rig.run {
                client.pump(); return client.side.events == [.established, .closed]
            })
        client.socket.close()
        #expect(rig.run { rig.loop.connectionCount == 0 })
        #expect(rig.loop.tlsCounters.sessions == 0)
        #expect(rig.loop.blockBytes == 0)
    }

    @Test("the client's farewell ends the connection", arguments: PollerKind.backends)
    func clientFarewell(poller: PollerKind) throws {
        let rig = try rig(poller, tls: store())
        rig.handler.echoBytes()
        let client = try TLSSocket(rig.port, clientContext)
        #expect(
            rig.run {
                client.pump(); return client.isEstablished
            })
        client.side.send([1, 2, 3])
        client.side.shutDown()
        #expect(
            rig.run {
                client.pump(); return !rig.handler.ended.isEmpty
            })
        #expect(rig.handler.ended.map(\.reason) == [.peerClosed])
        #expect(
            rig.run {
                client.pump(); return client.side.events.last == .closed
            })
        #expect(client.side.plain == [1, 2, 3])
    }

    @Test(
        "garbage is turned away with an alert, and others are served",
        arguments: PollerKind.backends)
    func garbage(poller: PollerKind) throws {
        let rig = try rig(poller, tls: store())
        rig.handler.echoBytes()
        let good = try TLSSocket(rig.port, clientContext)
        let bad = LoopbackClient(port: rig.port)
        bad.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(
            rig.run {
                good.pump(); bad.read(); return bad.isEnded && good.isEstablished
            })
        #expect(rig.handler.turnedAwayReasons == [.handshakeFailed("TLS: http request")])
        good.side.send([5])
        #expect(
            rig.run {
                good.pump(); return good.side.plain == [5]
            })
        bad.close()
        #expect(rig.run { rig.loop.connectionCount == 1 })
    }

    @Test("[attack 25] half-open handshakes end at their deadline", arguments: PollerKind.backends)
    func halfOpen(poller: PollerKind) throws {
        let rig = try rig(poller, tls: store()) { $0.handshakeTime = .milliseconds(60) }
        let clients = (0..<200).map { _ in LoopbackClient(port: rig.port) }
        rig.run(turns: 50) { false }
        for client in clients { client.send([0x16, 3, 1, 2, 0, 1]) }
        #expect(rig.run { rig.handler.turnedAwayReasons.count == 200 })
        #expect(rig.handler.turnedAwayReasons.allSatisfy { $0 == .timeout })
        // An optimised build would close them after their last use.
        withExtendedLifetime(clients) {}
        #expect(rig.run { rig.loop.connectionCount == 0 })
        #expect(rig.loop.blockBytes == 0)
        #expect(rig.handler.open.isEmpty)
    }

    @Test("a reload serves new connections and leaves the old", arguments: PollerKind.backends)
    func reload(poller: PollerKind) throws {
        let contexts = try store()
        let rig = try rig(poller, tls: contexts)
        rig.handler.echoBytes()
        let old = try TLSSocket(rig.port, clientContext)
        #expect(
            rig.run {
                old.pump(); return old.isEstablished
            })
        let renewed = try authority.issue("renewed", alternatives: "DNS:localhost")
        contexts.replace(
            with: try TLSContext.server(
                TLSServerOptions(certificates: [renewed]), ticketKeys: TLSTicketKeys()))
        let new = try TLSSocket(rig.port, clientContext)
        #expect(
            rig.run {
                new.pump(); return new.isEstablished
            })
        #expect(new.side.engine.peerCertificate(new.side.slot)?.commonName == "renewed")
        #expect(old.side.engine.peerCertificate(old.side.slot)?.commonName == "localhost")
        old.side.send([9])
        #expect(
            rig.run {
                old.pump(); return old.side.plain == [9]
            })
    }

    @Test("the handler reads the client's certificate by connection")
    func certificate() throws {
        let sensor = try authority.issue("sensor")
        let rig = try rig(
            .epoll,
            tls: store {
                $0.clientCertificates = .required
                $0.clientAuthorities = authority.certificate
            })
        var options = TLSClientOptions(authorities: authority.certificate)
        options.certificate = sensor
        options.protocols = ["mqtt"]
        let client = try TLSSocket(rig.port, TLSContext.client(options))
        #expect(
            rig.run {
                client.pump(); return !rig.handler.open.isEmpty
            })
        let id = rig.handler.open[0]
        #expect(rig.loop.peerCertificate(of: id)?.commonName == "sensor")
        #expect(rig.loop.tlsAgreement(of: id)?.applicationProtocol == "mqtt")
        #expect(rig.loop.peerCertificate(of: .none) == nil)
    }

    private static let header = Array("PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n".utf8)

    @Test("a PROXY header names the client, plain and sealed", arguments: PollerKind.backends)
    func proxied(poller: PollerKind) throws {
        let network = try #require(IPNetwork("127.0.0.0/8"))
        let proxy = ProxyOptions(trusted: [network])
        let plain = try rig(poller, proxy: proxy)
        plain.handler.echoBytes()
        let client = LoopbackClient(port: plain.port)
        for byte in Self.header { client.send([byte]); plain.turn() }
        client.send([1, 2])
        #expect(plain.collect(client, count: 2) == [1, 2])
        #expect(plain.handler.peers[0].peer.description == "192.0.2.1:56324")
        #expect(plain.handler.peers[0].local.description == "198.51.100.7:1883")

        let sealed = try rig(poller, tls: store(), proxy: proxy)
        sealed.handler.echoBytes()
        let secure = try TLSSocket(sealed.port, clientContext, prefix: Self.header)
        #expect(
            sealed.run {
                secure.pump(); return secure.isEstablished
            })
        secure.side.send([3])
        #expect(
            sealed.run {
                secure.pump(); return secure.side.plain == [3]
            })
        #expect(sealed.handler.peers[0].peer.description == "192.0.2.1:56324")
    }

    @Test(
        "[attack 26] [refusal W06, W07] a PROXY header from elsewhere, or none, is turned away",
        arguments: PollerKind.backends)
    func untrusted(poller: PollerKind) throws {
        let elsewhere = try #require(IPNetwork("10.0.0.0/8"))
        let rig = try rig(poller, proxy: ProxyOptions(trusted: [elsewhere]))
        let client = LoopbackClient(port: rig.port)
        client.send(Self.header)
        #expect(
            rig.run {
                client.read(); return client.isEnded || client.failure != nil
            })
        let here = try #require(IPNetwork("127.0.0.1"))
        let other = try self.rig(poller, proxy: ProxyOptions(trusted: [here]))
        let direct = LoopbackClient(port: other.port)
        direct.send([0x10, 0x00])
        #expect(
            other.run {
                direct.read(); return direct.isEnded || direct.failure != nil
            })
        #expect(other.handler.turnedAwayReasons == [.handshakeFailed("PROXY header: notProxy")])
        for rig in [rig, other] {
            #expect(rig.handler.open.isEmpty)
            #expect(rig.run { rig.loop.connectionCount == 0 })
            #expect(rig.loop.blockBytes == 0)
        }
    }

    @Test(
        "[attack 25] oversized chains, long names and foreign protocols meet their bounds",
        arguments: PollerKind.backends)
    func oversized(poller: PollerKind) throws {
        var sensor = try authority.issue("sensor")
        let leaf = try String(contentsOfFile: sensor.chain, encoding: .utf8)
        let more = try String(contentsOfFile: authority.certificate, encoding: .utf8)
        sensor.chain = try authority.directory.write(
            leaf + String(repeating: more, count: 50), to: "fifty.pem")
        let rig = try rig(
            poller,
            tls: store {
                $0.clientCertificates = .optional
                $0.clientAuthorities = authority.certificate
            })
        rig.handler.echoBytes()
        var options = TLSClientOptions(authorities: authority.certificate)
        options.certificate = sensor
        let deep = try TLSSocket(rig.port, TLSContext.client(options))
        options.certificate = nil
        options.protocols = [String(repeating: "\u{1}", count: 255)]
        let foreign = try TLSSocket(rig.port, TLSContext.client(options))
        #expect(
            rig.run {
                deep.pump()
                foreign.pump()
                return rig.handler.turnedAwayReasons.count == 2
            })
        #expect(
            rig.handler.turnedAwayReasons.contains(
                .handshakeFailed("TLS: excessive message size")))
        #expect(
            rig.handler.turnedAwayReasons.contains(
                .handshakeFailed("TLS: no application protocol")))
        options.protocols = []
        options.verifiesServer = false
        let label = String(repeating: "n", count: 63)
        let name = [label, label, label, label].joined(separator: ".")
        let named = try TLSSocket(rig.port, TLSContext.client(options), serverName: name)
        #expect(
            rig.run {
                named.pump()
                return named.isEstablished
            })
        named.side.send([4])
        #expect(
            rig.run {
                named.pump()
                return named.side.plain == [4]
            })
        deep.socket.close()
        foreign.socket.close()
        #expect(rig.run { rig.loop.connectionCount == 1 })
        #expect(rig.loop.tlsCounters.sessions == 1)
    }

    @Test(
        "[attack 26] LOCAL keeps the socket's own address, truncated fields are refused",
        arguments: PollerKind.backends)
    func localCommand(poller: PollerKind) throws {
        let here = try #require(IPNetwork("127.0.0.1"))
        let rig = try rig(poller, proxy: ProxyOptions(trusted: [here]))
        rig.handler.echoBytes()
        let client = LoopbackClient(port: rig.port)
        client.send(ProxyTests.binary(command: 0x20, ProxyTests.v4Addresses) + [8])
        #expect(rig.collect(client, count: 1) == [8])
        #expect(rig.handler.peers[0].peer.isLoopback)
        let truncated = LoopbackClient(port: rig.port)
        truncated.send(ProxyTests.binary(ProxyTests.v4Addresses + [4, 0, 9, 1]))
        #expect(
            rig.run {
                truncated.read()
                return truncated.isEnded || truncated.failure != nil
            })
        #expect(rig.handler.turnedAwayReasons == [.handshakeFailed("PROXY header: truncated")])
        #expect(rig.run { rig.loop.connectionCount == 1 })
    }
}
