import Base

/// Reads the header that a load balancer puts before a connection to say whose it is (PROXY
/// protocol, versions 1 and 2).
///
/// ```
///  v1   PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883 CR LF            at most 107 bytes
///  v2   signature(12) | version command | family | length(2) | addresses | TLVs
/// ```
/// Stateless: give it the connection's bytes from the first one until it answers. Pure and
/// bounded by `ProxyOptions`. The header must come from a trusted network: anybody could claim to
/// be anybody, so the caller asks `ProxyOptions.trusts` before it reads a byte. Leaves to the
/// caller: the deadline, and closing after a refusal (there is no answer to send).
package enum ProxyDecoder {
    /// The longest line of version 1, end of line included.
    package static let lineBytesMax = 107

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    private static let word = Array("PROXY ".utf8)

    /// Looks at the connection's first bytes.
    package static func decode(_ bytes: RawSpan, _ options: ProxyOptions) -> ProxyOutcome {
        if bytes.byteCount == 0 { return .needMore }
        if begins(bytes, with: word) { return decodeLine(bytes) }
        if begins(bytes, with: signature) { return decodeBinary(bytes, options) }
        return .refused(.notProxy)
    }

    /// True if the bytes so far agree with `text`: a wrong protocol is told at its first byte.
    private static func begins(_ bytes: RawSpan, with text: [UInt8]) -> Bool {
        (0..<min(bytes.byteCount, text.count)).allSatisfy {
            bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) == text[$0]
        }
    }
}

/// What is known after looking at the first bytes of a connection.
package enum ProxyOutcome: Equatable, Sendable {
    case needMore
    /// The header is `consumed` bytes; the client's own bytes follow.
    case complete(consumed: Int, ProxySource)
    case refused(ProxyFault)
}

/// Whose connection it is.
package enum ProxySource: Equatable, Sendable {
    /// The balancer's own (a health check), or of an origin it could not name: the socket's
    /// address counts.
    case socket
    case address(PeerAddress, destination: PeerAddress)
    /// A client of the balancer's Unix socket.
    case unix
}

/// Why a connection was refused before its first byte of MQTT.
package enum ProxyFault: Equatable, Sendable {
    /// The bytes are no header: a client that came around the balancer.
    case notProxy
    case malformedLine
    case lineTooLong
    case unknownVersion
    case unknownCommand
    /// Datagrams, or a family that is not in the specification.
    case unsupportedFamily
    case headerTooLong
    /// The addresses or a TLV end beyond the header.
    case truncated
    case wrongChecksum
}

/// Whose headers a listener believes, and how long they may be.
package struct ProxyOptions: Sendable {
    /// Networks of the balancers. Empty: nobody is believed.
    package var trusted: [IPNetwork]
    /// Whether peers on a Unix socket are believed: file permissions guard it.
    package var trustsUnixSockets: Bool
    /// Bytes of a header of version 2, TLVs included.
    package var headerBytesMax: Int

    package init(
        trusted: [IPNetwork], trustsUnixSockets: Bool = true, headerBytesMax: Int = 4096
    ) {
        self.trusted = trusted
        self.trustsUnixSockets = trustsUnixSockets
        self.headerBytesMax = headerBytesMax
    }

    /// Whether a peer may send a header; nil is a peer on a Unix socket.
    package func trusts(_ peer: IPAddress?) -> Bool {
        guard let peer else { return trustsUnixSockets }
        return trusted.contains { $0.contains(peer) }
    }
}
