import Foundation
import PerfReport
import TestKit
import Testing

@Suite struct RunRecordTests {
    static func sampleRun() -> RunRecord {
        var head = RunHead()
        head.name = "pair-q1"
        head.scenario = "pair"
        head.startedAt = "2026-01-02T03:04:05Z"
        head.broker.name = "apus"
        head.broker.loops = 2
        head.machine.kernel = "Linux 6.1"
        head.machine.cpuModel = "Some CPU"
        head.machine.cpuCount = 2
        head.machine.sysctls = ["net.core.somaxconn": "4096"]
        head.options = ["pair", "-q", "1"]
        head.protocolVersion = "5.0"
        head.qos = 1
        head.payloadBytes = 64
        head.offeredPerSecond = 1000
        var run = RunRecord(head: head)
        var sample = RunSample()
        sample.atSeconds = 1
        sample.sent = 1000
        sample.received = 999
        sample.receivedPerSecond = 999
        sample.latency = LatencySummary(p50: 80, p90: 120, p99: 300.5, p999: 900, max: 1000)
        sample.brokerCPUCores = 0.25
        sample.brokerMemoryBytes = 12_345_678
        run.samples = [sample]
        run.faults = [RunFault(atSeconds: 1.5, text: "kill node 2")]
        var end = RunEnd()
        end.durationSeconds = 1
        end.sent = 1000
        end.expected = 1000
        end.received = 1000
        end.receivedPerSecond = 1000
        end.latency = LatencyCurve(
            count: 1000, mean: 90.5, max: 1000,
            points: [.init(percentile: 50, value: 80), .init(percentile: 100, value: 1000)])
        end.cpuPerMessage = CPUPerMessage(user: 0.5, system: 3.25)
        end.syscallsUnavailable = "not permitted"
        end.bytesByOwner = [OwnerBytes(owner: "session", bytes: 512, count: 1)]
        run.end = end
        return run
    }

    static let golden = """
        {"broker":{"loops":2,"name":"apus"},"format":1,"line":"run","machine":{"cpu_count":2,\
        "cpu_model":"Some CPU","kernel":"Linux 6.1","sysctls":{"net.core.somaxconn":"4096"}},\
        "name":"pair-q1","offered_per_second":1000,"options":["pair","-q","1"],\
        "payload_bytes":64,"protocol_version":"5.0","qos":1,"scenario":"pair",\
        "started_at":"2026-01-02T03:04:05Z","transport":"tcp"}
        {"at_seconds":1,"broker_cpu_cores":0.25,"broker_memory_bytes":12345678,\
        "latency_us":{"max":1000,"p50":80,"p90":120,"p99":300.5,"p99.9":900},"line":"second",\
        "received":999,"received_per_second":999,"sent":1000}
        {"at_seconds":1.5,"line":"fault","text":"kill node 2"}
        {"bytes_by_owner":[{"bytes":512,"count":1,"owner":"session"}],\
        "cpu_us_per_message":{"system":3.25,"user":0.5},"duplicates":0,"duration_seconds":1,\
        "expected":1000,"latency_us":{"count":1000,"max":1000,"mean":90.5,"points":[\
        {"percentile":50,"value_us":80},{"percentile":100,"value_us":1000}]},"line":"end",\
        "lost":0,"order_violations":0,"received":1000,"received_per_second":1000,"sent":1000,\
        "syscalls_unavailable":"not permitted"}

        """

    @Test func `a run is written as these lines`() throws {
        #expect(try Self.sampleRun().text() == Self.golden)
    }

    @Test func `what was written is read`() throws {
        #expect(try RunRecordReader.read(Self.golden, file: "f") == [Self.sampleRun()])
    }

    @Test func `a file may hold several runs, empty lines, unknown fields and unknown lines`()
        throws
    {
        let more = Self.golden.replacing(
            "\"line\":\"fault\"", with: "\"line\":\"fault\",\"severity\":{\"of\":[1,2]}")
        let text = Self.golden + "\n\r\n{\"line\":\"weather\",\"sun\":true}\n" + more
        let runs = try RunRecordReader.read(text, file: "f")
        #expect(runs == [Self.sampleRun(), Self.sampleRun()])
    }

    @Test func `a run that was cut short is read without its end`() throws {
        let lines = Self.golden.split(separator: "\n").prefix(2).joined(separator: "\n")
        let run = try #require(try RunRecordReader.read(lines, file: "f").first)
        #expect(run.end == nil && run.samples.count == 1)
    }

