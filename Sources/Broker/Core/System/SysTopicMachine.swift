import Base
import Policy

/// The $SYS topics in mosquitto's names: from the figures of all loops to the values that have
/// changed since they were last published.
///
/// One per node, used by one thread at a time. Pure: time comes as an argument.
package struct SysTopicMachine {
    /// A topic below `$SYS/broker/` and its value.
    package struct Value: Equatable, Sendable {
        package var topic: String
        package var text: String
    }

    /// Counters whose averages are published as loads, with the name in the topic.
    private static let loads: [(name: String, total: @Sendable (Totals) -> UInt64)] = [
        ("messages/received", { $0[.packetsIn] }),
        ("messages/sent", { $0.messagesSent }),
        ("publish/received", { $0[.publishesIn] }),
        ("publish/sent", { $0[.publishesOut] }),
        ("publish/dropped", { $0.dropped }),
        ("bytes/received", { $0[.bytesIn] }),
        ("bytes/sent", { $0[.bytesOut] }),
        ("sockets", { $0[.connectionsAccepted] }),
        ("connections", { $0.connects }),
    ]
    private static let minutes = [1, 5, 15]

    private let version: String
    private let startedAt: Instant
    private var published: [String: String] = [:]
    private var connectedMax: UInt64 = 0
    private var averages: [RateAverage]
    private var previous: (totals: Totals, at: Instant)?

    package init(version: String, startedAt: Instant) {
        self.version = version
        self.startedAt = startedAt
        averages = Self.loads.flatMap { _ in Self.minutes.map { RateAverage(minutes: $0) } }
    }

    /// What to publish now.
    package mutating func receive(_ figures: [WorkerFigures], now: Instant) -> [Value] {
        let totals = Totals(figures)
        connectedMax = max(connectedMax, totals[.sessionsLive])
        var values = clientValues(totals) + messageValues(totals)
        values.append(("version", "apus version \(version)"))
        values.append(("uptime", "\((now - startedAt).nanoseconds / 1_000_000_000) seconds"))
        values += loadValues(totals, now)
        previous = (totals, now)
        var changed: [Value] = []
        for (topic, text) in values where published[topic] != text {
            published[topic] = text
            changed.append(Value(topic: "$SYS/broker/" + topic, text: text))
        }
        return changed
    }

    private func clientValues(_ totals: Totals) -> [(String, String)] {
        let connected = totals[.sessionsLive]
        let stored = totals[.storedSessions]
        let away = stored - min(stored, totals[.storedSessionsAttached])
        return [
            ("clients/connected", "\(connected)"), ("clients/active", "\(connected)"),
            ("clients/disconnected", "\(away)"), ("clients/inactive", "\(away)"),
            ("clients/total", "\(connected + away)"), ("clients/maximum", "\(connectedMax)"),
        ]
    }

    /// Stored messages are the retained ones and those in queues, as in mosquitto; their bytes
    /// here are those of queues alone.
    private func messageValues(_ totals: Totals) -> [(String, String)] {
        let stored = totals[.retainedTopics] + totals[.storedMessages]
        return [
            ("messages/received", "\(totals[.packetsIn])"),
            ("messages/sent", "\(totals.messagesSent)"),
            ("publish/messages/received", "\(totals[.publishesIn])"),
            ("publish/messages/sent", "\(totals[.publishesOut])"),
            ("publish/messages/dropped", "\(totals.dropped)"),
            ("publish/bytes/sent", "\(totals[.publishBytesOut])"),
            ("bytes/received", "\(totals[.bytesIn])"), ("bytes/sent", "\(totals[.bytesOut])"),
            (
                "subscriptions/count",
                "\(totals[.subscriptions] + totals[.storedSubscriptions])"
            ),
            ("retained messages/count", "\(totals[.retainedTopics])"),
            ("messages/stored", "\(stored)"), ("store/messages/count", "\(stored)"),
            ("store/messages/bytes", "\(totals[.storedMessageBytes])"),
        ]
    }

    /// Events per minute, averaged over 1, 5 and 15 minutes.
    private mutating func loadValues(_ totals: Totals, _ now: Instant) -> [(String, String)] {
        var values: [(String, String)] = []
        for (index, load) in Self.loads.enumerated() {
            for (place, minutes) in Self.minutes.enumerated() {
                let cell = index * Self.minutes.count + place
                if let previous {
                    let before = load.total(previous.totals)
                    let total = load.total(totals)
                    averages[cell].add(total - min(total, before), over: now - previous.at)
                }
                values.append(("load/\(load.name)/\(minutes)min", averages[cell].text))
            }
        }
        return values
    }

    /// The figures of all loops together.
    private struct Totals {
        private var values = [UInt64](repeating: 0, count: Figure.allCases.count)
        var dropped: UInt64 = 0
        var connects: UInt64 = 0

        init(_ figures: [WorkerFigures]) {
            for told in figures {
                for figure in Figure.allCases { values[Int(figure.rawValue)] &+= told[figure] }
                for tenant in told.tenants {
                    for count in tenant.drops.values { dropped &+= count }
                    connects &+= tenant.events[EventKind.clientConnected.rawValue] ?? 0
                }
            }
        }

        subscript(figure: Figure) -> UInt64 { values[Int(figure.rawValue)] }

        var messagesSent: UInt64 { self[.packetsOut] &+ self[.publishesOut] }
    }
}

/// A rate per minute, smoothed so that what was a time constant ago weighs a third.
///
/// `average += (rate - average) * (1 - e^(-time / constant))`, as mosquitto's loads.
struct RateAverage {
    private let minutes: Double
    private(set) var perMinute = 0.0

    init(minutes: Int) { self.minutes = Double(minutes) }

    mutating func add(_ count: UInt64, over span: Duration) {
        let passed = Double(span.nanoseconds) / 60e9
        guard passed > 0 else { return }
        perMinute += (Double(count) / passed - perMinute) * (1 - Self.decay(passed / minutes))
    }

    /// e to the power of -x, for x from 0 up: by halving, as there is no library below.
    private static func decay(_ x: Double) -> Double {
        if x > 40 { return 0 }
        let part = x / 1_024
        var value = 1 - part + part * part / 2 - part * part * part / 6
        for _ in 0..<10 { value *= value }
        return value
    }

    /// With two digits behind the point.
    var text: String {
        let hundredths = UInt64(max(0, min(perMinute * 100, 9e17)).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
