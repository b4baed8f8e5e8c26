import Base

/// Checks user names and passwords against a password file.
///
/// Hashing runs on a bounded pool; when its queue is full the client hears "server busy". A
/// password that was right is remembered as a keyed hash, so that a storm of reconnecting clients
/// costs a microsecond each instead of a password hash each; a changed entry forgets it.
package final class PasswordAuthenticator: Authenticator {
    /// Passwords remembered; when full, all are forgotten and learnt again.
    package static let rememberedMax = 262_144

    private struct Contents {
        var table: PasswordTable
        /// Keyed hash of the password that was right, by user.
        var remembered: [String: [UInt8]] = [:]
    }

    private let contents: Guarded<Contents>
    private let pool: BlockingPool
    private let rule: TenantRule
    /// Secret of this process: what is remembered is worthless outside of it.
    private let key: [UInt8]

    private let random: @Sendable (Int) -> [UInt8]

    package let methods = [ScramMachine.method]

    /// `random` gives so many unpredictable bytes.
    package init(
        _ table: PasswordTable, pool: BlockingPool, rule: TenantRule,
        random: @escaping @Sendable (Int) -> [UInt8]
    ) {
        contents = Guarded(Contents(table: table))
        self.pool = pool
        self.rule = rule
        self.random = random
        key = random(32)
    }

    /// Takes a table that was read anew.
    package func reload(_ table: PasswordTable) {
        contents.withLock { $0 = Contents(table: table) }
    }

    package func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        if request.method == ScramMachine.method { return beginScram(request) }
        guard request.method == nil, let user = request.username else { return .notMine }
        let password = request.password ?? []
        let proof = KeyedDigest.hmacSHA256(key: key, Array(user.utf8) + [0] + password)
        let (entry, remembered) = contents.withLock {
            ($0.table.entries[user], $0.remembered[user])
        }
        if entry != nil, let remembered, ConstantTime.equals(remembered, proof) {
            return .accepted(rule.principal(user, request))
        }
        let submitted = pool.submit { [self] in
            completion(verify(user, password, entry, proof, request))
        }
        return submitted ? nil : .refused(.serverBusy("too many passwords are being checked"))
    }

    private func verify(
        _ user: String, _ password: [UInt8], _ entry: PasswordEntry?, _ proof: [UInt8],
        _ request: AuthenticationRequest
    ) -> AuthenticationResult {
        guard let entry else {
            // As slow as a wrong password, so that the time does not tell which users exist.
            _ = PasswordEntry.make(.scrypt, password: password, salt: key)
            return .refused(.badUserOrPassword("unknown user"))
        }
        guard entry.verify(password) else {
            return .refused(.badUserOrPassword("wrong password"))
        }
        contents.withLock { contents in
            guard contents.table.entries[user] == entry else { return }
            if contents.remembered.count >= Self.rememberedMax { contents.remembered = [:] }
            contents.remembered[user] = proof
        }
        return .accepted(rule.principal(user, request))
    }

    private func beginScram(_ request: AuthenticationRequest) -> AuthenticationResult {
        let nonce = Base64.encode(random(18))
        var machine = ScramMachine(serverNonce: nonce, decoyKey: key)
        let table = contents.withLock { $0.table }
        switch machine.receiveFirst(request.data, { table.entries[$0] }) {
        case .failure(let refusal): return .refused(refusal)
        case .success(let reply):
            let rule = self.rule
            let exchange = ScramExchange(machine: machine) { rule.principal($0, request) }
            return .challenge(data: reply, exchange)
        }
    }
}

/// The second and last step of SCRAM.
private struct ScramExchange: AuthenticationExchange {
    let machine: ScramMachine
    let principal: @Sendable (String) -> Principal

    func receive(
        _ data: [UInt8], _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        switch machine.receiveFinal(data) {
        case .failure(let refusal): .refused(refusal)
        case .success(let reply): .accepted(principal(machine.user), data: reply)
        }
    }
}
