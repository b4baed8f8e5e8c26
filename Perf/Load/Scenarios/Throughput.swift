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
///                                              ^ CPU from here ..................... to here
/// ```
/// CPU of the broker is divided by the deliveries of the same span, up to the last one; if system
/// calls are counted, by those of the measured span alone.
package struct Throughput {
    package let options: LoadOptions
    package let name: String
    private let groups: [ClientGroup]
    private let broker: ProcessProbe
    /// Messages a second by group, where groups differ.
    private let rates: [Int: Double]

    package init(_ shape: TrafficShape, _ options: LoadOptions) {
        self.init(name: shape.rawValue, groups: shape.groups(options), options)
    }

    package init(
        name: String, groups: [ClientGroup], rates: [Int: Double] = [:], _ options: LoadOptions
    ) {
        self.rates = rates
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
        measured.run(
            publishing: groups.indices.filter { groups[$0].publishing != nil }, rates: rates)
        for group in groups.indices where !groups[group].cleanStart {
            try Opening(run, options).forget(group)
        }
        let outcome = run.finish()
        var end = measured.end(outcome)
        end.memoryBeforeBytes = memoryBefore
        observer.end(end, outcome)
        return end
    }
}

extension RunHead {
    /// What the options say about a run.
    init(_ options: LoadOptions, scenario: String) {
        self.init()
        self.scenario = scenario
        name = scenario
        machine = .gather()
        broker.name = options.brokerName
        broker.loops = options.brokerLoops
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
