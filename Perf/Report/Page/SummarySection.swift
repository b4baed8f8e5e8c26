/// What came out, at one glance: first whether every message arrived, then the figures.
enum SummarySection {
    static func make(_ runs: ReportRuns) -> Markup {
        """
        <section><h2>Outcome</h2>
        \(verdicts(runs))\(figures(runs))\(cost(runs))\(reasons(runs))\(memory(runs))</section>

        """
    }

    private static func verdicts(_ runs: ReportRuns) -> Markup {
        var result: Markup = "<ul class=\"verdicts\">\n"
        for entry in runs.entries {
            let (isGood, words) = verdict(entry.record)
            let mark: Markup =
                switch isGood {
                case true?: "<span class=\"good\" aria-hidden=\"true\">✓</span>"
                case false?: "<span class=\"bad\" aria-hidden=\"true\">✗</span>"
                case nil: "<span aria-hidden=\"true\">○</span>"
                }
            result += """
                <li>\(mark)<span class="who">\(HTMLTable.name(entry.title, entry.style))</span>\
                <span\(isGood == false ? " class=\"bad\"" : "")>\(words)</span>
                """
            for warning in warnings(entry.record) {
                result += "<span class=\"warning\">⚠ \(FigureText.short(warning, 300))</span>"
            }
            result += "</li>\n"
        }
        result += "</ul>\n"
        return result
    }

    /// Whether all is well (nil: there is nothing to judge), and the words for it.
    static func verdict(_ run: RunRecord) -> (Bool?, String) {
        guard let end = run.end else { return (false, "did not come to its end: no totals") }
        guard end.sent > 0 || end.received > 0 || end.expected > 0 else {
            return (nil, "no messages were sent")
        }
        var parts = [
            "\(FigureText.count(end.lost)) lost",
            "\(FigureText.count(end.duplicates)) duplicate\(end.duplicates == 1 ? "" : "s")",
            "\(FigureText.count(end.orderViolations)) out of order",
        ]
        let (misrouted, corrupt) = (end.misrouted ?? 0, end.corrupt ?? 0)
        if misrouted != 0 { parts.append("\(FigureText.count(misrouted)) misrouted") }
        if corrupt != 0 { parts.append("\(FigureText.count(corrupt)) corrupt") }
        let faults = [end.lost, end.duplicates, end.orderViolations, misrouted, corrupt]
        let sentence = parts.joined(separator: ", ")
        return (faults.allSatisfy { $0 == 0 }, "\(sentence) of \(FigureText.count(end.expected))")
    }

    private static let warningsMax = 20

    private static func warnings(_ run: RunRecord) -> [String] {
        guard let end = run.end else { return [] }
        let own =
            end.isGeneratorBound == true ? ["the generator, not the broker, was the limit"] : []
        return Array((own + (end.warnings ?? [])).prefix(warningsMax))
    }

    private static func hasMessages(_ entry: ReportRuns.Entry) -> Bool {
        entry.record.end.map { $0.received > 0 || $0.sent > 0 } ?? false
    }

    private static func figures(_ runs: ReportRuns) -> Markup {
        let entries = runs.entries.filter(hasMessages)
        guard !entries.isEmpty else { return "" }
        var table = HTMLTable(
            caption: "Throughput and latency",
            columns: ["run", "offered", "received", "50%", "90%", "99%", "99.9%", "max"])
        for entry in entries {
            let end = entry.record.end
            let offered = entry.record.head.offeredPerSecond
            let percentiles = [50, 90, 99, 99.9].map {
                FigureText.latency(end?.latency?.value(at: $0))
            }
            table.rows.append(
                (
                    HTMLTable.name(entry.title, entry.style),
                    [
                        offered.map { FigureText.rate($0) } ?? "no limit",
                        FigureText.rate(end?.receivedPerSecond),
                    ] + percentiles + [FigureText.latency(end?.latency?.max)]
                ))
        }
        return table.markup()
    }

    private static func cost(_ runs: ReportRuns) -> Markup {
        let entries = runs.entries.filter(hasMessages)
        guard !entries.isEmpty else { return "" }
        var table = HTMLTable(
            caption: "What a message cost the broker, and how busy both sides were",
            columns: [
                "run", "CPU µs", "user", "system", "system calls", "broker cores",
                "generator cores",
            ])
        for entry in entries {
            let end = entry.record.end
            let cpu = end?.cpuPerMessage
            let figures = [
                cpu?.whole, cpu?.user, cpu?.system, end?.syscallsPerMessage, end?.brokerCPUCores,
                end?.generatorCPUCores,
            ]
            table.rows.append(
                (
                    HTMLTable.name(entry.title, entry.style),
                    figures.map { FigureText.number($0) }
                ))
        }
        return table.markup()
    }

    /// Why a figure is missing.
    private static func reasons(_ runs: ReportRuns) -> Markup {
        var reasons: [String] = []
        for entry in runs.entries where hasMessages(entry) {
            guard let reason = entry.record.end?.syscallsUnavailable, !reason.isEmpty,
                !reasons.contains(reason), reasons.count < 4
            else { continue }
            reasons.append(reason)
        }
        return Markup(
            joining: reasons.map {
                "<p class=\"note\">No system calls: \(FigureText.short($0, 200)).</p>\n"
            })
    }

    /// Only for runs that say something of connections or memory.
    private static func memory(_ runs: ReportRuns) -> Markup {
        let entries = runs.entries.filter {
            $0.record.end?.memoryAfterBytes != nil || $0.record.end?.connections != nil
        }
        guard !entries.isEmpty else { return "" }
        var table = HTMLTable(
            caption: "Connections and memory",
            columns: [
                "run", "connections", "connects", "memory before", "memory after",
                "bytes per connection",
            ])
        for entry in entries {
            guard let end = entry.record.end else { continue }
            table.rows.append(
                (
                    HTMLTable.name(entry.title, entry.style),
                    [
                        end.connections.map { FigureText.count($0) } ?? FigureText.none,
                        FigureText.rate(end.connectsPerSecond),
                        FigureText.bytes(end.memoryBeforeBytes.map(Double.init)),
                        FigureText.bytes(end.memoryAfterBytes.map(Double.init)),
                        FigureText.number(end.bytesPerConnection),
                    ]
                ))
        }
        return table.markup()
    }
}
