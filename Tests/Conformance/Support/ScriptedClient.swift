import Base
import Glibc
import MQTT

/// What a script did not expect, with the line of the test that asked.
struct Surprise: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, _ line: Int) { description = "line \(line): \(what)" }
}

/// A client that does what a test says, one packet at a time, over a real socket.
///
/// Reading blocks, bounded by `patience`; nothing is acknowledged or answered unless the test
/// says so. `take` looks for a packet among those that came, everything else takes the next.
final class ScriptedClient {
    let version: ProtocolVersion
    let clientID: String
    private let socket: BlockingSocket
    private let patience: Duration
    /// Bytes that are not a whole packet yet.
    private var buffer: [UInt8] = []
    /// Packets that came and that nobody asked for yet.
    private var pending: [Incoming] = []
    /// Topics by alias, as the server gave them out.
    private var aliases: [UInt16: String] = [:]
    private var lastPacketID: UInt16 = 0

    init(port: UInt16, version: ProtocolVersion, clientID: String, patience: Duration) {
        socket = BlockingSocket(port: port)
        self.version = version
        self.clientID = clientID
        self.patience = patience
    }

    // MARK: Sending

    func send(_ bytes: [UInt8]) { socket.send(bytes) }

    func send(_ write: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        write(&writer)
        send(writer.array)
    }

    /// An acknowledgement.
    func send(_ type: PacketType, _ packetID: UInt16, _ code: ReasonCode = .success) {
        send { AckEncoding.write(type, version, packetID: packetID, reasonCode: code, into: &$0) }
    }

    func nextPacketID() -> UInt16 {
        lastPacketID += 1
        return lastPacketID
    }

    /// Breaks the connection without a word.
    func cut() { socket.close() }

    // MARK: Receiving

    /// The next packet or the end of the connection.
    func next(_ line: Int = #line) throws -> Incoming {
        if !pending.isEmpty { return pending.removeFirst() }
        return try read(line)
    }

    /// The first packet for which `choose` gives something; others stay for later.
    func take<R>(
        _ what: String, _ line: Int = #line, _ choose: (Incoming) -> R?
    ) throws -> R {
        for index in pending.indices {
            if let found = choose(pending[index]) {
                pending.remove(at: index)
                return found
            }
        }
        while true {
            let incoming = try read(line)
            if let found = choose(incoming) { return found }
            pending.append(incoming)
            if case .end = incoming { throw Surprise("wanted \(what), got \(pending)", line) }
        }
    }

    /// Whether nothing at all comes in the time given: for what only the clock can show.
    func isSilent(for span: Duration) -> Bool {
        switch socket.receive(until: ContinuousClock.now + span) {
        case .bytes(let bytes):
            buffer += bytes
            return false
        case .end: return false
        case .nothing: return true
        }
    }

    private func read(_ line: Int) throws -> Incoming {
        let deadline = ContinuousClock.now + patience
        while true {
            if let incoming = try decode(line) { return incoming }
            switch socket.receive(until: deadline) {
            case .bytes(let bytes): buffer += bytes
            case .end: return .end
            case .nothing: throw Surprise("nothing came in \(patience)", line)
            }
        }
    }

    private func decode(_ line: Int) throws -> Incoming? {
        let frame = buffer.withRawSpan {
            FixedHeader.decode($0, offset: 0, maximumPacketSize: .max)
        }
        switch frame {
        case .needMore: return nil
        case .fault(let fault): throw Surprise("the server's header: \(fault)", line)
        case .frame(let header):
            let bytes = Array(buffer[..<header.totalSize])
            buffer.removeFirst(header.totalSize)
            do {
                return try incoming(header, bytes)
            } catch {
                throw Surprise("\(error) in the server's packet \(bytes.prefix(80))", line)
            }
        }
    }

