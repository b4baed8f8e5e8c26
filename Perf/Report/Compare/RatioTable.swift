/// What a comparison says: for each figure, one broker over another, round by round.
///
/// The n-th run of a broker is set against the n-th run of the first: they were made one after the
/// other, on the machine as it was then. The ratio told is the median of these ratios, with the
/// smallest and the largest, and how many of them lie above one.
package struct RatioTable: Sendable {
    /// Median, smallest and largest.
    package struct Spread: Sendable, Equatable {
        package var median: Double
        package var low: Double
        package var high: Double

        /// Nil of nothing.
        init?(_ values: [Double]) {
            guard let median = Statistics.median(values), let low = values.min(),
                let high = values.max()
            else { return nil }
            self.median = median
            self.low = low
            self.high = high
        }
    }

    /// One figure of one broker beside the first.
    package struct Row: Sendable {
        package var figure: Figure
        package var base: Spread
        package var other: Spread
        /// Nil if the first broker's figure is zero.
        package var ratio: Spread?
        package var above = 0
        package var below = 0
        /// How likely so uneven a split would be by chance.
        package var chance: Double { Statistics.signTest(above: above, below: below) }
    }

    /// All figures of one broker beside the first.
    package struct Block: Sendable {
        package var broker: String
        package var rounds: Int
        package var rows: [Row]
    }

    /// With fewer rounds no split is uneven enough to be told from chance at one in twenty.
    package static let roundsForSignTest = 6

    package let base: String
    package let blocks: [Block]
    private let verdicts: [(broker: String, words: String)]

    /// The first record's broker is what the others are compared with.
    package init(_ records: [RunRecord]) {
        var order: [String] = []
        var byBroker: [String: [RunRecord]] = [:]
        for record in records {
            let name = record.head.broker.name
            if byBroker[name] == nil { order.append(name) }
            byBroker[name, default: []].append(record)
        }
        let base = order.first ?? ""
        self.base = base
        blocks = order.dropFirst().map { name in
            Self.block(name, byBroker[name] ?? [], byBroker[base] ?? [])
        }
        verdicts = order.map { ($0, Self.totals(byBroker[$0] ?? [])) }
    }

    private static func block(
        _ name: String, _ others: [RunRecord], _ bases: [RunRecord]
    ) -> Block {
        let pairs = zip(bases, others).compactMap { base, other in
            base.end.flatMap { base in other.end.map { (base, $0) } }
        }
        let rows = Figure.allCases.compactMap { figure -> Row? in
            let values = pairs.compactMap { base, other in
                figure.value(base).flatMap { base in figure.value(other).map { (base, $0) } }
            }
            guard let base = Spread(values.map(\.0)), let other = Spread(values.map(\.1)) else {
                return nil
            }
            let ratios = values.filter { $0.0 > 0 }.map { $0.1 / $0.0 }
            return Row(
                figure: figure, base: base, other: other, ratio: Spread(ratios),
                above: ratios.count { $0 > 1 }, below: ratios.count { $0 < 1 })
        }
        return Block(broker: name, rounds: pairs.count, rows: rows)
    }

    private static func totals(_ records: [RunRecord]) -> String {
        let ends = records.compactMap(\.end)
        func sum(_ field: KeyPath<RunEnd, Int>) -> String {
            FigureText.fixed(ends.reduce(0) { $0 + Double($1[keyPath: field]) }, 0)
        }
        var words =
            "\(sum(\.lost)) lost, \(sum(\.duplicates)) duplicates, "
            + "\(sum(\.orderViolations)) out of order of \(sum(\.expected))"
        let bound = ends.count { $0.isGeneratorBound == true }
        if bound > 0 { words += "; the generator was the limit in \(bound) of \(ends.count) runs" }
        return words
    }

    /// Lines for a terminal.
    package func text() -> String {
        var lines: [String] = []
        for block in blocks {
            lines.append("\(block.broker) / \(base), \(block.rounds) rounds")
            var cells = [["", base, block.broker, "ratio", "spread", "above 1", "chance"]]
            cells += block.rows.map { row in [row.figure.title] + Self.cells(row) }
            lines += Self.aligned(cells) + [""]
        }
        if blocks.contains(where: { $0.rounds < Self.roundsForSignTest }) {
            lines += [
                "Fewer than \(Self.roundsForSignTest) rounds cannot be told from chance by a sign "
                    + "test (one in twenty).", "",
            ]
        }
        let width = verdicts.map { $0.broker.count }.max() ?? 0
        lines += verdicts.map { broker, words in
            broker + String(repeating: " ", count: width - broker.count) + "  " + words
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Medians, ratio, spread, rounds above one, chance.
    static func cells(_ row: Row) -> [String] {
        let spread = row.ratio.map {
            "\(FigureText.number($0.low)) … \(FigureText.number($0.high))"
        }
        let decided = row.above + row.below
        return [
            row.figure.text(row.base.median), row.figure.text(row.other.median),
            FigureText.number(row.ratio?.median), spread ?? FigureText.none,
            decided > 0 ? "\(row.above) of \(decided)" : FigureText.none,
            decided > 0 ? FigureText.number(row.chance) : FigureText.none,
        ]
    }

    /// The first column left, the others right.
    private static func aligned(_ rows: [[String]]) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in
            rows.map { $0[column].count }.max() ?? 0
        }
        return rows.map { row in
            row.enumerated().map { column, text in
                let space = String(repeating: " ", count: widths[column] - text.count)
                return column == 0 ? text + space : space + text
            }.joined(separator: "  ")
        }
    }

    /// What is compared.
    package enum Figure: CaseIterable, Sendable {
        case received, p50, p99, p999, cpu, cpuUser, syscalls, cores, memory, bytesPerConnection
        case connects

        package var title: String {
            switch self {
            case .received: "received per second"
            case .p50: "latency, 50%"
            case .p99: "latency, 99%"
            case .p999: "latency, 99.9%"
            case .cpu: "CPU µs per message"
            case .cpuUser: "CPU µs per message, user"
            case .syscalls: "system calls per message"
            case .cores: "broker's cores busy"
            case .memory: "memory after"
            case .bytesPerConnection: "bytes per connection"
            case .connects: "connects per second"
            }
        }

        func value(_ end: RunEnd) -> Double? {
            let value: Double? =
                switch self {
                case .received: end.received > 0 ? end.receivedPerSecond : nil
                case .p50: end.latency?.value(at: 50)
                case .p99: end.latency?.value(at: 99)
                case .p999: end.latency?.value(at: 99.9)
                case .cpu: end.received > 0 ? end.cpuPerMessage?.whole : nil
                case .cpuUser: end.received > 0 ? end.cpuPerMessage?.user : nil
                case .syscalls: end.received > 0 ? end.syscallsPerMessage : nil
                case .cores: end.brokerCPUCores
                case .memory: end.memoryAfterBytes.map(Double.init)
                case .bytesPerConnection: end.bytesPerConnection
                case .connects: end.connectsPerSecond
                }
            return value.flatMap { $0.isFinite ? $0 : nil }
        }

        func text(_ value: Double) -> String {
            switch self {
            case .received, .connects: FigureText.rate(value)
            case .p50, .p99, .p999: FigureText.latency(value)
            case .cpu, .cpuUser, .syscalls, .cores, .bytesPerConnection: FigureText.number(value)
            case .memory: FigureText.bytes(value)
            }
        }
    }
}
