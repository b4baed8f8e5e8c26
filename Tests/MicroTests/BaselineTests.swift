import Testing
import apus_bench

@Suite("Ceilings of the micro-benchmarks")
struct BaselineTests {
    private static let ceiling = Cost(
        instructions: 1_000, mallocs: 2, bytes: 200, retains: 4, releases: 5)

    private static func measured(_ change: (inout Cost) -> Void) -> Cost {
        var cost = ceiling
        change(&cost)
        return cost
    }

    @Test("what stands at its ceiling, and a little above it, is held")
    func holds() {
        let baseline = Baseline([("a", Self.ceiling)])
        #expect(baseline.exceeded(by: Self.ceiling, of: "a") == [])
        let near = Self.measured {
            $0.instructions = 1_029
            $0.mallocs = 2.02
            $0.bytes = 205
            $0.retains = 4.05
            $0.releases = 5.05
        }
        #expect(baseline.exceeded(by: near, of: "a") == [])
        #expect(!baseline.isGenerous(to: near, of: "a"))
    }

    @Test(
        "each count above its ceiling is a finding of its own",
        arguments: [
            (measured { $0.instructions = 1_040 }, "instructions"),
            (measured { $0.mallocs = 2.1 }, "mallocs"),
            (measured { $0.bytes = 220 }, "bytes"),
            (measured { $0.retains = 5 }, "retains"),
            (measured { $0.releases = 6 }, "releases"),
        ])
    func finds(cost: Cost, what: String) throws {
        let baseline = Baseline([("a", Self.ceiling)])
        let findings = baseline.exceeded(by: cost, of: "a")
        #expect(findings.count == 1)
        #expect(try #require(findings.first).contains(what))
    }

    @Test("one reference or allocation more than none is found")
    func findsTheFirst() {
        let none = Cost(instructions: 30, mallocs: 0, bytes: 0, retains: 0, releases: 0)
        let baseline = Baseline([("a", none)])
        var cost = none
        cost.retains = 1
        cost.releases = 1
        #expect(baseline.exceeded(by: cost, of: "a").count == 2)
        cost = none
        cost.mallocs = 0.05
        #expect(baseline.exceeded(by: cost, of: "a").count == 1)
    }

    @Test("without a counter the other ceilings are still held")
    func holdsWithoutInstructions() {
        let baseline = Baseline([("a", Self.ceiling)])
        let plain = Self.measured { $0.instructions = nil }
        #expect(baseline.exceeded(by: plain, of: "a") == [])
        let more = Self.measured {
            $0.instructions = nil
            $0.mallocs = 3
        }
        #expect(baseline.exceeded(by: more, of: "a").count == 1)
    }

    @Test("a ceiling that has become far too high is named, and no fault")
    func namesGenerous() {
        let better = Self.measured { $0.instructions = 500 }
        let findings = Check.findings(Baseline([("a", Self.ceiling)]), [("a", better)])
        #expect(findings.above == [])
        #expect(findings.generous == ["a"])
    }

    @Test("a scenario without a ceiling, and a ceiling without a scenario, are faults")
    func findsLost() {
        let findings = Check.findings(Baseline([("a", Self.ceiling)]), [("b", Self.ceiling)])
        #expect(findings.above.count == 2)
    }

    @Test("the table is read as it was written")
    func readsBack() {
        let other = Cost(instructions: nil, mallocs: 0.125, bytes: 8, retains: 0, releases: 0.5)
        let rows = [("worker-qos0", Self.ceiling), ("ring", other)]
        let (baseline, faults) = Baseline.read(Baseline.text(rows, heading: "two\nlines"))
        #expect(faults == [])
        #expect(baseline == Baseline(rows))
    }

    @Test(
        "a line that cannot be read is a fault",
        arguments: ["a 1 2 3 4", "a 1 2 3 4 5 6", "a x - 3 4 5", "a 1 2 3 4 5\na 1 2 3 4 5"])
    func refuses(text: String) {
        #expect(!Baseline.read(text).faults.isEmpty)
    }
}