    private func incoming(
        _ header: FixedHeader, _ bytes: [UInt8]
    ) throws(DecodeFault) -> Incoming {
        let result = bytes.withRawSpan { span -> Result<Incoming, DecodeFault> in
            do throws(DecodeFault) {
                let packet = try Packet.decode(header, span, .client(version))
                return .success(Incoming(packet, span, size: bytes.count))
            } catch {
                return .failure(error)
            }
        }
        let incoming = try result.get()
        guard case .publish(var arrival) = incoming else { return incoming }
        if arrival.alias != 0 {
            if arrival.topic.isEmpty {
                arrival.topic = aliases[arrival.alias] ?? ""
            } else {
                aliases[arrival.alias] = arrival.topic
            }
        }
        return .publish(arrival)
    }
}

/// A packet of the server, free of the buffer it came in; or the end of the connection.
enum Incoming: Sendable {
    case connack(ConnackPacket)
    case publish(Arrival)
    case acknowledgement(Acknowledgement)
    case suback(SubackPacket)
    case unsuback(SubackPacket)
    case pingresp
    case disconnect(DisconnectPacket, size: Int)
    case auth(AuthPacket)
    case end

    fileprivate init(_ packet: Packet, _ bytes: RawSpan, size: Int) {
        switch packet {
        case .connack(let packet): self = .connack(packet)
        case .publish(let packet): self = .publish(Arrival(packet, bytes, size: size))
        case .acknowledgement(let type, let packet):
            self = .acknowledgement(
                Acknowledgement(
                    type: type, packetID: packet.packetID, code: packet.reasonCode, size: size))
        case .suback(let packet): self = .suback(packet)
        case .unsuback(let packet): self = .unsuback(packet)
        case .disconnect(let packet): self = .disconnect(packet, size: size)
        case .auth(let packet): self = .auth(packet)
        // The decoder lets nothing else through to a client.
        case .pingresp, .pingreq, .connect, .subscribe, .unsubscribe: self = .pingresp
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
struct Acknowledgement: Equatable, Sendable {
    var type: PacketType
    var packetID: UInt16
    var code: ReasonCode
    /// Bytes of the whole packet.
    var size: Int
}

/// A PUBLISH that came.
struct Arrival: Sendable {
    /// What the alias stands for, if the packet names none.
    var topic: String
    /// The topic name as it stood in the packet.
    var writtenTopic: String
    var payload: [UInt8]
    var qos: QoS
    var dup: Bool
    var retain: Bool
    var packetID: UInt16
    var alias: UInt16
    var expiry: UInt32?
    var payloadFormat: UInt8?
    var contentType: String?
    var responseTopic: String?
    var correlation: [UInt8]?
    var subscriptionIDs: [UInt32]
    var userProperties: [String]
    /// Bytes of the whole packet.
    var size: Int

    var text: String { String(decoding: payload, as: UTF8.self) }

    fileprivate init(_ packet: PublishPacket, _ bytes: RawSpan, size: Int) {
        func text(_ part: ByteRange) -> String? {
            part.offset == 0 ? nil : String(decoding: bytes.array(part), as: UTF8.self)
        }
        topic = String(decoding: bytes.array(packet.topic), as: UTF8.self)
        writtenTopic = topic
        payload = bytes.array(packet.payload)
        qos = packet.qos
        dup = packet.dup
        retain = packet.retain
        packetID = packet.packetID
        alias = packet.topicAlias
        expiry = packet.messageExpiry
        payloadFormat = packet.payloadFormat
        contentType = text(packet.contentType)
        responseTopic = text(packet.responseTopic)
        correlation =
            packet.correlationData.offset == 0 ? nil : bytes.array(packet.correlationData)
        subscriptionIDs = packet.subscriptionIDs(bytes)
        userProperties = packet.userProperties(bytes).pairs.map {
            String(decoding: $0.name, as: UTF8.self) + "="
                + String(decoding: $0.value, as: UTF8.self)
        }
        self.size = size
    }
}
