import Base
import CLinux
import EventLoops
import TestKit
import Testing

@Suite("Turns, timers, mail and groups")
struct LoopTests {
    @Test(
        "timers fire in order, not before their time, and not when cancelled",
        arguments: PollerKind.backends)
    func timers(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let start = rig.loop.now
        var firedAt: [Instant] = []
        for token in [3, 1, 2] as [UInt64] {
            _ = rig.loop.schedule(
                at: start + .milliseconds(4 * Int64(token)), token: token)
        }
        let cancelled = rig.loop.schedule(at: start + .milliseconds(6), token: 9)
        rig.loop.cancel(cancelled)
        rig.run {
            while firedAt.count < rig.handler.firedTokens.count { firedAt.append(rig.loop.now) }
            return firedAt.count == 3
        }
        #expect(rig.handler.firedTokens == [1, 2, 3])
        for (position, instant) in firedAt.enumerated() {
            #expect(instant >= start + .milliseconds(4 * Int64(position + 1)))
        }
    }

    @Test(
        "a loop that was asked for a turn does not sleep, and is idle after it",
        arguments: PollerKind.backends)
    func requestedTurn(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        rig.turn(3)
        #expect(rig.loop.isIdle)
        var left = 5
        rig.handler.onTurnEnding = {
            left -= 1
            if left > 0 { rig.loop.requestTurn() }
        }
        rig.loop.requestTurn()
        for _ in 0..<5 { rig.loop.turn(waitingAtMost: .seconds(3600)) }
        #expect(left == 0 && rig.loop.isIdle)
    }

    @Test("mail to the own loop arrives in the next turn", arguments: PollerKind.backends)
    func ownMail(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        ([1, 2, 3] as [UInt8]).withUnsafeBytes { rig.loop.appendMail($0, to: WorkerIndex(0)) }
        ([4] as [UInt8]).withUnsafeBytes { rig.loop.appendMail($0, to: WorkerIndex(0)) }
        rig.turn(2)
        #expect(rig.handler.letters.map(\.bytes) == [[1, 2, 3, 4]])
        #expect(rig.loop.handle.post([9, 9]))
        rig.turn()
        #expect(rig.handler.letters.last?.bytes == [9, 9])
        #expect(rig.handler.letters.last?.from == .outside)
    }

    @Test(
        "a full ring keeps mail at the sender, which can see it, and loses none",
        arguments: PollerKind.backends)
    func fullRing(poller: PollerKind) throws {
        var options = LoopOptions(poller: poller, workers: 2)
        options.mailRingCapacity = 2
        let fabric = try MailFabric(workers: 2, ringCapacity: 2)
        let loops = try (0..<2).map {
            try EventLoop(
                worker: WorkerIndex(UInt16($0)), fabric: fabric, options: options,
                poller: poller, listeners: [])
        }
        let handlers = loops.map { loop in
            let handler = ScriptedHandler()
            loop.attach(handler)
            return handler
        }
        defer { for loop in loops { loop.shutDown() } }
        for number in UInt8(0)..<10 {
            [number].withUnsafeBytes { loops[0].appendMail($0, to: WorkerIndex(1)) }
            loops[0].turn(waitingAtMost: .zero)
        }
        #expect(loops[0].mailBacklog(to: WorkerIndex(1)) == 8)
        #expect(loops[0].counters.mailDeferred == 8)
        loops[1].turn(waitingAtMost: .zero)
        loops[0].turn(waitingAtMost: .zero)
        loops[1].turn(waitingAtMost: .zero)
        #expect(handlers[1].letters.flatMap(\.bytes) == [UInt8](0..<10))
        #expect(loops[0].mailBacklog(to: WorkerIndex(1)) == 0)
        #expect(handlers[1].letters.count == 3)
    }

    /// Sends numbered words to the other loop, counts those that come, and stops when all came.
    final class Correspondent: LoopHandler {
        static let total: UInt64 = 100_000
        unowned let loop: EventLoop
        let other: WorkerIndex
        let result: Tally
        var next: UInt64 = 0
        var expected: UInt64 = 0
        var random: SeededRandom

        init(_ loop: EventLoop, result: Tally) {
            self.loop = loop
            self.result = result
            other = WorkerIndex(1 - loop.worker.rawValue)
            random = SeededRandom(seed: UInt64(loop.worker.rawValue) + 1)
        }

        func started(_ loop: EventLoop) { loop.requestTurn() }
        func accepted(
            _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
        ) {}
        func received(
            _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
        ) -> Int { bytes.count }
        func closed(_ connection: ConnectionID, reason: CloseReason) {}
        func outputDrained(_ connection: ConnectionID) {}
        func fired(_ token: UInt64) { send() }
        func draining() {}

