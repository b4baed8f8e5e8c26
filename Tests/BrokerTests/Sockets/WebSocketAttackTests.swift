import Base
import MQTT
import TestKit
import Testing
import WebSocket

@Suite("Bad input through WebSocket", .serialized)
struct WebSocketAttackTests {
    private static let key = Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)

    private static func request(
        path: String = "/mqtt", subprotocols: String? = "mqtt", origin: String? = nil
    ) -> [UInt8] {
        Greeting.bytes {
            ClientFrameEncoder.appendRequest(
                path: path, key: key, subprotocols: subprotocols, origin: origin, to: &$0)
        }
    }

    private static func frame(
        _ payload: [UInt8], _ opcode: Opcode = .binary, isFinal: Bool = true
    ) -> [UInt8] {
        Greeting.bytes {
            ClientFrameEncoder.append(
                opcode, payload, isFinal: isFinal, mask: 0x1234_5678, to: &$0)
        }
    }

    /// An upgraded connection.
    private func open(_ node: ServingNode) -> WireClient {
        let client = WireClient(port: node.webSocketPort)
        client.send(Self.request())
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual(Array("\r\n\r\n".utf8)) {
            let byte = client.read(1)
            if byte.isEmpty { break }
            head += byte
        }
        #expect(String(decoding: head, as: UTF8.self).hasPrefix("HTTP/1.1 101"))
        return client
    }

    /// The next frame of the server: opcode and payload; nil at the end.
    private func next(_ client: WireClient) -> (opcode: UInt8, payload: [UInt8])? {
        let head = client.read(2)
        guard head.count == 2 else { return nil }
        var length = Int(head[1])
        if length == 126 { length = client.read(2).reduce(0) { $0 << 8 | Int($1) } }
        return (head[0] & 15, client.read(length))
    }

    @Test(
        "[attack 21] a packet comes in as many frames, or a frame with as many packets, as may be")
    func reassembly() throws {
        let node = try ServingNode()
        let client = open(node)
        let hello = Greeting.connect(.v5, "websocket")
        for byte in hello { client.send(Self.frame([byte])) }
        let connack = next(client)
        #expect(connack?.opcode == 2 && connack?.payload.first == 0x20)
        let ping: [UInt8] = [0xC0, 0]
        client.send(Self.frame(ping + ping + [0xC0]) + Self.frame([0]))
        var answers: [UInt8] = []
        while answers.count < 6, let frame = next(client) { answers += frame.payload }
        #expect(answers == [0xD0, 0, 0xD0, 0, 0xD0, 0])
        // A remaining length far beyond the frame, then the end.
        client.send(Self.frame([0x30, 0xFF, 0x7F, 0, 1, 0x61]))
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    static let frames: [(title: String, bytes: [UInt8], code: UInt16)] = [
        ("[attack 22] [refusal W15] a text frame", frame([0x61], .text), 1003),
        ("[attack 22] [refusal W16] a frame without a mask", [0x82, 1, 0x61], 1002),
        (
            "[attack 22] [refusal W16] a length of 2 to the 63",
            [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002
        ),
        (
            "[attack 22] [refusal W17] a length of 2 to the 40",
            [0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009
        ),
        (
            "[attack 22] [refusal W16] a control frame in pieces",
            frame([1], .ping, isFinal: false), 1002
        ),
        (
            "[attack 22] [refusal W16] a control frame that is too long",
            frame([UInt8](repeating: 1, count: 126), .ping), 1002
        ),
        (
            "[attack 22] [refusal W16] a compressed frame that was not agreed on",
            [0xC2, 0x81, 0, 0, 0, 0, 1], 1002
        ),
        ("[attack 22] [refusal W16] a reserved opcode", [0x83, 0x80, 0, 0, 0, 0], 1002),
        ("[attack 22] [refusal W16] a continuation of nothing", frame([1], .continuation), 1002),
    ]

    @Test("a wrong frame", arguments: frames)
    func wrongFrame(title: String, bytes: [UInt8], code: UInt16) throws {
        let node = try ServingNode()
        let client = open(node)
        client.send(Self.frame(Greeting.connect(.v5, "websocket")))
        #expect(next(client)?.payload.first == 0x20)
        client.send(bytes)
        let close = next(client)
        #expect(close?.opcode == 8)
        #expect(close?.payload.prefix(2) == [UInt8(code >> 8), UInt8(code & 255)])
        #expect(next(client) == nil)
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 22] a flood of pings ends the connection, and no other")
    func pingFlood() throws {
        let node = try ServingNode()
        let client = open(node)
        client.send(Self.frame(Greeting.connect(.v5, "websocket")))
        for _ in 0..<2_000 { client.send(Self.frame([1, 2, 3], .ping)) }
        var last: (opcode: UInt8, payload: [UInt8])?
        while let frame = next(client) { last = frame }
        #expect(last?.opcode == 8 && last?.payload.prefix(2) == [0x03, 0xF0])
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("packets before a close frame count, although CONNECT takes its time")
    func closeBehindPackets() throws {
        let node = try ServingNode()
        let (receiver, _) = node.open()
        receiver.send(Greeting.subscribe("last/words"))
        receiver.mustHear(.suback([0]))
        for number in 0..<20 as Range<UInt8> {
            let client = open(node)
            client.send(
                Self.frame(Greeting.connect(.v5, "brief"))
                    + Self.frame(Greeting.publish("last/words", [number]))
                    + Self.frame([0x03, 0xE8], .close))
            #expect(receiver.next()?.last == number)
            while let frame = next(client) {
                #expect(frame.opcode == 8 || frame.payload.first == 0x20)
            }
            client.close()
        }
        // Half a packet is nobody's.
        let client = open(node)
        client.send(Self.frame([0x10, 40, 0]) + Self.frame([0x03, 0xE8], .close))
        #expect(next(client)?.opcode == 8)
        client.close()
        receiver.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("what the MQTT side refuses ends with one DISCONNECT and one close frame")
    func refusedPacket() throws {
        let node = try ServingNode()
        let client = open(node)
        client.send(Self.frame(Greeting.connect(.v5, "websocket") + [0x00, 0]))
        var packets: [UInt8] = []
        var closes = 0
        while let frame = next(client) {
            if frame.opcode == 2 { packets += frame.payload } else { closes += 1 }
        }
        // CONNACK and DISCONNECT, in one frame or in two.
        #expect(packets.first == 0x20)
        let connack = 2 + Int(packets.dropFirst().first ?? 0)
        #expect(packets.dropFirst(connack).first == 0xE0)
        #expect(closes == 1)
        client.close()
        node.checkThatDescriptorsReturn()
    }

    static let requests: [(title: String, bytes: [UInt8], status: String)] = [
        ("[attack 22] [refusal W11] no subprotocol", request(subprotocols: nil), "400"),
        ("[attack 22] [refusal W11] another subprotocol", request(subprotocols: "chat"), "400"),
        ("[refusal W08] another path", request(path: "/elsewhere"), "404"),
        (
            "[refusal W09] another method",
            Array("POST /mqtt HTTP/1.1\r\nHost: a\r\n\r\n".utf8), "405"
        ),
        ("[refusal W10] no upgrade", Array("GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n".utf8), "426"),
        ("[refusal W11] MQTT on the WebSocket port", Greeting.connect(.v5, "lost"), "400"),
        (
            "[attack 23] [refusal W12] a megabyte of headers",
            Array("GET /mqtt HTTP/1.1\r\nX: ".utf8) + [UInt8](repeating: 0x61, count: 1 << 20),
            "431"
        ),
        (
            "[attack 23] [refusal W13] a page from elsewhere",
            request(origin: "https://evil.example"),
            "403"
        ),
        (
            "[refusal W14] another HTTP version",
            Array("GET /mqtt HTTP/1.0\r\nHost: a\r\n\r\n".utf8), "505"
        ),
    ]

    @Test("a wrong upgrade", arguments: requests)
    func wrongUpgrade(title: String, bytes: [UInt8], status: String) throws {
        let node = try ServingNode()
        let client = WireClient(port: node.webSocketPort)
        client.send(bytes)
        let answer = String(decoding: client.readAll(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }

    @Test("[attack 23] a page from a listed origin is served")
    func listedOrigin() throws {
        let node = try ServingNode()
        let client = WireClient(port: node.webSocketPort)
        client.send(Self.request(origin: "https://example.org"))
        #expect(client.read(12) == Array("HTTP/1.1 101".utf8))
        client.close()
        node.checkThatDescriptorsReturn()
    }
}
