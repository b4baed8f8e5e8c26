/// How the runs were made: what they have in common once, what differs side by side.
enum SetupSection {
    private static let valueScalarsMax = 4_000

    static func make(_ runs: ReportRuns) -> Markup {
        let all = runs.entries.map { facts(of: $0.record) }
        var names: [String] = []
        var seen: Set<String> = []
        for name in all.flatMap({ $0.map(\.name) }) where seen.insert(name).inserted {
            names.append(name)
        }
        let values = all.map { Dictionary($0.map { ($0.name, $0.value) }) { first, _ in first } }
        let isSame: (String) -> Bool = { name in Set(values.map { $0[name] ?? "" }).count == 1 }
        let same = names.filter(isSame)
        let different = names.filter { !isSame($0) }
        var result: Markup = "<section class=\"setup\"><h2>How the runs were made</h2>\n"
        if !different.isEmpty {
            result += "<h3>What differs</h3>\n"
            for group in runs.groups {
                let own = group.entries.map { values[$0.number - 1] }
                let count = group.entries.count
                let title = group.label + (count > 1 ? " (\(count) runs)" : "")
                result += """
                    <h4>\(HTMLTable.name(title, group.style))</h4>\
                    \(list(different.map { name in (name, joined(own.map { $0[name] })) }))
                    """
            }
            result += "<h3>What is the same</h3>\n"
        }
        result += list(same.map { ($0, values.first?[$0] ?? FigureText.none) })
        result += "</section>\n"
        return result
    }

    private static let repetitionsShown = 20

    /// What repetitions have in common once, what they have not in the order of the runs.
    private static func joined(_ values: [String?]) -> String {
        let texts = values.map { $0 ?? FigureText.none }
        if Set(texts).count <= 1 { return texts.first ?? FigureText.none }
        let rest = texts.count > repetitionsShown ? ", …" : ""
        return texts.prefix(repetitionsShown).joined(separator: ", ") + rest
    }

    private static func list(_ facts: [(name: String, value: String)]) -> Markup {
        var result: Markup = "<dl>\n"
        for fact in facts {
            let value = FigureText.short(fact.value, valueScalarsMax)
            let text: Markup = fact.value.contains("\n") ? "<pre>\(value)</pre>" : "\(value)"
            result += "<dt>\(fact.name)</dt><dd>\(text)</dd>\n"
        }
        result += "</dl>\n"
        return result
    }

    /// What is not known is left out.
    private static func facts(of run: RunRecord) -> [(name: String, value: String)] {
        let (head, machine) = (run.head, run.head.machine)
        let optional: [(String, String?)] =
            [
                ("name", head.name), ("scenario", head.scenario), ("started", head.startedAt),
            ] + brokerFacts(head.broker) + [
                ("protocol", head.protocolVersion), ("transport", head.transport),
                ("QoS", "\(head.qos)"),
                ("payload", "\(FigureText.count(head.payloadBytes)) bytes"),
                ("offered rate", head.offeredPerSecond.map { FigureText.rate($0) } ?? "no limit"),
                ("publishers", head.publishers.map { FigureText.count($0) }),
                ("subscribers", head.subscribers.map { FigureText.count($0) }),
                ("generator loops", head.generatorLoops.map(String.init)),
                ("seed", head.seed.map(String.init)),
                ("warm-up", head.warmUpSeconds.map { FigureText.time($0) }),
                ("measured", run.end.map { FigureText.time($0.durationSeconds) }),
                ("apus-perf options", head.options.map(quoted).joined(separator: " ")),
                ("apus-perf commit", head.commit), ("kernel", machine.kernel),
                ("processor", machine.cpuModel), ("processors", "\(machine.cpuCount)"),
                ("processor governor", machine.cpuGovernor),
                ("processor quota", machine.cpuQuotaCores.map { "\(FigureText.number($0)) cores" }),
                ("memory", machine.memoryBytes.map { FigureText.bytes(Double($0)) }),
                ("open files", machine.openFilesMax.map { FigureText.count($0) }),
            ]
        let sysctls = machine.sysctls.sorted { $0.key < $1.key }.prefix(200)
        return (optional + sysctls.map { ($0.key, $0.value) }).compactMap { name, value in
            value.flatMap { $0.isEmpty ? nil : (name, $0) }
        }
    }

    private static func brokerFacts(_ broker: BrokerFacts) -> [(String, String?)] {
        [
            ("broker", broker.name), ("broker version", broker.version),
            ("broker address", broker.address), ("broker process", broker.pid.map(String.init)),
            ("broker loops", broker.loops.map(String.init)), ("broker poller", broker.poller),
            ("broker configuration", broker.configuration),
        ]
    }

    private static func quoted(_ word: String) -> String {
        let isPlain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./:=,%+@".contains($0) }
        return isPlain && !word.isEmpty ? word : "'\(word.replacing("'", with: "'\\''"))'"
    }
}
