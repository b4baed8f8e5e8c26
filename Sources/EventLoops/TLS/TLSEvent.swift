import COpenSSL

/// What happened to a session while bytes were received.
package enum TLSEvent: Equatable, Sendable {
    /// Nothing to tell; there may be plain bytes.
    case none
    /// The handshake is complete; there may be plain bytes already.
    case established
    /// The peer says that nothing more will come.
    case closed
    /// The session is over: send what `output` holds (an alert) and close. In our own words or
    /// OpenSSL's, never the peer's.
    case failed(String)
}

/// What the two sides of a session have agreed on.
package struct TLSAgreement: Equatable, Sendable {
    /// As OpenSSL writes it: `TLSv1.3`.
    package let version: String
    package let cipher: String
    /// Nil if none was negotiated.
    package let applicationProtocol: String?
    /// The name of the server that the client asked for.
    package let serverName: String?
    /// True if a session ticket made the handshake short.
    package let isResumed: Bool
}

/// Bounds of TLS on one loop.
package struct TLSLimits: Sendable {
    /// Handshakes under way; more are refused.
    package var handshakesMax = 1024
    /// Bytes that one handshake may take from a client: hello and certificates.
    package var handshakeBytesMax = 128 * 1024
    /// Bytes that a session may send unasked by us in its life: answers to key updates.
    package var answeredBytesMax: UInt32 = 64 * 1024
    /// Sealed bytes that one call may produce.
    package var outputBytesMax = 64 << 20
    /// Memory for sealed bytes that is kept between calls.
    package var outputBytesKept = 256 * 1024

    package init() {}
}

/// What the TLS engine of a loop has done since its start.
package struct TLSCounters: Equatable, Sendable {
    /// Sessions open, and how many of them are in the handshake.
    package internal(set) var sessions = 0
    package internal(set) var handshaking = 0
    /// Handshakes completed, how many of them by a ticket, and handshakes that failed.
    package internal(set) var handshakes = 0
    package internal(set) var resumed = 0
    package internal(set) var failed = 0
}

/// A client's memory of a session, to resume it. Lives as long as its owner wants to reconnect.
package final class TLSTicket {
    let session: OpaquePointer

    /// Takes over the reference.
    init(_ session: OpaquePointer) { self.session = session }

    deinit { SSL_SESSION_free(session) }
}
