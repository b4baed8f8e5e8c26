import PerfReport
import Testing

@Suite struct RatioTableTests {
    static func run(_ broker: String, _ received: Double, _ cpu: Double?) -> RunRecord {
        var run = RunRecord(head: RunHead())
        run.head.broker.name = broker
        var end = RunEnd()
        end.sent = 100
        end.expected = 100
        end.received = 100
        end.receivedPerSecond = received
        end.cpuPerMessage = cpu.map { CPUPerMessage(user: $0 / 4, system: $0 * 3 / 4) }
        run.end = end
        return run
    }

    @Test func `ratios are taken round by round`() throws {
        // In the order of A B, B A: the second run of each is the second round.
        let table = RatioTable([
            Self.run("a", 100, 8), Self.run("b", 300, 1), Self.run("b", 100, 2),
            Self.run("a", 200, 8), Self.run("a", 100, nil), Self.run("b", 100, 4),
        ])
        #expect(table.base == "a")
        let block = try #require(table.blocks.first)
        #expect(block.broker == "b" && block.rounds == 3)
        let received = try #require(block.rows.first { $0.figure == .received })
        #expect(received.ratio?.median == 1 && received.ratio?.low == 0.5)
        #expect(received.ratio?.high == 3 && received.base.median == 100)
        #expect(received.above == 1 && received.below == 1)
        let cpu = try #require(block.rows.first { $0.figure == .cpu })
        #expect(cpu.ratio?.low == 0.125 && cpu.ratio?.high == 0.25 && cpu.below == 2)
        #expect(!block.rows.contains { $0.figure == .memory })
    }

    @Test func `the table is lines for a terminal`() {
        let table = RatioTable([
            Self.run("mosquitto", 100_000, 8), Self.run("apus", 250_000, 1),
            Self.run("apus", 200_000, 0.5), Self.run("mosquitto", 100_000, 8),
        ])
        let lines = table.text().split(separator: "\n", omittingEmptySubsequences: false)
        let widths = Set(lines[1...3].map(\.count))
        #expect(widths.count == 1)
        let words = lines.map { $0.split(separator: " ").joined(separator: " ") }
        #expect(
            words == [
                "apus / mosquitto, 2 rounds",
                "mosquitto apus ratio spread above 1 chance",
                "received per second 100,000/s 225,000/s 2.25 2 … 2.5 2 of 2 0.5",
                "CPU µs per message 8 0.75 0.0938 0.0625 … 0.125 0 of 2 0.5",
                "CPU µs per message, user 2 0.188 0.0938 0.0625 … 0.125 0 of 2 0.5",
                "",
                "Fewer than 6 rounds cannot be told from chance by a sign test (one in twenty).",
                "",
                "mosquitto 0 lost, 0 duplicates, 0 out of order of 200",
                "apus 0 lost, 0 duplicates, 0 out of order of 200",
                "",
            ])
    }

    @Test func `runs without messages have no figures of messages`() {
        let runs = ["a", "b"].map { broker in
            var run = Self.run(broker, 0, 5)
            run.end?.received = 0
            run.end?.bytesPerConnection = 700
            return run
        }
        #expect(RatioTable(runs).blocks.first?.rows.map(\.figure) == [.bytesPerConnection])
    }

    @Test func `one broker alone, no runs, runs without an end and equal runs have no ratios`() {
        #expect(RatioTable([]).blocks.isEmpty)
        #expect(RatioTable([Self.run("a", 1, 1)]).blocks.isEmpty)
        var cut = Self.run("b", 1, 1)
        cut.end = nil
        #expect(RatioTable([Self.run("a", 1, 1), cut]).blocks.first?.rows.isEmpty == true)
        let equal = RatioTable([Self.run("a", 1, 1), Self.run("b", 1, 1)]).blocks.first?.rows.first
        #expect(equal?.above == 0 && equal?.below == 0 && equal?.chance == 1)
    }

    @Test(arguments: [
        (0, 0, 1.0), (1, 0, 1), (5, 0, 0.0625), (6, 0, 0.03125), (0, 10, 0.001_953_125),
        (9, 1, 0.021_484_375), (3, 3, 1),
    ])
    func `the sign test counts how uneven a split is`(above: Int, below: Int, chance: Double) {
        let found = Statistics.signTest(above: above, below: below)
        #expect((found - chance).magnitude < 1e-9)
    }

    @Test func `a line is fitted and a median found`() {
        let line = Statistics.line(through: [(x: 0, y: 1), (x: 1, y: 3), (x: 2, y: 5)])
        #expect(line?.slope == 2 && line?.intercept == 1)
        #expect(Statistics.line(through: [(x: 1, y: 1), (x: 1, y: 3)]) == nil)
        #expect(Statistics.median([3, 1, 2]) == 2 && Statistics.median([1, 2]) == 1.5)
        #expect(Statistics.median([]) == nil && Statistics.median([.nan]) == nil)
    }
}
