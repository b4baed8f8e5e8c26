import Base
import MQTT
import Synchronization

/// The steps of a script: what a client does, and what must follow.
extension ScriptedClient {
    // MARK: Connecting

    func connectPacket(cleanStart: Bool = true, keepAlive: UInt16 = 0) -> ConnectPacket {
        ConnectPacket(
            version: version, cleanStart: cleanStart, keepAlive: keepAlive,
            clientID: Array(clientID.utf8))
    }

    /// Sends CONNECT and waits for CONNACK, whatever it says.
    func connect(
        cleanStart: Bool = true, keepAlive: UInt16 = 0, line: Int = #line,
        _ change: (inout ConnectPacket) -> Void = { _ in }
    ) throws -> ConnackPacket {
        var packet = connectPacket(cleanStart: cleanStart, keepAlive: keepAlive)
        change(&packet)
        send { packet.encode(into: &$0) }
        return try connack(line)
    }

    func connack(_ line: Int = #line) throws -> ConnackPacket {
        let incoming = try next(line)
        guard case .connack(let packet) = incoming else {
            throw Surprise("wanted CONNACK, got \(incoming)", line)
        }
        return packet
    }

    /// DISCONNECT of the client; waits until the server has closed the connection.
    func disconnect(
        _ code: ReasonCode = .normalDisconnection, expiry: UInt32? = nil, line: Int = #line
    ) throws {
        var packet = DisconnectPacket(reasonCode: code)
        packet.sessionExpiryInterval = expiry
        send { packet.encode(version, limit: .max, into: &$0) }
        _ = try take("the end", line) { incoming -> Bool? in
            if case .end = incoming { true } else { nil }
        }
    }

    // MARK: Subscribing

    /// Sends SUBSCRIBE and waits for SUBACK; messages that come first stay for later.
    @discardableResult
    func subscribe(
        _ filters: String..., qos: QoS = .exactlyOnce, id: UInt32 = 0, noLocal: Bool = false,
        asPublished: Bool = false,
        retained: SubscriptionOptions.RetainHandling = .send, line: Int = #line
    ) throws -> SubackPacket {
        let options = SubscriptionOptions(
            maximumQoS: qos, noLocal: noLocal, retainAsPublished: asPublished,
            retainHandling: retained)
        var request = SubscribeRequest(
            packetID: nextPacketID(),
            entries: filters.map { .init(filter: Array($0.utf8), options: options) })
        request.subscriptionID = id
        return try subscribe(request, line: line)
    }

    func subscribe(_ request: SubscribeRequest, line: Int = #line) throws -> SubackPacket {
        send { request.encode(version, into: &$0) }
        return try take("SUBACK \(request.packetID)", line) { incoming in
            if case .suback(let packet) = incoming { packet } else { nil }
        }
    }

    @discardableResult
    func unsubscribe(_ filters: String..., line: Int = #line) throws -> SubackPacket {
        let request = UnsubscribeRequest(
            packetID: nextPacketID(), filters: filters.map { Array($0.utf8) })
        send { request.encode(version, into: &$0) }
        return try take("UNSUBACK \(request.packetID)", line) { incoming in
            if case .unsuback(let packet) = incoming { packet } else { nil }
        }
    }

    // MARK: Publishing

    /// Sends a PUBLISH without waiting. `properties` are encoded ones that are passed on.
    func sendPublish(
        _ topic: String, _ payload: String = "", qos: QoS = .atMostOnce, retain: Bool = false,
        packetID: UInt16 = 0, dup: Bool = false, alias: UInt16 = 0, expiry: UInt32? = nil,
        properties: [UInt8] = []
    ) {
        let fields = PublishFields(
            version: version, qos: qos, dup: dup, retain: retain, packetID: packetID,
            topicAlias: alias, messageExpiry: expiry)
        send {
            PublishEncoding.encode(
                fields, topic: Array(topic.utf8), forwarded: properties, subscriptionIDs: [],
                payload: Array(payload.utf8), into: &$0)
        }
    }

    /// Publishes and waits for the last acknowledgement of the QoS. Returns the first's reason.
    @discardableResult
    func publish(
        _ topic: String, _ payload: String = "", qos: QoS = .atLeastOnce, retain: Bool = false,
        alias: UInt16 = 0, expiry: UInt32? = nil, properties: [UInt8] = [], line: Int = #line
    ) throws -> ReasonCode {
        let packetID = qos == .atMostOnce ? 0 : nextPacketID()
        sendPublish(
            topic, payload, qos: qos, retain: retain, packetID: packetID, alias: alias,
            expiry: expiry, properties: properties)
        switch qos {
        case .atMostOnce: return .success
        case .atLeastOnce: return try acknowledged(.puback, packetID, line)
        case .exactlyOnce:
            let code = try acknowledged(.pubrec, packetID, line)
            guard !code.isFailure else { return code }
            send(.pubrel, packetID)
            _ = try acknowledged(.pubcomp, packetID, line)
            return code
        }
    }

    /// Waits for an acknowledgement with this identifier; what comes first stays for later.
    @discardableResult
    func acknowledged(
        _ type: PacketType, _ packetID: UInt16, _ line: Int = #line
    ) throws -> ReasonCode {
        try take("\(type) \(packetID)", line) { incoming in
            guard case .acknowledgement(let found) = incoming, found.type == type,
                found.packetID == packetID
            else { return nil }
            return found.code
        }
    }

