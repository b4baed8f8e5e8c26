/// What came out of a run, over the time measured (without its warm-up).
package struct RunEnd: Sendable, Equatable, Codable {
    package var durationSeconds = 0.0
    package var sent = 0
    /// Deliveries that should have come: what loss is counted of.
    package var expected = 0
    package var received = 0
    package var lost = 0
    package var duplicates = 0
    package var orderViolations = 0
    /// Deliveries to somebody who did not ask for them, and deliveries that were altered.
    package var misrouted: Int?
    package var corrupt: Int?
    package var receivedPerSecond = 0.0
    /// Nil for a run without messages.
    package var latency: LatencyCurve?
    /// How late the generator itself was; part of every latency.
    package var sendDelay: LatencySummary?
    /// The broker's, per message received.
    package var cpuPerMessage: CPUPerMessage?
    package var syscallsPerMessage: Double?
    /// Why there is no such figure.
    package var syscallsUnavailable: String?
    package var brokerCPUCores: Double?
    package var generatorCPUCores: Double?
    /// The generator, not the broker, was the limit.
    package var isGeneratorBound: Bool?
    package var memoryBeforeBytes: Int?
    package var memoryAfterBytes: Int?
    package var connections: Int?
    package var connectsPerSecond: Double?
    package var bytesPerConnection: Double?
    package var bytesByOwner: [OwnerBytes]?
    /// Sentences a reader of the figures must know.
    package var warnings: [String]?

    package init() {}

    private enum CodingKeys: String, CodingKey {
        case durationSeconds = "duration_seconds"
        case sent, expected, received, lost, duplicates
        case orderViolations = "order_violations"
        case misrouted, corrupt
        case receivedPerSecond = "received_per_second"
        case latency = "latency_us"
        case sendDelay = "send_delay_us"
        case cpuPerMessage = "cpu_us_per_message"
        case syscallsPerMessage = "syscalls_per_message"
        case syscallsUnavailable = "syscalls_unavailable"
        case brokerCPUCores = "broker_cpu_cores"
        case generatorCPUCores = "generator_cpu_cores"
        case isGeneratorBound = "generator_bound"
        case memoryBeforeBytes = "memory_before_bytes"
        case memoryAfterBytes = "memory_after_bytes"
        case connections
        case connectsPerSecond = "connects_per_second"
        case bytesPerConnection = "bytes_per_connection"
        case bytesByOwner = "bytes_by_owner"
        case warnings
    }
}

/// Processor time of the broker for one message, in microseconds.
package struct CPUPerMessage: Sendable, Equatable, Codable {
    package var user: Double
    package var system: Double
    package var whole: Double { user + system }

    package init(user: Double, system: Double) {
        self.user = user
        self.system = system
    }
}

/// A row of the table that says where the broker's memory is.
package struct OwnerBytes: Sendable, Equatable, Codable {
    /// `session`, `connection`, `receive buffers`…
    package var owner: String
    package var bytes: Int
    /// How many of them there are, if they can be counted.
    package var count: Int?

    package init(owner: String, bytes: Int, count: Int? = nil) {
        self.owner = owner
        self.bytes = bytes
        self.count = count
    }
}

/// The latencies of a whole run: value by percentile, in microseconds.
package struct LatencyCurve: Sendable, Equatable, Codable {
    /// Messages whose latency was taken.
    package var count: Int
    package var mean: Double
    package var max: Double
    /// Rising in both fields.
    package var points: [PercentilePoint]

    package init(count: Int, mean: Double, max: Double, points: [PercentilePoint]) {
        self.count = count
        self.mean = mean
        self.max = max
        self.points = points
    }

    /// Points between two halvings of the rest: 50, 75, 87.5 are one halving apart.
    private static let pointsPerHalving = 5
    private static let pointsMax = 200

    /// The curve of a histogram, given as a function from percentile (0 to 100) to microseconds.
    package init(count: Int, mean: Double, max: Double, valueAt: (Double) -> Double) {
        self.init(count: count, mean: mean, max: max, points: [])
        // No percentile beyond which less than one message lies.
        var rest = 1.0
        while rest * Double(count) >= 1, points.count < Self.pointsMax {
            let step = rest / 2 / Double(Self.pointsPerHalving)
            for index in 0..<Self.pointsPerHalving {
                let percentile = (1 - rest + Double(index) * step) * 100
                points.append(PercentilePoint(percentile: percentile, value: valueAt(percentile)))
            }
            rest /= 2
        }
        if count > 0 { points.append(PercentilePoint(percentile: 100, value: max)) }
    }

    /// The value at a percentile: the first point that covers it. Nil without points.
    package func value(at percentile: Double) -> Double? {
        (points.first { $0.percentile >= percentile } ?? points.last)?.value
    }
}

/// So many per cent of the latencies are at most this.
package struct PercentilePoint: Sendable, Equatable, Codable {
    /// 0 to 100.
    package var percentile: Double
    /// Microseconds.
    package var value: Double

    package init(percentile: Double, value: Double) {
        self.percentile = percentile
        self.value = value
    }

    private enum CodingKeys: String, CodingKey {
        case percentile
        case value = "value_us"
    }
}
