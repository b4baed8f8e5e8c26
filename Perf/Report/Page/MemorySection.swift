/// Memory against connections: the slope is what one more connection costs.
enum MemorySection {
    private struct Cloud {
        var group: ReportRuns.Group
        /// By connections; of several figures for one number, their median.
        var points: [(x: Double, y: Double)]
        var line: Statistics.Line?
    }

    /// Nil unless memory is known at two numbers of connections.
    static func make(_ runs: ReportRuns) -> PlotSection? {
        let traits: Set<RunTrait> = [.rate, .publishers, .subscribers]
        let clouds = runs.groups(leavingOut: traits).map(cloud).filter { $0.line != nil }
        guard !clouds.isEmpty else { return nil }
        let points = clouds.flatMap(\.points)
        var plot = Plot(
            title: "Memory against connections",
            summary: clouds.map { "\($0.group.label): \(slope($0))" }.joined(separator: "; "),
            x: .linear("connections", values: points.map(\.x), ticksMax: 8) {
                FigureText.fixed($0, 0)
            },
            y: bytesAxis("resident memory of the broker", values: points.map(\.y)))
        for cloud in clouds {
            plot.series.append(
                PlotSeries(
                    style: cloud.group.style, shape: .dots,
                    points: cloud.points.map { PlotSeries.Point(x: $0.x, y: $0.y) }))
            plot.series.append(fit(cloud))
        }
        return PlotSection(
            plot: plot,
            explanation: """
                Resident memory of the broker while connections are opened. The line is fitted by \
                least squares; its slope is the cost of one more connection.
                """,
            legend: clouds.map {
                .init(label: "\($0.group.label): \(slope($0))", style: $0.group.style)
            }, tables: [table(clouds)])
    }

    private static func cloud(_ group: ReportRuns.Group) -> Cloud {
        var found: [Double: [Double]] = [:]
        for record in group.entries.map(\.record) {
            for sample in record.samples {
                guard let connections = sample.connections, let bytes = sample.brokerMemoryBytes
                else { continue }
                found[Double(connections), default: []].append(Double(bytes))
            }
            // Messages need memory too: the ends tell of connections alone only without them.
            guard let end = record.end, end.sent == 0, end.received == 0,
                let connections = end.connections, connections > 0
            else { continue }
            if let bytes = end.memoryBeforeBytes { found[0, default: []].append(Double(bytes)) }
            if let bytes = end.memoryAfterBytes {
                found[Double(connections), default: []].append(Double(bytes))
            }
        }
        let points = found.compactMap { key, values in
            Statistics.median(values).map { (x: key, y: $0) }
        }.sorted { $0.x < $1.x }
        return Cloud(group: group, points: points, line: Statistics.line(through: points))
    }

    private static func fit(_ cloud: Cloud) -> PlotSeries {
        let ends = [cloud.points.first?.x, cloud.points.last?.x].compactMap { $0 }
        return PlotSeries(
            style: cloud.group.style,
            points: ends.map { PlotSeries.Point(x: $0, y: cloud.line?.value(at: $0) ?? .nan) })
    }

    private static func slope(_ cloud: Cloud) -> String {
        "\(FigureText.number(cloud.line?.slope)) bytes per connection"
    }

    /// Ticks at round numbers of a binary unit.
    private static func bytesAxis(_ title: String, values: [Double]) -> PlotAxis {
        var unit = 1.0
        while (values.max() ?? 0) >= unit * 1_024, unit < 1e12 { unit *= 1_024 }
        var axis = PlotAxis.linear(title, values: values.map { $0 / unit }) {
            FigureText.bytes($0 * unit)
        }
        axis.low *= unit
        axis.high *= unit
        for index in axis.ticks.indices { axis.ticks[index].value *= unit }
        return axis
    }

    private static func table(_ clouds: [Cloud]) -> HTMLTable {
        var table = HTMLTable(
            caption: "Memory against connections",
            columns: [
                "runs", "fewest", "memory", "most", "memory", "points", "bytes per connection",
            ])
        for cloud in clouds {
            guard let first = cloud.points.first, let last = cloud.points.last else { continue }
            table.rows.append(
                (
                    HTMLTable.name(cloud.group.label, cloud.group.style),
                    [
                        FigureText.fixed(first.x, 0), FigureText.bytes(first.y),
                        FigureText.fixed(last.x, 0), FigureText.bytes(last.y),
                        FigureText.count(cloud.points.count),
                        FigureText.number(cloud.line?.slope),
                    ]
                ))
        }
        return table
    }
}
