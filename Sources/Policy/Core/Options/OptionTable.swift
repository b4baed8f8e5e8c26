import Base

/// All options: parsing by name, the reference page, `apus check` and `--print-config` come from
/// these rows. Settings of tenants have their own table (`SettingTable`) and stand under
/// `tenantDefaults` and `tenants.NAME`.
package enum OptionTable {
    package static let rows: [OptionRow<Configuration>] =
        processRows + accessRows + limitRows + operationRows

    private static let processRows: [OptionRow<Configuration>] = [
        .text(
            "dataDirectory", \.dataDirectory, "a path", .restart,
            "Where everything is kept that outlives the process; made if missing."
        ) { !$0.isEmpty },
        .integer(
            "loops", \.loops, 0...1_024, zero: "auto", .restart,
            "Worker loops; auto is one per processor that the process may use."),
        .flag(
            "pinLoops", \.pinsLoops, .restart,
            "Bind each loop to a processor if there are as many loops; off where others share them."
        ),
        .choice(
            "poller", \.poller, .restart,
            "The kernel's interface for sockets; auto chooses and prints its choice."),
        .flag(
            "fsync.dist", \.fsync.dist, .restart,
            "Sync subscriptions' routes before they are acknowledged."),
        .flag(
            "fsync.inbox", \.fsync.inbox, .restart,
            "Sync stored sessions and their messages before PUBACK; off breaks promise 1."),
        .flag(
            "fsync.retain", \.fsync.retain, .restart,
            "Sync retained messages before they are acknowledged."),
        .flag(
            "fsync.system", \.fsync.system, .restart,
            "Sync settings, users and liveness epochs before they are acknowledged."),
    ]

    private static let accessRows: [OptionRow<Configuration>] = [
        .list(
            "authentication.order", \.authentication.order,
            "password, certificate, anonymous", .reload,
            "Who is asked, in this order; the first that knows the kind of credentials decides.",
            print: \.rawValue, parse: { .init(rawValue: $0) }),
        .choice(
            "authentication.anonymous", \.authentication.anonymous, .reload,
            "Where clients without a checked name are served."),
        .text(
            "authentication.passwordFile", \.authentication.passwordFile, "a path", .reload,
            "Users with hashed passwords, made by `apus passwd`; mosquitto's files are read too."),
        .choice(
            "authentication.certificateUser", \.authentication.certificateUser, .reload,
            "The certificate field that names the user."),
        .text(
            "authentication.banFile", \.authentication.banFile, "a path", .reload,
            "Client ids, users, addresses and networks that may not connect."),
        .integer(
            "authentication.hashThreads", \.authentication.hashThreads, 1...64, .restart,
            "Threads that check passwords; loops never do."),
        .integer(
            "authentication.hashQueue", \.authentication.hashQueue, 1...1_000_000, .restart,
            "Passwords that may wait; more are answered with server busy."),
        .text(
            "authorisation.file", \.authorisation.file, "a path", .reload,
            "Access rules; without a file everything is allowed."),
        .choice(
            "authorisation.format", \.authorisation.format, .reload,
            "The form of that file; mosquitto's is read too."),
        .flag(
            "tenancy.fromUsername", \.tenancy.fromUsername, .reload,
            "A user name `tenant/user` names the tenant."),
        .choice(
            "tenancy.fromCertificate", \.tenancy.fromCertificate, .reload,
            "The certificate field that names the tenant."),
        .choice(
            "tenancy.unknown", \.tenancy.unknown, .reload,
            "Whether clients of tenants that are not configured may connect."),
    ]

    private static let limitRows: [OptionRow<Configuration>] = [
        .integer(
            "limits.connections", \.limits.connections, 0...100_000_000, zero: "unlimited",
            .reload, "Connections of the whole node."),
        .integer(
            "limits.connectRate", \.limits.connectRate, 0...10_000_000, zero: "unlimited", .reload,
            "New connections per second of the whole node."),
        .bytes(
            "limits.memory", \.limits.memory, 0...(1 << 50), zero: "auto", .reload,
            "Memory that the node may use; auto is that of the machine or its control group."),
        .integer(
            "limits.memoryHighPercent", \.limits.memoryHighPercent, 10...100, .reload,
            "Share of it from which new connections are refused and publishers slowed."),
        .duration(
            "limits.loopLag", \.limits.loopLag, .milliseconds(10)...(.seconds(60)), .reload,
            "Delay of a loop's turn from which it refuses new connections."),
        .bytes(
            "limits.bytesBeforeConnect", \.limits.bytesBeforeConnect, 1_024...268_435_456, .reload,
            "The largest CONNECT: what a stranger may make the node keep."),
    ]

    private static let operationRows: [OptionRow<Configuration>] = [
        .choice("log.level", \.log.level, .reload, "The least level of a line in the log."),
        .choice("log.format", \.log.format, .restart, "How lines of the log look."),
        .choice(
            "log.events", \.log.events, .reload, "The least level of an event that is logged."),
        .duration(
            "shutdown.drainTimeout", \.shutdown.drainTimeout, .zero...(.seconds(3_600)), .reload,
            "How long a stopping node lets clients finish."),
        .integer(
            "shutdown.disconnectRate", \.shutdown.disconnectRate, 1...10_000_000, .reload,
            "Clients told to leave per second, so that they do not all come back at once."),
        .text(
            "admin.apiKeyFile", \.admin.apiKeyFile, "a path", .reload,
            "Keys of the HTTP API; without them it is served on loopback alone."),
        .bytes(
            "admin.bodyBytesMax", \.admin.bodyBytesMax, 1_024...268_435_456, .reload,
            "The largest body of a request to the API."),
        .duration(
            "sysTopicsInterval", \.sysTopicsInterval, .zero...(.seconds(86_400)), .reload,
            "How often the $SYS topics are published; 0 is never."),
        .text(
            "sysTopicsTenant", \.sysTopicsTenant, "a tenant's name", .restart,
            "The tenant whose clients may read the $SYS topics."
        ) { TenantName($0) != nil },
    ]

    /// Options of one listener, under `listeners.NAME`.
    package static let listenerRows: [OptionRow<ListenerConfiguration>] =
        connectionRows + secureRows

    private static let connectionRows: [OptionRow<ListenerConfiguration>] = [
        .choice(
            "kind", \.kind, .restart,
            "What is spoken there; a name that is one of these says it too."
        ),
        .address(
            "address", \.address, .restart,
            "Where it listens; loopback unless said otherwise. Port 0 lets the kernel choose."),
        .text(
            "tenant", \.tenant, "a tenant's name", .restart,
            "The tenant of clients whom nothing else assigns to one."
        ) { TenantName($0) != nil },
        .integer(
            "backlog", \.backlog, 1...65_535, .restart,
            "Connections that the kernel completes while the loops are busy."),
        .integer(
            "connections", \.connections, 0...100_000_000, zero: "unlimited", .restart,
            "Connections of the listener."),
        .integer(
            "connectRate", \.connectRate, 0...10_000_000, zero: "unlimited", .restart,
            "New connections per second of the listener."),
        .integer(
            "connectionsPerAddress", \.connectionsPerAddress, 0...100_000_000, zero: "unlimited",
            .restart, "Connections of one address; an IPv6 network of 64 bits counts as one."),
        .integer(
            "connectRatePerAddress", \.connectRatePerAddress, 0...10_000_000, zero: "unlimited",
            .restart, "New connections per second of one address."),
        .duration(
            "connectTimeout", \.connectTimeout, .milliseconds(100)...(.seconds(600)), .restart,
            "Handshake, upgrade and CONNECT together must be done by then."),
        .flag(
            "proxyProtocol", \.proxyProtocol, .restart,
            "A proxy in front says the client's address (PROXY protocol, version 1 or 2)."),
        .list(
            "trustedNetworks", \.trustedNetworks, "networks such as 10.0.0.0/8", .restart,
            "Whom the PROXY protocol is believed.", print: \.description,
            parse: { IPNetwork($0) }),
        .text(
            "path", \.path, "a path that begins with /", .restart, "The path of the WebSocket."
        ) { $0.hasPrefix("/") },
        .list(
            "origins", \.origins, "origins such as https://example.org", .restart,
            "Pages that may open a WebSocket; empty is any.", print: { $0 }, parse: { $0 }),
    ]

    private static let secureRows: [OptionRow<ListenerConfiguration>] = [
        .list(
            "certificates", \.certificates, "paths", .reload,
            "Certificate chains in PEM form; with several, the client's server name chooses.",
            print: { $0 }, parse: { $0.isEmpty ? nil : $0 }),
        .list(
            "keys", \.keys, "paths", .reload, "The keys of the certificates, in the same order.",
            print: { $0 }, parse: { $0.isEmpty ? nil : $0 }),
        .choice(
            "clientCertificate", \.clientCertificate, .restart,
            "Whether clients show a certificate."),
        .text(
            "authorities", \.authorities, "a path", .reload,
            "Certificates, in PEM form, that vouch for those of clients."),
        .list(
            "revocationLists", \.revocationLists, "paths", .reload,
            "Lists of certificates that hold no more, in PEM form.", print: { $0 },
            parse: { $0.isEmpty ? nil : $0 }),
        .choice("minimumTLS", \.minimumTLS, .restart, "The oldest version of TLS that is spoken."),
        .integer(
            "handshakes", \.handshakes, 1...1_000_000, .restart,
            "TLS handshakes at once on one loop; further ones are refused."),
    ]
}
