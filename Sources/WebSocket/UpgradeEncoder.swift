import Base

/// Answers to a request for a WebSocket.
package enum UpgradeEncoder {
    /// The value of Sec-WebSocket-Accept for a key as it was sent (RFC 6455, 4.2.2).
    package static func acceptKey(for key: [UInt8]) -> [UInt8] {
        Base64.encode(Digest.sha1(key + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)))
    }

    /// Appends the answer that turns the connection into a WebSocket.
    package static func appendAccept(_ request: UpgradeRequest, to output: inout ByteWriter) {
        output.append(utf8: "HTTP/1.1 101 Switching Protocols\r\n")
        output.append(utf8: "Upgrade: websocket\r\nConnection: Upgrade\r\n")
        output.append(utf8: "Sec-WebSocket-Accept: ")
        output.append(request.acceptKey)
        if request.subprotocol != .none {
            output.append(utf8: "\r\nSec-WebSocket-Protocol: \(request.subprotocol.name)")
        }
        output.append(utf8: "\r\n\r\n")
    }

    /// Appends the answer after which the connection is closed.
    package static func appendRefusal(_ refusal: UpgradeRefusal, to output: inout ByteWriter) {
        let body = refusal.reason + "\n"
        output.append(utf8: "HTTP/1.1 \(refusal.status)\r\n")
        switch refusal {
        case .upgradeRequired:
            output.append(utf8: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
            output.append(utf8: "Connection: Upgrade, close\r\n")
        case .methodNotAllowed:
            output.append(utf8: "Allow: GET\r\nConnection: close\r\n")
        case .badRequest, .originNotAllowed, .pathNotFound, .headerTooLarge,
            .versionNotSupported:
            output.append(utf8: "Connection: close\r\n")
        }
        output.append(utf8: "Content-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n")
        output.append(utf8: "\r\n" + body)
    }
}
