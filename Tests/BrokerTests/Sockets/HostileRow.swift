import MQTT
import Testing

/// What a client does that it should not, and what it hears.
struct HostileRow: CustomTestStringConvertible, Sendable {
    /// What the server says, in order.
    enum Answer: Equatable, Sendable {
        case connack(UInt8)
        case disconnect(UInt8)
        case puback(UInt8)
        case pubrec(UInt8)
        case pubcomp(UInt8)
        case pubrel(UInt8)
        case suback([UInt8])
        case unsuback([UInt8])
        case pingresp
        case auth(UInt8)
        case closed
    }

    let testDescription: String
    /// Sends a correct CONNECT of this version first; nil sends nothing.
    let greets: ProtocolVersion?
    let bytes: [UInt8]
    /// Without `closed` at the end the client must still be served: it pings.
    let answers: [Answer]

    init(_ title: String, _ greets: ProtocolVersion?, _ bytes: [UInt8], _ answers: Answer...) {
        self.init(title, greets, bytes, answers: answers)
    }

    init(
        _ title: String, _ greets: ProtocolVersion?, _ bytes: [UInt8], answers: [Answer]
    ) {
        testDescription = title
        self.greets = greets
        self.bytes = bytes
        self.answers = answers
    }

    /// Plays the row against a node.
    func check(_ node: ServingNode, at location: SourceLocation = #_sourceLocation) {
        let client = WireClient(port: node.port)
        if let greets {
            client.send(Greeting.connect(greets, "hostile"))
            let connack = client.next()
            #expect(connack?.dropFirst(3).first == 0, sourceLocation: location)
        }
        client.send(bytes)
        var version = greets ?? .v5
        if greets == nil, bytes.count > 8, bytes[2..<8].elementsEqual([0, 4] + "MQTT".utf8) {
            version = ProtocolVersion(rawValue: bytes[8]) ?? .v311
        }
        for answer in answers {
            let got = Self.answer(client, version)
            #expect(got == answer, sourceLocation: location)
            if got == .closed { break }
        }
        if answers.last != .closed {
            client.send([0xC0, 0])
            #expect(Self.answer(client, version) == .pingresp, sourceLocation: location)
        }
        client.close()
        node.checkThatOthersAreServed(at: location)
        node.checkThatDescriptorsReturn(at: location)
    }

    /// The next packet that is no PUBLISH.
    static func answer(_ client: some PacketSource, _ version: ProtocolVersion) -> Answer? {
        guard let packet = client.next() else { return .closed }
        let code = { (at: Int) in packet.count > at ? packet[at] : 0 }
        switch packet[0] >> 4 {
        case 2: return .connack(code(3))
        case 4: return .puback(code(4))
        case 5: return .pubrec(code(4))
        case 6: return .pubrel(code(4))
        case 7: return .pubcomp(code(4))
        // Behind the packet identifier and, in 5.0, the length of no properties.
        case 9: return .suback(Array(packet.dropFirst(version == .v5 ? 5 : 4)))
        case 11: return .unsuback(Array(packet.dropFirst(version == .v5 ? 5 : 4)))
        case 13: return .pingresp
        case 14: return .disconnect(code(2))
        case 15: return .auth(code(2))
        case 3: return answer(client, version)
        default: return nil
        }
    }
}

/// Where the packets of a server come from: a socket, or a rig.
protocol PacketSource {
    /// The next packet, whole; nil once the server has closed, or does not answer.
    func next() -> [UInt8]?
}

extension PacketSource {
    /// What the server says next, in order; deliveries between are passed over.
    func mustHear(
        _ answers: HostileRow.Answer..., version: ProtocolVersion = .v5,
        at location: SourceLocation = #_sourceLocation
    ) {
        for answer in answers {
            #expect(HostileRow.answer(self, version) == answer, sourceLocation: location)
        }
    }
}
