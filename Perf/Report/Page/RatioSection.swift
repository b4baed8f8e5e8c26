/// Brokers that took turns under one scenario: their ratios.
enum RatioSection {
    /// Nothing unless the runs differ in their broker alone, and each was run more than once.
    static func make(_ runs: ReportRuns) -> Markup {
        let ofBroker: Set<RunTrait> = [.broker, .version, .loops, .poller]
        let counts = Dictionary(grouping: runs.entries) { $0.record.head.broker.name }
        guard runs.groups(leavingOut: ofBroker).count == 1, counts.count > 1,
            runs.groups.count == counts.count,
            Set(counts.values.map(\.count)).count == 1, (counts.first?.value.count ?? 0) > 1
        else { return "" }
        let table = RatioTable(runs.entries.map(\.record))
        return """
            <section><h2>Ratios</h2>
            <p class="explanation">Each run set against the run of \(short(table.base)) in the \
            same round: the median of the ratios, the smallest and the largest, in how many rounds \
            the ratio lies above one, and how likely so uneven a split is by chance (sign test; \
            from \(RatioTable.roundsForSignTest) rounds on it can tell).</p>
            \(Markup(joining: table.blocks.map { markup($0, table.base).markup() }))</section>

            """
    }

    private static func markup(_ block: RatioTable.Block, _ base: String) -> HTMLTable {
        var table = HTMLTable(
            caption: "\(short(block.broker)) / \(short(base)), \(block.rounds) rounds",
            columns: [
                "figure", short(base), short(block.broker), "ratio", "spread", "above 1", "chance",
            ])
        for row in block.rows {
            table.rows.append((Markup(text: row.figure.title), RatioTable.cells(row)))
        }
        return table
    }

    private static func short(_ name: String) -> String { FigureText.short(name, 30) }
}
