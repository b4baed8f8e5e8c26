/// Throughput, latency and the broker's use of the machine, second by second, with what was done to
/// it meanwhile.
struct TimeSections {
    /// More points than this are no longer seen apart; several seconds are then drawn as one.
    private static let pointsMax = 400
    private static let markersMax = 40
    private static let rowsMax = 30

    private let runs: ReportRuns
    private let entries: [ReportRuns.Entry]
    private let axis: PlotAxis

    init(_ runs: ReportRuns) {
        self.runs = runs
        entries = runs.entries.filter { !$0.record.samples.isEmpty }
        let first = entries.compactMap { $0.record.samples.first?.atSeconds }.min() ?? 0
        axis = .time(
            first <= 0 ? "time since the end of the warm-up" : "time",
            values: entries.flatMap { entry in
                [
                    entry.record.samples.first.map { $0.atSeconds - 1 } ?? 0,
                    entry.record.samples.last?.atSeconds ?? 0,
                ] + entry.record.faults.map(\.atSeconds)
            })
    }

    func make() -> [PlotSection] {
        [throughput(), latency(), processor()].compactMap { $0 }
    }

    private func throughput() -> PlotSection? {
        guard entries.contains(where: { $0.record.samples.contains { $0.received > 0 } }) else {
            return nil
        }
        var plot = plot(
            "Throughput over time", "messages received",
            values: entries.flatMap { $0.record.samples.map(\.receivedPerSecond) },
            label: FigureText.rate)
        plot.series = entries.map { entry in
            series(entry) { mean($0.map(\.receivedPerSecond)) }
        }
        return PlotSection(
            plot: plot,
            explanation: "Messages that arrived at subscribers in each second. \(merged)",
            legend: PercentileSection.legend(runs, entries), notes: faults,
            foldedTable: table("Throughput over time, per second") {
                FigureText.rate(mean($0.map(\.receivedPerSecond)))
            })
    }

    private func latency() -> PlotSection? {
        let entries = entries.filter { $0.record.samples.contains { $0.latency != nil } }
        guard !entries.isEmpty else { return nil }
        let values = entries.flatMap { entry in
            entry.record.samples.compactMap(\.latency).flatMap { [$0.p50, $0.p99] }
        }
        var plot = plot("Latency over time", "latency", values: [], label: FigureText.latency)
        plot.y = .log("latency", values: values, label: FigureText.latency)
        for entry in entries {
            plot.series.append(series(entry) { largest($0.compactMap { $0.latency?.p99 }) })
            plot.series.append(
                series(entry, .thinLine) { mean($0.compactMap { $0.latency?.p50 }) })
        }
        return PlotSection(
            plot: plot,
            explanation: """
                Of the messages that arrived in each second: 99 per cent took at most as long as \
                the thick line says, half of them at most as long as the thin line. A gap is a \
                time in which nothing arrived. \(merged)
                """,
            legend: PercentileSection.legend(runs, entries),
            notes: faults,
            foldedTable: table("Latency over time: 99th percentile") {
                FigureText.latency(largest($0.compactMap { $0.latency?.p99 }))
            })
    }

    private func processor() -> PlotSection? {
        let entries = entries.filter { $0.record.samples.contains { $0.brokerCPUCores != nil } }
        guard !entries.isEmpty else { return nil }
        var plot = plot(
            "Processor time over time", "cores busy",
            values: entries.flatMap { entry in
                entry.record.samples.flatMap {
                    [$0.brokerCPUCores ?? 0, $0.generatorCPUCores ?? 0]
                }
            }, label: FigureText.number)
        for entry in entries {
            plot.series.append(series(entry) { mean($0.compactMap(\.brokerCPUCores)) })
            if entry.record.samples.contains(where: { $0.generatorCPUCores != nil }) {
                plot.series.append(
                    series(entry, .thinLine) { mean($0.compactMap(\.generatorCPUCores)) })
            }
        }
        return PlotSection(
            plot: plot,
            explanation: """
                Cores that the broker kept busy (thick) and that the generator kept busy (thin). \
                A generator near the number of its loops was itself the limit. \(merged)
                """,
            legend: PercentileSection.legend(runs, entries),
            notes: faults,
            foldedTable: table("Cores busy over time: broker") {
                FigureText.number(mean($0.compactMap(\.brokerCPUCores)))
            })
    }

