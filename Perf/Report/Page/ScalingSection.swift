/// Throughput against the broker's loops, beside what it would be if each did as much as the first.
enum ScalingSection {
    private struct Step {
        var loops: Int
        var rate: Double
        var cpu: Double?
    }

    /// Nil unless some runs differ in the broker's loops alone.
    static func make(_ runs: ReportRuns) -> PlotSection? {
        // A pool of more loops is often given more load.
        let traits: Set<RunTrait> = [.loops, .generatorLoops, .rate]
        let groups = runs.groups(leavingOut: traits).map { ($0, steps($0)) }.filter {
            $0.1.count > 1
        }
        guard !groups.isEmpty else { return nil }
        let loops = groups.flatMap { $0.1.map { Double($0.loops) } }
        var plot = Plot(
            title: "Scaling over loops",
            summary: groups.map { "\($0.0.label): \($0.1.count) sizes" }.joined(separator: "; "),
            x: .linear("loops of the broker", values: loops) { FigureText.number($0) },
            y: .linear(
                "messages received", values: groups.flatMap { ideal($0.1).map(\.y) },
                label: FigureText.rate))
        plot.x.ticks = Set(loops).sorted().map {
            PlotAxis.Tick(value: $0, label: FigureText.fixed($0, 0))
        }
        for (group, steps) in groups {
            plot.series.append(
                PlotSeries(style: group.style, shape: .ideal, points: ideal(steps)))
            plot.series.append(
                PlotSeries(
                    style: group.style, shape: .lineWithDots,
                    points: steps.map { .init(x: Double($0.loops), y: $0.rate) }))
        }
        return PlotSection(
            plot: plot,
            explanation: """
                Messages received each second with different numbers of loops. The faint line is \
                what as many loops would do if each did as much as in the smallest run. Generator \
                and broker on one machine share its cores: then this says little.
                """,
            legend: groups.flatMap { group, _ in
                [
                    .init(label: group.label, style: group.style),
                    .init(label: "\(group.label), ideal", style: group.style, shape: .ideal),
                ]
            }, tables: [table(groups)])
    }

    private static func steps(_ group: ReportRuns.Group) -> [Step] {
        let known = group.entries.filter {
            ($0.record.head.broker.loops ?? 0) > 0 && ($0.record.end?.received ?? 0) > 0
        }
        let byLoops = Dictionary(grouping: known) { $0.record.head.broker.loops ?? 0 }
        return byLoops.compactMap { loops, entries in
            let ends = entries.compactMap(\.record.end)
            return Statistics.median(ends.map(\.receivedPerSecond)).map {
                Step(
                    loops: loops, rate: $0,
                    cpu: Statistics.median(ends.compactMap { $0.cpuPerMessage?.whole }))
            }
        }.sorted { $0.loops < $1.loops }
    }

    private static func ideal(_ steps: [Step]) -> [PlotSeries.Point] {
        guard let first = steps.first else { return [] }
        return steps.map {
            .init(x: Double($0.loops), y: first.rate * Double($0.loops) / Double(first.loops))
        }
    }

    private static func table(_ groups: [(ReportRuns.Group, [Step])]) -> HTMLTable {
        var table = HTMLTable(
            caption: "Scaling over loops",
            columns: ["runs", "loops", "received", "efficiency", "CPU µs per message", "ratio"])
        for (group, steps) in groups {
            let base = steps.first
            for (step, ideal) in zip(steps, ideal(steps)) {
                let ratio = step.cpu.flatMap { cpu in base?.cpu.map { cpu / $0 } }
                table.rows.append(
                    (
                        HTMLTable.name(group.label, group.style),
                        [
                            FigureText.count(step.loops), FigureText.rate(step.rate),
                            FigureText.fixed(step.rate / ideal.y * 100, 0) + "%",
                            FigureText.number(step.cpu), FigureText.number(ratio),
                        ]
                    ))
            }
        }
        return table
    }
}
