import Foundation
import PerfReport

/// Runs that look like real ones, for tests of what is made of them.
enum SampleRuns {
    /// A run of so many seconds against a broker that answers in about `latency` microseconds.
    static func run(
        _ broker: String, name: String = "pair-q1", rate: Double? = nil, seconds: Int = 30,
        latency: Double = 120, loops: Int? = nil, perSecond: Double = 10_000
    ) -> RunRecord {
        var run = RunRecord(head: head(broker, name: name))
        run.head.offeredPerSecond = rate
        run.head.broker.loops = loops
        for second in -4..<seconds {
            run.samples.append(sample(second, latency, rate ?? perSecond))
        }
        run.end = end(seconds, latency, rate ?? perSecond)
        return run
    }

    static func head(_ broker: String, name: String) -> RunHead {
        var head = RunHead()
        head.name = name
        head.scenario = "pair"
        head.startedAt = "2026-01-02T03:04:05Z"
        head.broker.name = broker
        head.broker.version = broker == "mosquitto" ? "2.0.11" : "0.2.0"
        head.broker.configuration = "listener 0 127.0.0.1\nallow_anonymous true\n"
        head.broker.pid = broker == "mosquitto" ? 4_321 : 4_322
        head.machine = MachineFacts()
        head.machine.kernel = "Linux 6.1.0-13-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1"
        head.machine.cpuModel = "Some Processor at 2.60GHz"
        head.machine.cpuCount = 2
        head.machine.memoryBytes = 8 << 30
        head.machine.openFilesMax = 20_000
        head.machine.sysctls = [
            "net.core.somaxconn": "4096", "net.ipv4.tcp_rmem": "4096 131072 6291456",
            "net.ipv4.ip_local_port_range": "32768 60999",
        ]
        head.options = ["pair", "-q", "1", "-s", "64", "--name", "a pair's run"]
        head.commit = "0123456789ab"
        head.protocolVersion = "5.0"
        head.qos = 1
        head.payloadBytes = 64
        head.publishers = 10
        head.subscribers = 10
        head.seed = 7
        head.warmUpSeconds = 4
        return head
    }

    /// Waves, so that curves can be told apart; no randomness, so that pages stay the same.
    private static func sample(_ second: Int, _ latency: Double, _ rate: Double) -> RunSample {
        let wave = 1 + 0.08 * sin(Double(second) / 3 + latency)
        var sample = RunSample()
        sample.atSeconds = Double(second + 1)
        sample.sent = Int(rate)
        sample.received = Int(rate * wave)
        sample.receivedPerSecond = rate * wave
        sample.latency = LatencySummary(
            p50: latency * wave, p90: latency * 1.7 * wave, p99: latency * 4 * wave * wave,
            p999: latency * 12, max: latency * 30)
        sample.brokerCPUCores = min(1, rate * wave / 20_000)
        sample.generatorCPUCores = min(1, rate * wave / 30_000)
        sample.brokerMemoryBytes = 9_000_000 + second * 1_000
        return sample
    }

    private static func end(_ seconds: Int, _ latency: Double, _ rate: Double) -> RunEnd {
        let count = Int(rate) * seconds
        var end = RunEnd()
        end.durationSeconds = Double(seconds)
        end.sent = count
        end.expected = count
        end.received = count
        end.receivedPerSecond = rate
        end.latency = LatencyCurve(count: count, mean: latency * 1.3, max: latency * 60) {
            min(latency * 60, latency * (0.5 + pow(0.4 - log10(1 - $0 / 100), 2.2)))
        }
        end.cpuPerMessage = CPUPerMessage(user: latency / 40, system: latency / 15)
        end.syscallsPerMessage = 0.25
        end.brokerCPUCores = 0.5
        end.generatorCPUCores = 0.33
        end.memoryBeforeBytes = 8_900_000
        end.memoryAfterBytes = 9_100_000
        end.connections = 20
        return end
    }

    /// Connections are opened, no message is sent.
    static func idle(_ broker: String, bytesEach: Int) -> RunRecord {
        var run = RunRecord(head: head(broker, name: "idle"))
        run.head.scenario = "idle"
        for second in 1...20 {
            var sample = RunSample()
            sample.atSeconds = Double(second)
            sample.connections = min(second * 800, 12_000)
            let noise = 150_000 * sin(Double(second * 7))
            sample.brokerMemoryBytes =
                9_000_000 + (sample.connections ?? 0) * bytesEach + Int(noise)
            sample.brokerCPUCores = second < 16 ? 0.4 : 0.02
            run.samples.append(sample)
        }
        var end = RunEnd()
        end.durationSeconds = 20
        end.connections = 12_000
        end.connectsPerSecond = 800
        end.memoryBeforeBytes = 9_000_000
        end.memoryAfterBytes = 9_000_000 + 12_000 * bytesEach
        end.bytesPerConnection = Double(bytesEach)
        end.bytesByOwner = [
            OwnerBytes(owner: "session", bytes: 12_000 * 256, count: 12_000),
            OwnerBytes(owner: "connection", bytes: 12_000 * 192, count: 12_000),
            OwnerBytes(owner: "receive blocks", bytes: 1 << 20, count: 64),
            OwnerBytes(owner: "allocator", bytes: 700_000),
        ]
        end.syscallsUnavailable = "perf events are not permitted here"
        run.end = end
        return run
    }

