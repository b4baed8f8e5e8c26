import Base
import EventLoops
import MQTT
import PerfReport
import TestKit
import Testing
import PerfLoad

@Suite("What a command line says")
struct PlanTests {
    @Test("places in a pattern are filled in, everything else stands for itself")
    func patterns() {
        var random = SeededRandom(seed: 1)
        var values = PatternValues(number: 42)
        values.clientID = Array("me".utf8)
        values.username = Array("you".utf8)
        values.sequence = 7
        let cases = [
            ("plain/topic", "plain/topic"), ("a/%i/b", "a/42/b"), ("%c-%u-%s", "me-you-7"),
            ("%mod_10/%i", "2/42"), ("100%", "100%"), ("%x%i", "%x42"), ("", ""),
            ("%rand_1", "1"), ("%rand_", "%rand_"), ("%rand_0", "%rand_0"),
        ]
        for (text, wanted) in cases {
            let pattern = TextPattern(text)
            let bytes = pattern.text(values, &random)
            #expect(String(decoding: bytes, as: UTF8.self) == wanted, "\(text)")
        }
        #expect(TextPattern("a/%i/%c").isFixed)
        #expect(!TextPattern("a/%s").isFixed)
        let many = (0..<200).map { _ in TextPattern("%rand_3").text(values, &random) }
        #expect(Set(many).count == 3)
    }

    @Test("presets are read from their names, with any numbers")
    func presets() throws {
        for name in Preset.known { #expect(Preset(name) != nil, "\(name)") }
        let fanOut = try #require(Preset("fanout-5-1000-5-250K"))
        #expect(fanOut.shape == .traffic(.fanOut))
        #expect(fanOut.perSecond == 250)
        #expect(fanOut.topics == 5)
        let shared = try #require(Preset("singlenode-sharedsub-50K-500-50K-50K"))
        #expect(shared.version == .v5)
        #expect(shared.subscribers == 500)
        #expect(shared.perSecond == 50_000)
        let stored = try #require(Preset("false_300_300_q1_p32_50mps_1n1v"))
        #expect(stored.storesSessions)
        #expect(stored.perSecond == 15_000)
        #expect(stored.payloadBytes == 32)
        let pairs = try #require(Preset("p2p-50K-50K-50K-50K")).scaled(0.01)
        #expect(pairs.publishers == 500)
        #expect(pairs.subscribers == 500)
        #expect(pairs.perSecond == 500)
        let connections = try #require(Preset("conn-tcp-1M-5K"))
        #expect(connections.subscribers == 1_000_000)
        #expect(connections.perSecond == 5000)
        for name in ["", "p2p", "p2p-1-2-3", "p2p-0-1-1-1", "true_1_2_q3_p1_1mps", "x-1-1-1-1"] {
            #expect(Preset(name) == nil, "\(name)")
        }
    }

    @Test("a plan that cannot be carried out is refused with a reason")
    func refused() {
        let options = LoadOptions(target: TargetOptions(addresses: []))
        #expect(throws: LoadRun.PlanError.self) {
            try LoadRun(options.plan(TrafficShape.pair.groups(options)))
        }
        var wide = LoadOptions(
            target: TargetOptions(addresses: [.ip(PeerAddress(.v4Loopback, port: 1))]))
        wide.publishers = 1 << 24
        #expect(throws: LoadRun.PlanError.self) {
            try LoadRun(wide.plan(TrafficShape.publish.groups(wide)))
        }
    }

    @Test(
        "the search doubles until a rate fails, then halves the span",
        arguments: [
            700.0, 5_000, 37_123, 1_000_000,
        ])
    func search(limit: Double) throws {
        var search = RateSearch(start: 1000, rateMax: 1e6, latencyMax: .milliseconds(5))
        while let rate = search.next { search.note(rate, holds: rate <= limit) }
        let found = try #require(search.highestHeld)
        #expect(found <= limit)
        #expect(found >= min(limit, 1e6) * 0.94)
        #expect(search.runs < 30)
    }

    @Test("a rate holds if it was reached in time without loss")
    func holds() {
        let search = RateSearch(start: 1000, rateMax: 1e6, latencyMax: .milliseconds(5))
        func end(p99: Double, lost: Int = 0, rate: Double = 1000) -> RunEnd {
            var end = RunEnd()
            end.latency = LatencyCurve(
                count: 100, mean: 1, max: p99,
                points: [PercentilePoint(percentile: 99, value: p99)])
            end.lost = lost
            end.receivedPerSecond = rate
            return end
        }
        #expect(search.holds(end(p99: 5000), rate: 1000, copies: 1))
        #expect(!search.holds(end(p99: 5001), rate: 1000, copies: 1))
        #expect(!search.holds(end(p99: 1, lost: 1), rate: 1000, copies: 1))
        #expect(!search.holds(end(p99: 1, rate: 900), rate: 1000, copies: 1))
        #expect(!search.holds(end(p99: 1), rate: 1000, copies: 2))
        #expect(!search.holds(RunEnd(), rate: 1000, copies: 1))
    }
}

