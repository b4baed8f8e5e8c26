import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// A client of bytes over a rig's connection: sends anything, reads packet by packet while the rig
/// takes its turns.
final class RigWire: PacketSource {
    /// Turns that an answer may take: several minutes where nothing moves.
    private static let stepsMax = 3_000
    let rig: Rig
    let link: Rig.Link
    let version: ProtocolVersion
    private var buffer: [UInt8] = []

    init?(_ rig: Rig, _ version: ProtocolVersion = .v5, to worker: Int = 0) {
        guard let link = rig.connect(to: worker) else { return nil }
        self.rig = rig
        self.link = link
        self.version = version
    }

    func send(_ bytes: [UInt8]) { rig.send(link, bytes) }

    /// What the server wrote and this side has read from its socket.
    func read() { buffer += rig.take(link) }

    func next() -> [UInt8]? {
        for _ in 0..<Self.stepsMax {
            if let packet = packet() { return packet }
            read()
            if let packet = packet() { return packet }
            if rig.isGone(link) { return nil }
            rig.step()
        }
        return nil
    }

    private func packet() -> [UInt8]? {
        let result = buffer.withRawSpan {
            FixedHeader.decode($0, offset: 0, maximumPacketSize: .max)
        }
        guard case .frame(let header) = result else { return nil }
        defer { buffer.removeFirst(header.totalSize) }
        return Array(buffer[..<header.totalSize])
    }

    /// What the server says next, in order; deliveries between are passed over.
    func hears(
        _ answers: HostileRow.Answer..., at location: SourceLocation = #_sourceLocation
    ) {
        for answer in answers {
            #expect(HostileRow.answer(self, version) == answer, sourceLocation: location)
        }
    }

    /// The next delivery: payload and packet id (none with QoS 0).
    func delivery() -> (payload: [UInt8], packetID: [UInt8])? {
        while let packet = next() {
            if let delivery = delivery(in: packet) { return delivery }
        }
        return nil
    }

    /// A delivery that has been read already.
    func waitingDelivery() -> (payload: [UInt8], packetID: [UInt8])? {
        while let packet = packet() {
            if let delivery = delivery(in: packet) { return delivery }
        }
        return nil
    }

    private func delivery(in packet: [UInt8]) -> (payload: [UInt8], packetID: [UInt8])? {
        guard packet[0] >> 4 == 3 else { return nil }
        var at = 2
        while packet[at - 1] & 0x80 != 0 { at += 1 }
        at += 2 + Int(packet[at]) << 8 + Int(packet[at + 1])
        let hasID = packet[0] & 6 != 0
        let packetID = hasID ? Array(packet[at..<at + 2]) : []
        at += hasID ? 2 : 0
        if version == .v5 { at += 1 + Int(packet[at]) }
        return (Array(packet[at...]), packetID)
    }
}

/// A rig with the settings under which a refusal happens.
struct RefusalRig {
    let rig: Rig

    init(
        _ settings: [String: String] = [:], workers: Int = 1,
        change: (inout RigOptions) -> Void = { _ in }
    ) throws {
        var options = RigOptions()
        options.workers = workers
        options.keepsEvents = true
        var overrides = TenantOverrides()
        for (name, value) in settings { try overrides.set(name, to: value) }
        let wanted = overrides
        try options.tenants.update { table throws(SettingError) in
            try table.store(wanted, for: .standard)
        }
        change(&options)
        rig = Rig(seed: 3, options)
    }

    /// A client that was let in.
    func open(
        _ clientID: String, _ version: ProtocolVersion = .v5, to worker: Int = 0,
        at location: SourceLocation = #_sourceLocation,
        change: (inout ConnectPacket) -> Void = { _ in }
    ) throws -> RigWire {
        let wire = try #require(RigWire(rig, version, to: worker), sourceLocation: location)
        wire.send(Greeting.connect(version, clientID, change: change))
        wire.hears(.connack(0), at: location)
        return wire
    }

    /// A subscriber of the topic `a`.
    func subscriber(
        _ clientID: String = "subscriber", qos: QoS = .atLeastOnce,
        _ version: ProtocolVersion = .v5, to worker: Int = 0,
        at location: SourceLocation = #_sourceLocation,
        change: (inout ConnectPacket) -> Void = { _ in }
    ) throws -> RigWire {
        let wire = try open(clientID, version, to: worker, at: location, change: change)
        wire.send(Greeting.subscribe("a", qos: qos, version: version))
        wire.hears(.suback([qos.rawValue]), at: location)
        return wire
    }

    func pass(_ steps: Int = 20) { for _ in 0..<steps { rig.step() } }

    func drops(_ reason: DropReason) -> Int {
        rig.places.reduce(0) { $0 + Int($1.worker.eventTotals.value(reason, of: .standard)) }
    }
}
