import Base
import Broker
import EventLoops
import Glibc
import MQTT
import Policy

/// A node whose loops are turned by hand on one thread, and clients with real sockets: the whole
/// way of a packet, without threads and without waiting, so that it does the same every time.
///
/// A step sends, lets every loop take a turn, and reads. What the clients do costs a system call
/// each way for a batch, and nothing per message.
final class WorkerStage {
    private let loops: [EventLoop]
    private let fabric: MailFabric
    private let path: String
    private var clientCount = 0

    init(workers: Int, settings: [String: String] = [:]) {
        path = "/tmp/apus-bench-\(getpid())-\(Self.stageCount)"
        Self.stageCount += 1
        do {
            var node = NodeOptions()
            node.loops = LoopOptions(poller: .epoll, workers: workers)
            node.authenticator = AnonymousAuthenticator(allowsRemote: true, rule: TenantRule())
            node.measureMemory = { nil }
            let socket = ListenerOptions(address: .unix(path: path))
            node.listeners = [NodeOptions.Listener(name: "bench", socket: socket)]
            var overrides = TenantOverrides()
            for (name, value) in settings { try overrides.set(name, to: value) }
            let wanted = overrides
            try node.tenants.update { table throws(SettingError) in
                try table.store(wanted, for: .standard)
            }
            let bound = try BoundListener(socket, copies: workers)
            let fabric = try MailFabric(workers: workers, ringCapacity: 64)
            self.fabric = fabric
            loops = try (0..<workers).map {
                try EventLoop(
                    worker: WorkerIndex(UInt16($0)), fabric: fabric, options: node.loops,
                    poller: .epoll, listeners: [bound])
            }
            for loop in loops { node.attachWorker(to: loop) }
        } catch {
            Output.fail("no stage: \(error)")
        }
    }

    /// Stages are made on one thread only.
    private nonisolated(unsafe) static var stageCount = 0

    deinit { unlink(path) }

    /// Every loop takes one turn.
    func turn() { for loop in loops { loop.turn(waitingAtMost: .zero) } }

    /// A client that is connected to this worker.
    func client(
        on worker: Int = 0, _ version: ProtocolVersion = .v5, expirySeconds: UInt32 = 0
    ) -> StageClient {
        clientCount += 1
        let client = StageClient(self, version, path: path)
        // Only this loop accepts.
        turn(worker, untilCountIs: loops[worker].connectionCount + 1)
        var packet = ConnectPacket(
            version: version, cleanStart: true, keepAlive: 0,
            clientID: Array("client-\(clientCount)".utf8))
        packet.properties.sessionExpiryInterval = expirySeconds
        client.request({ packet.encode(into: &$0) }, answer: .connack)
        return client
    }

    /// Turns until a client of this worker that has said goodbye is gone.
    func leave(_ worker: Int) {
        turn(worker, untilCountIs: loops[worker].connectionCount - 1)
    }

    private func turn(_ worker: Int, untilCountIs count: Int) {
        for _ in 0..<turnsMax {
            if loops[worker].connectionCount == count { return }
            loops[worker].turn(waitingAtMost: .zero)
        }
        Output.fail("no \(count) connections")
    }

    /// What does not happen within so many turns does not happen.
    let turnsMax = 10_000
}

/// One client of a stage.
final class StageClient {
    let version: ProtocolVersion
    private unowned let stage: WorkerStage
    private var descriptor: Int32
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private var packetID: UInt16 = 0

    init(_ stage: WorkerStage, _ version: ProtocolVersion, path: String) {
        self.stage = stage
        self.version = version
        descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result < 0 { Output.fail("connect: errno \(errno)") }
    }

    deinit {
        end()
        input.deallocate()
    }

    func end() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    func send(_ bytes: UnsafeRawBufferPointer) {
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count != bytes.count { Output.fail("sent \(count) of \(bytes.count) bytes") }
    }

    func send(_ bytes: [UInt8]) { bytes.withUnsafeBytes { send($0) } }

    /// Turns the loops until exactly so many bytes have come; they stay until the next call.
    @discardableResult
    func receive(_ count: Int) -> UnsafeRawBufferPointer {
        var filled = 0
        var turns = 0
        while true {
            let room = UnsafeMutableRawBufferPointer(rebasing: input[filled...])
            let got = recv(descriptor, room.baseAddress, room.count, 0)
            if got > 0 { filled += got }
            if filled >= count { break }
            turns += 1
            if turns > stage.turnsMax || got == 0 {
                Output.fail("\(filled) of \(count) bytes came")
            }
            stage.turn()
        }
        if filled != count { Output.fail("\(filled) bytes came where \(count) were due") }
        return UnsafeRawBufferPointer(rebasing: input[..<filled])
    }

    /// Sends a packet and waits for its answer, of whatever size.
    func request(_ write: (inout ByteWriter) -> Void, answer: PacketType) {
        var writer = ByteWriter()
        write(&writer)
        send(writer.array)
        for _ in 0..<stage.turnsMax {
            stage.turn()
            let got = recv(descriptor, input.baseAddress, input.count, 0)
            guard got > 0 else { continue }
            guard input[0] &>> 4 == answer.rawValue else { break }
            return
        }
        Output.fail("no \(answer)")
    }

    func subscribe(_ filters: [String], qos: QoS = .atMostOnce, subscriptionID: UInt32 = 0) {
        let options = SubscriptionOptions(
            maximumQoS: qos, noLocal: false, retainAsPublished: false, retainHandling: .send)
        packetID += 1
        var request = SubscribeRequest(
            packetID: packetID,
            entries: filters.map {
                SubscribeRequest.Entry(filter: Array($0.utf8), options: options)
            })
        request.subscriptionID = subscriptionID
        self.request({ request.encode(version, into: &$0) }, answer: .suback)
    }
}