    // MARK: parts

    private func plot(
        _ title: String, _ yTitle: String, values: [Double], label: (Double) -> String
    ) -> Plot {
        var plot = Plot(
            title: title,
            summary: "\(entries.count) \(entries.count == 1 ? "run" : "runs") second by second",
            x: axis, y: .linear(yTitle, values: values, label: label))
        plot.showsWarmUp = true
        plot.markers = markers.map {
            PlotMarker(x: $0.fault.atSeconds, number: $0.number, style: $0.style)
        }
        return plot
    }

    private func series(
        _ entry: ReportRuns.Entry, _ shape: PlotSeries.Shape = .line,
        _ value: ([RunSample]) -> Double
    ) -> PlotSeries {
        let points = Self.pieces(entry.record.samples, of: secondsPerPoint).map {
            PlotSeries.Point(x: $0.last?.atSeconds ?? 0, y: value($0))
        }
        return PlotSeries(style: entry.style, shape: shape, points: points)
    }

    private var secondsPerPoint: Int {
        let longest = entries.map(\.record.samples.count).max() ?? 0
        return max(1, (longest + Self.pointsMax - 1) / Self.pointsMax)
    }

    private var merged: String {
        secondsPerPoint == 1
            ? ""
            : "Each point stands for \(secondsPerPoint) seconds: the mean of rates, of medians and "
                + "of cores, the worst of the 99th percentiles."
    }

    private static func pieces(_ samples: [RunSample], of size: Int) -> [[RunSample]] {
        stride(from: 0, to: samples.count, by: size).map {
            Array(samples[$0..<min($0 + size, samples.count)])
        }
    }

    private var markers: [(number: Int, fault: RunFault, style: SeriesStyle, title: String)] {
        let all = entries.flatMap { entry in
            entry.record.faults.map { (fault: $0, style: entry.style, title: entry.title) }
        }
        return all.prefix(Self.markersMax).enumerated().map {
            ($0.offset + 1, $0.element.fault, $0.element.style, $0.element.title)
        }
    }

    private var faults: [Markup] {
        let marked = markers
        guard !marked.isEmpty else { return [] }
        var list: Markup = "Done on purpose: "
        list += Markup(
            joining: marked.map { marker in
                let whose: Markup = entries.count > 1 ? " (\(marker.title))" : ""
                return """
                    <b>\(marker.number)</b> at \(FigureText.time(marker.fault.atSeconds)): \
                    <bdi>\(FigureText.short(marker.fault.text, 100))</bdi>\(whose)
                    """
            }, separator: "; ")
        let rest = entries.map(\.record.faults.count).reduce(0, +) - marked.count
        return [rest > 0 ? "\(list); and \(rest) more, not drawn." : "\(list)."]
    }

    /// A row for each stretch of time, a column for each run.
    private func table(_ caption: String, _ text: ([RunSample]) -> String) -> HTMLTable {
        let times = entries.flatMap { $0.record.samples.map(\.atSeconds) }
        let (low, high) = ((times.min() ?? 1) - 1, times.max() ?? 1)
        let width = max(1, ((high - low) / Double(Self.rowsMax)).rounded(.up))
        let rowCount = Int(((high - low) / width).rounded(.up))
        var cells = [[[RunSample]]](
            repeating: [[RunSample]](repeating: [], count: entries.count), count: rowCount)
        for (column, entry) in entries.enumerated() {
            for sample in entry.record.samples {
                // A second is told by its end.
                let row = Int(((sample.atSeconds - low) / width).rounded(.up)) - 1
                cells[min(max(row, 0), rowCount - 1)][column].append(sample)
            }
        }
        var table = HTMLTable(
            caption: caption + (width > 1 ? " (rows of \(FigureText.time(width)))" : ""),
            columns: ["until"] + entries.map(\.title))
        for (row, columns) in cells.enumerated() {
            let end = FigureText.time(low + Double(row + 1) * width)
            table.rows.append(
                (Markup(text: end), columns.map { $0.isEmpty ? FigureText.none : text($0) }))
        }
        return table
    }

    private func mean(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }

    private func largest(_ values: [Double]) -> Double { values.max() ?? .nan }
}
