/// A run as a page can show it: whatever a file held, figures are numbers of a size that arithmetic
/// stands, and times lie within a few months. What does not is left out.
extension RunRecord {
    private static let figureMax = 1e14
    private static let secondsMax = 1e7
    static let samplesMax = 1_000_000
    static let faultsMax = 10_000

    func bounded() -> RunRecord {
        var run = self
        run.samples = samples.prefix(Self.samplesMax).filter { Self.isTime($0.atSeconds) }
        for index in run.samples.indices { Self.bound(&run.samples[index]) }
        run.faults = faults.prefix(Self.faultsMax).filter { Self.isTime($0.atSeconds) }
        run.head.offeredPerSecond = Self.positive(head.offeredPerSecond)
        run.head.warmUpSeconds = Self.positive(head.warmUpSeconds)
        run.head.machine.cpuQuotaCores = Self.positive(head.machine.cpuQuotaCores)
        run.head.broker.loops = head.broker.loops.map(Self.count)
        if var end { Self.bound(&end); run.end = end }
        return run
    }

    private static func bound(_ sample: inout RunSample) {
        sample.received = count(sample.received)
        sample.receivedPerSecond = positive(sample.receivedPerSecond) ?? 0
        sample.latency = sample.latency.flatMap(bounded)
        sample.brokerCPUCores = positive(sample.brokerCPUCores)
        sample.generatorCPUCores = positive(sample.generatorCPUCores)
        sample.brokerMemoryBytes = sample.brokerMemoryBytes.map(count)
        sample.connections = sample.connections.map(count)
    }

    private static func bound(_ end: inout RunEnd) {
        let counts: [WritableKeyPath<RunEnd, Int>] = [
            \.sent, \.expected, \.received, \.lost, \.duplicates, \.orderViolations,
        ]
        for field in counts { end[keyPath: field] = count(end[keyPath: field]) }
        let maybeCounts: [WritableKeyPath<RunEnd, Int?>] = [
            \.misrouted, \.corrupt, \.memoryBeforeBytes, \.memoryAfterBytes, \.connections,
        ]
        for field in maybeCounts { end[keyPath: field] = end[keyPath: field].map(count) }
        let figures: [WritableKeyPath<RunEnd, Double?>] = [
            \.syscallsPerMessage, \.brokerCPUCores, \.generatorCPUCores, \.connectsPerSecond,
        ]
        for field in figures { end[keyPath: field] = positive(end[keyPath: field]) }
        end.durationSeconds = positive(end.durationSeconds) ?? 0
        end.receivedPerSecond = positive(end.receivedPerSecond) ?? 0
        end.bytesPerConnection = end.bytesPerConnection.flatMap {
            $0.magnitude <= figureMax ? $0 : nil
        }
        end.cpuPerMessage = end.cpuPerMessage.flatMap {
            positive($0.user) == nil || positive($0.system) == nil ? nil : $0
        }
        end.latency = end.latency.map(bounded)
        end.bytesByOwner = end.bytesByOwner?.map {
            OwnerBytes(owner: $0.owner, bytes: count($0.bytes), count: $0.count.map(count))
        }
    }

    private static func bounded(_ curve: LatencyCurve) -> LatencyCurve {
        LatencyCurve(
            count: count(curve.count), mean: positive(curve.mean) ?? 0,
            max: positive(curve.max) ?? 0,
            points: curve.points.filter {
                positive($0.value) != nil && $0.percentile >= 0 && $0.percentile <= 100
            })
    }

    private static func bounded(_ latency: LatencySummary) -> LatencySummary? {
        let figures = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max]
        return figures.contains { positive($0) == nil } ? nil : latency
    }

    private static func isTime(_ seconds: Double) -> Bool { seconds.magnitude <= secondsMax }

    private static func positive(_ figure: Double?) -> Double? {
        figure.flatMap { $0 >= 0 && $0 <= figureMax ? $0 : nil }
    }

    private static func count(_ value: Int) -> Int { min(max(value, 0), Int(figureMax)) }
}
