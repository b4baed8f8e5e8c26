import Base

/// Decides whether an HTTP request opens a WebSocket for MQTT (RFC 6455, 4.2.1).
///
/// Give it all bytes received so far until it answers; it remembers only how far it has searched
/// for the end of the header, so byte by byte costs no more than all at once. Strict: what a
/// proxy in front could read differently (folded lines, bare line feeds, a body, two hosts) is
/// refused. Extensions are never agreed to, so nothing arrives compressed. Bounded by
/// `UpgradeOptions`. Leaves to the caller: the deadline, and closing after a refusal.
package struct UpgradeDecoder {
    /// Leading bytes known to hold no end of the header.
    private var searched: UInt32 = 0

    package init() {}

    /// Looks at the connection's unconsumed bytes from their beginning.
    package mutating func decode(_ bytes: RawSpan, _ options: UpgradeOptions) -> UpgradeResult {
        guard bytes.byteCount > 0 else { return .needMore }
        // TLS or plain MQTT on the wrong port is told at its first byte.
        guard HeaderText.isTokenByte(bytes.byte(0)) else {
            return .refused(.badRequest("not an HTTP request"))
        }
        guard let end = findEnd(bytes, limit: options.headerBytesMax) else {
            return bytes.byteCount < options.headerBytesMax ? .needMore : .refused(.headerTooLarge)
        }
        var fields = UpgradeFields()
        if let refusal = fields.read(bytes, end: end, options) { return .refused(refusal) }
        return fields.judge(bytes, options, consumed: end)
    }

    /// One past the empty line that ends the header.
    private mutating func findEnd(_ bytes: RawSpan, limit: Int) -> Int? {
        let stop = min(bytes.byteCount, limit)
        var index = Int(searched)
        while index + 4 <= stop {
            let word = bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt32.self)
            if UInt32(bigEndian: word) == 0x0D0A_0D0A { return index + 4 }
            index += 1
        }
        searched = UInt32(index)
        return nil
    }
}

/// What is left of the question whether a request opens a WebSocket.
package enum UpgradeResult: Equatable, Sendable {
    /// The header has not ended yet.
    case needMore
    /// Send `UpgradeEncoder.appendAccept` and decode frames from `consumed` on.
    case complete(UpgradeRequest)
    /// Send `UpgradeEncoder.appendRefusal` and close.
    case refused(UpgradeRefusal)
}

/// An accepted request: what the answer needs and what the session wants to know.
package struct UpgradeRequest: Equatable, Sendable {
    /// Bytes of the request; frames follow.
    package let consumed: Int
    package let subprotocol: Subprotocol
    /// The value of Sec-WebSocket-Accept.
    package let acceptKey: [UInt8]
}

/// The names under which MQTT travels over WebSocket.
package enum Subprotocol: Sendable {
    /// None agreed: only where the options allow it.
    case none
    case mqtt
    /// The name that clients of MQTT 3.1 use.
    case mqttv31

    /// The name on the wire.
    package var name: String {
        switch self {
        case .none: ""
        case .mqtt: "mqtt"
        case .mqttv31: "mqttv3.1"
        }
    }
}

/// What a WebSocket listener accepts.
package struct UpgradeOptions: Sendable {
    /// The only path that is served; a query behind it is ignored.
    package var path: [UInt8]
    /// Bytes of request line and header fields together.
    package var headerBytesMax: Int
    /// Header fields.
    package var headerCountMax: Int
    /// Whether a client must offer `mqtt` or `mqttv3.1`, as [MQTT-6.0.0-3] asks.
    package var requiresSubprotocol: Bool
    /// Origins of web pages that may connect, such as `https://example.org`, compared without
    /// case. Empty: any. Clients that send no Origin are no browsers and are not concerned.
    package var origins: [[UInt8]]

    package init(
        path: String = "/mqtt", headerBytesMax: Int = 8192, headerCountMax: Int = 64,
        requiresSubprotocol: Bool = true, origins: [String] = []
    ) {
        self.path = Array(path.utf8)
        self.headerBytesMax = headerBytesMax
        self.headerCountMax = headerCountMax
        self.requiresSubprotocol = requiresSubprotocol
        self.origins = origins.map { Array($0.utf8) }
    }
}

/// Why a request does not open a WebSocket.
package enum UpgradeRefusal: Equatable, Sendable {
    /// The reason is our own text, never the client's.
    case badRequest(String)
    case originNotAllowed
    case pathNotFound
    case methodNotAllowed
    /// No WebSocket request, or of another version than 13.
    case upgradeRequired
    case headerTooLarge
    case versionNotSupported

    /// The status line behind `HTTP/1.1`.
    package var status: String {
        switch self {
        case .badRequest: "400 Bad Request"
        case .originNotAllowed: "403 Forbidden"
        case .pathNotFound: "404 Not Found"
        case .methodNotAllowed: "405 Method Not Allowed"
        case .upgradeRequired: "426 Upgrade Required"
        case .headerTooLarge: "431 Request Header Fields Too Large"
        case .versionNotSupported: "505 HTTP Version Not Supported"
        }
    }

    /// A sentence for the body and the log.
    package var reason: String {
        switch self {
        case .badRequest(let reason): reason
        case .originNotAllowed: "pages of this origin may not connect"
        case .pathNotFound: "there is no MQTT at this path"
        case .methodNotAllowed: "a WebSocket is opened with GET"
        case .upgradeRequired: "this port speaks WebSocket, version 13"
        case .headerTooLarge: "the request header is too large"
        case .versionNotSupported: "a WebSocket is opened with HTTP/1.1"
        }
    }
}
