import CMallocCount
import Glibc

/// The command line of `apus-bench`.
enum BenchProgram {
    static let baselinePath = "Perf/Baselines/micro.txt"

    static func run(_ arguments: [String]) {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case nil: list()
        case "all": report(ScenarioTable.all)
        case "count": count(rest)
        case "counted": Callgrind.runCounted(named(rest))
        case "instructions": instructions(rest)
        case "check": exit(check(path(rest)) ? 0 : 1)
        case "baselines": exit(write(path(rest)) ? 0 : 1)
        case .some(let prefix): report(beginning(with: prefix))
        }
    }

    private static func path(_ rest: [String]) -> String { rest.first ?? baselinePath }

    private static func list() {
        Output.line("apus-bench NAME | all | instructions NAME | check | baselines | count NAME N")
        for scenario in ScenarioTable.all {
            Output.line("  \(Output.pad(scenario.name, 30)) \(scenario.what)")
        }
    }

    private static func beginning(with prefix: String) -> [Scenario] {
        let chosen = ScenarioTable.all.filter { $0.name.hasPrefix(prefix) }
        guard !chosen.isEmpty else {
            Output.line("no scenario begins with \(prefix)")
            exit(2)
        }
        return chosen
    }

    private static func named(_ names: [String]) -> [Scenario] {
        names.compactMap { name in ScenarioTable.all.first { $0.name == name } }
    }

    /// For callgrind by hand, which shows where instructions go:
    /// `valgrind --tool=callgrind --instr-atstart=no apus-bench count NAME N`.
    private static func count(_ arguments: [String]) {
        guard arguments.count == 2, let number = Int(arguments[1]),
            let scenario = named([arguments[0]]).first
        else {
            Output.line("apus-bench count NAME N")
            exit(2)
        }
        let run = scenario.make()
        Measurement.consume(run(scenario.count))
        CMallocCount_startInstrumentation()
        let sum = run(number)
        CMallocCount_stopInstrumentation()
        Output.line("\(scenario.name) \(number): \(sum)")
    }

    // MARK: Measuring

    private static func report(_ scenarios: [Scenario]) {
        Output.line(
            Output.pad("", 30)
                + ["ns", "instructions", "mallocs", "bytes", "retains", "releases"]
                .map { Output.right($0, 13) }.joined())
        for scenario in scenarios {
            let run = scenario.make()
            var cost = Measurement.counts(run, scenario.count)
            cost.instructions = Measurement.instructions(run, scenario.count)
            let time = Measurement.nanoseconds(run, scenario.count)
            Output.line(Output.pad(scenario.name, 30) + cells(time, cost))
        }
    }

    private static func cells(_ time: Double, _ cost: Cost) -> String {
        [
            Output.plain(time, decimals: 1),
            cost.instructions.map { Output.plain($0, decimals: 1) } ?? "-",
            Output.plain(cost.mallocs), Output.plain(cost.bytes, decimals: 1),
            Output.plain(cost.retains), Output.plain(cost.releases),
        ].map { Output.right($0, 13) }.joined()
    }

    private static func instructions(_ arguments: [String]) {
        let scenarios = arguments.first.map(beginning(with:)) ?? ScenarioTable.all
        guard let counted = Callgrind.instructions(scenarios) else {
            Output.line("callgrind is not here, or does not run")
            exit(2)
        }
        for scenario in scenarios {
            let text = counted[scenario.name].map { Output.plain($0, decimals: 1) } ?? "-"
            Output.line(Output.pad(scenario.name, 30) + Output.right(text, 13))
        }
    }

    /// Everything that is held, of every scenario.
    private static func measureAll() -> [(name: String, cost: Cost)] {
        let scenarios = ScenarioTable.all
        let counted = Callgrind.instructions(scenarios)
        if counted == nil {
            Output.line("instructions are not counted: callgrind is not here, or does not run")
        }
        return scenarios.map { scenario in
            var cost = Measurement.counts(scenario.make(), scenario.count)
            cost.instructions = counted?[scenario.name]
            return (scenario.name, cost)
        }
    }

    // MARK: Ceilings

    /// True if nothing stands above its ceiling.
    private static func check(_ path: String) -> Bool {
        guard let text = Program.read(path) else {
            Output.line("\(path) cannot be read: `make bench-baselines` writes it")
            return false
        }
        let (baseline, faults) = Baseline.read(text)
        let measured = measureAll()
        let findings = Check.findings(baseline, measured)
        for fault in faults + findings.above { Output.line(fault) }
        for name in findings.generous { Output.line("\(name) stands well below its ceilings") }
        let isHeld = faults.isEmpty && findings.above.isEmpty
        Output.line(
            "\(measured.count) scenarios \(isHeld ? "within" : "NOT within") their ceilings")
        return isHeld
    }

    private static func write(_ path: String) -> Bool {
        let measured = measureAll()
        guard measured.contains(where: { $0.cost.instructions != nil }) else { return false }
        let isWritten = Program.write(
            Baseline.text(measured, heading: Check.heading), to: path)
        Output.line(isWritten ? "\(path) written" : "\(path) cannot be written")
        return isWritten
    }
}

/// Compares a whole run with the table.
package enum Check {
    static let heading = """
        What one operation may cost at most. `make bench-check` holds it; written by
        `make bench-baselines`: measure, read the difference, give the reason in the commit.
        Tolerances: instructions 3 % and 2, mallocs 1 % and 0.01, bytes 3 % and 8,
        retains and releases 1 % and 0.02. Instructions by callgrind, user space, x86-64.
        """

    package static func findings(
        _ baseline: Baseline, _ measured: [(name: String, cost: Cost)]
    ) -> (above: [String], generous: [String]) {
        var above: [String] = []
        var generous: [String] = []
        for (name, cost) in measured {
            above += baseline.exceeded(by: cost, of: name).map { "\(name): \($0)" }
            if baseline.isGenerous(to: cost, of: name) { generous.append(name) }
        }
        let known = Set(measured.map(\.name))
        above += baseline.ceilings.keys.sorted().filter { !known.contains($0) }.map {
            "\($0): has a ceiling and is not measured"
        }
        return (above, generous)
    }
}
