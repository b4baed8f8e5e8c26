import Base
import EventLoops
import TestKit
import Testing

@Suite("TLS engine")
struct TLSEngineTests {
    let authority: TLSAuthority
    let serverFiles: TLSCertificateFiles
    let keys = TLSTicketKeys()

    init() throws {
        authority = try TLSAuthority()
        serverFiles = try authority.issue("localhost", alternatives: "DNS:localhost")
    }

    private func server(
        _ change: (inout TLSServerOptions) -> Void = { _ in }
    ) throws -> TLSContext {
        var options = TLSServerOptions(certificates: [serverFiles])
        change(&options)
        return try TLSContext.server(options, ticketKeys: keys)
    }

    private func client(
        _ change: (inout TLSClientOptions) -> Void = { _ in }
    ) throws -> TLSContext {
        var options = TLSClientOptions(authorities: authority.certificate)
        change(&options)
        return try TLSContext.client(options)
    }

    @Test("both versions carry data both ways", arguments: [TLSVersion.v1_2, .v1_3])
    func bothVersions(version: TLSVersion) throws {
        let pair = try TLSPair(server(), client { $0.maximumVersion = version })
        pair.exchange()
        #expect(pair.isEstablished, "\(pair.client.events) \(pair.server.events)")
        pair.client.send(Array("up".utf8))
        pair.server.send(Array("down".utf8))
        pair.exchange()
        #expect(pair.server.plain == Array("up".utf8))
        #expect(pair.client.plain == Array("down".utf8))
        let agreement = try #require(pair.server.engine.agreement(pair.server.slot))
        #expect(agreement.version == "TLSv\(version.rawValue)")
        #expect(agreement.serverName == "localhost")
        #expect(!agreement.isResumed)
    }

    @Test("any split and any reading gives the same bytes", arguments: Seed.series(6))
    func splits(seed: Seed) throws {
        var random = seed.random()
        let pair = try TLSPair(server(), client())
        pair.exchange()
        var sent: [UInt8] = []
        var reader = seed.random()
        pair.server.consumption = { ready in reader.below(ready + 1) }
        for _ in 0..<30 {
            let size = random.chance(percent: 20) ? random.below(60_000) : random.below(300)
            let bytes = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            sent += bytes
            pair.client.send(bytes)
            deliver(pair.client.takeOutgoing(), to: pair.server, &random)
        }
        pair.server.consumption = { $0 }
        pair.client.send([1])
        deliver(pair.client.takeOutgoing(), to: pair.server, &random)
        #expect(pair.server.plain == sent + [1])
        #expect(pair.server.buffer.isEmpty)
    }

