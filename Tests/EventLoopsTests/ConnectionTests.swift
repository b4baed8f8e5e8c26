import Base
import CLinux
import EventLoops
import TestKit
import Testing

@Suite("Connections of a loop")
struct ConnectionTests {
    static func frame(_ count: Int, seed: UInt8 = 0) -> [UInt8] {
        [UInt8(count >> 8), UInt8(count & 255)]
            + (0..<count).map { UInt8(truncatingIfNeeded: $0) &+ seed }
    }

    @Test("frames come back whole, wherever the stream is cut", arguments: PollerKind.backends)
    func everySplit(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        rig.handler.echoFrames()
        let (client, id) = rig.connect()
        let stream = Self.frame(3) + Self.frame(0) + Self.frame(40, seed: 9) + Self.frame(1)
        for cut in 0...stream.count {
            client.send(stream[..<cut])
            rig.turn(3)
            client.send(stream[cut...])
            #expect(rig.collect(client, count: stream.count) == stream, "cut at \(cut)")
        }
        for byte in stream {
            client.send([byte])
            rig.turn(2)
        }
        #expect(rig.collect(client, count: stream.count) == stream)
        #expect(rig.loop.outputCount(id) == 0)
        #expect(rig.loop.blockBytes == 0, "an idle connection holds no block")
    }

