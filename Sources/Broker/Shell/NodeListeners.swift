import Base
import EventLoops
import Policy
import WebSocket

/// From options to what loops and listeners are started with.
extension NodeOptions {
    /// Listeners for clients, each with its TLS; everything else of the configuration that loops
    /// need. `random` is from the system.
    package init(
        _ configuration: Configuration, access: AccessControl, certificates: CertificateStore,
        random: UInt64
    ) {
        self.init()
        let served = configuration.listeners.filter(\.kind.isForClients)
        loops = LoopOptions(
            poller: PollerKind(configuration.poller),
            workers: configuration.loops == 0
                ? LoopGroup.defaultWorkerCount : configuration.loops)
        // Fewer loops than processors wake up cheaper beside their clients than in a fixed place.
        loops.pinsThreads =
            configuration.pinsLoops && loops.workers >= LoopGroup.processorCount
        loops.tls.handshakesMax = served.map(\.handshakes).max() ?? loops.tls.handshakesMax
        loops.handshakeTime = served.map(\.connectTimeout).max() ?? loops.handshakeTime
        limits = NodeLimitStore(
            NodeLimits(configuration, memory: ProcessMemory.available))
        listeners = served.map { Listener($0, tls: certificates.context(of: $0.name)) }
        tenants = access.tenants
        authenticator = access
        authoriser = access
        seed = random
    }
}

extension NodeOptions.Listener {
    init(_ configuration: ListenerConfiguration, tls: TLSContextStore?) {
        var socket = ListenerOptions(address: ListenerAddress(configuration.address))
        socket.backlog = configuration.backlog
        if configuration.proxyProtocol {
            socket.proxy = ProxyOptions(trusted: configuration.trustedNetworks)
        }
        socket.tls = tls
        socket.handshakeTime = configuration.connectTimeout
        self.init(
            name: configuration.name, socket: socket, tenant: TenantName(configuration.tenant))
        connectTimeout = configuration.connectTimeout
        limits = ListenerLimits(configuration)
        if configuration.kind.isWebSocket {
            upgrade = UpgradeOptions(path: configuration.path, origins: configuration.origins)
        }
    }
}

extension PollerKind {
    init(_ poller: Configuration.Poller) {
        switch poller {
        case .auto: self = .automatic
        case .epoll: self = .epoll
        case .uring: self = .uring
        }
    }
}

extension ListenerAddress {
    init(_ address: ListenAddress) {
        switch address {
        case .ip(let ip, let port): self = .ip(PeerAddress(ip, port: port))
        case .unix(let path): self = .unix(path: path)
        }
    }

    /// As an operator writes it.
    package var text: String {
        switch self {
        case .ip(let address): address.description
        case .unix(let path): "unix:" + path
        }
    }
}

extension TLSServerOptions {
    /// The TLS of a listener of kind `tls` or `wss`.
    init(_ listener: ListenerConfiguration) {
        self.init(
            certificates: zip(listener.certificates, listener.keys).map {
                TLSCertificateFiles(chain: $0, key: $1)
            },
            protocols: listener.kind.isWebSocket ? ["http/1.1"] : ["mqtt"])
        minimumVersion =
            switch listener.minimumTLS {
            case .tls12: .v1_2
            case .tls13: .v1_3
            }
        clientCertificates =
            switch listener.clientCertificate {
            case .none: .none
            case .optional: .optional
            case .required: .required
            }
        clientAuthorities = listener.authorities.isEmpty ? nil : listener.authorities
        revocationLists = listener.revocationLists
    }
}

extension Policy.PeerCertificate {
    /// What authenticators and tenants' rules ask of a certificate that TLS has checked.
    init(_ certificate: EventLoops.PeerCertificate) {
        self.init()
        commonName = certificate.commonName ?? ""
        organization = certificate.organization ?? ""
        organizationalUnit = certificate.organizationalUnit ?? ""
        alternativeNames =
            certificate.dnsNames + certificate.emails + certificate.uris
            + certificate.addresses.map(\.description)
        fingerprint = Digest.sha256(certificate.der)
    }
}
