import CMallocCount
import Glibc

/// One thing to measure. A scenario is a row of `ScenarioTable`.
struct Scenario: Sendable {
    var name: String
    var what: String
    /// Ceilings for `apus-bench check`: per operation, with room for a noisy machine.
    var nanosecondsMax: Double
    var mallocsMax: Double
    /// Does the operation this many times and returns something that depends on all of them, so
    /// that nothing can be left out. Prepares its own input, which must cost little against a
    /// hundred thousand operations.
    var run: @Sendable (Int) -> UInt64
}

/// Times a scenario by the CPU clock of its thread.
enum Measurement {
    struct Result {
        /// CPU time of one operation: the median of five rounds.
        var nanoseconds: Double
        var mallocs: Double
    }

    private static let rounds = 5
    private static let nanosecondsPerRound = 100_000_000.0

    static func measure(_ scenario: Scenario) -> Result {
        var sink: UInt64 = 0
        let trial = time(scenario, 10_000, &sink)
        let count = max(10_000, Int(nanosecondsPerRound / max(trial / 10_000, 0.1)))
        var times: [Double] = []
        let before = CMallocCount_allocations()
        for _ in 0..<rounds { times.append(time(scenario, count, &sink) / Double(count)) }
        let mallocs = CMallocCount_allocations() - before
        times.sort()
        if sink == 1 { Output.line("") }
        return Result(
            nanoseconds: times[rounds / 2],
            // What a round itself allocates disappears among its operations.
            mallocs: Double(mallocs) / Double(count * rounds))
    }

    private static func time(_ scenario: Scenario, _ count: Int, _ sink: inout UInt64) -> Double {
        let start = now()
        sink ^= scenario.run(count)
        return now() - start
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}