    @Test func `a newer form is refused by its number, whatever else it holds`() {
        let text = "\n{\"line\":\"run\",\"format\":2,\"broker\":[]}\n"
        let error = #expect(throws: RunRecordError.self) {
            try RunRecordReader.read(text, file: "runs.jsonl")
        }
        #expect(
            error?.description == "runs.jsonl:2: has format 2, written by a newer apus-perf; "
                + "this one reads up to 1")
    }

    @Test(arguments: [
        ("{", "f:1: is no line of a run: not JSON"),
        ("\u{FFFD}\0", "f:1: is no line of a run: not JSON"),
        ("[]", "f:1: is no line of a run: it has another type"),
        ("{\"line\":3}", "f:1: is no line of a run: line has another type"),
        ("{\"line\":\"run\",\"format\":1}", "f:1: is no line of a run: name is missing"),
        (
            "{\"line\":\"fault\",\"at_seconds\":1,\"text\":\"x\"}",
            "f:1: belongs to no run: a line of kind \"run\" comes first"
        ),
    ])
    func `a damaged file is refused with its line`(text: String, words: String) {
        let error = #expect(throws: RunRecordError.self) {
            try RunRecordReader.read(text, file: "f")
        }
        #expect(error?.description == words)
    }

    @Test func `a file is read, and one that is not there is told`() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(Self.golden, to: "runs.jsonl")
        #expect(try RunRecordReader.read(path: path) == [Self.sampleRun()])
        let error = #expect(throws: RunRecordError.self) {
            try RunRecordReader.read(path: "/nowhere/f")
        }
        #expect(error?.description == "/nowhere/f cannot be read")
    }

    @Test func `figures that are no numbers survive`() throws {
        var run = Self.sampleRun()
        run.end?.bytesPerConnection = .infinity
        run.samples[0].brokerCPUCores = .nan
        let read = try RunRecordReader.read(try run.text(), file: "f")
        #expect(read[0].end?.bytesPerConnection == .infinity)
        #expect(read[0].samples[0].brokerCPUCores?.isNaN == true)
    }

    @Test func `a curve has points up to the last message and ends with the largest value`() {
        let curve = LatencyCurve(count: 10_000, mean: 0, max: 777) { $0 * 2 }
        #expect(curve.points.first == PercentilePoint(percentile: 0, value: 0))
        #expect(curve.points.last == PercentilePoint(percentile: 100, value: 777))
        let beforeLast = curve.points[curve.points.count - 2].percentile
        #expect(beforeLast > 99.98 && beforeLast < 100)
        #expect(
            zip(curve.points, curve.points.dropFirst()).allSatisfy { $0.percentile < $1.percentile }
        )
        #expect(curve.value(at: 50) == 100)
        let none = LatencyCurve(count: 0, mean: 0, max: 0) { $0 }
        #expect(none.points.isEmpty && none.value(at: 50) == nil)
    }

    @Test func `the facts of this machine are found`() {
        let facts = MachineFacts.gather()
        #expect(facts.kernel.hasPrefix("Linux "))
        #expect(facts.cpuCount >= 1)
        #expect((facts.memoryBytes ?? 0) > 1 << 20)
        #expect(facts.sysctls["net.ipv4.ip_local_port_range"]?.split(separator: " ").count == 2)
    }

    @Test func `a broker that somebody else started is described by what the system knows`() throws
    {
        let process = try ChildProcess(path: "/bin/sleep", arguments: ["1000"])
        defer { process.terminate() }
        // Until it is sleep it is a copy of this program, and for a moment neither.
        var facts = BrokerFacts()
        let deadline = ContinuousClock.now + .seconds(20)
        while facts.name != "sleep" || facts.configuration != "/bin/sleep 1000" {
            try #require(process.isRunning && ContinuousClock.now < deadline, "\(facts)")
            facts = BrokerFacts()
            facts.describe(process: process.pid)
        }
        #expect(facts.pid == process.pid)
        facts.name = "a"
        facts.configuration = "b"
        facts.describe(process: process.pid)
        #expect(facts.name == "a" && facts.configuration == "b")
    }

    @Test func `facts that cannot be read are left out`() throws {
        let directory = try TemporaryDirectory()
        let facts = MachineFacts.gather(root: directory.path)
        #expect(facts.kernel.isEmpty && facts.sysctls.isEmpty && facts.memoryBytes == nil)
    }

    @Test func `a control group's quota is told in cores`() throws {
        let directory = try TemporaryDirectory()
        let folder = directory.path + "/sys/fs/cgroup"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "150000 100000\n".write(toFile: folder + "/cpu.max", atomically: true, encoding: .utf8)
        #expect(MachineFacts.gather(root: directory.path).cpuQuotaCores == 1.5)
        try "max 100000\n".write(toFile: folder + "/cpu.max", atomically: true, encoding: .utf8)
        #expect(MachineFacts.gather(root: directory.path).cpuQuotaCores == nil)
    }
}
