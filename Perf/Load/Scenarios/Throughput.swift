import Base
import PerfReport

/// Why a run could not be made: for the person who asked for it.
package struct ScenarioError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Messages from publishers to subscribers, at a rate or as many as go.
///
/// ```
///  open subscribers, then publishers | warm-up | measured | (system calls counted) | drained
///                                              ^ CPU from here ........................... to here
/// ```
/// CPU of the broker is divided by the deliveries of the same span, up to the last one; if system
/// calls are counted, by those of the measured span alone.
package struct Throughput {
    package let options: LoadOptions
    package let name: String
    private let groups: [ClientGroup]
    private let broker: ProcessProbe

    package init(_ shape: TrafficShape, _ options: LoadOptions) {
        self.init(name: shape.rawValue, groups: shape.groups(options), options)
    }

    package init(name: String, groups: [ClientGroup], _ options: LoadOptions) {
        self.options = options
        self.name = name
        self.groups = groups
        broker = ProcessProbe(options.brokerPIDs)
    }

    package func run(_ observer: any RunObserver) throws -> RunEnd {
        let run = try LoadRun(options.plan(groups))
        var head = RunHead(options, scenario: name)
        head.publishers = groups.filter { $0.publishing != nil }.reduce(0) { $0 + $1.count }
        head.subscribers = groups.filter { $0.publishing == nil }.reduce(0) { $0 + $1.count }
        observer.head(head)
        let memoryBefore = broker.memoryBytes
        try Opening(run, options).openAll(observer)
        var measured = Measurement(run, broker, observer, options)
        measured.run(publishing: groups.indices.filter { groups[$0].publishing != nil })
        let outcome = run.finish()
        var end = measured.end(outcome)
        end.memoryBeforeBytes = memoryBefore
        observer.end(end, outcome)
        return end
    }
}

/// Opens the groups of a run one after the other.
struct Opening {
    let run: LoadRun
    let options: LoadOptions

    init(_ run: LoadRun, _ options: LoadOptions) {
        self.run = run
        self.options = options
    }

    /// Seconds it took.
    @discardableResult
    func openAll(_ observer: any RunObserver) throws -> Double {
        let start = run.now
        for group in run.plan.groups.indices {
            observer.began(
                "opening \(run.plan.groups[group].count) of \(run.plan.groups[group].name)")
            try open(group)
        }
        return Double((run.now - start).nanoseconds) / 1e9
    }

    /// Opens a group and waits until all of its clients are ready.
    func open(_ group: Int) throws {
        let before = run.counters
        run.open(group, perSecond: options.connectsPerSecond)
        let wanted = before.ready + UInt64(run.plan.groups[group].count)
        run.wait(limit(group)) { run.counters.ready >= wanted || isHopeless(before) }
        guard run.counters.ready >= wanted else {
            let reason = run.failures.first?.text ?? "no answer in time"
            throw ScenarioError(
                "\(run.counters.ready - before.ready) of \(run.plan.groups[group].count) "
                    + "clients of \(run.plan.groups[group].name) became ready: \(reason)")
        }
    }

    private func isHopeless(_ before: LoadCounters) -> Bool {
        run.counters.abandoned > before.abandoned
    }

    private func limit(_ group: Int) -> Duration {
        let count = Double(run.plan.groups[group].count)
        let paced = options.connectsPerSecond > 0 ? count / options.connectsPerSecond : 0
        return .seconds(60 + Int(paced + count / 500))
    }
}

extension RunHead {
    /// What the options say about a run.
    init(_ options: LoadOptions, scenario: String) {
        self.init()
        self.scenario = scenario
        name = scenario
        machine = .gather()
        broker.pid = options.brokerPIDs.first
        broker.address = options.target.addresses.first.map { "\($0)" }
        switch options.target.version {
        case .v31: protocolVersion = "3.1"
        case .v311: protocolVersion = "3.1.1"
        case .v5: protocolVersion = "5.0"
        }
        transport = options.target.transportName
        qos = Int(options.qos.rawValue)
        payloadBytes = max(options.payloadBytes, MessageStamp.size)
        offeredPerSecond = options.perSecond > 0 ? options.perSecond : nil
        generatorLoops = options.loops
        seed = options.seed
        warmUpSeconds = options.warmUp.seconds
    }
}

extension Duration {
    var seconds: Double { Double(nanoseconds) / 1e9 }
}