    static func load(_ broker: String, knee: Double) -> [RunRecord] {
        [2_000.0, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000].map { rate in
            let load = min(rate / knee, 0.995)
            var record = run(
                broker, name: "pair-rates", rate: rate, seconds: 10, latency: 60 / (1 - load))
            if rate > knee { record.end?.receivedPerSecond = knee }
            return record
        }
    }

    static func scaling(_ broker: String, share: Double) -> [RunRecord] {
        [1, 2, 4, 8].map { loops in
            let rate = 90_000 * pow(Double(loops), share)
            return run(broker, name: "saturated", seconds: 5, loops: loops, perSecond: rate)
        }
    }

    static func faulty() -> RunRecord {
        var record = run("apus", name: "three nodes, one dies", rate: 5_000, seconds: 60)
        record.faults = [
            RunFault(atSeconds: 20, text: "kill -9 node 2"),
            RunFault(atSeconds: 21, text: "partition: node 3 alone"),
            RunFault(atSeconds: 40, text: "node 2 is back"),
        ]
        for index in record.samples.indices where (25..<28).contains(index) {
            record.samples[index].received = 0
            record.samples[index].receivedPerSecond = 0
            record.samples[index].latency = nil
        }
        record.samples[28].latency = LatencySummary(
            p50: 1_500_000, p90: 2e6, p99: 3e6, p999: 3.1e6, max: 3.2e6)
        record.end?.lost = 12
        record.end?.received -= 12
        record.end?.duplicates = 1
        record.end?.isGeneratorBound = true
        record.end?.warnings = ["the run was shorter than a minute"]
        return record
    }

    static let hostileText =
        "</text></title></style><script>alert(1)</script>\"' onload=\"x\u{202E}gnp\u{0}&amp; "
        + String(repeating: "M", count: 300)

    /// Every text is an attack.
    static func hostile() -> RunRecord {
        var record = faulty()
        let text = hostileText
        record.head.name = text
        record.head.scenario = text
        record.head.startedAt = text
        record.head.broker.name = text
        record.head.broker.version = text
        record.head.broker.configuration = text + "\n" + text
        record.head.broker.address = text
        record.head.broker.poller = text
        record.head.machine.kernel = text
        record.head.machine.cpuModel = text
        record.head.machine.cpuGovernor = text
        record.head.machine.sysctls = [text: text]
        record.head.options = [text, ""]
        record.head.commit = text
        record.head.protocolVersion = text
        record.head.transport = text
        record.faults.append(RunFault(atSeconds: 50, text: text))
        record.end?.syscallsPerMessage = nil
        record.end?.syscallsUnavailable = text
        record.end?.bytesByOwner = [OwnerBytes(owner: text, bytes: Int.max, count: 0)]
        record.end?.warnings = [text]
        return record
    }

    /// Figures that nothing should have written.
    static func absurd() -> RunRecord {
        var record = run("apus", name: "absurd", seconds: 3)
        record.head.offeredPerSecond = -.infinity
        record.head.warmUpSeconds = .nan
        record.head.broker.loops = Int.min
        record.samples[0].atSeconds = .nan
        record.samples[1].receivedPerSecond = .infinity
        record.samples[2].atSeconds = -1e300
        record.samples[3].latency?.p50 = -5
        record.samples[4].latency?.p99 = 1e300
        record.samples[4].brokerMemoryBytes = Int.max
        record.samples[5].connections = Int.max
        record.faults = [RunFault(atSeconds: .infinity, text: "never")]
        record.end?.sent = Int.max
        record.end?.lost = Int.max
        record.end?.duplicates = Int.max
        record.end?.durationSeconds = 0
        record.end?.receivedPerSecond = 1e308
        record.end?.latency?.points.append(PercentilePoint(percentile: 1e9, value: .infinity))
        record.end?.latency?.points.append(PercentilePoint(percentile: .nan, value: 0))
        record.end?.latency?.count = Int.max
        record.end?.cpuPerMessage = CPUPerMessage(user: .nan, system: .infinity)
        record.end?.bytesPerConnection = -.infinity
        return record
    }
}
