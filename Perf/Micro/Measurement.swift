import CMallocCount
import Glibc

/// What one operation costs, but for instructions, which callgrind counts (`Callgrind`).
package struct Cost: Equatable, Sendable {
    package var instructions: Double?
    package var mallocs: Double
    /// Asked of malloc.
    package var bytes: Double
    package var retains: Double
    package var releases: Double

    package init(
        instructions: Double? = nil, mallocs: Double, bytes: Double, retains: Double,
        releases: Double
    ) {
        self.instructions = instructions
        self.mallocs = mallocs
        self.bytes = bytes
        self.retains = retains
        self.releases = releases
    }
}

/// Measures a scenario on the calling thread.
package enum Measurement {
    private static let rounds = 5
    private static let nanosecondsPerRound = 60_000_000.0

    /// CPU time of one operation: the median of five rounds. For reading; nothing is held to it.
    package static func nanoseconds(_ run: (Int) -> UInt64, _ count: Int) -> Double {
        var sink: UInt64 = 0
        let trial = time(run, count, &sink) / Double(count)
        let enough = Int(nanosecondsPerRound / max(trial, 0.1))
        let times = (0..<rounds).map { _ in time(run, max(count, enough), &sink) }
        consume(sink)
        return times.sorted()[rounds / 2] / Double(max(count, enough))
    }

    /// Allocations and reference counting of one operation: what a run of twice as many costs
    /// more, so that what each run does once is left out.
    package static func counts(_ run: (Int) -> UInt64, _ count: Int) -> Cost {
        // What is made at first use is not counted.
        consume(run(count))
        _ = CMallocCount_countReferences(true)
        let single = delta { run(count) }
        let double = delta { run(2 * count) }
        _ = CMallocCount_countReferences(false)
        func each(_ part: KeyPath<CMallocCount_Counts, UInt64>) -> Double {
            (Double(double[keyPath: part]) - Double(single[keyPath: part])) / Double(count)
        }
        return Cost(
            mallocs: each(\.allocations), bytes: each(\.bytes), retains: each(\.retains),
            releases: each(\.releases))
    }

    /// Instructions of one operation by the processor's counter; nil where there is none.
    package static func instructions(_ run: (Int) -> UInt64, _ count: Int) -> Double? {
        let counter = CMallocCount_openInstructions()
        guard counter >= 0 else { return nil }
        defer { close(counter) }
        func instructions(_ number: Int) -> UInt64 {
            let before = CMallocCount_readInstructions(counter)
            consume(run(number))
            return CMallocCount_readInstructions(counter) - before
        }
        _ = instructions(count)
        let single = instructions(count)
        let double = instructions(2 * count)
        // An event that is never scheduled stays at zero.
        return single == 0 ? nil : (Double(double) - Double(single)) / Double(count)
    }

    private static func delta(_ body: () -> UInt64) -> CMallocCount_Counts {
        let before = CMallocCount_read()
        consume(body())
        var after = CMallocCount_read()
        after.allocations -= before.allocations
        after.bytes -= before.bytes
        after.retains -= before.retains
        after.releases -= before.releases
        return after
    }

    private static func time(_ run: (Int) -> UInt64, _ count: Int, _ sink: inout UInt64) -> Double {
        let start = now()
        sink ^= run(count)
        return now() - start
    }

    /// Makes the value look used.
    @inline(never)
    static func consume(_ value: UInt64) {
        if value == 0x5EED_5EED_5EED_5EED { Output.line("") }
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}
