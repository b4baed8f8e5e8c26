import Base

/// What is known of a client that asks to be let in.
public struct AuthenticationRequest: Sendable {
    /// 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0.
    public var protocolVersion: UInt8 = 5
    public var clientID = ""
    public var username: String?
    public var password: [UInt8]?
    /// The client's address as text, without port; empty for a Unix socket.
    public var peerAddress = ""
    /// The name of the listener that accepted it.
    public var listener = ""
    /// The tenant that the listener's configuration names.
    public var listenerTenant: TenantName?
    /// The certificate that the client proved to own, if TLS asked for one.
    public var certificate: PeerCertificate?
    public var userProperties: [(name: String, value: String)] = []
    /// Authentication method and data of MQTT 5, if the client named one.
    public var method: String?
    public var data: [UInt8] = []

    public init() {}

    /// Connected from this machine: over loopback or a Unix socket.
    package var isLocal: Bool {
        peerAddress.isEmpty || IPAddress(peerAddress)?.isLoopback == true
    }
}

/// What a client certificate says, checked by TLS before.
public struct PeerCertificate: Equatable, Sendable {
    public var commonName = ""
    public var organization = ""
    public var organizationalUnit = ""
    /// DNS names, addresses of mail and URIs of the subject alternative name, in order.
    public var alternativeNames: [String] = []
    /// SHA-256 of the certificate.
    public var fingerprint: [UInt8] = []

    public init() {}
}

/// Who a client is once it is let in.
public struct Principal: Hashable, Sendable {
    public var tenant: TenantName
    /// Empty for a client without a name.
    public var user: String
    /// Passes every rule of the authoriser.
    public var isSuperuser: Bool
    /// What the authenticator wants to hand on, for example to the authoriser.
    public var attributes: [String: String]

    public init(
        tenant: TenantName, user: String, isSuperuser: Bool = false,
        attributes: [String: String] = [:]
    ) {
        self.tenant = tenant
        self.user = user
        self.isSuperuser = isSuperuser
        self.attributes = attributes
    }
}

/// Why a client is not let in. The text is for the log, never for the client.
public struct AuthenticationRefusal: Equatable, Sendable {
    /// An MQTT 5 reason code; 3.x clients get the nearest return code.
    public var reasonCode: UInt8
    public var text: String

    public init(reasonCode: UInt8, text: String) {
        self.reasonCode = reasonCode
        self.text = text
    }

    public static func badUserOrPassword(_ text: String) -> Self {
        Self(reasonCode: 0x86, text: text)
    }

    public static func notAuthorized(_ text: String) -> Self { Self(reasonCode: 0x87, text: text) }

    public static func serverBusy(_ text: String) -> Self { Self(reasonCode: 0x89, text: text) }

    public static func unavailable(_ text: String) -> Self { Self(reasonCode: 0x88, text: text) }

    public static func banned(_ text: String) -> Self { Self(reasonCode: 0x8A, text: text) }

    public static func badMethod(_ text: String) -> Self { Self(reasonCode: 0x8C, text: text) }
}

/// What an authenticator answers.
public enum AuthenticationResult: Sendable {
    /// `data` goes into CONNACK (or the last AUTH) of enhanced authentication.
    case accepted(Principal, data: [UInt8] = [])
    case refused(AuthenticationRefusal)
    /// Enhanced authentication goes on: `data` goes to the client, its answer to the exchange.
    case challenge(data: [UInt8], any AuthenticationExchange)
    /// The request has nothing that this authenticator judges by: the next one is asked.
    case notMine
}

/// Called once with the result, from any thread.
public typealias AuthenticationCompletion = @Sendable (AuthenticationResult) -> Void

/// Decides who may connect, and as whom.
///
/// Called on a loop, so it answers at once or not at all: what takes time happens elsewhere.
public protocol Authenticator: Sendable {
    /// Enhanced authentication methods that it speaks.
    var methods: [String] { get }

    /// Answers at once, or returns nil and calls `completion` exactly once later.
    func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult?
}

extension Authenticator {
    public var methods: [String] { [] }
}

/// The next step of an enhanced authentication; held by the connection, ended with it.
public protocol AuthenticationExchange: Sendable {
    /// As `Authenticator.authenticate`, with the data of the client's AUTH packet.
    func receive(
        _ data: [UInt8], _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult?
}