    @Test("a frame far larger than any buffer arrives whole", arguments: PollerKind.backends)
    func largeFrames(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, id) = rig.connect()
        let size = 3_000_000
        rig.loop.setInputLimit(id, size)
        var arrived: [UInt8] = []
        rig.handler.onReceived = { _, bytes in
            if bytes.count < size { return 0 }
            arrived = [UInt8](bytes[..<size])
            return size
        }
        let wanted = OutputTests.bytes(size)
        var sent = 0
        rig.run {
            if sent < size { sent += client.send(wanted[sent..<min(sent + 65536, size)]) }
            return !arrived.isEmpty
        }
        #expect(arrived == wanted)
        #expect(rig.loop.blockBytes == 0)
    }

    @Test("unconsumed input beyond the limit ends the connection", arguments: PollerKind.backends)
    func inputLimit(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        rig.handler.onReceived = { _, _ in 0 }
        let (client, id) = rig.connect()
        rig.loop.setInputLimit(id, 1000)
        client.send([UInt8](repeating: 1, count: 1000))
        rig.run(turns: 20) { false }
        #expect(rig.handler.ended.isEmpty)
        client.send([2])
        #expect(rig.run { !rig.handler.ended.isEmpty })
        #expect(rig.handler.ended.map(\.reason) == [.inputLimit])
    }

    @Test("many connections are served side by side", arguments: PollerKind.backends)
    func manyConnections(poller: PollerKind) throws {
        let rig = try LoopRig(poller) { $0.eventsPerTurn = 32 }
        rig.handler.echoFrames()
        let clients = (0..<300).map { _ in LoopbackClient(port: rig.port) }
        #expect(rig.run { rig.handler.open.count == 300 })
        for round in 0..<5 {
            for (number, client) in clients.enumerated() {
                client.send(Self.frame(20 + number % 50, seed: UInt8(round)))
            }
            for (number, client) in clients.enumerated() {
                let wanted = Self.frame(20 + number % 50, seed: UInt8(round))
                #expect(rig.collect(client, count: wanted.count) == wanted)
            }
        }
        for client in clients { client.close() }
        #expect(rig.run { rig.loop.connectionCount == 0 })
        #expect(rig.handler.ended.count == 300)
        #expect(rig.handler.ended.allSatisfy { $0.reason == .peerClosed })
        #expect(rig.loop.counters.accepted == 300 && rig.loop.counters.closed == 300)
    }

    @Test("the peer and local addresses are told", arguments: PollerKind.backends)
    func addresses(poller: PollerKind) throws {
        let six = PeerAddress(IPAddress(high: 0, low: 0), port: 0)
        let path = "/tmp/apus-loop-\(poller.rawValue)-\(apus_boot_clock()).sock"
        let rig = try LoopRig(
            poller,
            listeners: [
                ListenerOptions(address: .ip(six)), ListenerOptions(address: .unix(path: path)),
            ])
        defer { unlink(path) }
        let viaSix = LoopbackClient(port: rig.port, isIPv6: true)
        #expect(rig.run { rig.handler.peers.count == 1 })
        #expect(rig.handler.peers[0].peer.address == .v6Loopback)
        #expect(rig.handler.peers[0].local.description == "[::1]:\(rig.port)")
        let viaPath = LoopbackClient(unixPath: path)
        #expect(rig.run { rig.handler.peers.count == 2 })
        #expect(rig.handler.peers[1].listener == 1)
        #expect(rig.handler.peers[1].peer == .unix)
        rig.handler.echoBytes()
        viaPath.send([1, 2, 3])
        #expect(rig.collect(viaPath, count: 3) == [1, 2, 3])
        viaSix.send([4])
        #expect(rig.collect(viaSix, count: 1) == [4])
    }

    @Test("a paused connection keeps its bytes until it resumes", arguments: PollerKind.backends)
    func pausing(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, id) = rig.connect()
        var consumed: [UInt8] = []
        rig.handler.onReceived = { _, bytes in
            consumed.append(bytes[0])
            rig.loop.pauseReading(id)
            return 1
        }
        client.send([1, 2, 3])
        #expect(rig.run { consumed == [1] })
        client.send([4, 5])
        rig.run(turns: 10) { false }
        #expect(consumed == [1])
        for count in 2...5 {
            rig.loop.resumeReading(id)
            #expect(rig.run { consumed.count == count })
        }
        #expect(consumed == [1, 2, 3, 4, 5])
        client.endSending()
        rig.loop.resumeReading(id)
        #expect(rig.run { rig.handler.ended.map(\.reason) == [.peerClosed] })
    }

    @Test(
        "pausing and resuming at random loses and repeats nothing", arguments: PollerKind.backends)
    func randomPausing(poller: PollerKind) throws {
        for seed in UInt64(1)...10 {
            var random = SeededRandom(seed: seed)
            let rig = try LoopRig(poller) { $0.uringBufferCount = 4 }
            let (client, id) = rig.connect()
            var consumed: [UInt8] = []
            rig.handler.onReceived = { _, bytes in
                let count = random.below(bytes.count + 1)
                consumed += bytes[..<count]
                if random.chance(percent: 50) { rig.loop.pauseReading(id) }
                return count
            }
            let wanted = (0..<200_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            rig.loop.setInputLimit(id, wanted.count)
            var sent = 0
            rig.run {
                sent += client.send(wanted[sent..<min(wanted.count, sent + random.below(9_000))])
                if random.chance(percent: 50) { rig.loop.resumeReading(id) }
                // Bytes that are never consumed need more behind them to be presented again.
                if sent == wanted.count { rig.loop.pauseReading(id) }
                if sent == wanted.count { rig.loop.resumeReading(id) }
                return consumed.count == wanted.count
            }
            #expect(consumed == wanted, "seed \(seed)")
        }
    }

    @Test("what was kept does not grow while bytes come faster than they are taken")
    func boundedKeeping() throws {
        let readSize = 64 << 10
        let rig = try LoopRig(.epoll) { $0.readSize = readSize }
        let (client, id) = rig.connect()
        rig.loop.setInputLimit(id, 64)
        var (sent, taken, largest) = (0, 0, 0)
        rig.handler.onReceived = { _, bytes in
            largest = max(largest, bytes.count)
            let count = min(bytes.count, 64)
            taken += count
            rig.loop.pauseReading(id)
            return count
        }
        let block = [UInt8](repeating: 7, count: 2 * readSize)
        rig.run(turns: 400) {
            rig.loop.resumeReading(id)
            sent += client.send(block[...])
            return false
        }
        #expect(taken > 10_000 && sent > taken)
        #expect(largest <= 2 * readSize)
    }

    @Test("bytes sent before the peer's end are answered", arguments: PollerKind.backends)
    func halfClose(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        rig.handler.echoBytes()
        let (client, _) = rig.connect()
        client.send([7, 8, 9])
        client.endSending()
        #expect(rig.collect(client, count: 4) == [7, 8, 9])
        #expect(client.isEnded)
        #expect(rig.handler.ended.map(\.reason) == [.peerClosed])
    }

    @Test("a reset is told with its errno", arguments: PollerKind.backends)
    func reset(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        let (client, _) = rig.connect()
        client.reset()
        #expect(rig.run { !rig.handler.ended.isEmpty })
        guard case .reset = rig.handler.ended[0].reason else {
            Issue.record("\(rig.handler.ended)")
            return
        }
    }
}
