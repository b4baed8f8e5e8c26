import Base
import PerfReport

/// Warm-up, measured span and drain of a run whose clients are open.
struct Measurement {
    private let run: LoadRun
    private let broker: ProcessProbe
    private let observer: any RunObserver
    private let options: LoadOptions
    private var atStart = LoadCounters()
    private var atEnd = LoadCounters()
    private var drained = LoadCounters()
    private var seconds = 0.0
    private var brokerCPU: (seconds: Double, systemShare: Double) = (0, 0)
    private var brokerCores = 0.0
    private var ownCores = 0.0
    private var systemCalls: SystemCallProbe.Outcome?
    /// While system calls were counted.
    private var messagesPerSecond = 0.0
    private var memoryAfter: Int?

    init(
        _ run: LoadRun, _ broker: ProcessProbe, _ observer: any RunObserver,
        _ options: LoadOptions
    ) {
        self.run = run
        self.broker = broker
        self.observer = observer
        self.options = options
    }

    /// Everything counts from one intended time, a moment from now, so that all loops begin
    /// together.
    mutating func run(publishing groups: [Int], rates: [Int: Double] = [:]) {
        let start = run.now + .milliseconds(100)
        let from = start + options.warmUp
        let until = from + options.duration
        observer.began("warm-up")
        run.measure(from: from, until: until)
        for group in groups {
            run.publish(
                group,
                PublishRound(
                    start: start, perSecond: rates[group] ?? options.perSecond,
                    countMax: countMax(groups)))
        }
        run.wait(from - run.now) { false }
        observer.began("measured")
        _ = run.takeSample()
        let cpu = CPUSpan(of: broker)
        let own = CPUSpan(of: .own)
        atStart = run.counters
        let began = run.now
        sampleSeconds(from: began, until: until)
        atEnd = run.counters
        seconds = Double((run.now - began).nanoseconds) / 1e9
        brokerCPU = cpu.elapsed()
        brokerCores = brokerCPU.seconds / seconds
        ownCores = own.elapsed().seconds / seconds
        countSystemCalls()
        for group in groups { run.pause(group) }
        observer.began("drain")
        waitForTheRest()
        drained = run.counters
        if options.countsSystemCalls {
            drained = atEnd
        } else {
            brokerCPU = cpu.elapsed()
        }
        memoryAfter = broker.memoryBytes
    }

    private func sampleSeconds(from began: Instant, until: Instant) {
        var sampler = SecondSampler(run, broker, observer, zero: began)
        while run.now < until {
            run.wait(min(sampler.next, until) - run.now) { isCountReached }
            sampler.sample()
            if isCountReached { return }
        }
    }

    private var isCountReached: Bool {
        options.limit > 0 && run.counters.sent >= UInt64(options.limit)
    }

    /// Each publisher's share of the limit, rounded up.
    private func countMax(_ groups: [Int]) -> UInt32 {
        guard options.limit > 0 else { return .max }
        let publishers = max(groups.reduce(0) { $0 + run.plan.groups[$1].count }, 1)
        return UInt32(clamping: (options.limit + publishers - 1) / publishers)
    }

    private mutating func countSystemCalls() {
        guard options.countsSystemCalls, !broker.isEmpty else { return }
        observer.began("counting system calls")
        let (before, start) = (run.counters, run.now)
        systemCalls = SystemCallProbe.count(broker.pids)
        let span = Double((run.now - start).nanoseconds) / 1e9
        messagesPerSecond = Double(run.counters.received - before.received) / span
    }

    /// Until everything has come, or nothing has for two seconds (more, if draining may take
    /// long).
    private func waitForTheRest() {
        let quiet = max(options.drain / 5, min(.seconds(2), options.drain))
        var last = run.counters
        var quietSince = run.now
        run.wait(options.drain) {
            let counters = run.counters
            if counters.received != last.received || counters.acknowledged != last.acknowledged {
                (last, quietSince) = (counters, run.now)
            }
            return isComplete(counters) || run.now - quietSince > quiet
        }
    }

