import Base
import EventLoops
import Glibc
import MQTT
import PerfReport

/// What one tenant's clients wait when another tenant does its worst, in pairs of phases.
///
/// ```
///  victim      publishes at its modest rate all the time; latency of each phase apart
///  aggressor   ....|#####|...........|#####|#####|........   in every second phase
///              quiet noisy quiet      noisy noisy quiet      pairs, mirrored
/// ```
/// Two runs of clients in one process: the aggressor's loops get what processor time nobody else
/// wants, so that they do not disturb the instrument. Two controls: without an aggressor both
/// phases of a pair are quiet, and an aggressor that troubles another broker shows what its load
/// does to the machine alone.
package struct Fairness {
    /// What the other tenant does.
    package enum Aggression: String, Sendable, CaseIterable {
        case none
        /// Publishes at a rate of which its quota admits a part.
        case quota
        /// Publishes to very many subscribers.
        case fanOut = "fan-out"
    }

    package struct Options: Sendable {
        package var aggression = Aggression.quota
        package var pairs = 10
        package var phase = Duration.seconds(2)
        package var settle = Duration.milliseconds(500)
        package var victim = "victim"
        package var aggressor = "noisy"
        package var victims = 10
        package var aggressors = 4
        /// Of the fan-out.
        package var subscribers = 10_000
        /// Messages a second of all of the aggressor's publishers.
        package var noisyPerSecond = 40_000.0
        package var noisyPayloadBytes = 256
        /// Where the aggressor connects, if not where the victim does.
        package var noisyAddresses: [ListenerAddress] = []

        package init() {}
    }

    /// SCHED_IDLE, which the header hides: threads of this kind give way at once.
    private static let idleScheduling: Int32 = 5

    private let options: Options
    private let load: LoadOptions

    /// `load` says how the victim's clients connect, publish and how fast.
    package init(_ options: Options, _ load: LoadOptions) {
        self.options = options
        self.load = load
    }

    /// What came of it.
    package struct Findings {
        /// Every phase as a run of its own, those of one kind under one broker's name. Loss is
        /// known at the end only: the last one tells of all.
        package var phases: [RunRecord] = []
        package var aggressor: LoadOutcome?
    }

    package func run(_ observer: any RunObserver) throws -> Findings {
        var own = load
        own.publishers = options.victims
        own.target.username = TextPattern("\(options.victim)/client")
        let victim = try LoadRun(own.plan(TrafficShape.pair.groups(own)))
        try Opening(victim, own).openAll(observer)
        victim.publish(1, PublishRound(start: victim.now, perSecond: own.perSecond))
        let aggressor = try Aggressor(options, load, observer)
        victim.wait(load.warmUp) { false }
        var findings = Findings()
        for pair in 0..<options.pairs {
            for isNoisy in pair.isMultiple(of: 2) ? [false, true] : [true, false] {
                if isNoisy { try aggressor?.begin(observer) }
                victim.wait(options.settle) { false }
                let end = measure(victim)
                if isNoisy { aggressor?.pause() }
                victim.wait(options.settle) { false }
                let record = record(end, isNoisy)
                findings.phases.append(record)
                say(record, pair, observer)
            }
        }
        findings.aggressor = aggressor?.finish(observer)
        victim.pause(1)
        waitForAll(victim)
        note(victim.finish(), in: &findings)
        return findings
    }

    /// The longest stall that is measured in full.
    private static let stallMax = Duration.seconds(5)

    private func waitForAll(_ run: LoadRun) {
        let sent = run.counters.sent
        run.wait(Self.stallMax) { run.counters.received >= sent }
    }

    private func measure(_ run: LoadRun) -> RunEnd {
        _ = run.takeSample()
        let broker = ProcessProbe(load.brokerPIDs)
        let (start, cpu) = (run.now, CPUSpan(of: broker))
        run.measure(from: start, until: start + options.phase)
        run.wait(options.phase) { false }
        let seconds = Double((run.now - start).nanoseconds) / 1e9
        let cores = cpu.elapsed().seconds / seconds
        // The latest messages of all are still on their way, and may be those that matter.
        run.wait(.milliseconds(5)) { false }
        waitForAll(run)
        let latency = run.takeSample()
        var end = RunEnd()
        end.durationSeconds = options.phase.seconds
        end.received = latency.count
        end.sent = end.received
        end.expected = end.received
        end.receivedPerSecond = Double(latency.count) / options.phase.seconds
        if latency.count > 0 { end.latency = latency.curve }
        if !broker.isEmpty { end.brokerCPUCores = cores }
        return end
    }

    private func note(_ outcome: LoadOutcome, in findings: inout Findings) {
        guard let last = findings.phases.indices.last, var end = findings.phases[last].end else {
            return
        }
        end.lost = outcome.lost
        end.expected += outcome.lost
        end.duplicates = outcome.duplicates
        end.orderViolations = outcome.orderViolations
        end.misrouted = Int(outcome.counters.misrouted)
        end.corrupt = Int(outcome.counters.corrupt)
        findings.phases[last].end = end
    }

    private func record(_ end: RunEnd, _ isNoisy: Bool) -> RunRecord {
        var head = RunHead(load, scenario: "fairness \(options.aggression.rawValue)")
        head.name = isNoisy ? "noisy" : "quiet"
        head.broker.name = head.name
        head.publishers = options.victims
        head.subscribers = options.victims
        var record = RunRecord(head: head)
        record.end = end
        return record
    }

    private func say(_ record: RunRecord, _ pair: Int, _ observer: any RunObserver) {
        guard let latency = record.end?.latency else { return }
        let (half, most) = (Int(latency.value(at: 50) ?? 0), Int(latency.value(at: 99) ?? 0))
        observer.began(
            "pair \(pair + 1) \(record.head.name): p50 \(half) us, p99 \(most) us, max "
                + "\(Int(latency.max)) us of \(latency.count)")
    }

    /// The other tenant's clients.
    private final class Aggressor {
        private let run: LoadRun
        private let load: LoadOptions
        private let publishers: Int
        private let perSecond: Double
        /// What a held publisher has sent waits in the kernel: it goes with its connection.
        private let leavesAfterwards: Bool
        private var isOpen = true

        init?(
            _ options: Options, _ load: LoadOptions, _ observer: any RunObserver
        ) throws {
            guard options.aggression != .none else { return nil }
            var other = load
            other.target.username = TextPattern("\(options.aggressor)/client")
            if !options.noisyAddresses.isEmpty { other.target.addresses = options.noisyAddresses }
            other.prefix = "\(load.prefix)-noisy"
            other.qos = .atMostOnce
            other.payloadBytes = options.noisyPayloadBytes
            other.publishers = options.aggressors
            other.subscribers = options.subscribers
            let isFanOut = options.aggression == .fanOut
            let shape: TrafficShape = isFanOut ? .fanOut : .pair
            if isFanOut { other.topics = 1 }
            // Of this thread, and so of the loops that it starts; without effect where forbidden.
            var priority = sched_param()
            let scheduling = sched_getscheduler(0)
            _ = sched_setscheduler(0, Fairness.idleScheduling, &priority)
            defer { _ = sched_setscheduler(0, scheduling, &priority) }
            self.load = other
            run = try LoadRun(other.plan(shape.groups(other)))
            publishers = 1
            perSecond = options.noisyPerSecond
            leavesAfterwards = !isFanOut
            try Opening(run, other).openAll(observer)
        }

        func begin(_ observer: any RunObserver) throws {
            if !isOpen { try Opening(run, load).open(publishers) }
            isOpen = true
            run.publish(publishers, PublishRound(start: run.now, perSecond: perSecond))
        }

        func pause() {
            run.pause(publishers)
            guard leavesAfterwards else { return }
            Opening(run, load).close(publishers, isAbrupt: true)
            isOpen = false
        }

        func finish(_ observer: any RunObserver) -> LoadOutcome {
            let outcome = run.finish()
            let counters = outcome.counters
            observer.began("the aggressor sent \(counters.sent), received \(counters.received)")
            return outcome
        }
    }
}
