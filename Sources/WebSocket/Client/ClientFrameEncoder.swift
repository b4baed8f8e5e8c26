import Base

/// What a WebSocket client sends: for tests and the load harness.
package enum ClientFrameEncoder {
    /// Appends a masked frame.
    package static func append(
        _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, mask: UInt32,
        to output: inout ByteWriter
    ) {
        output.append((isFinal ? 0x80 : 0) | opcode.rawValue)
        if payload.count < 126 {
            output.append(0x80 | UInt8(payload.count))
        } else if payload.count <= 0xFFFF {
            output.append(0x80 | 126)
            output.append(bigEndian: UInt16(payload.count))
        } else {
            output.append(0x80 | 127)
            output.append(bigEndian: UInt64(payload.count))
        }
        output.append(bigEndian: mask.bigEndian)
        var masked = payload
        masked.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            Mask.apply(mask, from: base, to: base, count: bytes.count)
        }
        output.append(masked)
    }

    /// Appends a close frame with a code.
    package static func appendClose(
        _ code: CloseCode, mask: UInt32, to output: inout ByteWriter
    ) {
        let payload = [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)]
        append(.close, payload, mask: mask, to: &output)
    }

    /// Appends an upgrade request as browsers and MQTT libraries send it.
    package static func appendRequest(
        path: String = "/mqtt", host: String = "localhost", key: [UInt8],
        subprotocols: String? = "mqtt", origin: String? = nil, to output: inout ByteWriter
    ) {
        var lines = [
            "GET \(path) HTTP/1.1", "Host: \(host)", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
            "Sec-WebSocket-Version: 13",
        ]
        if let subprotocols { lines.append("Sec-WebSocket-Protocol: \(subprotocols)") }
        if let origin { lines.append("Origin: \(origin)") }
        for line in lines { output.append(utf8: line + "\r\n") }
        output.append(utf8: "\r\n")
    }
}
