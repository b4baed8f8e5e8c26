import Base
import TestKit
import Testing
import WebSocket

@Suite("WebSocket upgrade")
struct UpgradeTests {
    static let goodLines = [
        "GET /mqtt HTTP/1.1", "Host: server.example.com", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Version: 13",
    ]

    @Test("the sample handshake of RFC 6455 gives its accept key and the chosen subprotocol")
    func sampleHandshake() {
        let text = Self.text(Self.goodLines)
        let result = decode(text)
        guard case .complete(let request) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(request.consumed == text.count)
        #expect(request.subprotocol == .mqtt)
        var output = ByteWriter()
        UpgradeEncoder.appendAccept(request, to: &output)
        let answer = String(decoding: output.array, as: UTF8.self)
        #expect(
            answer
                == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                + "Sec-WebSocket-Protocol: mqtt\r\n\r\n")
    }

    @Test("the client's own request is accepted")
    func clientRequest() {
        var writer = ByteWriter()
        ClientFrameEncoder.appendRequest(
            key: Base64.encode(SecureRandom.bytes(16)), subprotocols: "chat, mqttv3.1, mqtt",
            to: &writer)
        guard case .complete(let request) = decode(writer.array) else {
            Issue.record("refused")
            return
        }
        #expect(request.subprotocol == .mqttv31)
    }

    @Test("a request needs more until its last byte, in whatever pieces it comes")
    func pieces() {
        let frames: [UInt8] = [0x82, 0x80, 1, 2, 3, 4]
        let text = Self.text(Self.goodLines)
        var decoder = UpgradeDecoder()
        for count in 0..<text.count {
            let result = text[..<count].withUnsafeBytes {
                decoder.decode(RawSpan(_unsafeBytes: $0), UpgradeOptions())
            }
            #expect(result == .needMore, "after \(count) bytes")
        }
        let result = (text + frames).withRawSpan { decoder.decode($0, UpgradeOptions()) }
        guard case .complete(let request) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(request.consumed == text.count)
    }

    @Test(
        "requests that are a little different are accepted",
        arguments: [
            ("Host: server.example.com", "HOST:server.example.com"),
            ("Upgrade: websocket", "upgrade:  h2c, WebSocket\t"),
            ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
            ("GET /mqtt HTTP/1.1", "GET /mqtt?token=abc HTTP/1.1"),
            ("GET /mqtt HTTP/1.1", "GET http://server.example.com/mqtt HTTP/1.1"),
            ("Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: x,\tmqtt ,y"),
            ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nContent-Length: 0"),
            (
                "Sec-WebSocket-Protocol: mqtt",
                "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: mqtt"
            ),
            (
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate"
            ),
        ])
    func tolerated(line: String, replacement: String) {
        guard case .complete(let request) = decode(Self.changed(line, replacement)) else {
            Issue.record("refused")
            return
        }
        var output = ByteWriter()
        UpgradeEncoder.appendAccept(request, to: &output)
        #expect(!String(decoding: output.array, as: UTF8.self).contains("Extensions"))
    }

    @Test(
        "requests that are wrong are refused with the right status",
        arguments: [
            ("GET /mqtt HTTP/1.1", "POST /mqtt HTTP/1.1", 405),
            ("GET /mqtt HTTP/1.1", "get /mqtt HTTP/1.1", 405),
            ("GET /mqtt HTTP/1.1", "GET /mqttx HTTP/1.1", 404),
            ("GET /mqtt HTTP/1.1", "GET / HTTP/1.1", 404),
            ("GET /mqtt HTTP/1.1", "GET http:///x HTTP/1.1", 404),
            ("GET /mqtt HTTP/1.1", "GET http://h HTTP/1.1", 404),
            ("GET /mqtt HTTP/1.1", "GET /mqtt HTTP/1.0", 505),
            ("GET /mqtt HTTP/1.1", "GET /mqtt HTTP/2.0", 505),
            ("GET /mqtt HTTP/1.1", "GET /mqtt", 400),
            ("GET /mqtt HTTP/1.1", "GET  HTTP/1.1", 400),
            ("GET /mqtt HTTP/1.1", "GET /mq tt HTTP/1.1", 400),
            ("GET /mqtt HTTP/1.1", "GET /mqtt FTP/1.1", 400),
            ("Host: server.example.com", "X: y", 400),
            ("Host: server.example.com", "Host: a\r\nHost: b", 400),
            ("Upgrade: websocket", "Upgrade: websockets", 426),
            ("Connection: Upgrade", "Connection: close", 426),
            ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
            ("Sec-WebSocket-Version: 13", "X: y", 426),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X: y", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!==", 400),
            (
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 400
            ),
            ("Sec-WebSocket-Protocol: mqtt", "X: y", 400),
            ("Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: chat, MQTT", 400),
            ("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 5", 400),
            ("Upgrade: websocket", "Upgrade: websocket\r\nTransfer-Encoding: chunked", 400),
            ("Upgrade: websocket", "Upgrade: websocket\r\n folded: yes", 400),
            ("Upgrade: websocket", "Upgrade : websocket", 400),
            ("Upgrade: websocket", "Upgrade: websocket\r\n: nameless", 400),
            ("Upgrade: websocket", "Upgrade: websocket\nX: bare line feed", 400),
            ("Upgrade: websocket", "Upgrade: web\0socket", 400),
            ("Upgrade: websocket", "Upgrade: websocket\rX: bare return", 400),
        ])
    func refused(line: String, replacement: String, status: Int) {
        guard case .refused(let refusal) = decode(Self.changed(line, replacement)) else {
            Issue.record("accepted")
            return
        }
        #expect(refusal.status.hasPrefix("\(status) "))
        var output = ByteWriter()
        UpgradeEncoder.appendRefusal(refusal, to: &output)
        let answer = String(decoding: output.array, as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        #expect(answer.hasSuffix("\r\n\r\n" + refusal.reason + "\n"))
        if status == 426 { #expect(answer.contains("\r\nSec-WebSocket-Version: 13\r\n")) }
    }

    @Test("a missing subprotocol passes where the listener says so")
    func optionalSubprotocol() {
        let text = Self.changed("Sec-WebSocket-Protocol: mqtt", "X: y")
        var decoder = UpgradeDecoder()
        let result = text.withRawSpan {
            decoder.decode($0, UpgradeOptions(requiresSubprotocol: false))
        }
        guard case .complete(let request) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(request.subprotocol == .none)
    }

    @Test(
        "pages connect from listed origins only",
        arguments: [
            (["https://example.org"], "https://example.org", true),
            (["https://example.org"], "HTTPS://Example.org", true),
            (["https://example.org"], "https://example.org.evil.net", false),
            (["https://example.org"], "null", false),
            (["https://a.net", "https://example.org"], "https://example.org", true),
            (["https://example.org"], nil, true),
            ([], "https://anything.net", true),
        ] as [([String], String?, Bool)])
    func origins(allowed: [String], sent: String?, accepted: Bool) {
        var writer = ByteWriter()
        ClientFrameEncoder.appendRequest(
            key: Base64.encode(SecureRandom.bytes(16)), origin: sent, to: &writer)
        var decoder = UpgradeDecoder()
        let result = writer.array.withRawSpan {
            decoder.decode($0, UpgradeOptions(origins: allowed))
        }
        if accepted {
            guard case .complete = result else {
                Issue.record("\(result)")
                return
            }
        } else {
            #expect(result == .refused(.originNotAllowed))
        }
    }

    @Test("a header of a megabyte is refused at the limit, not collected")
    func hugeHeader() {
        var text = Self.text(Self.goodLines)
        text.removeLast(2)
        text += Array("X: ".utf8) + [UInt8](repeating: 0x61, count: 1 << 20)
        var decoder = UpgradeDecoder()
        let early = text[..<8191].withUnsafeBytes {
            decoder.decode(RawSpan(_unsafeBytes: $0), UpgradeOptions())
        }
        #expect(early == .needMore)
        #expect(
            text.withRawSpan { decoder.decode($0, UpgradeOptions()) } == .refused(.headerTooLarge))
        let many = Self.goodLines + (0..<100).map { "X\($0): y" }
        #expect(decode(Self.text(many)) == .refused(.headerTooLarge))
    }

    @Test("TLS and plain MQTT on a WebSocket port are refused at the first byte")
    func otherProtocols() {
        for first in [0x16, 0x10] as [UInt8] {
            guard case .refused(.badRequest) = decode([first]) else {
                Issue.record("\(first) was not refused")
                continue
            }
        }
    }

    @Test(
        "random changes of a good request never crash and never read beyond it",
        arguments: Seed.series(2))
    func mutations(seed: Seed) {
        var random = seed.random()
        let good = Self.text(Self.goodLines)
        for _ in 0..<2_000 {
            var text = good
            for _ in 0...random.below(4) {
                text[random.below(text.count)] = UInt8(random.below(256))
            }
            if random.chance(percent: 30) { text.removeLast(random.below(text.count)) }
            if case .complete(let request) = decode(text) {
                #expect(request.consumed <= text.count, "\(seed)")
            }
        }
    }

    static func text(_ lines: [String]) -> [UInt8] {
        Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    static func changed(_ part: String, _ replacement: String) -> [UInt8] {
        text(
            goodLines.map { line in
                guard let range = line.firstRange(of: part) else { return line }
                return line.replacingCharacters(in: range, with: replacement)
            })
    }

    private func decode(_ bytes: [UInt8]) -> UpgradeResult {
        var decoder = UpgradeDecoder()
        return bytes.withRawSpan { decoder.decode($0, UpgradeOptions()) }
    }
}

extension String {
    fileprivate func replacingCharacters(
        in range: Range<String.Index>, with text: String
    ) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
