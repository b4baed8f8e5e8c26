import Base

/// Everything that an operator may choose, as values of their types. Defaults stand here; names,
/// ranges and reasons are in `OptionTable`.
package struct Configuration: Equatable, Sendable {
    /// Which of the kernel's interfaces the loops use.
    package enum Poller: String, CaseIterable, Sendable {
        case auto
        case epoll
        case uring = "io_uring"
    }

    /// Who is asked whether a client may connect.
    package enum AuthenticationMethod: String, CaseIterable, Sendable {
        case password
        case certificate
        case anonymous
    }

    /// For whom a name is not needed.
    package enum AnonymousAccess: String, CaseIterable, Sendable {
        case loopback
        case everywhere
    }

    /// How log lines look.
    package enum LogFormat: String, CaseIterable, Sendable {
        case text
        case json
    }

    /// How much of it is logged.
    package enum LogLevel: String, CaseIterable, Sendable {
        case debug
        case info
        case notice
        case warning
        case error
    }

    /// What becomes of clients of a tenant that is not configured.
    package enum UnknownTenants: String, CaseIterable, Sendable {
        case accept
        case refuse
    }

    package var dataDirectory = "./data"
    /// 0: as many as the process may use processors.
    package var loops = 0
    package var pinsLoops = true
    package var poller = Poller.auto
    package var fsync = Fsync()
    package var listeners: [ListenerConfiguration] = []
    package var authentication = Authentication()
    package var authorisation = Authorisation()
    package var tenancy = Tenancy()
    package var limits = Limits()
    package var log = Log()
    package var shutdown = Shutdown()
    package var admin = Admin()
    package var sysTopicsInterval = Duration.seconds(10)
    package var sysTopicsTenant = TenantName.standard.text

    package init() {}

    /// Which stores sync to disk before they acknowledge.
    package struct Fsync: Equatable, Sendable {
        package var dist = true
        package var inbox = true
        package var retain = true
        package var system = true
    }

    /// Who may connect.
    package struct Authentication: Equatable, Sendable {
        package var order = [AuthenticationMethod.anonymous]
        package var anonymous = AnonymousAccess.loopback
        /// Empty if there is none.
        package var passwordFile = ""
        /// Empty if there is none.
        package var banFile = ""
        package var certificateUser = CertificateUserField.commonName
        package var hashThreads = 2
        package var hashQueue = 1_024
    }

    /// What clients may do.
    package struct Authorisation: Equatable, Sendable {
        /// Empty: everything is allowed.
        package var file = ""
        package var format = AccessFormat.apus
    }

    /// Which tenants there are, and how a client's is found.
    package struct Tenancy: Equatable, Sendable {
        package var fromUsername = true
        package var fromCertificate = TenantRule.CertificateField.none
        package var unknown = UnknownTenants.accept
        package var defaults = TenantOverrides()
        package var tenants: [TenantName: TenantOverrides] = [:]

        package var rule: TenantRule {
            var rule = TenantRule()
            rule.fromUsername = fromUsername
            rule.fromCertificate = fromCertificate
            return rule
        }
    }

    /// What the whole node admits.
    package struct Limits: Equatable, Sendable {
        /// 0 is no limit.
        package var connections = 0
        package var connectRate = 0
        /// 0: most of what the machine or its control group has.
        package var memory = 0
        package var memoryHighPercent = 80
        package var loopLag = Duration.milliseconds(500)
        package var bytesBeforeConnect = 131_072
    }

    /// What is written to the log, which is standard error.
    package struct Log: Equatable, Sendable {
        package var level = LogLevel.info
        package var format = LogFormat.text
        package var events = LogLevel.notice
    }

    /// How the node stops.
    package struct Shutdown: Equatable, Sendable {
        package var drainTimeout = Duration.seconds(30)
        package var disconnectRate = 5_000
    }

    /// The HTTP API.
    package struct Admin: Equatable, Sendable {
        /// Empty: the API is served on loopback alone.
        package var apiKeyFile = ""
        package var bodyBytesMax = 1_048_576
    }
}
