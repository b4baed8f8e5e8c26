/// The runs of a report with what tells them apart: a label and a style for each.
///
/// The label holds only what differs: two runs of one scenario against two brokers are called
/// `apus` and `mosquitto`. Repetitions, between which nothing differs, share label and style.
struct ReportRuns: Sendable {
    struct Entry: Sendable {
        /// From 1, in the order given.
        var number: Int
        var record: RunRecord
        /// Equal for repetitions, and for them alone.
        var key: String
        /// The key, cut to a length that can be shown.
        var label: String
        var style: SeriesStyle
        /// The label, with the number if others share it.
        var title: String
    }

    /// Entries with one label.
    struct Group: Sendable {
        var label: String
        var style: SeriesStyle
        var entries: [Entry]
    }

    let entries: [Entry]

    init(_ records: [RunRecord]) {
        let keys = RunTrait.keys(of: records, leavingOut: [])
        let labels = zip(keys, records).map(Self.label)
        var styles: [String: Int] = [:]
        for key in keys where styles[key] == nil { styles[key] = styles.count }
        let counts = Dictionary(labels.map { ($0, 1) }, uniquingKeysWith: +)
        entries = records.indices.map { index in
            let label = labels[index]
            let isShared = counts[label, default: 1] > 1
            return Entry(
                number: index + 1, record: records[index], key: keys[index], label: label,
                style: SeriesStyle(index: styles[keys[index], default: 0]),
                title: isShared ? "\(label) (run \(index + 1))" : label)
        }
    }

    /// By label, in the order of the first run of each.
    var groups: [Group] { Self.grouped(entries) }

    /// Groups of what would be one but for a trait, such as the offered rate.
    func groups(leavingOut traits: Set<RunTrait>) -> [Group] {
        let keys = RunTrait.keys(of: entries.map(\.record), leavingOut: traits)
        var renamed = entries
        for index in renamed.indices {
            renamed[index].key = keys[index]
            renamed[index].label = Self.label(keys[index], renamed[index].record)
        }
        var groups = Self.grouped(renamed)
        // Colours of their own: the curve of a group is not that of one of its runs.
        for index in groups.indices { groups[index].style = SeriesStyle(index: index) }
        return groups
    }

    private static func grouped(_ entries: [Entry]) -> [Group] {
        var places: [String: Int] = [:]
        var groups: [Group] = []
        for entry in entries {
            if let place = places[entry.key] {
                groups[place].entries.append(entry)
            } else {
                places[entry.key] = groups.count
                groups.append(Group(label: entry.label, style: entry.style, entries: [entry]))
            }
        }
        return groups
    }

    /// The key, or if nothing differs the name of the broker.
    private static func label(_ key: String, _ record: RunRecord) -> String {
        let names = [key, record.head.broker.name, record.head.name, "run"]
        return FigureText.short(names.first { !$0.isEmpty } ?? "run", 80)
    }
}

/// What can tell two runs apart, in the order in which a label names it.
enum RunTrait: CaseIterable, Sendable {
    case broker, version, name, scenario, loops, poller, protocolVersion, transport, qos, payload
    case publishers, subscribers, generatorLoops, rate

    /// Texts made of the traits that differ among these runs; empty if none does.
    static func keys(of runs: [RunRecord], leavingOut left: Set<RunTrait>) -> [String] {
        let telling = allCases.filter { !left.contains($0) && $0.differs(among: runs) }
        return runs.map { run in
            telling.compactMap { $0.text(run.head) }.joined(separator: " · ")
        }
    }

    private func differs(among runs: [RunRecord]) -> Bool {
        // Two brokers have two versions, which tells nothing more.
        let parts =
            self == .version
            ? Dictionary(grouping: runs) { $0.head.broker.name }.map(\.value) : [runs]
        return parts.contains { Set($0.map { text($0.head) ?? "" }).count > 1 }
    }

    private func text(_ head: RunHead) -> String? {
        switch self {
        case .broker: Self.word(head.broker.name)
        case .version: head.broker.version.flatMap(Self.word)
        case .name: Self.word(head.name)
        case .scenario: Self.word(head.scenario)
        case .loops: head.broker.loops.map { $0 == 1 ? "1 loop" : "\($0) loops" }
        case .poller: head.broker.poller.flatMap(Self.word)
        case .protocolVersion: Self.word(head.protocolVersion)
        case .transport: Self.word(head.transport)
        case .qos: "QoS \(head.qos)"
        case .payload: "\(FigureText.count(head.payloadBytes)) B"
        case .publishers: head.publishers.map { "\(FigureText.count($0)) publishers" }
        case .subscribers: head.subscribers.map { "\(FigureText.count($0)) subscribers" }
        case .generatorLoops: head.generatorLoops.map { "\($0) generator loops" }
        case .rate:
            head.offeredPerSecond.map { FigureText.rate($0) } ?? "no limit"
        }
    }

    private static func word(_ text: String) -> String? {
        text.isEmpty ? nil : text
    }
}
