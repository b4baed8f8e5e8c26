import Base
import PerfReport

/// Messages that wait in the broker: retained ones, and those of stored sessions.
///
/// ```
///  retain:   publish N retained | subscribers come: all N to each | cleared | nobody gets any
///  offline:  subscribe, leave | publish M to each | come back (at the next address): all M
///            | leave, come back: nothing | sessions forgotten
/// ```
/// Figures are of the phase in which subscribers receive: rate, and CPU for each delivery.
package struct Stored {
    /// What waits for whom.
    package enum Kind: Sendable {
        case retained(messages: Int, filter: String)
        case offline(messagesEach: Int)

        var name: String {
            switch self {
            case .retained: "retain"
            case .offline: "offline"
            }
        }
    }

    private let kind: Kind
    private let options: LoadOptions
    private let broker: ProcessProbe

    package init(_ kind: Kind, _ options: LoadOptions) {
        self.kind = kind
        self.options = options
        broker = ProcessProbe(options.brokerPIDs)
    }

    private static let subscribers = 0
    private static let publishers = 1
    /// How long nothing must come, where nothing may.
    private static let silence = Duration.seconds(1)

    package func run(_ observer: any RunObserver) throws -> RunEnd {
        let run = try LoadRun(options.plan(groups))
        var head = RunHead(options, scenario: kind.name)
        head.publishers = groups[Self.publishers].count
        head.subscribers = groups[Self.subscribers].count
        observer.head(head)
        var end = RunEnd()
        end.memoryBeforeBytes = broker.memoryBytes
        let opening = Opening(run, options)
        if case .offline = kind {
            observer.began("sessions subscribe and leave")
            try opening.open(Self.subscribers)
            opening.close(Self.subscribers)
        }
        try fill(run, observer)
        end.memoryAfterBytes = broker.memoryBytes
        try drain(run, observer, &end)
        let extra = try recheck(run, observer)
        let outcome = run.finish()
        end.sent = Int(outcome.counters.sent)
        end.received = Int(outcome.counters.received)
        end.expected = outcome.expected
        end.lost = outcome.lost
        end.duplicates = outcome.duplicates
        end.orderViolations = outcome.orderViolations
        end.misrouted = Int(outcome.counters.misrouted) + extra
        end.corrupt = Int(outcome.counters.corrupt)
        end.warnings = warnings(outcome, extra: extra)
        observer.end(end, outcome)
        return end
    }

    private var groups: [ClientGroup] {
        switch kind {
        case .retained(_, let filter):
            let publisherCount = options.publishers ?? 1
            var publishers = options.group("pub", publisherCount)
            publishers.publishing = options.publishPlan(
                "\(options.prefix)/retained/%i/%s", streams: publisherCount)
            publishers.publishing?.retain = true
            publishers.publishing?.qos = .atLeastOnce
            var subscribers = options.group("sub", options.subscribers ?? 1)
            subscribers.subscriptions = [
                options.subscribePlan("\(options.prefix)/retained/\(filter)")
            ]
            subscribers.expectation = .every(first: 0, streams: publisherCount)
            subscribers.ignoresOrder = true
            return [subscribers, publishers]
        case .offline:
            let count = options.subscribers ?? 100
            var publishers = options.group("pub", count)
            publishers.publishing = options.publishPlan(
                "\(options.prefix)/offline/%i", streams: count)
            publishers.publishing?.qos = max(options.qos, .atLeastOnce)
            var subscribers = options.group("sub", count)
            subscribers.cleanStart = false
            subscribers.sessionExpiry = 3600
            subscribers.subscriptions = [options.subscribePlan("\(options.prefix)/offline/%i")]
            subscribers.subscriptions[0].qos = max(options.qos, .atLeastOnce)
            subscribers.expectation = .own(first: 0)
            return [subscribers, publishers]
        }
    }

    private var messagesEach: Int {
        switch kind {
        case .retained(let messages, _): messages / max(options.publishers ?? 1, 1)
        case .offline(let messages): messages
        }
    }

    private func publish(_ run: LoadRun, isEmpty: Bool) throws {
        let wanted =
            run.counters.acknowledged
            + UInt64(messagesEach * run.plan.groups[Self.publishers].count)
        var round = PublishRound(
            start: run.now, perSecond: options.perSecond, countMax: UInt32(messagesEach))
        round.isEmpty = isEmpty
        run.publish(Self.publishers, round)
        var last = run.counters.acknowledged
        var lastTime = run.now
        run.wait(.seconds(3600)) {
            let now = run.counters.acknowledged
            if now != last { (last, lastTime) = (now, run.now) }
            return now >= wanted || run.now - lastTime > options.drain
        }
        guard run.counters.acknowledged >= wanted else {
            throw ScenarioError(
                "the broker acknowledged \(run.counters.acknowledged) of \(wanted) messages")
        }
    }

    private func fill(_ run: LoadRun, _ observer: any RunObserver) throws {
        let opening = Opening(run, options)
        try opening.open(Self.publishers)
        let count = messagesEach * run.plan.groups[Self.publishers].count
        observer.began("publishing \(count) messages")
        let start = run.now
        try publish(run, isEmpty: false)
        let seconds = Double((run.now - start).nanoseconds) / 1e9
        observer.began("stored at \(Int(Double(count) / max(seconds, 1e-9))) a second")
    }

    /// Subscribers come; what waits is for them.
    private func drain(
        _ run: LoadRun, _ observer: any RunObserver, _ end: inout RunEnd
    ) throws {
        observer.began("subscribers come")
        let copies = UInt64(run.plan.groups[Self.subscribers].count)
        let wanted =
            switch kind {
            case .retained: UInt64(messagesEach * run.plan.groups[Self.publishers].count) * copies
            case .offline: UInt64(messagesEach) * copies
            }
        let start = run.now
        let cpu = CPUSpan(of: broker)
        let own = CPUSpan(of: .own)
        var sampler = SecondSampler(run, broker, observer, zero: start)
        var last = run.counters.received
        var lastTime = run.now
        try Opening(run, options).open(Self.subscribers) { sampler.sampleIfDue() }
        run.wait(.seconds(3600)) {
            sampler.sampleIfDue()
            let now = run.counters.received
            if now != last { (last, lastTime) = (now, run.now) }
            return now >= wanted || run.now - lastTime > options.drain
        }
        sampler.sample()
        let used = cpu.elapsed()
        end.durationSeconds = Double((run.now - start).nanoseconds) / 1e9
        let received = Double(max(run.counters.received, 1))
        end.receivedPerSecond = received / end.durationSeconds
        end.generatorCPUCores = own.elapsed().seconds / end.durationSeconds
        end.connections = Int(run.counters.ready)
        guard !broker.isEmpty else { return }
        end.brokerCPUCores = used.seconds / end.durationSeconds
        let micros = used.seconds * 1e6 / received
        end.cpuPerMessage = CPUPerMessage(
            user: micros * (1 - used.systemShare), system: micros * used.systemShare)
    }

    /// Once taken, or cleared, nothing may come: how many messages did.
    private func recheck(_ run: LoadRun, _ observer: any RunObserver) throws -> Int {
        let opening = Opening(run, options)
        opening.close(Self.subscribers)
        switch kind {
        case .retained:
            observer.began("clearing")
            try publish(run, isEmpty: true)
        case .offline: break
        }
        let before = arrivals(run)
        try opening.open(Self.subscribers)
        run.wait(Self.silence) { false }
        let extra = arrivals(run) - before
        if case .offline = kind { try opening.forget(Self.subscribers) }
        return Int(extra)
    }

    private func arrivals(_ run: LoadRun) -> UInt64 {
        let counters = run.counters
        return counters.received + counters.duplicates + counters.foreign
    }

    private func warnings(_ outcome: LoadOutcome, extra: Int) -> [String]? {
        var warnings = outcome.failures.prefix(5).map { "\($0.count) times: \($0.text)" }
        if extra > 0 { warnings.append("\(extra) messages came although none was left") }
        return warnings.isEmpty ? nil : warnings
    }
}
