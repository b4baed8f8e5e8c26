import Base
import MQTT

/// A PUBLISH that a client has received.
package struct RigMessage: Equatable, Sendable {
    package var topic: String
    package var payload: String
    package var qos: QoS
    package var isDuplicate: Bool
    package var isRetained: Bool
    package var subscriptionIDs: [UInt32]
    /// Which of the client's connections it came by, from 1.
    package var connection: Int
}

/// A correct client over a rig's connection: answers by the protocol and notes what it got.
///
/// Its session state (what it has sent and not had acknowledged, what it received by QoS 2 and has
/// not released) outlives connections, as a client's with a stored session does.
package final class RigClient {
    /// A QoS 1 or 2 PUBLISH on its way to the server.
    package struct Sending: Sendable {
        package var topic: String
        package var payload: String
        package var qos: QoS
        package var isRetained: Bool
        /// PUBREC has come: PUBREL is owed.
        package var isReleased = false
    }

    private let rig: Rig
    package let version: ProtocolVersion
    package let clientID: String
    package private(set) var link: Rig.Link?
    package private(set) var connack: ConnackPacket?
    package private(set) var disconnect: DisconnectPacket?
    package private(set) var received: [RigMessage] = []
    /// Packet ids of SUBACK and UNSUBACK with their codes.
    package private(set) var answers: [UInt16: [ReasonCode]] = [:]
    /// The code of the last acknowledgement of each packet id, also of packets sent by `sendRaw`.
    package private(set) var codes: [UInt16: ReasonCode] = [:]
    /// PUBLISH packets that were acknowledged (PUBACK, PUBCOMP), by payload.
    package private(set) var acknowledged: [String: ReasonCode] = [:]
    /// Payloads of PUBLISH packets that were sent again.
    package private(set) var repeated: Set<String> = []
    /// In the order of sending.
    package private(set) var sending: [(packetID: UInt16, message: Sending)] = []
    private var unreleased: Set<UInt16> = []
    private var lastPacketID: UInt16 = 0
    /// Connections begun.
    package private(set) var connectionCount = 0
    private var input: [UInt8] = []
    /// What the server sent and should not have.
    package private(set) var complaints: [String] = []
    /// Answers QoS 1 and 2; a test may hold them back.
    package var acknowledges = true

    package init(_ rig: Rig, _ clientID: String, version: ProtocolVersion = .v5) {
        self.rig = rig
        self.clientID = clientID
        self.version = version
    }

    package var isConnected: Bool {
        connack?.reasonCode == .success && link.map { rig.isOpen($0) } == true
    }

    // MARK: Sending

    /// Opens a connection and sends CONNECT. False if the worker refuses connections.
    @discardableResult
    package func connect(
        to worker: Int, cleanStart: Bool = true, expirySeconds: UInt32 = 0,
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> Bool {
        input = []
        connack = nil
        disconnect = nil
        connectionCount += 1
        link = rig.connect(to: worker)
        var packet = ConnectPacket(
            version: version, cleanStart: cleanStart, keepAlive: 0,
            clientID: Array(clientID.utf8))
        packet.properties.sessionExpiryInterval = expirySeconds
        change(&packet)
        send { packet.encode(into: &$0) }
        return link != nil
    }

    package func subscribe(
        _ filters: [String], qos: QoS = .exactlyOnce, subscriptionID: UInt32 = 0,
        retainHandling: SubscriptionOptions.RetainHandling = .send, noLocal: Bool = false
    ) -> UInt16 {
        let options = SubscriptionOptions(
            maximumQoS: qos, noLocal: noLocal, retainAsPublished: false,
            retainHandling: retainHandling)
        var request = SubscribeRequest(
            packetID: nextPacketID(),
            entries: filters.map {
                SubscribeRequest.Entry(filter: Array($0.utf8), options: options)
            })
        request.subscriptionID = subscriptionID
        send { request.encode(version, into: &$0) }
        return request.packetID
    }

    package func unsubscribe(_ filters: [String]) -> UInt16 {
        let request = UnsubscribeRequest(
            packetID: nextPacketID(), filters: filters.map { Array($0.utf8) })
        send { request.encode(version, into: &$0) }
        return request.packetID
    }

    @discardableResult
    package func publish(
        _ topic: String, _ payload: String, qos: QoS = .atMostOnce, retain: Bool = false
    ) -> UInt16 {
        let message = Sending(topic: topic, payload: payload, qos: qos, isRetained: retain)
        let packetID = qos == .atMostOnce ? 0 : nextPacketID()
        if qos != .atMostOnce { sending.append((packetID, message)) }
        write(message, packetID, isDuplicate: false)
        return packetID
    }

    private func write(_ message: Sending, _ packetID: UInt16, isDuplicate: Bool) {
        send {
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: message.qos, dup: isDuplicate,
                    retain: message.isRetained, packetID: packetID, topicAlias: 0,
                    messageExpiry: nil),
                topic: Array(message.topic.utf8), forwarded: [], subscriptionIDs: [],
                payload: Array(message.payload.utf8), into: &$0)
        }
    }

    /// What a client does after a CONNACK: with a session, everything again that is open.
    package func resumeSending() {
        for (packetID, message) in sending {
            if message.isReleased {
                acknowledge(.pubrel, packetID)
            } else {
                repeated.insert(message.payload)
                write(message, packetID, isDuplicate: true)
            }
        }
    }

    /// A new session knows nothing of what was under way.
    package func forgetSession() {
        sending = []
        unreleased = []
    }

    /// Says goodbye; the server closes.
    package func leave(_ reasonCode: ReasonCode = .normalDisconnection) {
        send {
            _ = DisconnectPacket(reasonCode: reasonCode).encode(version, limit: .max, into: &$0)
        }
    }

    /// Goes without a word.
    package func cut() {
        if let link { rig.cut(link) }
        link = nil
        connack = nil
    }

    package func sendRaw(_ bytes: [UInt8]) {
        if let link { rig.send(link, bytes) }
    }

    private func send(_ write: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        write(&writer)
        sendRaw(writer.array)
    }

    private func nextPacketID() -> UInt16 {
        repeat {
            lastPacketID = lastPacketID == .max ? 1 : lastPacketID + 1
        } while sending.contains { $0.packetID == lastPacketID }
        return lastPacketID
    }

    // MARK: Receiving

    /// Handles everything that has come. Bytes that are no packet are a complaint.
    package func receive() {
        guard let link else { return }
        input += rig.take(link)
        var offset = 0
        input.withRawSpan { bytes in
            while case .frame(let header) = FixedHeader.decode(
                bytes, offset: offset, maximumPacketSize: .max)
            {
                offset += header.totalSize
                do {
                    handle(try Packet.decode(header, bytes, .client(version)), bytes)
                } catch {
                    complaints.append("\(clientID): \(error)")
                }
            }
        }
        input.removeFirst(offset)
        if rig.isGone(link) {
            self.link = nil
            connack = connack?.reasonCode == .success ? nil : connack
        }
    }

    private func handle(_ packet: Packet, _ bytes: RawSpan) {
        switch packet {
        case .connack(let packet): connack = packet
        case .publish(let packet): handle(packet, bytes)
        case .acknowledgement(let type, let packet): handle(type, packet)
        case .suback(let packet), .unsuback(let packet):
            answers[packet.packetID] = packet.reasonCodes
        case .disconnect(let packet): disconnect = packet
        case .pingresp: break
        case .connect, .subscribe, .unsubscribe, .pingreq, .auth:
            complaints.append("\(clientID): \(packet)")
        }
    }

    private func handle(_ packet: PublishPacket, _ bytes: RawSpan) {
        let message = RigMessage(
            topic: String(decoding: bytes.array(packet.topic), as: UTF8.self),
            payload: String(decoding: bytes.array(packet.payload), as: UTF8.self),
            qos: packet.qos, isDuplicate: packet.dup, isRetained: packet.retain,
            subscriptionIDs: packet.subscriptionIDs(bytes), connection: connectionCount)
        switch packet.qos {
        case .atMostOnce: received.append(message)
        case .atLeastOnce:
            received.append(message)
            if acknowledges { acknowledge(.puback, packet.packetID) }
        case .exactlyOnce:
            if unreleased.insert(packet.packetID).inserted { received.append(message) }
            if acknowledges { acknowledge(.pubrec, packet.packetID) }
        }
    }

    private func handle(_ type: PacketType, _ packet: AckPacket) {
        if type == .pubrel {
            unreleased.remove(packet.packetID)
            if acknowledges { acknowledge(.pubcomp, packet.packetID) }
            return
        }
        codes[packet.packetID] = packet.reasonCode
        guard let index = sending.firstIndex(where: { $0.packetID == packet.packetID }) else {
            complaints.append("\(clientID): \(type) for \(packet.packetID), which is not open")
            return
        }
        let isEnd = type != .pubrec || packet.reasonCode.isFailure
        if isEnd {
            acknowledged[sending[index].message.payload] = packet.reasonCode
            sending.remove(at: index)
        } else {
            sending[index].message.isReleased = true
            acknowledge(.pubrel, packet.packetID)
        }
    }

    private func acknowledge(_ type: PacketType, _ packetID: UInt16) {
        send {
            AckEncoding.write(
                type, version, packetID: packetID, reasonCode: .success, into: &$0)
        }
    }
}
