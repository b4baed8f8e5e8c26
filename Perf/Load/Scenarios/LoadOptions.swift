import Base
import EventLoops
import MQTT

/// What a scenario may be told, whatever it is: the command line of `apus-perf` as values.
package struct LoadOptions: Sendable {
    package var target: TargetOptions
    /// Processes of the broker under test, on this machine.
    package var brokerPIDs: [Int32] = []
    /// Where an Apus broker tells what its tables hold.
    package var admin: AdminProbe?
    /// What reports say of the broker.
    package var brokerName = ""
    package var brokerLoops: Int?
    package var loops = 1
    package var poller = PollerKind.epoll
    package var seed: UInt64 = 1
    package var prefix = "apus-perf"
    package var publishers: Int?
    package var subscribers: Int?
    package var topics: Int?
    package var qos = QoS.atMostOnce
    package var subscribeQoS: QoS?
    package var payloadBytes = 64
    package var window = 100
    package var lag = 0
    package var retain = false
    /// Messages a second of all publishers together; 0 for as many as go.
    package var perSecond = 0.0
    /// Connections opened a second; 0 for as many as go.
    package var connectsPerSecond = 0.0
    package var openingMax = 64
    package var warmUp = Duration.seconds(2)
    package var duration = Duration.seconds(10)
    package var drain = Duration.seconds(10)
    /// Messages of all publishers together; 0 for no limit.
    package var limit = 0
    package var countsSystemCalls = false
    package var comparesPayload = true
    /// Subscribers' sessions are stored while they are connected.
    package var storesSessions = false

    package init(target: TargetOptions) { self.target = target }

    /// A plan of these groups with everything else as it was asked for.
    package func plan(_ groups: [ClientGroup]) -> LoadPlan {
        var plan = LoadPlan(target: target, groups: groups)
        plan.loops = loops
        plan.poller = poller
        plan.seed = seed
        plan.openingMax = openingMax
        plan.comparesPayload = comparesPayload
        return plan
    }

    func publishPlan(_ topic: String, streams: Int) -> PublishPlan {
        var plan = PublishPlan(topic: TextPattern(topic), qos: qos, streams: streams)
        plan.retain = retain
        plan.payloadBytes = max(payloadBytes, 16)
        plan.window = window
        plan.lag = qos == .atMostOnce ? lag : 0
        return plan
    }

    func group(_ name: String, _ count: Int) -> ClientGroup {
        ClientGroup(
            name: name, count: count, clientID: TextPattern("\(prefix)-\(name)-\(seed)-%i"))
    }

    func subscribePlan(_ filter: String) -> SubscribePlan {
        SubscribePlan(filter: TextPattern(filter), qos: subscribeQoS ?? qos)
    }
}

/// Who publishes to whom in a throughput scenario.
package enum TrafficShape: String, Sendable, CaseIterable {
    /// Publisher `i` to subscriber `i`.
    case pair
    /// Subscribers share the publishers among them by wildcard.
    case fanIn = "fan-in"
    /// Every publisher to every subscriber.
    case fanOut = "fan-out"
    /// Every publisher to one `$share` group.
    case shared
    /// Publishers alone.
    case publish = "pub"
    /// Subscribers alone.
    case subscribe = "sub"

    /// The clients: subscribers first, if there are any.
    package func groups(_ options: LoadOptions) -> [ClientGroup] {
        switch self {
        case .pair: pair(options)
        case .fanIn: fanIn(options)
        case .fanOut: fanOut(options)
        case .shared: shared(options)
        case .publish: [publishers(options, topic: "\(options.prefix)/%i")]
        case .subscribe: [subscribers(options, ["\(options.prefix)/%i"], 1)]
        }
    }

    private func publishers(
        _ options: LoadOptions, topic: String, default count: Int = 1, copies: Int = 1
    ) -> ClientGroup {
        let count = options.publishers ?? count
        var group = options.group("pub", count)
        group.firstNumber = 0
        group.publishing = options.publishPlan(topic, streams: count)
        group.publishing?.copies = copies
        return group
    }

    private func subscribers(
        _ options: LoadOptions, _ filters: [String], _ count: Int
    ) -> ClientGroup {
        var group = options.group("sub", options.subscribers ?? count)
        group.firstNumber = 0
        group.subscriptions = filters.map(options.subscribePlan)
        if options.storesSessions {
            group.cleanStart = false
            group.sessionExpiry = 3600
        }
        return group
    }

    private func pair(_ options: LoadOptions) -> [ClientGroup] {
        let publishers = publishers(options, topic: "\(options.prefix)/%i")
        var changed = options
        changed.subscribers = publishers.count
        var subscribers = subscribers(changed, ["\(options.prefix)/%i"], 1)
        subscribers.expectation = .own(first: 0)
        return [subscribers, publishers]
    }

    private func fanIn(_ options: LoadOptions) -> [ClientGroup] {
        var subscribers = subscribers(options, ["\(options.prefix)/%i/#"], 1)
        let publishers = publishers(
            options, topic: "\(options.prefix)/%mod_\(subscribers.count)/%i", default: 100)
        subscribers.expectation = .dealt(
            first: 0, streams: publishers.count, among: subscribers.count)
        return [subscribers, publishers]
    }

    private func fanOut(_ options: LoadOptions) -> [ClientGroup] {
        let publisherCount = options.publishers ?? 1
        let topics = options.topics ?? publisherCount
        var subscribers = subscribers(
            options, (0..<topics).map { "\(options.prefix)/\($0)" }, 100)
        subscribers.expectation = .every(first: 0, streams: publisherCount)
        return [
            subscribers,
            publishers(
                options, topic: "\(options.prefix)/%mod_\(topics)", copies: subscribers.count),
        ]
    }

    private func shared(_ options: LoadOptions) -> [ClientGroup] {
        var subscribers = subscribers(options, ["$share/apus-perf/\(options.prefix)/#"], 4)
        let publishers = publishers(options, topic: "\(options.prefix)/%i")
        subscribers.expectation = .shared(first: 0, streams: publishers.count)
        return [subscribers, publishers]
    }
}
