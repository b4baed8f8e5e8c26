import Glibc

/// The command line of `apus-bench`.
enum BenchProgram {
    static func run(_ arguments: [String]) {
        guard let first = arguments.first else {
            Output.line("apus-bench NAME | all | check")
            for scenario in ScenarioTable.all {
                Output.line("  \(Output.pad(scenario.name, 28)) \(scenario.what)")
            }
            return
        }
        if first == "count" { return count(arguments) }
        let isCheck = first == "check"
        let chosen = ScenarioTable.all.filter {
            isCheck || first == "all" || $0.name.hasPrefix(first)
        }
        guard !chosen.isEmpty else {
            Output.line("no scenario begins with \(first)")
            exit(2)
        }
        let over = chosen.filter { !report($0) }
        if isCheck && !over.isEmpty {
            Output.line("above its ceiling: \(over.map(\.name).joined(separator: ", "))")
            exit(1)
        }
    }

    /// The difference of two counts is the cost of the operations without the start.
    private static func count(_ arguments: [String]) {
        guard arguments.count == 3, let number = Int(arguments[2]),
            let scenario = ScenarioTable.all.first(where: { $0.name == arguments[1] })
        else {
            Output.line("apus-bench count NAME N")
            exit(2)
        }
        Output.line("\(scenario.name) \(number): \(scenario.run(number))")
    }

    /// Measures and prints one scenario; false above a ceiling.
    private static func report(_ scenario: Scenario) -> Bool {
        let result = Measurement.measure(scenario)
        let isBelow =
            result.nanoseconds <= scenario.nanosecondsMax && result.mallocs <= scenario.mallocsMax
        Output.line(
            Output.pad(scenario.name, 28)
                + Output.number(
                    result.nanoseconds, "ns of \(Output.plain(scenario.nanosecondsMax))")
                + Output.number(result.mallocs, "mallocs of \(Output.plain(scenario.mallocsMax))")
                + (isBelow ? "" : "  ABOVE"))
        return isBelow
    }
}

/// Lines on standard output.
enum Output {
    static func line(_ text: String) {
        var bytes = Array(text.utf8)
        bytes.append(0x0A)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(STDOUT_FILENO, $0.baseAddress! + sent, bytes.count - sent)
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    /// Two decimals, right-aligned.
    static func number(_ value: Double, _ unit: String) -> String {
        let text = plain(value)
        return String(repeating: " ", count: max(1, 10 - text.count)) + text + " " + unit
    }

    static func plain(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }
}
