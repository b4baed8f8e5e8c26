import Base
import EventLoops
import TestKit
import Testing

@Suite("TLS contexts")
struct TLSContextTests {
    let authority: TLSAuthority
    let files: TLSCertificateFiles

    init() throws {
        authority = try TLSAuthority()
        files = try authority.issue("localhost", alternatives: "DNS:localhost")
    }

    private func load(
        keys: TLSTicketKeys = TLSTicketKeys(), _ change: (inout TLSServerOptions) -> Void
    ) throws -> TLSContext {
        var options = TLSServerOptions(certificates: [files])
        change(&options)
        return try TLSContext.server(options, ticketKeys: keys)
    }

    /// The error's text, or an empty one.
    private func fault(_ change: (inout TLSServerOptions) -> Void) -> String {
        do {
            _ = try load(change)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("every mistake in the files is an error that names the file and a remedy")
    func mistakes() throws {
        let empty = try authority.directory.write("", to: "empty.pem")
        let other = try authority.issue("other")
        let missing = authority.directory.file("missing.pem")
        try authority.run([
            "pkey", "-in", files.key, "-aes256", "-passout", "pass:secret", "-out", "sealed.key",
        ])
        let sealed = authority.directory.file("sealed.key")
        let cases: [(text: String, fault: String)] = [
            ("No such file", fault { $0.certificates[0].chain = missing }),
            ("No such file", fault { $0.certificates[0].key = missing }),
            ("no PEM certificate", fault { $0.certificates[0].chain = empty }),
            ("no PEM private key", fault { $0.certificates[0].key = empty }),
            ("does not belong", fault { $0.certificates[0].key = other.key }),
            ("is encrypted", fault { $0.certificates[0].key = sealed }),
            ("needs a certificate", fault { $0.certificates = [] }),
            ("no cipher", fault { $0.ciphers = "NONSENSE" }),
            ("unknown cipher suite", fault { $0.cipherSuites = "NONSENSE" }),
            ("1 to 255 bytes", fault { $0.protocols = [""] }),
            ("nobody is trusted", fault { $0.clientCertificates = .required }),
            ("none are asked for", fault { $0.clientAuthorities = authority.certificate }),
            (
                "no PEM certificate",
                fault {
                    $0.clientCertificates = .optional
                    $0.clientAuthorities = empty
                }
            ),
            (
                "no PEM revocation list",
                fault {
                    $0.clientCertificates = .optional
                    $0.clientAuthorities = authority.certificate
                    $0.revocationLists = [files.chain]
                }
            ),
        ]
        for (text, fault) in cases {
            #expect(fault.contains(text))
            #expect(fault.contains("; "), "a remedy: \(fault)")
        }
        let opened = try load {
            $0.certificates[0].key = sealed
            $0.certificates[0].keyPassword = "secret"
        }
        #expect(opened.warnings.isEmpty)
    }

    @Test("what is unwise but works is a warning")
    func warnings() throws {
        try authority.run(["x509", "-in", files.chain, "-out", "copy.pem"])
        let readable = try authority.directory.write("", to: "readable.key")
        try authority.run(["pkey", "-in", files.key, "-out", "readable.key"])
        let context = try load { $0.certificates[0].key = readable }
        #expect(context.warnings.contains { $0.contains("chmod 600") })
    }

    @Test(
        "a ticket resumes on another loop and under a reloaded context",
        arguments: TLSVersion.allCases)
    func resumption(version: TLSVersion) throws {
        let keys = TLSTicketKeys()
        let first = try load(keys: keys) { _ in }
        var options = TLSClientOptions(authorities: authority.certificate)
        options.maximumVersion = version
        let clientContext = try TLSContext.client(options)
        let pair = try TLSPair(first, clientContext)
        pair.exchange()
        pair.server.send([1])
        pair.exchange()
        let ticket = try #require(pair.client.engine.ticket(pair.client.slot))
        func resumes(_ context: TLSContext) throws -> Bool {
            let again = try TLSPair(context, clientContext, resuming: ticket)
            again.exchange()
            #expect(again.isEstablished)
            #expect(again.server.engine.counters.handshakes == 1)
            return again.server.engine.counters.resumed == 1
        }
        #expect(try resumes(first))
        #expect(try resumes(load(keys: keys) { _ in }))
        keys.rotate()
        #expect(try resumes(first))
        keys.rotate()
        keys.rotate()
        #expect(try !resumes(first))
        #expect(try !resumes(load { _ in }))
    }

    @Test("a ticket does not outlive a change of who is trusted")
    func ticketScope() throws {
        let keys = TLSTicketKeys()
        let client = try authority.issue("client")
        func context(_ lists: [String]) throws -> TLSContext {
            try load(keys: keys) {
                $0.clientCertificates = .required
                $0.clientAuthorities = authority.certificate
                $0.revocationLists = lists
            }
        }
        var options = TLSClientOptions(authorities: authority.certificate)
        options.certificate = client
        let clientContext = try TLSContext.client(options)
        let pair = try TLSPair(context([]), clientContext)
        pair.exchange()
        pair.server.send([1])
        pair.exchange()
        let ticket = try #require(pair.client.engine.ticket(pair.client.slot))
        let again = try TLSPair(context([]), clientContext, resuming: ticket)
        again.exchange()
        #expect(again.server.engine.counters.resumed == 1)
        #expect(again.server.engine.peerCertificate(again.server.slot)?.commonName == "client")
        let list = try authority.revocationList("list", revoked: [client])
        let revoked = try TLSPair(context([list]), clientContext, resuming: ticket)
        revoked.exchange()
        #expect(revoked.server.events == [.failed("certificate refused: certificate revoked")])
    }
}
