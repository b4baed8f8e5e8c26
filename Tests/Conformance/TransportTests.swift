import Base
import MQTT
import Testing
import WebSocket

/// What carries the packets: TCP and WebSocket.
@Suite("Transport", .waiting)
struct TransportTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    @Test(
        """
        [MQTT-4.2-1] [v3 MQTT-7.1.1-1, MQTT-7.0.0-2] packets come over TCP in any pieces, from any \
        conformant client
        """, arguments: Host.all, versions)
    func tcpInPieces(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        try client.subscribe(scene.topic())
        var all = ByteWriter()
        let fields = PublishFields(
            version: version, qos: .atMostOnce, dup: false, retain: false, packetID: 0,
            topicAlias: 0, messageExpiry: nil)
        for number in 0..<3 {
            PublishEncoding.encode(
                fields, topic: Array(scene.topic().utf8), forwarded: [], subscriptionIDs: [],
                payload: Array("\(number)".utf8), into: &all)
        }
        for byte in all.array { client.send([byte]) }
        client.send(all.array + all.array)
        #expect(try client.receive(count: 9) == ["0", "1", "2", "0", "1", "2", "0", "1", "2"])
    }

    // MARK: WebSocket

    /// A WebSocket connection after its upgrade request.
    private final class WebSocket {
        private let socket: BlockingSocket
        private let deadline: ContinuousClock.Instant
        private var buffer: [UInt8] = []

        init(_ host: Host, subprotocols: String? = "mqtt") {
            socket = BlockingSocket(port: host.webSocketPort)
            deadline = ContinuousClock.now + host.patience
            var writer = ByteWriter()
            ClientFrameEncoder.appendRequest(
                key: Array("dGhlIHNhbXBsZSBub25jZQ==".utf8), subprotocols: subprotocols,
                to: &writer)
            socket.send(writer.array)
        }

        /// The response, up to its empty line.
        func response() -> String {
            var text = ""
            while !text.hasSuffix("\r\n\r\n"), let byte = next() {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            }
            return text
        }

        func send(_ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true) {
            var writer = ByteWriter()
            ClientFrameEncoder.append(
                opcode, payload, isFinal: isFinal, mask: 0x0A0B_0C0D, to: &writer)
            socket.send(writer.array)
        }

        /// The next frame: opcode with its final bit, and payload.
        func frame() -> (first: UInt8, payload: [UInt8])? {
            guard let first = next(), let count = next() else { return nil }
            var payload: [UInt8] = []
            while payload.count < Int(count), let byte = next() { payload.append(byte) }
            return (first, payload)
        }

        func isEnded() -> Bool { next() == nil }

        private func next() -> UInt8? {
            while buffer.isEmpty {
                guard case .bytes(let more) = socket.receive(until: deadline) else { return nil }
                buffer = more
            }
            return buffer.removeFirst()
        }
    }

    private func connect(_ version: ProtocolVersion, _ id: String) -> [UInt8] {
        var writer = ByteWriter()
        ConnectPacket(version: version, cleanStart: true, keepAlive: 0, clientID: Array(id.utf8))
            .encode(into: &writer)
        return writer.array
    }

    @Test(
        """
        [MQTT-6.0.0-1, MQTT-6.0.0-2, MQTT-6.0.0-4] [v3 MQTT-6.0.0-1, MQTT-6.0.0-2, MQTT-6.0.0-4] \
        packets travel in binary frames, aligned or not, under the subprotocol mqtt
        """, arguments: Host.all, versions)
    func packetsInFrames(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let socket = WebSocket(host)
        let response = socket.response().lowercased()
        #expect(response.hasPrefix("http/1.1 101 "))
        #expect(response.contains("sec-websocket-protocol: mqtt\r\n"))
        #expect(response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"))
        let bytes = connect(version, scene.id("a"))
        // One packet across three frames, two of them fragments of one message.
        socket.send(.binary, Array(bytes[..<5]))
        socket.send(.binary, Array(bytes[5..<9]), isFinal: false)
        socket.send(.continuation, Array(bytes[9...]))
        let connack = try #require(socket.frame())
        #expect(connack.first == 0x82)
        #expect(connack.payload.first == 0x20)
        // Several packets in one frame.
        socket.send(.binary, [0xC0, 0, 0xC0, 0, 0xC0])
        socket.send(.binary, [0])
        var answers: [UInt8] = []
        while answers.count < 6, let frame = socket.frame() {
            #expect(frame.first == 0x82)
            answers += frame.payload
        }
        #expect(answers == [0xD0, 0, 0xD0, 0, 0xD0, 0])
    }

    @Test(
        """
        [MQTT-6.0.0-1] [v3 MQTT-6.0.0-1] a data frame that is not binary closes the connection
        """, arguments: Host.all)
    func textFrameCloses(host: Host) throws {
        let socket = WebSocket(host)
        #expect(socket.response().hasPrefix("HTTP/1.1 101 "))
        socket.send(.text, connect(.v5, "text"))
        let close = try #require(socket.frame())
        #expect(close.first == 0x88)
        #expect(socket.isEnded())
    }

    @Test(
        """
        [MQTT-6.0.0-3] [v3 MQTT-6.0.0-3] without the subprotocol the upgrade is refused
        """, arguments: Host.all, [nil, "chat"])
    func subprotocolIsAsked(host: Host, subprotocols: String?) throws {
        let socket = WebSocket(host, subprotocols: subprotocols)
        #expect(socket.response().hasPrefix("HTTP/1.1 400 "))
    }
}
