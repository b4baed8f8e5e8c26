/// The oldest version of TLS that a context speaks.
package enum TLSVersion: String, CaseIterable, Sendable {
    case v1_2 = "1.2"
    case v1_3 = "1.3"
}

/// Whether clients show a certificate.
package enum ClientCertificates: String, CaseIterable, Sendable {
    case none
    /// Asked for; one that is shown must be valid.
    case optional
    case required
}

/// A certificate, its chain and its key.
package struct TLSCertificateFiles: Hashable, Sendable {
    /// PEM: the certificate first, then the chain up to the root, which may be left out.
    package var chain: String
    /// PEM.
    package var key: String
    /// Opens an encrypted key.
    package var keyPassword: String?

    package init(chain: String, key: String, keyPassword: String? = nil) {
        self.chain = chain
        self.key = key
        self.keyPassword = keyPassword
    }
}

/// TLS of a listener: which certificates it shows, which it asks for, and its limits.
package struct TLSServerOptions: Hashable, Sendable {
    /// The first is shown to clients that name no server, or one that nobody knows here.
    package var certificates: [TLSCertificateFiles]
    package var minimumVersion = TLSVersion.v1_2
    /// OpenSSL's cipher list for TLS 1.2; nil for its default.
    package var ciphers: String?
    /// OpenSSL's cipher suites for TLS 1.3; nil for its default.
    package var cipherSuites: String?
    /// Application protocols in order of preference. A client that offers others only is refused;
    /// one that offers none is served. Empty: the extension is ignored.
    package var protocols: [String]
    package var clientCertificates = ClientCertificates.none
    /// PEM: who may have signed clients' certificates.
    package var clientAuthorities: String?
    /// PEM: certificates that were revoked. If given, each issuer of a client needs one that has
    /// not run out.
    package var revocationLists: [String] = []
    /// Certificates between a client's own and the authority's.
    package var chainDepthMax = 4
    /// Bytes of a client's certificates together.
    package var chainBytesMax = 16 * 1024
    /// Whether a client that names a server unknown here is refused instead of served with the
    /// first certificate.
    package var refusesUnknownNames = false

    package init(certificates: [TLSCertificateFiles], protocols: [String] = ["mqtt"]) {
        self.certificates = certificates
        self.protocols = protocols
    }
}

/// TLS of a connection that we open: links, the load harness, tests.
package struct TLSClientOptions: Hashable, Sendable {
    /// PEM: who may have signed the server's certificate; nil trusts the system's authorities.
    package var authorities: String?
    /// Our own certificate, if the server asks.
    package var certificate: TLSCertificateFiles?
    package var minimumVersion = TLSVersion.v1_2
    /// The newest version offered; nil for the newest there is.
    package var maximumVersion: TLSVersion?
    package var protocols: [String] = []
    /// False takes any certificate: for load harnesses only.
    package var verifiesServer = true

    package init(authorities: String? = nil) { self.authorities = authorities }
}

/// Why TLS could not be set up: for the operator, naming file and remedy.
package struct TLSError: Error, Equatable, CustomStringConvertible {
    /// The file that is wrong; empty if it is an option.
    package let file: String
    package let problem: String
    package let remedy: String

    package var description: String {
        (file.isEmpty ? "" : file + ": ") + problem + (remedy.isEmpty ? "" : "; " + remedy)
    }
}