    private func deliver(_ bytes: [UInt8], to side: TLSSide, _ random: inout SeededRandom) {
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + 1 + random.below(9000))
            side.receive(Array(bytes[offset..<end]))
            offset = end
        }
    }

    @Test("a handshake goes through byte by byte")
    func byteByByte() throws {
        let pair = try TLSPair(server(), client())
        pair.client.connect()
        for _ in 0..<4 {
            for byte in pair.client.takeOutgoing() { pair.server.receive([byte]) }
            for byte in pair.server.takeOutgoing() { pair.client.receive([byte]) }
        }
        #expect(pair.isEstablished)
        pair.client.send([7])
        for byte in pair.client.takeOutgoing() { pair.server.receive([byte]) }
        #expect(pair.server.plain == [7])
    }

    @Test("the end is told, and bytes before it arrive")
    func closeNotify() throws {
        let pair = try TLSPair(server(), client())
        pair.exchange()
        pair.client.send([1, 2, 3])
        pair.client.shutDown()
        pair.exchange()
        #expect(pair.server.plain == [1, 2, 3])
        #expect(pair.server.events == [.established, .closed])
        #expect(pair.server.engine.hasEnded(pair.server.slot))
    }

    @Test("a required client certificate is asked for, checked and readable")
    func requiredCertificate() throws {
        let files = try authority.issue(
            "sensor 7", alternatives: "DNS:s7.example,email:a@b.c,URI:urn:x,IP:10.1.2.3,IP:::1")
        let serverContext = try server {
            $0.clientCertificates = .required
            $0.clientAuthorities = authority.certificate
        }
        for version in TLSVersion.allCases {
            let pair = try TLSPair(
                serverContext,
                client {
                    $0.certificate = files
                    $0.maximumVersion = version
                })
            pair.exchange()
            let peer = try #require(pair.server.engine.peerCertificate(pair.server.slot))
            #expect(peer.commonName == "sensor 7")
            #expect(peer.subject == "CN=sensor 7,O=Example")
            #expect(peer.issuer == "CN=Test authority")
            #expect(peer.dnsNames == ["s7.example"])
            #expect(peer.emails == ["a@b.c"])
            #expect(peer.uris == ["urn:x"])
            #expect(peer.addresses == [IPAddress(v4: 0x0A01_0203), .v6Loopback])
            #expect(peer.fingerprint.count == 64)
            #expect(!peer.serial.isEmpty)
        }
        let refused = try TLSPair(serverContext, client())
        refused.exchange()
        #expect(refused.server.events == [.failed("peer did not return a certificate")])
        #expect(refused.server.engine.counters.failed == 1)
        #expect(refused.server.engine.counters.handshaking == 0)
    }

    @Test("[refusal W04] an optional client certificate may be missing but not wrong")
    func optionalCertificate() throws {
        let serverContext = try server {
            $0.clientCertificates = .optional
            $0.clientAuthorities = authority.certificate
        }
        let without = try TLSPair(serverContext, client())
        without.exchange()
        #expect(without.isEstablished)
        #expect(without.server.engine.peerCertificate(without.server.slot) == nil)
        let strangers = try TLSAuthority("Stranger")
        let stranger = try strangers.issue("sensor")
        let wrong = try TLSPair(serverContext, client { $0.certificate = stranger })
        wrong.exchange()
        guard case .failed(let reason) = wrong.server.events.first else {
            Issue.record("\(wrong.server.events)")
            return
        }
        #expect(reason.hasPrefix("certificate refused: "))
    }

    @Test("[refusal W04] a certificate that was revoked is refused, others are not")
    func revoked() throws {
        let good = try authority.issue("good")
        let bad = try authority.issue("bad")
        func serverContext(_ lists: [String]) throws -> TLSContext {
            try server {
                $0.clientCertificates = .required
                $0.clientAuthorities = authority.certificate
                $0.revocationLists = lists
            }
        }
        let lists = [try authority.revocationList("list", revoked: [bad])]
        let pair = try TLSPair(serverContext(lists), client { $0.certificate = good })
        pair.exchange()
        #expect(pair.isEstablished)
        let refused = try TLSPair(serverContext(lists), client { $0.certificate = bad })
        refused.exchange()
        #expect(refused.server.events == [.failed("certificate refused: certificate revoked")])
    }

    @Test("a revocation list that has run out lets nobody in")
    func staleRevocationList() throws {
        let files = try authority.issue("good")
        try authority.run([
            "ca", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-gencrl",
            "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z", "-out",
            "old.crl",
        ])
        let pair = try TLSPair(
            server {
                $0.clientCertificates = .required
                $0.clientAuthorities = authority.certificate
                $0.revocationLists = [authority.directory.file("old.crl")]
            }, client { $0.certificate = files })
        pair.exchange()
        #expect(pair.server.events == [.failed("certificate refused: CRL has expired")])
    }

    @Test(
        "the server's name chooses the certificate",
        arguments: [
            ("localhost", "localhost"), ("a.example.org", "*.example.org"),
            ("A.EXAMPLE.ORG", "*.example.org"), ("b.example.org", "b.example.org"),
            ("example.org", "localhost"), ("x.a.example.org", "localhost"),
            ("unknown.net", "localhost"),
            (String(repeating: "n", count: 63) + ".net", "localhost"),
        ])
    func serverNames(asked: String, shown: String) throws {
        let wildcard = try authority.issue("*.example.org", alternatives: "DNS:*.example.org")
        let exact = try authority.issue("b.example.org", alternatives: "DNS:b.example.org")
        let serverContext = try server { $0.certificates += [wildcard, exact] }
        let pair = try TLSPair(
            serverContext, client { $0.verifiesServer = false }, serverName: asked)
        pair.exchange()
        #expect(pair.isEstablished)
        let peer = pair.client.engine.peerCertificate(pair.client.slot)
        #expect(peer?.commonName == shown)
    }

    @Test("an unknown server name is refused where the listener says so")
    func strictNames() throws {
        let pair = try TLSPair(
            server { $0.refusesUnknownNames = true }, client { $0.verifiesServer = false },
            serverName: "unknown.net")
        pair.exchange()
        guard case .failed = pair.server.events.first else {
            Issue.record("\(pair.server.events)")
            return
        }
    }

    @Test(
        "[refusal W05] the application protocol is agreed by our preference",
        arguments: [
            (["mqtt"], "mqtt"), (["h2", "mqtt"], "mqtt"), ([], nil), (["http/1.1"], "refused"),
        ] as [([String], String?)])
    func applicationProtocol(offered: [String], expected: String?) throws {
        let pair = try TLSPair(server(), client { $0.protocols = offered })
        pair.exchange()
        if expected == "refused" {
            #expect(pair.server.events == [.failed("no application protocol")])
        } else {
            #expect(pair.isEstablished)
            let agreement = pair.server.engine.agreement(pair.server.slot)
            #expect(agreement?.applicationProtocol == expected)
        }
    }

    @Test("versions below the minimum are refused")
    func minimumVersion() throws {
        let pair = try TLSPair(
            server { $0.minimumVersion = .v1_3 }, client { $0.maximumVersion = .v1_2 })
        pair.exchange()
        #expect(pair.server.events == [.failed("unsupported protocol")])
    }

    @Test("chains that are too long are refused")
    func longChain() throws {
        let serverContext = try server {
            $0.clientCertificates = .required
            $0.clientAuthorities = authority.certificate
            $0.chainBytesMax = 600
        }
        let files = try authority.issue(
            "big", alternatives: (0..<40).map { "DNS:name\($0).example" }.joined(separator: ","))
        let pair = try TLSPair(serverContext, client { $0.certificate = files })
        pair.exchange()
        #expect(pair.server.events == [.failed("excessive message size")])
    }

    @Test(
        "garbage is refused with a reason",
        arguments: [
            Array("GET / HTTP/1.1\r\n\r\n".utf8), [0x10, 0x0C, 0, 4, 0x4D, 0x51, 0x54, 0x54],
            [0x16, 3, 1, 0xFF, 0xFF], [0x16, 3, 1, 0, 2, 1, 0], [0x17, 3, 3, 0, 1, 0], [0xFF],
            [0x16, 9, 9, 0, 1, 0],
        ] as [[UInt8]])
    func garbage(bytes: [UInt8]) throws {
        let side = try TLSSide(TLSEngine(TLSLimits()), server())
        side.receive(bytes + [UInt8](repeating: 0, count: 40))
        guard case .failed(let reason) = side.events.first else {
            Issue.record("\(side.events)")
            return
        }
        #expect(!reason.isEmpty)
        side.receive([1, 2, 3])
        #expect(side.events.count == 1)
    }

    @Test("random changes in a session never crash and end it", arguments: Seed.series(10))
    func mutations(seed: Seed) throws {
        var random = seed.random()
        let serverContext = try server()
        let clientContext = try client()
        for _ in 0..<20 {
            let pair = try TLSPair(serverContext, clientContext)
            pair.client.connect()
            var changed = false
            for _ in 0..<3 {
                var bytes = pair.client.takeOutgoing()
                if !bytes.isEmpty, random.chance(percent: 60) {
                    bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
                    changed = true
                }
                if !bytes.isEmpty { pair.server.receive(bytes) }
                let answer = pair.server.takeOutgoing()
                if !answer.isEmpty { pair.client.receive(answer) }
            }
            if changed { #expect(pair.server.plain.isEmpty) }
        }
    }

    @Test("[refusal W03] handshakes at once are bounded, and silent connections do not count")
    func handshakeFlood() throws {
        var limits = TLSLimits()
        limits.handshakesMax = 3
        let engine = TLSEngine(limits)
        let serverContext = try server()
        let silent = try (0..<100).map { _ in try TLSSide(engine, serverContext) }
        let pairs = try (0..<4).map { _ in
            try TLSPair(serverContext, client(), engine: engine)
        }
        for pair in pairs {
            pair.client.connect()
            pair.server.receive(pair.client.takeOutgoing())
        }
        #expect(engine.counters.handshaking == 3)
        #expect(pairs[3].server.events == [.failed("too many TLS handshakes at once")])
        #expect(silent.allSatisfy { $0.events.isEmpty })
        pairs[0].client.receive(pairs[0].server.takeOutgoing())
        pairs[0].exchange()
        #expect(pairs[0].isEstablished)
        #expect(engine.counters.handshaking == 2)
        // An optimised build would end them after their last use, and their handshakes with them.
        withExtendedLifetime((pairs, silent)) {}
    }

    @Test("an endless handshake is cut off")
    func endlessHandshake() throws {
        var limits = TLSLimits()
        limits.handshakeBytesMax = 50_000
        let side = try TLSSide(TLSEngine(limits), server())
        // A hello of 100 kB that never ends, in records of 4 kB.
        var hello: [UInt8] = [0x01, 0x01, 0x86, 0xA0, 3, 3] + [UInt8](repeating: 0, count: 4090)
        for _ in 0..<20 where side.events.isEmpty {
            side.receive([0x16, 3, 1, 0x10, 0x00] + hello)
            hello = [UInt8](repeating: 0, count: 4096)
        }
        guard case .failed = side.events.first else {
            Issue.record("\(side.events)")
            return
        }
        #expect(side.engine.counters.handshaking == 0)
    }

    @Test("[attack 25] renegotiation is not to be had")
    func renegotiation() throws {
        let pair = try TLSPair(server(), client { $0.maximumVersion = .v1_2 })
        pair.exchange()
        // A plain hello request in an encrypted session breaks it.
        pair.server.receive([0x16, 3, 3, 0, 4, 1, 0, 0, 0])
        guard case .failed = pair.server.events.last else {
            Issue.record("\(pair.server.events)")
            return
        }
    }

    @Test("a session keeps little while it waits in the middle of a record")
    func partialRecord() throws {
        let pair = try TLSPair(server(), client())
        pair.exchange()
        pair.client.send([UInt8](repeating: 7, count: 16384))
        let bytes = pair.client.takeOutgoing()
        for byte in bytes.dropLast() { pair.server.receive([byte]) }
        #expect(pair.server.plain.isEmpty)
        #expect(pair.server.keptMax <= TLSEngine.recordBytesMax)
        pair.server.receive(Array(bytes.suffix(1)))
        #expect(pair.server.plain.count == 16384)
        #expect(pair.server.buffer.isEmpty)
    }
}
