/// One HTML page about one or several runs: everything in it, nothing fetched, no script.
///
/// The drawings are made here. The page is well-formed, says so by a policy that forbids it to load
/// anything, follows the reader's colour scheme and can be printed.
package struct ReportPage {
    package var title: String
    /// When the page was written, as text; it is said at its foot.
    package var writtenAt: String
    private let runs: ReportRuns

    package init(runs: [RunRecord], title: String = "", writtenAt: String = "") {
        self.runs = ReportRuns(runs.map { $0.bounded() })
        let names = Set(runs.map(\.head.name))
        let own = names.count == 1 ? names.first.map { FigureText.short($0) } ?? "" : ""
        self.title = [title, own].first { !$0.isEmpty } ?? "Performance report"
        self.writtenAt = writtenAt
    }

    package func html() -> String {
        var sections: [PlotSection?] = [PercentileSection.make(runs)]
        sections += [LoadSection.make(runs), ScalingSection.make(runs), MemorySection.make(runs)]
        sections += TimeSections(runs).make()
        let plots = Markup(joining: sections.compactMap { $0?.markup() })
        let count = runs.entries.count
        let page: Markup = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta name="color-scheme" content="light dark"/>
            <meta http-equiv="Content-Security-Policy" \
            content="default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;"/>
            <title>\(title)</title>
            <style>\(Stylesheet.text)</style></head>
            <body><main>
            <header><h1><bdi>\(title)</bdi></h1>
            <p>\(subtitle) · \(count) \(count == 1 ? "run" : "runs")</p></header>
            \(content(plots))</main>
            <footer><p>Written by apus-perf\(writtenAt.isEmpty ? "" : ", \(writtenAt)"). Latency \
            counts from the moment when a message should have been sent.</p></footer>
            </body></html>

            """
        return page.html
    }

    private func content(_ plots: Markup) -> Markup {
        if runs.entries.isEmpty { return "<p>There are no runs in the files given.</p>\n" }
        return """
            \(SummarySection.make(runs))\(RatioSection.make(runs))\
            \(plots)\(OwnerSection.make(runs))\
            \(SetupSection.make(runs))
            """
    }

    /// Brokers and times.
    private var subtitle: String {
        let heads = runs.entries.map(\.record.head)
        var brokers: [String] = []
        for head in heads {
            let (name, version) = (head.broker.name, head.broker.version ?? "")
            // Some say their name with their version.
            let words = version.hasPrefix(name) ? [version] : [name, version]
            let text = FigureText.short(
                words.filter { !$0.isEmpty }.joined(separator: " "), 40)
            if !text.isEmpty, !brokers.contains(text) { brokers.append(text) }
        }
        let times = heads.map(\.startedAt).filter { !$0.isEmpty }.sorted()
        let span = times.first.map { FigureText.short($0, 30) } ?? ""
        let named = brokers.prefix(6).joined(separator: ", ") + (brokers.count > 6 ? "…" : "")
        return [named, span].filter { !$0.isEmpty }.joined(separator: " · ")
    }
}
