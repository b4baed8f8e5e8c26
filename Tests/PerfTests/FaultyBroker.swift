import Base
import EventLoops
import MQTT

/// What a broker may do to a message that it must not.
enum MessageFault: String, CaseIterable, Sendable {
    case none
    case loss
    case duplicate
    case order
    case corrupt
    case misroute
}

/// A broker for QoS 0 and 1 that does one thing wrong with every tenth delivery.
///
/// One loop on a thread of its own; ends with its owner.
final class FaultyBroker {
    private let group: LoopGroup
    let address: ListenerAddress

    init(_ fault: MessageFault) throws {
        let loopback = ListenerAddress.ip(PeerAddress(.v4Loopback, port: 0))
        var options = LoopOptions(poller: .epoll, workers: 1)
        options.pinsThreads = false
        group = try LoopGroup(
            options: options, listeners: [ListenerOptions(address: loopback)]
        ) { FaultyHandler(fault, $0) }
        address = group.addresses[0]
    }

    deinit {
        group.stop()
        group.join()
    }
}

private final class FaultyHandler: LoopHandler {
    private let fault: MessageFault
    private unowned let loop: EventLoop
    private var filters: [(connection: ConnectionID, filter: [UInt8], qos: QoS)] = []
    private var deliveries = 0
    /// Held back to be sent behind the next one.
    private var held: [ConnectionID: [UInt8]] = [:]

    init(_ fault: MessageFault, _ loop: EventLoop) {
        self.fault = fault
        self.loop = loop
    }

    func started(_ loop: EventLoop) {}
    func accepted(
        _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
    ) {}
    func outputDrained(_ connection: ConnectionID) {}
    func fired(_ token: UInt64) {}
    func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex) {}
    func turnEnding() {}
    func draining() {}

    func closed(_ connection: ConnectionID, reason: CloseReason) {
        filters.removeAll { $0.connection == connection }
    }

    func received(
        _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let all = Array(bytes)
        var offset = 0
        while case .frame(let header) = all.withRawSpan({
            FixedHeader.decode($0, offset: offset, maximumPacketSize: .max)
        }) {
            let packet = Array(all[offset..<offset + header.totalSize])
            answer(connection, header.type, packet)
            offset += header.totalSize
        }
        return offset
    }

    private func answer(_ connection: ConnectionID, _ type: PacketType, _ bytes: [UInt8]) {
        if type == .connect { return send(connection, [0x20, 2, 0, 0]) }
        let decoded = bytes.withRawSpan { span -> Packet? in
            guard
                case .frame(let header) = FixedHeader.decode(
                    span, offset: 0, maximumPacketSize: .max)
            else { return nil }
            return try? Packet.decode(header, span, .server(.v311))
        }
        switch decoded {
        case .subscribe(let packet): subscribe(connection, bytes.withRawSpan(packet.request))
        case .publish(let packet):
            if packet.qos == .atLeastOnce {
                send(
                    connection,
                    [0x40, 2, UInt8(packet.packetID >> 8), UInt8(packet.packetID & 255)])
            }
            bytes.withRawSpan { route($0.array(packet.topic), $0.array(packet.payload)) }
        default: break
        }
    }

    private func subscribe(_ connection: ConnectionID, _ request: SubscribeRequest) {
        for entry in request.entries {
            filters.append((connection, entry.filter, entry.options.maximumQoS))
        }
        let identifier = [UInt8(request.packetID >> 8), UInt8(request.packetID & 255)]
        send(
            connection,
            [0x90, UInt8(2 + request.entries.count)] + identifier
                + request.entries.map(\.options.maximumQoS.rawValue))
    }

    private func route(_ topic: [UInt8], _ payload: [UInt8]) {
        let matching = filters.filter { entry in
            entry.filter.withRawSpan { filter in
                topic.withRawSpan { TopicMatch.matches(filter: filter, topic: $0) }
            }
        }
        for entry in matching { deliver(entry.connection, topic, payload) }
    }

    private func deliver(_ connection: ConnectionID, _ topic: [UInt8], _ payload: [UInt8]) {
        var writer = ByteWriter()
        deliveries += 1
        let isWrong = deliveries % 10 == 0
        var payload = payload
        if isWrong, fault == .corrupt, !payload.isEmpty { payload[payload.count - 1] ^= 1 }
        PublishEncoding.encode(
            PublishFields(
                version: .v311, qos: .atMostOnce, dup: false, retain: false, packetID: 0,
                topicAlias: 0, messageExpiry: nil),
            topic: topic, forwarded: [], subscriptionIDs: [], payload: payload, into: &writer)
        let packet = writer.array
        guard isWrong else {
            send(connection, packet)
            if let late = held.removeValue(forKey: connection) { send(connection, late) }
            return
        }
        switch fault {
        case .none, .corrupt: send(connection, packet)
        case .loss: break
        case .duplicate: send(connection, packet + packet)
        case .order: held[connection] = packet
        case .misroute:
            let other = filters.first { $0.connection != connection }?.connection
            send(other ?? connection, packet)
        }
    }

    private func send(_ connection: ConnectionID, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { loop.append(connection, $0) }
    }
}
