/// What operations may cost: the table that `check` holds and `baselines` writes.
///
/// ```
///  # comments
///  scenario   instructions   mallocs   bytes   retains   releases
/// ```
/// A line that cannot be read, a scenario without a line and a line without a scenario are
/// findings: a ceiling must not get lost.
package struct Baseline: Equatable, Sendable {
    /// Room above a ceiling: for what a neighbouring release of compiler or C library changes.
    package enum Tolerance {
        package static let instructions = (share: 0.03, plus: 2.0)
        package static let mallocs = (share: 0.01, plus: 0.01)
        package static let bytes = (share: 0.03, plus: 8.0)
        package static let references = (share: 0.01, plus: 0.02)
    }

    package private(set) var ceilings: [String: Cost] = [:]

    package init(_ measured: [(name: String, cost: Cost)]) {
        for (name, cost) in measured { ceilings[name] = cost }
    }

    /// Reads the table; the second value says what is wrong with it.
    package static func read(_ text: String) -> (Baseline, faults: [String]) {
        var baseline = Baseline([])
        var faults: [String] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            if words.isEmpty { continue }
            let numbers = words.dropFirst().map { Double($0) }
            guard let cost = cost(numbers), words.count == 6 else {
                faults.append("cannot be read: \(line)")
                continue
            }
            if baseline.ceilings.updateValue(cost, forKey: String(words[0])) != nil {
                faults.append("\(words[0]) stands there twice")
            }
        }
        return (baseline, faults)
    }

    /// A dash stands for instructions that were not counted.
    private static func cost(_ numbers: [Double?]) -> Cost? {
        guard numbers.count == 5, let mallocs = numbers[1], let bytes = numbers[2],
            let retains = numbers[3], let releases = numbers[4]
        else { return nil }
        return Cost(
            instructions: numbers[0], mallocs: mallocs, bytes: bytes, retains: retains,
            releases: releases)
    }

    /// What of `measured` stands above its ceiling, in words; empty if nothing does.
    package func exceeded(by measured: Cost, of name: String) -> [String] {
        guard let ceiling = ceilings[name] else { return ["has no ceiling: write the baselines"] }
        var found: [String] = []
        func hold(
            _ what: String, _ value: Double, _ limit: Double,
            _ tolerance: (share: Double, plus: Double)
        ) {
            guard value > limit * (1 + tolerance.share) + tolerance.plus else { return }
            found.append("\(Output.plain(value)) \(what) above \(Output.plain(limit))")
        }
        if let value = measured.instructions, let limit = ceiling.instructions {
            hold("instructions", value, limit, Tolerance.instructions)
        }
        hold("mallocs", measured.mallocs, ceiling.mallocs, Tolerance.mallocs)
        hold("bytes", measured.bytes, ceiling.bytes, Tolerance.bytes)
        hold("retains", measured.retains, ceiling.retains, Tolerance.references)
        hold("releases", measured.releases, ceiling.releases, Tolerance.references)
        return found
    }

    /// Whether the ceiling stands so far above that it should be lowered.
    package func isGenerous(to measured: Cost, of name: String) -> Bool {
        guard let ceiling = ceilings[name] else { return false }
        var strict = Baseline([(name, measured)])
        if measured.instructions == nil { strict.ceilings[name]?.instructions = nil }
        return !strict.exceeded(by: ceiling, of: name).isEmpty
    }

    /// Lines of the table, in the order given.
    package static func text(_ measured: [(name: String, cost: Cost)], heading: String) -> String {
        let titles = ["scenario", "instructions", "mallocs", "bytes", "retains", "releases"]
        var text = heading.split(separator: "\n").map { "# \($0)\n" }.joined()
        text += "#\n" + row(["# " + titles[0]] + titles.dropFirst())
        for (name, cost) in measured {
            text += row([
                name, cost.instructions.map { Output.plain(max(0, $0), decimals: 1) } ?? "-",
                Output.plain(max(0, cost.mallocs), decimals: 3),
                Output.plain(max(0, cost.bytes), decimals: 1),
                Output.plain(max(0, cost.retains), decimals: 3),
                Output.plain(max(0, cost.releases), decimals: 3),
            ])
        }
        return text
    }

    private static func row(_ cells: [String]) -> String {
        Output.pad(cells[0], 30) + Output.right(cells[1], 13)
            + cells.dropFirst(2).map { Output.right($0, 11) }.joined() + "\n"
    }
}
