/// Latency against offered load: where the curve turns up is what the broker can carry.
enum LoadSection {
    /// A run that received less than this share of what was due did not keep up.
    private static let sharePassed = 0.99

    private struct Step {
        var offered: Double
        var entries: [ReportRuns.Entry]

        func median(_ value: (RunEnd) -> Double?) -> Double? {
            Statistics.median(entries.compactMap { $0.record.end }.compactMap(value))
        }

        /// Whether the deliveries came as fast as they were due, and all of them.
        var keptUp: Bool {
            entries.allSatisfy { entry in
                guard let end = entry.record.end, end.sent > 0 else { return false }
                let copies = Double(end.expected) / Double(end.sent)
                let due = (entry.record.head.offeredPerSecond ?? 0) * copies
                return end.receivedPerSecond >= due * sharePassed
                    && Double(end.received) >= Double(end.expected) * sharePassed
            }
        }
    }

    /// Nil unless some runs differ in their offered rate alone.
    static func make(_ runs: ReportRuns) -> PlotSection? {
        let groups = runs.groups(leavingOut: [.rate]).map { ($0, steps($0)) }.filter {
            $0.1.count > 1
        }
        guard !groups.isEmpty else { return nil }
        let all = groups.flatMap(\.1)
        let values = all.flatMap { [percentile($0, 50), percentile($0, 99)] }.compactMap { $0 }
        let rates = all.map(\.offered)
        let isWide = (rates.max() ?? 1) > 100 * (rates.min() ?? 1)
        let title = "messages offered"
        var plot = Plot(
            title: "Latency against offered load",
            summary: groups.map { "\($0.0.label): \($0.1.count) rates" }.joined(separator: "; "),
            x: isWide
                ? .log(title, values: rates, label: FigureText.rate)
                : .linear(title, values: rates, ticksMax: 8, label: FigureText.rate),
            y: .log("latency", values: values, label: FigureText.latency))
        for (group, steps) in groups {
            for (level, shape) in [(99.0, PlotSeries.Shape.lineWithDots), (50, .thinLineWithDots)] {
                let points = steps.map {
                    PlotSeries.Point(
                        x: $0.offered, y: percentile($0, level) ?? .nan, isHollow: !$0.keptUp)
                }
                plot.series.append(PlotSeries(style: group.style, shape: shape, points: points))
            }
        }
        return PlotSection(
            plot: plot,
            explanation: """
                Messages are sent at fixed rates, whatever the broker does. Thick: 99th \
                percentile; thin: median. A hollow dot is a rate that was not kept up: less than \
                \(FigureText.number(sharePassed * 100)) per cent of it arrived.
                """,
            legend: groups.map { .init(label: $0.0.label, style: $0.0.style) },
            tables: [table(groups)])
    }

    /// By rate, repetitions together.
    private static func steps(_ group: ReportRuns.Group) -> [Step] {
        let offered = group.entries.filter {
            ($0.record.head.offeredPerSecond ?? 0) > 0 && $0.record.end != nil
        }
        let byRate = Dictionary(grouping: offered) { $0.record.head.offeredPerSecond ?? 0 }
        return byRate.map { Step(offered: $0.key, entries: $0.value) }.sorted {
            $0.offered < $1.offered
        }
    }

    private static func percentile(_ step: Step, _ level: Double) -> Double? {
        step.median { $0.latency?.value(at: level) }
    }

    private static func table(_ groups: [(ReportRuns.Group, [Step])]) -> HTMLTable {
        var table = HTMLTable(
            caption: "Latency against offered load",
            columns: [
                "runs", "offered", "received", "50%", "99%", "99.9%", "CPU µs per message",
                "kept up",
            ])
        for (group, steps) in groups {
            for step in steps {
                table.rows.append(
                    (
                        HTMLTable.name(group.label, group.style),
                        [
                            FigureText.rate(step.offered),
                            FigureText.rate(step.median(\.receivedPerSecond)),
                            FigureText.latency(percentile(step, 50)),
                            FigureText.latency(percentile(step, 99)),
                            FigureText.latency(percentile(step, 99.9)),
                            FigureText.number(step.median { $0.cpuPerMessage?.whole }),
                            step.keptUp ? "yes" : "no",
                        ]
                    ))
            }
        }
        return table
    }
}
