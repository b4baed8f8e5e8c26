import Base
import PerfReport

/// Tells the observer what each second brought.
struct SecondSampler {
    private let run: LoadRun
    private let broker: ProcessProbe
    private let observer: any RunObserver
    /// The time that samples count from.
    private let zero: Instant
    private var last: LoadCounters
    private var lastTime: Instant
    private var cpu: CPUSpan
    private var own: CPUSpan

    init(_ run: LoadRun, _ broker: ProcessProbe, _ observer: any RunObserver, zero: Instant) {
        self.run = run
        self.broker = broker
        self.observer = observer
        self.zero = zero
        last = run.counters
        lastTime = run.now
        cpu = CPUSpan(of: broker)
        own = CPUSpan(of: .own)
    }

    /// When the next sample is due.
    var next: Instant { lastTime + .seconds(1) }

    mutating func sampleIfDue() { if run.now >= next { sample() } }

    mutating func sample() {
        let counters = run.counters
        let now = run.now
        let span = max(Double((now - lastTime).nanoseconds) / 1e9, 1e-9)
        var sample = RunSample()
        sample.atSeconds = Double((now - zero).nanoseconds) / 1e9
        sample.sent = Int(counters.sent - last.sent)
        sample.received = Int(counters.received - last.received)
        sample.receivedPerSecond = Double(sample.received) / span
        sample.generatorCPUCores = own.elapsed().seconds / span
        if !broker.isEmpty {
            sample.brokerCPUCores = cpu.elapsed().seconds / span
            sample.brokerMemoryBytes = broker.memoryBytes
        }
        let latency = run.takeSample()
        if latency.count > 0 { sample.latency = latency.summary }
        sample.connections = Int(counters.ready)
        observer.sample(sample)
        (last, lastTime) = (counters, now)
        cpu = CPUSpan(of: broker)
        own = CPUSpan(of: .own)
    }
}
