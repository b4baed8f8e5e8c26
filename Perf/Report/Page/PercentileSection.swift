/// Latency by percentile, as histograms are read: how bad are the worst of ten, of a hundred…
enum PercentileSection {
    private static let tabled = [50, 75, 90, 99, 99.9, 99.99, 99.999]

    /// Nil if no run has latencies.
    static func make(_ runs: ReportRuns) -> PlotSection? {
        let entries = runs.entries.filter { curve($0)?.points.isEmpty == false }
        guard !entries.isEmpty else { return nil }
        let curves = entries.compactMap(curve)
        let values = curves.flatMap { $0.points.map(\.value) }
        let countMax = curves.map(\.count).max() ?? 0
        let nines = countMax < 1 ? 2 : PlotAxis.nines(100 - 100 / Double(max(countMax, 2)))
        var plot = Plot(
            title: "Latency by percentile",
            summary: summary(entries),
            x: .percentiles("percentile", ninesMax: nines),
            y: .log("latency", values: values, label: FigureText.latency))
        plot.series = entries.map { entry in
            PlotSeries(style: entry.style, points: points(entry))
        }
        return PlotSection(
            plot: plot,
            explanation: """
                How long a message took, from the moment when it should have been sent to its \
                arrival at the subscriber: so many per cent took at most so long. Each further \
                nine is as wide as the last.
                """,
            legend: legend(runs, entries), tables: [table(entries)])
    }

    private static func curve(_ entry: ReportRuns.Entry) -> LatencyCurve? {
        entry.record.end?.latency
    }

    /// The slowest message stands where one of so many is.
    private static func points(_ entry: ReportRuns.Entry) -> [PlotSeries.Point] {
        guard let curve = curve(entry) else { return [] }
        let last = PlotAxis.nines(100 - 100 / Double(max(curve.count, 2)))
        return curve.points.map {
            PlotSeries.Point(x: min(PlotAxis.nines($0.percentile), last), y: $0.value)
        }
    }

    private static func summary(_ entries: [ReportRuns.Entry]) -> String {
        entries.map {
            let p99 = FigureText.latency(curve($0)?.value(at: 99))
            return "\($0.title): 99% within \(p99)"
        }.joined(separator: "; ")
    }

    private static func table(_ entries: [ReportRuns.Entry]) -> HTMLTable {
        var table = HTMLTable(
            caption: "Latency by percentile",
            columns: ["run"] + tabled.map { FigureText.percentile($0) } + [
                "max", "mean", "messages",
            ]
        )
        for entry in entries {
            guard let curve = curve(entry) else { continue }
            // Beyond the last message there is no percentile.
            let cells = tabled.map {
                Double(curve.count) * (100 - $0) >= 100
                    ? FigureText.latency(curve.value(at: $0)) : FigureText.none
            }
            table.rows.append(
                (
                    HTMLTable.name(entry.title, entry.style),
                    cells + [
                        FigureText.latency(curve.max), FigureText.latency(curve.mean),
                        FigureText.count(curve.count),
                    ]
                ))
        }
        return table
    }

    /// One entry for each key, with the number of runs behind it.
    static func legend(
        _ runs: ReportRuns, _ entries: [ReportRuns.Entry]
    ) -> [PlotSection.LegendEntry] {
        let shown = Set(entries.map(\.number))
        return runs.groups.compactMap { group in
            let count = group.entries.count { shown.contains($0.number) }
            guard count > 0 else { return nil }
            let times = count > 1 ? " (\(count) runs)" : ""
            return .init(label: group.label + times, style: group.style)
        }
    }
}