    private func isComplete(_ counters: LoadCounters) -> Bool {
        let isAcknowledged = options.qos == .atMostOnce || counters.acknowledged >= counters.sent
        let hasSubscribers = run.plan.groups.contains { !$0.subscriptions.isEmpty }
        return isAcknowledged
            && (!hasSubscribers || counters.received >= expected(counters))
    }

    /// Deliveries to come of what was sent, where each message has as many copies.
    private func expected(_ counters: LoadCounters) -> UInt64 {
        let copies = Set(run.plan.groups.compactMap { $0.publishing?.copies })
        // Else it is over when nothing comes any more.
        return copies.count == 1 ? counters.sent * UInt64(copies.first ?? 1) : .max
    }

    // MARK: What came out

    func end(_ outcome: LoadOutcome) -> RunEnd {
        var end = RunEnd()
        end.durationSeconds = seconds
        end.sent = Int(outcome.counters.sent)
        end.received = Int(outcome.counters.received)
        end.expected = outcome.expected
        end.lost = outcome.lost
        end.duplicates = outcome.duplicates
        end.orderViolations = outcome.orderViolations
        end.misrouted = Int(outcome.counters.misrouted)
        end.corrupt = Int(outcome.counters.corrupt)
        end.receivedPerSecond = Double(atEnd.received - atStart.received) / seconds
        if outcome.latency.count > 0 { end.latency = outcome.latency.curve }
        if outcome.sendDelay.count > 0 { end.sendDelay = outcome.sendDelay.summary }
        end.connections = Int(atEnd.ready)
        addProcesses(to: &end)
        end.warnings = warnings(outcome)
        return end
    }

    private func addProcesses(to end: inout RunEnd) {
        end.generatorCPUCores = ownCores
        end.isGeneratorBound = ownCores > 0.9 * Double(options.loops)
        guard !broker.isEmpty else { return }
        end.brokerCPUCores = brokerCores
        end.memoryAfterBytes = memoryAfter
        let messages = Double(drained.received - atStart.received)
        let sent = Double(drained.sent - atStart.sent)
        let divisor = messages > 0 ? messages : sent
        if divisor > 0 {
            let micros = brokerCPU.seconds * 1e6 / divisor
            end.cpuPerMessage = CPUPerMessage(
                user: micros * (1 - brokerCPU.systemShare),
                system: micros * brokerCPU.systemShare)
        }
        switch systemCalls {
        case .perSecond(let count) where messagesPerSecond > 0:
            end.syscallsPerMessage = count / messagesPerSecond
        case .perSecond: end.syscallsUnavailable = "no message while system calls were counted"
        case .unavailable(let reason): end.syscallsUnavailable = reason
        case nil: break
        }
    }

    private func warnings(_ outcome: LoadOutcome) -> [String]? {
        var warnings: [String] = []
        if ownCores > 0.9 * Double(options.loops) {
            warnings.append(
                "the generator used \(Int(ownCores * 100)) % of a core with \(options.loops) "
                    + "loops: it may be the limit, not the broker")
        }
        if options.perSecond == 0, options.qos == .atMostOnce, options.lag == 0 {
            warnings.append(
                "QoS 0 without rate and lag: messages queue without bound, and latency says how "
                    + "long the queue was")
        }
        if outcome.counters.lagResets > 0 {
            warnings.append(
                "\(outcome.counters.lagResets) times a lag window stood still and was freed")
        }
        if outcome.counters.foreign > 0 {
            warnings.append("\(outcome.counters.foreign) messages of other runs were ignored")
        }
        for failure in outcome.failures.prefix(5) {
            warnings.append("\(failure.count) times: \(failure.text)")
        }
        return warnings.isEmpty ? nil : warnings
    }
}

extension LatencyHistogram {
    package var summary: LatencySummary {
        LatencySummary(
            p50: value(at: 50), p90: value(at: 90), p99: value(at: 99), p999: value(at: 99.9),
            max: max)
    }

    package var curve: LatencyCurve {
        LatencyCurve(count: count, mean: mean, max: max) { value(at: $0) }
    }
}
