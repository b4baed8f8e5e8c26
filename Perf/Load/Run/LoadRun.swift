import Base
import CLinux
import EventLoops
import Glibc

/// One run from the main thread's side: starts the loops, gives commands, waits, gathers.
///
/// Scenarios are short scripts over it. Everything that waits has a bound; nothing here touches a
/// client. Used by one thread.
package final class LoadRun {
    package let plan: LoadPlan
    private let exchange: LoadExchange
    private let loops: LoopGroup
    private var isFinished = false

    /// What the loops are asked for and have not been able to do.
    package struct PlanError: Error, CustomStringConvertible {
        package let description: String
    }

    /// Trackers of one run: 24 bytes each.
    static let trackersMax = 64 << 20

    package init(_ plan: LoadPlan) throws {
        try Self.check(plan)
        self.plan = plan
        let hasLag = plan.groups.contains { ($0.publishing?.lag ?? 0) > 0 }
        let exchange = LoadExchange(
            loops: plan.loops, streamCount: hasLag ? plan.streamCount : 0)
        self.exchange = exchange
        let tls = try plan.target.tls.map { try TLSContext.client($0) }
        var options = LoopOptions(poller: plan.poller, workers: plan.loops)
        // The broker is pinned already, perhaps, and must not share its processor by force.
        options.pinsThreads = false
        options.outputHigh = plan.outputMax
        options.outputLow = 0
        options.tls.handshakesMax = max(plan.openingMax, 1) + 1
        let payload = plan.groups.compactMap { $0.publishing?.payloadBytes }.max() ?? 0
        options.inputLimit = max(payload * 2, 0) + (1 << 20)
        loops = try LoopGroup(options: options, listeners: []) { loop in
            LoadWorker(plan, exchange, tls: tls, on: loop)
        }
    }

    deinit { if !isFinished { loops.stop(); loops.join() } }

    private static func check(_ plan: LoadPlan) throws(PlanError) {
        guard plan.loops > 0, plan.loops <= 64 else {
            throw PlanError(description: "between 1 and 64 loops, not \(plan.loops)")
        }
        guard !plan.target.addresses.isEmpty else {
            throw PlanError(description: "no broker to connect to")
        }
        guard plan.streamCount < MessageStamp.streamsMax else {
            throw PlanError(description: "more than \(MessageStamp.streamsMax) publishers")
        }
        let layouts = (0..<plan.loops).map { WorkerLayout(plan, loop: $0) }
        guard layouts.reduce(0, { $0 + $1.trackerCount }) <= trackersMax else {
            throw PlanError(
                description: "too many pairs of publisher and subscriber to check each")
        }
        let clients = plan.groups.reduce(0) { $0 + $1.count }
        guard clients + 64 <= DescriptorLimit.raise() else {
            throw PlanError(
                description: "\(clients) clients need as many open files; see ulimit -n")
        }
    }

    // MARK: Commands

    package func open(_ group: Int, perSecond: Double, forgets: Bool = false) {
        give(.open(group: group, perSecond: perSecond, start: now, forgets: forgets))
    }

    package func publish(_ group: Int, _ round: PublishRound) {
        give(.publish(group: group, round))
    }

    package func pause(_ group: Int) { give(.pause(group: group)) }

    package func measure(from: Instant, until: Instant) {
        give(.measure(from: from, until: until))
    }

    package func close(_ group: Int, isAbrupt: Bool) {
        give(.close(group: group, isAbrupt: isAbrupt))
    }

    private func give(_ command: LoadCommand) {
        exchange.commands.withLock { $0.append(command) }
        for handle in loops.handles { _ = handle.post([0]) }
    }

    // MARK: Looking

    package var now: Instant { Instant(nanoseconds: apus_boot_clock()) }

    package var counters: LoadCounters {
        LoadCounters.sum(
            exchange.counters, loops: plan.loops, stride: LoadExchange.counterStride)
    }

    /// Failures in words, most frequent first.
    package var failures: [(text: String, count: Int)] {
        exchange.failures.withLock { Array($0) }
            .map { (text: $0.key, count: $0.value) }
            .sorted { ($1.count, $0.text) < ($0.count, $1.text) }
    }

    /// The latencies since the last call.
    package func takeSample() -> LatencyHistogram {
        give(.sample)
        wait(.milliseconds(100)) { exchange.samples.withLock { $0.loops } >= plan.loops }
        return exchange.samples.withLock { box in
            defer { box = SampleBox() }
            return box.latency
        }
    }

    /// Waits until the condition holds; false if it does not in time.
    @discardableResult
    package func wait(_ limit: Duration, until condition: () -> Bool) -> Bool {
        let deadline = now + limit
        while !condition() {
            if now >= deadline { return condition() }
            usleep(2_000)
        }
        return true
    }

    // MARK: Ending

    /// Ends all clients and loops, and puts together what they found.
    package func finish() -> LoadOutcome {
        give(.finish)
        loops.join()
        isFinished = true
        let results = exchange.results.withLock { $0 }
        return LoadOutcome(results, failures: failures)
    }
}
