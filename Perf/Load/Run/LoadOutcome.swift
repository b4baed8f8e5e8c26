/// What all loops of a run found, put together.
package struct LoadOutcome: Sendable {
    package var counters = LoadCounters()
    package var latency = LatencyHistogram()
    package var acknowledgement = LatencyHistogram()
    package var sendDelay = LatencyHistogram()
    package var opening = LatencyHistogram(.two)
    package var connack = LatencyHistogram(.two)
    package var suback = LatencyHistogram(.two)
    /// Deliveries that should have come, where that is known.
    package var expected = 0
    package var lost = 0
    package var duplicates = 0
    package var orderViolations = 0
    package var failures: [(text: String, count: Int)] = []
    package var turns: UInt64 = 0
    package var reads: UInt64 = 0
    package var sends: UInt64 = 0

    init(_ results: [LoopResult], failures: [(text: String, count: Int)]) {
        self.failures = failures
        for result in results { add(result) }
        duplicates = Int(counters.duplicates)
        orderViolations = Int(counters.late)
        countLoss(results)
    }

    private mutating func add(_ result: LoopResult) {
        counters = counters.adding(result.counters)
        latency.add(result.latency)
        acknowledgement.add(result.acknowledgement)
        sendDelay.add(result.sendDelay)
        opening.add(result.opening)
        connack.add(result.connack)
        suback.add(result.suback)
        turns += result.loopCounters.turns
        reads += result.loopCounters.reads
        sends += result.loopCounters.sends
    }

    /// Each subscriber must have each message of its streams; of a shared group, one of them.
    private mutating func countLoss(_ results: [LoopResult]) {
        var sent: [Int: Int] = [:]
        for result in results {
            for stream in result.sent { sent[stream.stream, default: 0] += Int(stream.count) }
        }
        var shared: [Int: [StreamTracker]] = [:]
        for tracked in results.flatMap(\.trackers) {
            if tracked.isShared {
                shared[tracked.stream, default: []].append(tracked.tracker)
            } else {
                count(tracked.tracker.distinctCount, of: sent[tracked.stream] ?? 0)
            }
        }
        for (stream, trackers) in shared {
            var distinct = trackers.reduce(0) { $0 + $1.distinctCount }
            for first in trackers.indices {
                for second in trackers.indices.dropFirst(first + 1) {
                    let overlap = trackers[first].overlap(with: trackers[second])
                    duplicates += overlap
                    distinct -= overlap
                }
            }
            count(distinct, of: sent[stream] ?? 0)
        }
        for tracked in results.flatMap(\.trackers) { tracked.tracker.free() }
        if expected == 0 { expected = Int(counters.received) }
    }

    private mutating func count(_ distinct: Int, of sent: Int) {
        expected += sent
        lost += max(sent - distinct, 0)
    }
}

extension LoadCounters {
    func adding(_ other: LoadCounters) -> LoadCounters {
        var sum = self
        withUnsafeMutableBytes(of: &sum) { sum in
            withUnsafeBytes(of: other) { other in
                for offset in stride(from: 0, to: MemoryLayout<LoadCounters>.size, by: 8) {
                    let both =
                        sum.load(fromByteOffset: offset, as: UInt64.self)
                        &+ other.load(fromByteOffset: offset, as: UInt64.self)
                    sum.storeBytes(of: both, toByteOffset: offset, as: UInt64.self)
                }
            }
        }
        return sum
    }
}
