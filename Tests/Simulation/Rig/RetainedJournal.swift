import Base
import MQTT

/// What publishers have retained and what later subscribers found: a topic's retained message is
/// its last acknowledged one, or a newer one.
///
/// Each topic has one writer and one QoS, so that its order is that of sending. An empty payload
/// clears.
package struct RetainedJournal: Sendable {
    /// Payloads by topic in the order of sending; empty ones clear.
    private var writes: [String: [String]] = [:]
    package private(set) var failures: [String] = []
    /// Topics looked for by a new subscriber.
    package private(set) var lookedFor = 0

    package init() {}

    package var writeCount: Int { writes.values.reduce(0) { $0 + $1.count } }

    package mutating func noteWrite(_ topic: String, _ payload: String) {
        writes[topic, default: []].append(payload)
    }

    /// How many writes of each topic are acknowledged now, counted from the first: what a
    /// subscription that begins now must find. `open`: topics of unacknowledged writes.
    package func settled(open: [String]) -> [String: Int] {
        var counts = writes.mapValues(\.count)
        for topic in open { counts[topic, default: 0] -= 1 }
        return counts
    }

    /// Compares what a subscriber got with what was settled when it subscribed. `isFinal`: nothing
    /// was sent since, so it is exactly the last write.
    package mutating func judge(
        _ name: String, _ received: [RigMessage], settled: [String: Int], isFinal: Bool
    ) {
        for (topic, count) in settled.sorted(by: { $0.key < $1.key }) where count > 0 {
            lookedFor += 1
            let all = writes[topic] ?? []
            let replayed = received.filter { $0.topic == topic && $0.isRetained }
            let allowed = isFinal ? all.suffix(1) : all[(count - 1)...]
            if replayed.count > 1 {
                failures.append("\(name) found \(replayed.count) retained messages of \(topic)")
            }
            guard let found = replayed.first else {
                // What came as it was published is not replayed.
                let isLive = received.contains { $0.topic == topic && allowed.contains($0.payload) }
                if !isLive, !allowed.contains("") {
                    failures.append("\(name) found nothing of \(topic), not \(allowed)")
                }
                continue
            }
            if !allowed.contains(found.payload) {
                failures.append(
                    "\(name) found '\(found.payload)' of \(topic), which is none of \(allowed)")
            }
        }
    }
}
