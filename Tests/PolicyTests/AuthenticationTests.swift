import Base
import Glibc
import Policy
import TestKit
import Testing

@Suite("Authentication")
struct AuthenticationTests {
    @Test("without a rule of its own a client is of the default tenant")
    func tenantOrder() throws {
        let listener = try #require(TenantName("listener"))
        var request = AuthenticationRequest()
        var rule = TenantRule()
        #expect(rule.principal("alice", request) == Principal(tenant: .standard, user: "alice"))
        request.listenerTenant = listener
        #expect(rule.principal("alice", request).tenant == listener)
        #expect(rule.principal("acme/alice", request).tenant.text == "acme")
        #expect(rule.principal("acme/alice", request).user == "alice")
        #expect(rule.principal("no tenant/alice", request).user == "no tenant/alice")
        request.certificate = PeerCertificate()
        request.certificate?.organization = "works"
        #expect(rule.principal("acme/alice", request).tenant.text == "acme")
        rule.fromCertificate = .organization
        #expect(rule.principal("acme/alice", request).tenant.text == "works")
        rule.fromUsername = false
        #expect(rule.principal("acme/alice", request).user == "acme/alice")
    }

    @Test(
        "anonymous clients are served on loopback only, unless allowed",
        arguments: [
            ("127.0.0.1", false, true), ("::1", false, true), ("", false, true),
            ("192.0.2.1", false, false), ("192.0.2.1", true, true), ("junk", false, false),
        ])
    func anonymous(peer: String, allowsRemote: Bool, isAccepted: Bool) {
        var request = AuthenticationRequest()
        request.peerAddress = peer
        let authenticator = AnonymousAuthenticator(allowsRemote: allowsRemote, rule: TenantRule())
        #expect(Answer(authenticator.authenticate(request) { _ in }).isAccepted == isAccepted)
    }

    @Test("a certificate's field is the user")
    func certificate() {
        var request = AuthenticationRequest()
        let byName = CertificateAuthenticator(field: .commonName, rule: TenantRule())
        let byAlternative = CertificateAuthenticator(field: .alternativeName, rule: TenantRule())
        #expect(Answer(byName.authenticate(request) { _ in }) == .notMine)
        request.certificate = PeerCertificate()
        request.certificate?.commonName = "device-1"
        #expect(Answer(byName.authenticate(request) { _ in }) == .accepted("device-1"))
        #expect(Answer(byAlternative.authenticate(request) { _ in }) == .refused(0x87))
    }

    @Test("passwords are checked on the pool, and the right one is remembered")
    func passwords() throws {
        let pool = BlockingPool(threadCount: 1, queueLimit: 10)
        defer { pool.stop() }
        let authenticator = try makeAuthenticator(pool: pool)
        #expect(ask(authenticator, "alice", "secret") == .accepted("alice"))
        #expect(ask(authenticator, "alice", "wrong") == .refused(0x86))
        #expect(ask(authenticator, "mallory", "secret") == .refused(0x86))
        #expect(ask(authenticator, "acme/bob", "secret") == .accepted("bob"))
        #expect(ask(authenticator, nil, nil) == .notMine)
        // Remembered: answered at once, without the pool.
        pool.stop()
        #expect(ask(authenticator, "alice", "secret") == .accepted("alice"))
        #expect(ask(authenticator, "alice", "wrong") == .refused(0x89))
        authenticator.reload(PasswordTable())
        #expect(ask(authenticator, "alice", "secret") == .refused(0x89))
    }

    @Test("a pool with a full queue answers that the server is busy")
    func busy() throws {
        let pool = BlockingPool(threadCount: 1, queueLimit: 1)
        pool.stop()
        let authenticator = try makeAuthenticator(pool: pool)
        #expect(ask(authenticator, "alice", "secret") == .refused(0x89))
    }

    @Test("a chain asks in order, and the first that answers decides")
    func chain() throws {
        let pool = BlockingPool(threadCount: 1, queueLimit: 10)
        defer { pool.stop() }
        let anonymous = AnonymousAuthenticator(allowsRemote: false, rule: TenantRule())
        let passwords = try makeAuthenticator(pool: pool)
        let chain = AuthenticatorChain([Later(), passwords, anonymous])
        #expect(chain.methods == ["SCRAM-SHA-256"])
        #expect(ask(chain, "alice", "secret") == .accepted("alice"))
        #expect(ask(chain, "alice", "wrong") == .refused(0x86))
        #expect(ask(chain, nil, nil) == .accepted(""))
        #expect(ask(AuthenticatorChain([Later()]), nil, nil) == .refused(0x87))
        var request = AuthenticationRequest()
        request.method = "GS2-KRB5"
        #expect(ask(chain, request) == .refused(0x8C))
    }