@Suite("Reading what the system says")
struct ProbeTests {
    @Test("system calls are counted, or the reason why not is told")
    func systemCalls() {
        #expect(
            SystemCallProbe.parse("\n1234,,raw_syscalls:sys_enter,1000,100.00,,\n")
                == .perSecond(1234))
        #expect(
            SystemCallProbe.parse("event syntax error: 'raw_syscalls'\n more\n")
                == .unavailable("event syntax error: 'raw_syscalls'"))
        #expect(
            SystemCallProbe.parse("<not counted>,,raw_syscalls:sys_enter,0,0,,\n")
                == .unavailable("<not counted>,,raw_syscalls:sys_enter,0,0,,"))
        #expect(SystemCallProbe.parse("") == .unavailable("perf says nothing"))
    }

    @Test("memory is divided among its owners")
    func owners() {
        let smaps = """
            5555-6666 rw-p 00000000 00:00 0                          [heap]
            Rss:                 100 kB
            Pss:                  80 kB
            7777-8888 r-xp 00000000 08:01 12                         /usr/lib/a.so
            Pss:                   5 kB
            9999-aaaa rw-p 00000000 00:00 0
            Pss:                  11 kB
            bbbb-cccc rw-p 00000000 00:00 0                          [stack]
            Pss:                   4 kB
            """
        let owners = MemoryOwners.parse(smaps)
        #expect(
            owners == [
                "heap": 80 << 10, "files": 5 << 10, "mapped memory": 11 << 10, "stack": 4 << 10,
            ])
        let growth = MemoryOwners.growth(from: ["heap": 10], to: ["heap": 30, "files": 50])
        #expect(growth.map(\.owner) == ["files", "heap"])
        #expect(growth.map(\.bytes) == [50, 20])
        #expect(MemoryOwners.socketPages("TCP: inuse 9 orphan 0 tw 0 alloc 12 mem 3\n") == 3)
        #expect(MemoryOwners.socketPages("UDP: inuse 9\n") == nil)
    }

    @Test("our own process has used time and memory")
    func own() {
        #expect(ProcessProbe.own.cpuSeconds > 0)
        #expect((ProcessProbe.own.memoryBytes ?? 0) > 0)
        // All mappings are read: together they are what the kernel adds up.
        let owners = MemoryOwners.read(ProcessProbe.own.pids).filter { !$0.key.hasPrefix("sock") }
        let sum = owners.values.reduce(0, +)
        #expect(sum > (ProcessProbe.own.memoryBytes ?? .max) / 2)
        #expect(ProcessProbe([-5]).memoryBytes == nil)
        #expect(!ProcessProbe([0x3FFF_FFFF]).isReadable)
    }

    @Test("a latency keeps three digits")
    func histogram() {
        var histogram = LatencyHistogram()
        for micros in 1...100_000 as ClosedRange<UInt64> { histogram.record(micros * 1000) }
        for (percentile, wanted) in [(50.0, 50_000.0), (99, 99_000), (99.9, 99_900)] {
            #expect(abs(histogram.value(at: percentile) - wanted) <= wanted / 500)
        }
        #expect(abs(histogram.max - 100_000) <= 200)
        histogram.record(.max)
        #expect(histogram.count == 100_001)
    }
}

@Suite("Frames of a WebSocket server")
struct ServerFrameTests {
    private func frame(_ payload: [UInt8], opcode: UInt8 = 2, isFinal: Bool = true) -> [UInt8] {
        var bytes = [opcode | (isFinal ? 0x80 : 0)]
        switch payload.count {
        case ..<126: bytes.append(UInt8(payload.count))
        case ..<65_536:
            bytes += [126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default:
            bytes.append(127)
            bytes += (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
        }
        return bytes + payload
    }

    /// Presents a stream in pieces; the reader takes what it likes.
    private func plain(
        _ stream: [UInt8], _ random: inout SeededRandom
    ) -> (plain: [UInt8], pings: Int, last: ServerFrameWindow.Event) {
        var window = ServerFrameWindow()
        var kept: [UInt8] = []
        var rest = stream[...]
        var read: [UInt8] = []
        var pings = 0
        var last = ServerFrameWindow.Event.exhausted
        while !rest.isEmpty {
            let count = min(rest.count, random.below(300) + 1)
            kept += rest.prefix(count)
            rest = rest.dropFirst(count)
            let drop = kept.withUnsafeMutableBytes { buffer in
                decoding: while true {
                    last = window.decode(buffer)
                    switch last {
                    case .exhausted, .close, .fault: break decoding
                    case .ping: pings += 1
                    }
                }
                let consumed =
                    rest.isEmpty
                    ? window.plainCount : random.below(window.plainCount + 1)
                read += buffer[..<consumed]
                return window.settle(buffer, consumed: consumed)
            }
            kept.removeFirst(drop)
        }
        return (read, pings, last)
    }

    @Test("plain bytes come out, however the stream is cut", arguments: Seed.series(30))
    func pieces(seed: Seed) {
        var random = seed.random()
        var stream: [UInt8] = []
        var wanted: [UInt8] = []
        var pings = 0
        for _ in 0..<40 {
            let size = [5, 125, 126, 400, 70_000][random.below(20) == 0 ? 4 : random.below(4)]
            let payload = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            wanted += payload
            if random.chance(percent: 30) {
                stream += frame(Array(payload[..<2]), isFinal: false)
                stream += frame(Array(payload[2...]), opcode: 0)
            } else {
                stream += frame(payload)
            }
            if random.chance(percent: 20) {
                stream += frame([1, 2, 3], opcode: 9) + frame([], opcode: 10)
                pings += 1
            }
        }
        let result = plain(stream, &random)
        #expect(result.plain == wanted)
        #expect(result.pings == pings)
        #expect(result.last == .exhausted)
    }

    @Test(
        "an end and what no server may send are told",
        arguments: [
            ([0x88, 0], ServerFrameWindow.Event.close), ([0x82, 0x80], .fault),
            ([0xC2, 1], .fault),
            ([0x81, 1], .fault), ([0x83, 0], .fault),
            ([0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0], .fault),
        ] as [([UInt8], ServerFrameWindow.Event)])
    func ends(bytes: [UInt8], wanted: ServerFrameWindow.Event) {
        var random = SeededRandom(seed: 1)
        var window = ServerFrameWindow()
        var bytes = bytes
        #expect(bytes.withUnsafeMutableBytes { window.decode($0) } == wanted)
        _ = random.next()
    }
}