        func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex) {
            for offset in stride(from: 0, to: bytes.count, by: 8) {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if word != expected { loop.stop() }
                expected += 1
            }
            result.value.withLock { $0[Int(loop.worker.rawValue)] = expected }
            if expected == Self.total, next == Self.total { finish() }
        }

        /// Bursts, with turns in between in which the loop may fall asleep.
        func turnEnding() {
            if next < Self.total, random.chance(percent: 70) {
                send()
            } else if next < Self.total {
                _ = loop.schedule(at: loop.now + .milliseconds(1), token: 0)
            } else if expected == Self.total {
                finish()
            }
        }

        func send() {
            let count = min(UInt64(random.below(400) + 1), Self.total - next)
            for _ in 0..<count {
                withUnsafeBytes(of: next) { loop.appendMail($0, to: other) }
                next += 1
            }
            loop.requestTurn()
        }

        /// The last mail must leave before the loop ends: one more turn.
        var isFinishing = false
        func finish() {
            if isFinishing, loop.mailBacklog(to: other) == 0 { return loop.stop() }
            isFinishing = true
            loop.requestTurn()
        }
    }

    @Test(
        "two loops exchange mail under load: in order, complete, each woken when it sleeps",
        arguments: PollerKind.backends)
    func mailUnderLoad(poller: PollerKind) throws {
        var options = LoopOptions(poller: poller, workers: 2)
        options.mailRingCapacity = 4
        let result = Tally()
        let group = try LoopGroup(options: options, listeners: []) {
            Correspondent($0, result: result)
        }
        group.join()
        let total = Correspondent.total
        #expect(result.value.withLock { $0 } == [0: total, 1: total])
    }

    /// Says goodbye to every connection when asked to drain, then stops.
    final class PoliteHandler: LoopHandler {
        unowned let loop: EventLoop
        var open: Set<ConnectionID> = []
        var isDraining = false
        init(_ loop: EventLoop) { self.loop = loop }
        func started(_ loop: EventLoop) {}
        func accepted(
            _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
        ) {
            open.insert(connection)
            [UInt8(1)].withUnsafeBytes { loop.append(connection, $0) }
        }
        func received(
            _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
        ) -> Int { bytes.count }
        func closed(_ connection: ConnectionID, reason: CloseReason) { open.remove(connection) }
        func outputDrained(_ connection: ConnectionID) {}
        func fired(_ token: UInt64) {}
        func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex) {}
        func turnEnding() { if isDraining, loop.connectionCount == 0 { loop.stop() } }
        func draining() {
            isDraining = true
            for connection in open {
                [UInt8(9)].withUnsafeBytes { loop.append(connection, $0) }
                loop.close(connection, afterFlush: true)
            }
        }
    }

    @Test(
        "a drained group takes no connection, says goodbye to the open ones and ends",
        arguments: PollerKind.backends)
    func drain(poller: PollerKind) throws {
        let options = LoopOptions(poller: poller, workers: 2)
        let group = try LoopGroup(options: options, listeners: [.loopback]) {
            PoliteHandler($0)
        }
        guard case .ip(let address) = group.addresses[0] else { return }
        let clients = (0..<20).map { _ in LoopbackClient(port: address.port) }
        for client in clients {
            while client.received.isEmpty, client.failure == nil { client.read() }
        }
        group.drain()
        for client in clients {
            while !client.isEnded, client.failure == nil { client.read() }
            #expect(client.received == [1, 9] && client.failure == nil)
            client.close()
        }
        group.join()
        let late = LoopbackClient(port: address.port)
        late.read()
        #expect(late.failure != nil)
    }

    @Test(
        "[refusal W01] running out of descriptors pauses accepting and hurts no open connection"
    )
    func descriptorExhaustion() async {
        await #expect(processExitsWith: .success) {
            // io_uring reads the limit when accepting is armed, so it is lowered first.
            demand(11, apus_set_descriptor_limit(200) == 0)
            for poller in PollerKind.backends {
                let rig = try LoopRig(poller) { $0.acceptPause = .milliseconds(5) }
                rig.handler.echoBytes()
                let (first, _) = rig.connect()
                // The clients wait at the listener while every descriptor is taken.
                let clients = (0..<4).map { _ in LoopbackClient(port: rig.port) }
                var taken: [Int32] = []
                while case let copy = apus_duplicate(2), copy >= 0 { taken.append(copy) }
                demand(12, rig.run { rig.loop.counters.acceptPauses >= 2 })
                // The ring may have taken some of them before the last descriptor was gone.
                demand(13, (1..<5).contains(rig.handler.open.count))
                first.send([5])
                demand(14, rig.collect(first, count: 1) == [5])
                for copy in taken { apus_close(copy) }
                demand(16, rig.run { rig.handler.open.count == 5 })
                for client in clients {
                    client.send([6])
                    demand(17, rig.collect(client, count: 1) == [6])
                }
            }
        }
    }

    @Test("signals are taken one after the other by the thread that waits for them")
    func signals() async {
        await #expect(processExitsWith: .success) {
            ProcessSignal.block()
            let sent: [(Int32, ProcessSignal)] = [
                (SIGHUP, .reload), (SIGTERM, .terminate), (SIGINT, .terminate),
            ]
            for (number, expected) in sent {
                // To this thread: others of the test process were started before.
                raise(number)
                demand(21, ProcessSignal.next() == expected)
            }
        }
    }

    @Test(
        "a busy connection does not keep the loop from the others",
        arguments: PollerKind.backends)
    func fairness(poller: PollerKind) throws {
        let rig = try LoopRig(poller) { $0.readSize = 64 * 1024 }
        let (busy, busyID) = rig.connect()
        let (quiet, quietID) = rig.connect()
        var busyBytes = 0
        var hasHeardQuiet = false
        rig.handler.onReceived = { id, bytes in
            if id == busyID, !hasHeardQuiet { busyBytes += bytes.count }
            if id == quietID { hasHeardQuiet = true }
            return bytes.count
        }
        var sent = 0
        while case let count = busy.send([UInt8](repeating: 1, count: 100_000)), count > 0 {
            sent += count
        }
        quiet.send([2])
        #expect(rig.run { hasHeardQuiet })
        // A share of the busy connection may come first, not all that it has.
        #expect(sent > 1_000_000 && busyBytes < sent / 2)
    }

    @Test("connections beyond the limit of a loop are turned away", arguments: PollerKind.backends)
    func connectionLimit(poller: PollerKind) throws {
        let rig = try LoopRig(poller) { $0.connectionsMax = 2 }
        let clients = (0..<3).map { _ in LoopbackClient(port: rig.port) }
        #expect(rig.run { rig.loop.counters.refused == 1 })
        #expect(rig.handler.open.count == 2)
        for client in clients { client.close() }
    }

    @Test("a listener on a taken address fails with the place and the reason")
    func takenAddress() throws {
        let held = try BoundListener(.loopback, copies: 1)
        defer { held.close() }
        var options = ListenerOptions(
            address: .ip(PeerAddress(IPAddress(v4: 0x0808_0808), port: held.port)))
        options.backlog = 1
        #expect(throws: LoopError.self) { _ = try BoundListener(options, copies: 1) }
    }

    @Test("a connection record stays small")
    func recordSize() {
        #expect(EventLoop.recordSize <= 96)
    }

    @Test("quotas of control groups are read in both forms")
    func quotas() {
        #expect(ProcessorQuota.version2("max 100000\n") == nil)
        #expect(ProcessorQuota.version2("150000 100000\n") == 2)
        #expect(ProcessorQuota.version2("50000 100000\n") == 1)
        #expect(ProcessorQuota.version1(quota: "-1\n", period: "100000\n") == nil)
        #expect(ProcessorQuota.version1(quota: "400000\n", period: "100000\n") == 4)
        #expect(
            ProcessorQuota.candidatePaths("1:x:/y\n0::/a/b\n") == [
                "/sys/fs/cgroup/a/b/cpu.max", "/sys/fs/cgroup/a/cpu.max",
                "/sys/fs/cgroup/cpu.max",
            ])
        #expect(LoopGroup.defaultWorkerCount >= 1)
    }

    @Test("addresses are written as people do")
    func addressText() {
        let six = PeerAddress(.v6Loopback, port: 1883)
        #expect(six.description == "[::1]:1883" && six.isLoopback)
        #expect(PeerAddress(.v4Loopback, port: 1).description == "127.0.0.1:1")
        #expect(PeerAddress.unix.ip == nil && PeerAddress.unix.isLoopback)
    }
}

/// A count per loop that threads share.
final class Tally: Sendable {
    let value = Guarded<[Int: UInt64]>([:])
}

/// In a process of its own: ends it with `code` unless the condition holds.
private func demand(_ code: Int32, _ holds: Bool) {
    if !holds { exit(code) }
}
