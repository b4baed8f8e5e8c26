/// Everything that is known about one run of `apus-perf`: how it was set up, what each second
/// brought, what was done to the broker meanwhile, and what came out.
///
/// On disk it is text, one JSON object a line (`RunLine`): a `run` line, then `second` and `fault`
/// lines as they happen, then one `end` line. A file may hold several runs, one after the other. A
/// run that was cut short has no `end`; it can be read and shown all the same.
package struct RunRecord: Sendable, Equatable {
    package var head: RunHead
    /// In the order of time.
    package var samples: [RunSample] = []
    package var faults: [RunFault] = []
    /// Nil if the run did not come to its end.
    package var end: RunEnd?

    package init(head: RunHead) { self.head = head }

    /// The lines of this run, each with its line feed.
    package func text() throws -> String {
        var lines = [try RunLine.head(head).text()]
        for sample in samples { lines.append(try RunLine.sample(sample).text()) }
        for fault in faults { lines.append(try RunLine.fault(fault).text()) }
        if let end { lines.append(try RunLine.end(end).text()) }
        return lines.joined()
    }
}

/// One second of a run.
package struct RunSample: Sendable, Equatable, Codable {
    /// Since the end of the warm-up, at the end of this second; negative while warming up.
    package var atSeconds = 0.0
    /// Messages in this second. A delivery to each of ten subscribers counts ten times.
    package var sent = 0
    package var received = 0
    package var receivedPerSecond = 0.0
    /// Of the messages received in this second; nil if there were none.
    package var latency: LatencySummary?
    /// Processor time over time: 1 is one core, always busy.
    package var brokerCPUCores: Double?
    package var generatorCPUCores: Double?
    package var brokerMemoryBytes: Int?
    /// Open at the end of this second. With `brokerMemoryBytes` it gives bytes per connection.
    package var connections: Int?

    package init() {}

    private enum CodingKeys: String, CodingKey {
        case atSeconds = "at_seconds"
        case sent
        case received
        case receivedPerSecond = "received_per_second"
        case latency = "latency_us"
        case brokerCPUCores = "broker_cpu_cores"
        case generatorCPUCores = "generator_cpu_cores"
        case brokerMemoryBytes = "broker_memory_bytes"
        case connections
    }
}

/// Something that was done to the broker on purpose, such as the end of a node.
package struct RunFault: Sendable, Equatable, Codable {
    /// On the clock of `RunSample.atSeconds`.
    package var atSeconds: Double
    /// A few words: they stand beside a line in the plots.
    package var text: String

    package init(atSeconds: Double, text: String) {
        self.atSeconds = atSeconds
        self.text = text
    }

    private enum CodingKeys: String, CodingKey {
        case atSeconds = "at_seconds"
        case text
    }
}

/// Latency in microseconds, counted from the moment when a message should have been sent.
package struct LatencySummary: Sendable, Equatable, Codable {
    package var p50: Double
    package var p90: Double
    package var p99: Double
    package var p999: Double
    package var max: Double

    package init(p50: Double, p90: Double, p99: Double, p999: Double, max: Double) {
        self.p50 = p50
        self.p90 = p90
        self.p99 = p99
        self.p999 = p999
        self.max = max
    }

    private enum CodingKeys: String, CodingKey {
        case p50, p90, p99, max
        case p999 = "p99.9"
    }
}
