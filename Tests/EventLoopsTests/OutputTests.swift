import Base
import EventLoops
import TestKit
import Testing

@Suite("Output and endings of a loop")
struct OutputTests {
    static func bytes(_ count: Int, seed: Int = 0) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var index = 0
            while index < count {
                buffer[index] = UInt8(truncatingIfNeeded: (index &+ seed) &* 37 >> 2)
                index &+= 1
            }
            filled = count
        }
    }

    /// More than the kernel takes for a client that does not read.
    static let plenty = bytes(9_000_000)

    @Test(
        "a slow reader gets every byte in order and the owner hears when it has caught up",
        arguments: PollerKind.backends)
    func slowReader(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, id) = rig.connect(receiveBuffer: 4096)
        let wanted = Self.plenty
        wanted.withUnsafeBytes { all in
            for start in stride(from: 0, to: all.count, by: 9_000) {
                rig.loop.append(id, UnsafeRawBufferPointer(rebasing: all[start..<start + 9_000]))
            }
        }
        #expect(rig.loop.outputCount(id) == wanted.count)
        rig.run(turns: 20) { false }
        #expect(rig.loop.outputCount(id) > 1_000_000)
        #expect(rig.handler.drainedIDs.isEmpty)
        #expect(rig.collect(client, count: wanted.count) == wanted)
        rig.turn(2)
        #expect(rig.loop.outputCount(id) == 0)
        #expect(rig.handler.drainedIDs == [id])
        #expect(rig.loop.blockBytes == 0)
    }

    @Test(
        "copied, encoded and shared output interleave in the order of the calls",
        arguments: PollerKind.backends)
    func mixedOutput(poller: PollerKind) throws {
        for seed in UInt64(1)...8 {
            var random = SeededRandom(seed: seed)
            let rig = try LoopRig(poller)
            let (client, id) = rig.connect()
            let shared = Self.bytes(100_000).withUnsafeBytes { SharedBlock.copy(of: $0) }
            var wanted: [UInt8] = []
            for step in 0..<400 {
                switch random.below(4) {
                case 0:
                    let start = random.below(50_000)
                    let range = start..<start + random.below(50_000)
                    rig.loop.appendShared(id, shared, range)
                    wanted += shared.bytes[range]
                case 1:
                    let part = Self.bytes(random.below(300), seed: step)
                    let room = rig.loop.claimOutput(id, atLeast: 300)
                    // What the peer takes meanwhile leaves the claimed room alone.
                    if random.chance(percent: 20) { rig.turn() }
                    room.copyBytes(from: part)
                    rig.loop.commitOutput(id, part.count)
                    wanted += part
                case 2:
                    let part = Self.bytes(random.below(20_000), seed: step)
                    part.withUnsafeBytes { rig.loop.append(id, $0) }
                    wanted += part
                default:
                    if random.chance(percent: 20) { rig.turn() }
                    client.read(atMost: random.below(100_000))
                }
            }
            #expect(rig.collect(client, count: wanted.count) == wanted, "seed \(seed)")
            rig.turn(3)
            #expect(shared.references == 1, "seed \(seed)")
            #expect(rig.loop.outputSegmentCount == 0 && rig.loop.blockBytes == 0)
            shared.release()
        }
    }

    @Test(
        "closing after the flush sends everything, also to a peer that is still sending",
        arguments: PollerKind.backends)
    func closeAfterFlush(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, id) = rig.connect(receiveBuffer: 4096)
        let wanted = Self.bytes(2_000_000)
        rig.handler.onReceived = { _, bytes in
            wanted.withUnsafeBytes { rig.loop.append(id, $0) }
            rig.loop.close(id, afterFlush: true)
            return 0
        }
        client.send([1, 2, 3])
        #expect(rig.run { rig.handler.ended.map(\.reason) == [.closedByUs] })
        client.send([UInt8](repeating: 9, count: 30_000))
        #expect(rig.collect(client, count: wanted.count + 1) == wanted)
        #expect(client.isEnded && client.failure == nil)
        client.close()
        #expect(rig.run { rig.loop.connectionCount == 0 })
        #expect(rig.loop.blockBytes == 0)
    }

    @Test(
        "a peer that neither reads nor ends is let go when its time is over",
        arguments: PollerKind.backends)
    func lingerEnds(poller: PollerKind) throws {
        let rig = try LoopRig(poller) {
            $0.lingerTime = .milliseconds(20)
            $0.flushTime = .milliseconds(20)
        }
        let (lingering, first) = rig.connect()
        let (stuck, second) = rig.connect(receiveBuffer: 4096)
        Self.plenty.withUnsafeBytes { rig.loop.append(second, $0) }
        rig.loop.close(first, afterFlush: true)
        rig.loop.close(second, afterFlush: true)
        #expect(rig.run { rig.loop.connectionCount == 0 })
        #expect(rig.handler.ended.count == 2)
        lingering.close()
        stuck.close()
    }

    @Test("closing without flush drops what is queued", arguments: PollerKind.backends)
    func closeNow(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, id) = rig.connect(receiveBuffer: 4096)
        Self.plenty.withUnsafeBytes { rig.loop.append(id, $0) }
        rig.turn(3)
        rig.loop.close(id, afterFlush: false)
        #expect(rig.run { rig.loop.connectionCount == 0 })
        rig.run {
            client.read()
            return client.isEnded || client.failure != nil
        }
        #expect(client.received.count < 9_000_000)
        #expect(rig.loop.blockBytes == 0)
    }

    @Test(
        "every call with the id of an ended connection does nothing", arguments: PollerKind.backends
    )
    func staleIDs(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, old) = rig.connect()
        rig.loop.setSlot(old, 77)
        var slotAtEnd: Int32 = -1
        rig.handler.onClosed = {
            slotAtEnd = rig.loop.slot(of: $0)
            rig.loop.close($0, afterFlush: false)
            [1].withUnsafeBytes { rig.loop.append(old, $0) }
        }
        rig.loop.close(old, afterFlush: false)
        rig.loop.close(old, afterFlush: true)
        #expect(rig.run { rig.loop.connectionCount == 0 })
        #expect(slotAtEnd == 77)
        let (newClient, new) = rig.connect()
        #expect(new.index == old.index && new != old)
        for id in [old, ConnectionID.none, ConnectionID(rawValue: .max)] {
            #expect(rig.loop.slot(of: id) == -1 && !rig.loop.isOpen(id))
            rig.loop.setSlot(id, 5)
            [UInt8](repeating: 1, count: 10_000).withUnsafeBytes { rig.loop.append(id, $0) }
            rig.loop.pauseReading(id)
            rig.loop.resumeReading(id)
            rig.loop.close(id, afterFlush: false)
            rig.loop.setInputLimit(id, 0)
            #expect(rig.loop.outputCount(id) == 0)
        }
        rig.handler.echoBytes()
        newClient.send([42])
        #expect(rig.collect(newClient, count: 2 - 1) == [42])
        #expect(rig.handler.ended.count == 1)
        client.close()
    }

    @Test(
        "random connecting, sending, closing and resetting reports each end exactly once",
        arguments: PollerKind.backends)
    func closeRaces(poller: PollerKind) throws {
        for seed in UInt64(1)...6 {
            var random = SeededRandom(seed: seed)
            let rig = try LoopRig(poller) { $0.lingerTime = .milliseconds(5) }
            var clients: [LoopbackClient] = []
            var known: [ConnectionID] = []
            rig.handler.onAccepted = { id in
                known.append(id)
                if random.chance(percent: 10) { rig.loop.close(id, afterFlush: false) }
            }
            rig.handler.onReceived = { id, bytes in
                if random.chance(percent: 10) {
                    rig.loop.close(known[random.below(known.count)], afterFlush: true)
                }
                rig.loop.append(id, UnsafeRawBufferPointer(bytes))
                if random.chance(percent: 10) { rig.loop.close(id, afterFlush: false) }
                return random.below(bytes.count + 1)
            }
            for _ in 0..<1_500 {
                switch random.below(8) {
                case 0: clients.append(LoopbackClient(port: rig.port))
                case 1 where !clients.isEmpty:
                    clients.remove(at: random.below(clients.count)).reset()
                case 2 where !clients.isEmpty:
                    clients.remove(at: random.below(clients.count)).close()
                case 3: rig.turn()
                case 4 where !known.isEmpty:
                    let id = known[random.below(known.count)]
                    rig.loop.close(id, afterFlush: random.chance(percent: 50))
                default:
                    guard !clients.isEmpty else { continue }
                    let client = clients[random.below(clients.count)]
                    client.send([UInt8](repeating: 3, count: random.below(5_000)))
                    client.read()
                }
            }
            for client in clients { client.close() }
            #expect(rig.run { rig.loop.connectionCount == 0 && rig.handler.open.isEmpty })
            rig.run(turns: 20) { rig.handler.ended.count == known.count }
            #expect(Set(rig.handler.ended.map(\.id)).count == rig.handler.ended.count)
            #expect(Set(rig.handler.ended.map(\.id)) == Set(known), "seed \(seed)")
            #expect(rig.loop.blockBytes == 0 && rig.loop.outputSegmentCount == 0)
        }
    }
}