    @Test("the example conversation of RFC 7677")
    func scram() throws {
        let salt = try #require(Base64.decode(Array("W22ZaJ0SNY7soEsUEjb6gQ==".utf8)))
        let entry = PasswordEntry.make(.scram, password: Array("pencil".utf8), salt: salt)
        var machine = ScramMachine(
            serverNonce: Array("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".utf8), decoyKey: [1])
        let first = machine.receiveFirst(Array("n,,n=user,r=rOprNGfwEbeRWgbNEkqO".utf8)) {
            $0 == "user" ? entry : nil
        }
        let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        #expect(try text(first) == nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        let proof = "c=biws,\(nonce),p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        let final = machine.receiveFinal(Array(proof.utf8))
        #expect(try text(final) == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        let wrong = proof.replacing("p=dH", with: "p=eH")
        #expect(throws: AuthenticationRefusal.self) {
            try machine.receiveFinal(Array(wrong.utf8)).get()
        }
        let otherNonce = proof.replacing("hNlF", with: "hNlG")
        #expect(throws: AuthenticationRefusal.self) {
            try machine.receiveFinal(Array(otherNonce.utf8)).get()
        }
    }

    @Test(
        "a first message of SCRAM that is malformed is refused",
        arguments: [
            "", "n", "n,,", "n,,n=user", "p=tls-unique,,n=user,r=x", "n,,n=,r=x", "n,,r=x,n=user",
            "n,a=other,n=user,r=x", "n,,n=us=2Aer,r=x", "n,,n=user,r=", "x,,n=user,r=x",
        ])
    func scramMalformed(message: String) {
        var machine = ScramMachine(serverNonce: [0x61], decoyKey: [1])
        let result = machine.receiveFirst(Array(message.utf8)) { _ in nil }
        #expect(throws: AuthenticationRefusal.self) { try result.get() }
    }

    @Test("random messages never stop the SCRAM machine", arguments: Seed.series(10))
    func scramRandom(seed: Seed) {
        var random = seed.random()
        let alphabet = Array("n,=rcp2CD\u{0}aé".utf8)
        for _ in 0..<500 {
            var machine = ScramMachine(serverNonce: [0x61], decoyKey: [1])
            func noise() -> [UInt8] {
                (0..<random.below(40)).map { _ in alphabet[random.below(alphabet.count)] }
            }
            let prefix = random.chance(percent: 50) ? Array("n,,n=u,r=".utf8) : []
            _ = machine.receiveFirst(prefix + noise()) { _ in nil }
            let final = machine.receiveFinal(Array("c=biws,r=".utf8) + noise())
            #expect(throws: AuthenticationRefusal.self) { try final.get() }
        }
    }

    private func text(_ result: Result<[UInt8], AuthenticationRefusal>) throws -> String {
        String(decoding: try result.get(), as: UTF8.self)
    }

    private func makeAuthenticator(pool: BlockingPool) throws -> PasswordAuthenticator {
        let entry = try #require(
            PasswordEntry(
                text: "$7$101$sg4FIDki8nfEe+qI$2gyO12ivAxk2n8rytCHt3zbi3vqdIyG9ovFNnE786DeHaLtoKveo"
                    + "GXjWpehAAGw2fKmQKXrtX3TVYDSPNzWxuA=="))
        let text = "alice:\(entry.text)\nacme/bob:\(entry.text)\n"
        return PasswordAuthenticator(
            try PasswordTable(Array(text.utf8), path: "p"), pool: pool, rule: TenantRule(),
            random: { [UInt8](repeating: 7, count: $0) })
    }

    private func ask(
        _ authenticator: any Authenticator, _ username: String?, _ password: String?
    ) -> Answer {
        var request = AuthenticationRequest()
        request.username = username
        request.password = password.map { Array($0.utf8) }
        return ask(authenticator, request)
    }

    /// Waits for an answer that comes from another thread.
    private func ask(
        _ authenticator: any Authenticator, _ request: AuthenticationRequest
    ) -> Answer {
        let later = Guarded<Answer?>(nil)
        let now = authenticator.authenticate(request) { result in
            later.withLock { $0 = Answer(result) }
        }
        if let now { return Answer(now) }
        while true {
            if let answer = later.withLock({ $0 }) { return answer }
            sched_yield()
        }
    }
}

/// Says "not mine" from elsewhere, as a webhook may.
private struct Later: Authenticator {
    func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        completion(.notMine)
        return nil
    }
}

/// A result in a form that can be compared.
private enum Answer: Equatable, Sendable {
    case accepted(String)
    case refused(UInt8)
    case challenge
    case notMine

    init(_ result: AuthenticationResult?) {
        switch result {
        case .accepted(let principal, _): self = .accepted(principal.user)
        case .refused(let refusal): self = .refused(refusal.reasonCode)
        case .challenge: self = .challenge
        case .notMine, nil: self = .notMine
        }
    }

    var isAccepted: Bool {
        if case .accepted = self { true } else { false }
    }
}
