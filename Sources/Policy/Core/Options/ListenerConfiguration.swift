import Base

/// One listener, as configured.
package struct ListenerConfiguration: Equatable, Sendable {
    /// What is spoken there.
    package enum Kind: String, CaseIterable, Sendable {
        case tcp
        case tls
        case ws
        case wss
        case http
        case gossip
        case links

        package var usesTLS: Bool { self == .tls || self == .wss }
        package var isWebSocket: Bool { self == .ws || self == .wss }
        /// MQTT clients connect there.
        package var isForClients: Bool { self == .tcp || self == .tls || isWebSocket }

        package var standardPort: UInt16 {
            switch self {
            case .tcp: 1883
            case .tls: 8883
            case .ws: 8083
            case .wss: 8084
            case .http: 8091
            case .gossip: 7946
            case .links: 7947
            }
        }
    }

    /// Whether a client shows a certificate.
    package enum ClientCertificate: String, CaseIterable, Sendable {
        case none
        case optional
        case required
    }

    /// The oldest TLS that is spoken.
    package enum TLSVersion: String, CaseIterable, Sendable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    /// Unique; `tcp`, `tls` and so on say the kind as well.
    package var name: String
    package var kind: Kind
    package var address: ListenAddress
    /// Empty for none.
    package var tenant = ""
    package var backlog = 4_096
    // 0 is no limit.
    package var connections = 0
    package var connectRate = 0
    package var connectionsPerAddress = 0
    package var connectRatePerAddress = 0
    package var connectTimeout = Duration.seconds(10)
    package var proxyProtocol = false
    package var trustedNetworks: [IPNetwork] = []
    package var path = "/mqtt"
    package var origins: [String] = []
    package var certificates: [String] = []
    package var keys: [String] = []
    package var clientCertificate = ClientCertificate.none
    package var authorities = ""
    package var revocationLists: [String] = []
    package var minimumTLS = TLSVersion.tls12
    package var handshakes = 256

    package init(name: String, kind: Kind, address: ListenAddress? = nil) {
        self.name = name
        self.kind = kind
        self.address = address ?? .ip(.v4Loopback, port: kind.standardPort)
    }

    /// What is served if no source names a listener.
    package static let standard = [
        ListenerConfiguration(name: "tcp", kind: .tcp),
        ListenerConfiguration(name: "ws", kind: .ws),
        ListenerConfiguration(name: "http", kind: .http),
    ]
}
