import Base

/// Who may connect and do what, as the configuration says now: the authenticator and authoriser
/// that loops ask, and the tenants' table.
///
/// A reload replaces all parts or, if a file of the new configuration is broken, none of them.
/// Lives as long as the process; its pool of threads ends with `stop`.
package final class AccessControl: Authenticator, Authoriser {
    private struct Parts {
        var authenticator: any Authenticator
        var authoriser: any Authoriser
        var bans: BanTable
    }

    package let tenants: TenantStore
    private let parts: Guarded<Parts>
    private let pool: BlockingPool
    private let random: @Sendable (Int) -> [UInt8]
    private let wallTime: @Sendable () -> WallTime
    /// One number for every change of rules.
    private let published = AtomicCells(count: 1)

    /// `random` gives so many unpredictable bytes.
    package init(
        _ configuration: Configuration, wallTime: @escaping @Sendable () -> WallTime,
        random: @escaping @Sendable (Int) -> [UInt8]
    ) throws(PolicyFileError) {
        self.random = random
        self.wallTime = wallTime
        let authentication = configuration.authentication
        let authoriser = try Self.authoriser(configuration.authorisation)
        let passwords = try Self.passwords(authentication)
        let bans = try Self.bans(authentication)
        pool = BlockingPool(
            threadCount: authentication.hashThreads, queueLimit: authentication.hashQueue)
        tenants = TenantStore(Self.table(configuration.tenancy, TenantTable()))
        let authenticator = Self.authenticator(configuration, passwords, pool, random)
        parts = Guarded(
            Parts(authenticator: authenticator, authoriser: authoriser, bans: bans))
        published.publish(0, 1)
    }

    /// Takes over a changed configuration and reads its files anew. On an error everything stays
    /// as it was.
    package func reload(_ configuration: Configuration) throws(PolicyFileError) {
        let authoriser = try Self.authoriser(configuration.authorisation)
        let passwords = try Self.passwords(configuration.authentication)
        let bans = try Self.bans(configuration.authentication)
        let authenticator = Self.authenticator(configuration, passwords, pool, random)
        parts.withLock {
            $0 = Parts(authenticator: authenticator, authoriser: authoriser, bans: bans)
        }
        tenants.replace { Self.table(configuration.tenancy, $0) }
        published.add(0, 1)
    }

    /// Ends the threads that check passwords.
    package func stop() { pool.stop() }

    package var methods: [String] { parts.withLock { $0.authenticator }.methods }

    package func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        let (authenticator, areBans) = parts.withLock { ($0.authenticator, !$0.bans.isEmpty) }
        guard areBans else { return authenticator.authenticate(request, completion) }
        return BanningAuthenticator(
            inner: authenticator, bansRequest: { self.bans($0) }, bansClient: { self.bans($0) }
        ).authenticate(request, completion)
    }

    package var epoch: UInt64 { published.acquire(0) }

    package func permissions(for client: ClientIdentity) -> Permissions {
        if bans(client) { return .compiled(Self.nothing) }
        return parts.withLock { $0.authoriser }.permissions(for: client)
    }

    package func judge(
        _ action: AccessAction, of client: ClientIdentity,
        _ completion: @escaping AccessCompletion
    ) -> AccessVerdict? {
        parts.withLock { $0.authoriser }.judge(action, of: client, completion)
    }

    private static func authoriser(
        _ options: Configuration.Authorisation
    ) throws(PolicyFileError) -> any Authoriser {
        if options.file.isEmpty { return OpenAuthoriser() }
        return FileAuthoriser(try PolicyFiles.rules(options.file, format: options.format))
    }

    // MARK: Bans

    /// What is left to a client that is banned while it is connected.
    private static let nothing = CompiledPermissions(
        [AccessRule(isAllowing: false, actions: .connect, line: 0)], isDefaultAllow: false)

    private func bans(_ request: AuthenticationRequest) -> Bool {
        parts.withLock { $0.bans }.bans(request, wallTime())
    }

    private func bans(_ client: ClientIdentity) -> Bool {
        let bans = parts.withLock { $0.bans }
        return !bans.isEmpty && bans.bans(client, wallTime())
    }

    private static func bans(
        _ options: Configuration.Authentication
    ) throws(PolicyFileError) -> BanTable {
        options.banFile.isEmpty ? BanTable() : try PolicyFiles.bans(options.banFile)
    }

    private static func passwords(
        _ options: Configuration.Authentication
    ) throws(PolicyFileError) -> PasswordTable {
        options.order.contains(.password)
            ? try PolicyFiles.passwords(options.passwordFile) : PasswordTable()
    }

    private static func authenticator(
        _ configuration: Configuration, _ passwords: PasswordTable, _ pool: BlockingPool,
        _ random: @escaping @Sendable (Int) -> [UInt8]
    ) -> any Authenticator {
        let options = configuration.authentication
        let rule = configuration.tenancy.rule
        return AuthenticatorChain(
            options.order.map { method -> any Authenticator in
                switch method {
                case .password:
                    PasswordAuthenticator(passwords, pool: pool, rule: rule, random: random)
                case .certificate:
                    CertificateAuthenticator(field: options.certificateUser, rule: rule)
                case .anonymous:
                    AnonymousAuthenticator(
                        allowsRemote: options.anonymous == .everywhere, rule: rule)
                }
            })
    }

    private static func table(
        _ tenancy: Configuration.Tenancy, _ table: TenantTable
    ) -> TenantTable {
        var table = table
        table.configure(
            defaults: tenancy.defaults, tenants: tenancy.tenants,
            acceptsUnknown: tenancy.unknown == .accept)
        return table
    }
}
