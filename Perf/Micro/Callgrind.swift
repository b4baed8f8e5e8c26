import CMallocCount
import Glibc

/// Instructions by callgrind, which counts them exactly and alike on every machine with the same
/// libraries.
///
/// ```
///  apus-bench check  --starts-->  valgrind --tool=callgrind apus-bench counted NAME …
///     reads out.1, out.2, …  <--writes--    run N: dump "NAME single"   run 2N: dump "NAME double"
/// ```
/// Nothing is counted while a scenario prepares itself. Names of scenarios are counted in one
/// process, one after the other.
package enum Callgrind {
    /// The child's part: runs and has each run's instructions written.
    static func runCounted(_ scenarios: [Scenario]) {
        for scenario in scenarios {
            let run = scenario.make()
            Measurement.consume(run(count(scenario)))
            CMallocCount_startInstrumentation()
            Measurement.consume(run(count(scenario)))
            CMallocCount_dump("\(scenario.name) single")
            Measurement.consume(run(2 * count(scenario)))
            CMallocCount_dump("\(scenario.name) double")
            CMallocCount_stopInstrumentation()
        }
    }

    /// Counts are exact, so fewer operations do than where they are timed.
    private static func count(_ scenario: Scenario) -> Int { scenario.count / 2 }

    /// Instructions per operation by scenario, heavy ones left out; nil if there is no callgrind
    /// here, or if it fails.
    package static func instructions(_ scenarios: [Scenario]) -> [String: Double]? {
        let scenarios = scenarios.filter { !$0.isHeavy }
        guard let valgrind = Program.find("valgrind"), let folder = Program.temporaryFolder()
        else { return nil }
        defer { Program.remove(folder) }
        let own = Program.withoutDebugging(Program.ownPath, in: folder)
        let status = Program.run(
            [
                valgrind, "--tool=callgrind", "--instr-atstart=no",
                "--log-file=\(folder)/log",
                "--callgrind-out-file=\(folder)/out", own, "counted",
            ] + scenarios.map(\.name))
        guard status == 0 else { return nil }
        var totals: [String: Double] = [:]
        for name in Program.files(in: folder) where name.hasPrefix("out.") {
            guard let text = Program.read("\(folder)/\(name)"), let (mark, total) = parse(text)
            else { continue }
            totals[mark] = total
        }
        var result: [String: Double] = [:]
        for scenario in scenarios {
            guard let single = totals["\(scenario.name) single"],
                let double = totals["\(scenario.name) double"]
            else { return nil }
            result[scenario.name] = (double - single) / Double(count(scenario))
        }
        return result
    }

    /// The mark and the total of one dump: `desc: Trigger: Client Request: MARK` and `totals: N`.
    package static func parse(_ dump: String) -> (mark: String, total: Double)? {
        let trigger = "desc: Trigger: Client Request: "
        var mark: String?
        var total: Double?
        for line in dump.split(separator: "\n") {
            if line.hasPrefix(trigger) { mark = String(line.dropFirst(trigger.count)) }
            if line.hasPrefix("totals: ") {
                total = Double(line.dropFirst(8).prefix { $0 != " " })
            }
        }
        guard let mark, let total else { return nil }
        return (mark, total)
    }
}