    /// The second half of QoS 2: PUBREL, and PUBCOMP that says success.
    func release(_ packetID: UInt16, _ line: Int = #line) throws {
        send(.pubrel, packetID)
        let code = try acknowledged(.pubcomp, packetID, line)
        guard code == .success else { throw Surprise("PUBCOMP \(packetID) says \(code)", line) }
    }

    // MARK: Receiving

    /// The next packet, which is a PUBLISH; it is not acknowledged.
    func message(_ line: Int = #line) throws -> Arrival {
        let incoming = try next(line)
        guard case .publish(let arrival) = incoming else {
            throw Surprise("wanted PUBLISH, got \(incoming)", line)
        }
        return arrival
    }

    /// The next packet, which is a PUBLISH; acknowledged to the end.
    func receive(_ line: Int = #line) throws -> Arrival {
        let arrival = try message(line)
        try finish(arrival, line)
        return arrival
    }

    /// Acknowledges a PUBLISH to the end.
    func finish(_ arrival: Arrival, _ line: Int = #line) throws {
        switch arrival.qos {
        case .atMostOnce: return
        case .atLeastOnce: send(.puback, arrival.packetID)
        case .exactlyOnce:
            send(.pubrec, arrival.packetID)
            try acknowledged(.pubrel, arrival.packetID, line)
            send(.pubcomp, arrival.packetID)
        }
    }

    /// The payloads of the next `count` messages, each acknowledged.
    func receive(count: Int, line: Int = #line) throws -> [String] {
        try (0..<count).map { _ in try receive(line).text }
    }

    /// The next packet, which is an acknowledgement.
    func acknowledgement(_ line: Int = #line) throws -> Acknowledgement {
        let incoming = try next(line)
        guard case .acknowledgement(let found) = incoming else {
            throw Surprise("wanted an acknowledgement, got \(incoming)", line)
        }
        return found
    }

    /// PINGREQ is answered, and nothing came before the answer.
    func expectNothing(_ line: Int = #line) throws {
        send([0xC0, 0])
        let incoming = try next(line)
        guard case .pingresp = incoming else {
            throw Surprise("wanted nothing but PINGRESP, got \(incoming)", line)
        }
    }

    /// The connection ends, and nothing comes before.
    func expectClosed(_ line: Int = #line) throws {
        let incoming = try next(line)
        guard case .end = incoming else {
            throw Surprise("wanted the end, got \(incoming)", line)
        }
    }

    /// The server refuses what it got: 5.0 says why in DISCONNECT, 3.x just closes.
    @discardableResult
    func expectRefusal(_ code: ReasonCode, _ line: Int = #line) throws -> DisconnectPacket? {
        guard version == .v5 else {
            try expectClosed(line)
            return nil
        }
        let incoming = try next(line)
        guard case .disconnect(let packet, _) = incoming, packet.reasonCode == code else {
            throw Surprise("wanted DISCONNECT \(code), got \(incoming)", line)
        }
        try expectClosed(line)
        return packet
    }
}

/// One test's part of a host: client identifiers and topics that no other test has.
struct Scene: ~Copyable {
    let host: Host
    private let prefix: String
    private static let count = Atomic<Int>(0)

    init(_ host: Host) {
        self.host = host
        prefix = "s\(Self.count.add(1, ordering: .relaxed).newValue)"
    }

    func topic(_ name: String = "t") -> String { "\(prefix)/\(name)" }

    func id(_ name: String) -> String { prefix + name }

    /// A socket whose client has not spoken yet.
    func client(_ name: String = "a", _ version: ProtocolVersion = .v5) -> ScriptedClient {
        ScriptedClient(
            port: host.port, version: version, clientID: id(name), patience: host.patience)
    }

    /// A connected client. `expiry` is for 5.0; 3.x keeps a session without clean start.
    func connected(
        _ name: String = "a", _ version: ProtocolVersion = .v5, cleanStart: Bool = true,
        expiry: UInt32 = 0, line: Int = #line, _ change: (inout ConnectPacket) -> Void = { _ in }
    ) throws -> ScriptedClient {
        let client = client(name, version)
        let connack = try client.connect(cleanStart: cleanStart, line: line) { packet in
            packet.properties.sessionExpiryInterval = expiry
            change(&packet)
        }
        guard connack.reasonCode == .success else {
            throw Surprise("CONNACK \(connack.reasonCode)", line)
        }
        return client
    }

    /// A client whose session outlives its connection; says whether there was one.
    func kept(
        _ name: String = "a", _ version: ProtocolVersion = .v5, cleanStart: Bool = false,
        line: Int = #line, _ change: (inout ConnectPacket) -> Void = { _ in }
    ) throws -> (client: ScriptedClient, present: Bool) {
        let client = client(name, version)
        let connack = try client.connect(cleanStart: cleanStart, line: line) { packet in
            packet.properties.sessionExpiryInterval = version == .v5 ? 600 : 0
            change(&packet)
        }
        guard connack.reasonCode == .success else {
            throw Surprise("CONNACK \(connack.reasonCode)", line)
        }
        return (client, connack.sessionPresent)
    }
}
