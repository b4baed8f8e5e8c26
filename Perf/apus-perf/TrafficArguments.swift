import ArgumentParser
import Base
import EventLoops
import MQTT
import PerfLoad

/// What every command may be told about the run itself.
struct RunArguments: ParsableArguments {
    @Option(help: "Processes of the broker, by comma: its CPU time and memory are read.")
    var pid: String?

    @Option(help: "Admin port of an Apus broker, as 127.0.0.1:8091: idle asks it for its memory.")
    var admin: String?

    @Option(help: "Event loops (threads) of this program.")
    var loops = 1

    @Option(help: "epoll or uring.")
    var poller = PollerKind.epoll

    @Option(help: "Decides everything that chance decides.")
    var seed: UInt64 = 1

    @Option(help: "What topics and client ids begin with.")
    var prefix = "apus-perf"

    @Option(help: "File to which the run is appended, a line of JSON for each second.")
    var json: String?

    @Option(help: "What reports are to call the broker.")
    var broker: String?

    @Option(help: "Loops of the broker: the axis of scaling plots.")
    var brokerLoops: Int?

    @Option(help: "The run's name in reports.")
    var name: String?

    @Flag(help: "Says nothing while it runs.")
    var quiet = false
}

extension PollerKind: ExpressibleByArgument {}

/// How much is published, and for how long: the letters are emqtt_bench's.
struct TrafficArguments: ParsableArguments {
    @Option(help: "Publishers.")
    var publishers: Int?

    @Option(help: "Subscribers.")
    var subscribers: Int?

    @Option(help: "Topics.")
    var topics: Int?

    @Option(name: [.short, .long], help: "QoS of publishing.")
    var qos: UInt8 = 0

    @Option(help: "QoS of subscribing; as -q if not given.")
    var subQos: UInt8?

    @Option(name: [.short, .long], help: "Bytes of a payload, 16 at least.")
    var size = 64

    @Flag(name: [.short, .long], help: "Messages are retained.")
    var retain = false

    @Option(
        name: [.customShort("F"), .customLong("inflight")],
        help: "QoS 1 and 2: messages of a publisher without their last acknowledgement.")
    var window = 100

    @Option(help: "QoS 0: messages of a publisher that were sent and not received; 0: no bound.")
    var lag = 0

    @Option(help: "Messages a second of all publishers together, 0 for as many as go.")
    var rate = 0.0

    @Option(
        name: [.customShort("I"), .customLong("interval_of_msg")],
        help: "Milliseconds between two messages of a publisher, instead of --rate.")
    var messageInterval: Double?

    @Option(
        name: [.customShort("L"), .customLong("limit")],
        help: "Messages of all publishers together, 0 for no limit.")
    var limit = 0

    @Option(
        name: [.customShort("w"), .customLong("wait-before-publishing")],
        help: "true: nobody publishes before all clients are ready. There is no other way here.")
    var waits = "true"

    @Option(help: "Seconds of publishing before measuring begins.")
    var warmup = 2.0

    @Option(help: "Seconds measured.")
    var duration = 10.0

    @Option(help: "Seconds at most to wait for what is on its way.")
    var drain = 10.0

    @Flag(help: "Counts the broker's system calls for a second after measuring (needs perf).")
    var syscalls = false

    @Flag(name: .customLong("no-verify"), help: "Payloads are not compared byte by byte.")
    var leavesPayload = false
}

extension LoadOptions {
    /// The options of a command line.
    init(
        _ connection: ConnectionArguments, _ run: RunArguments, _ traffic: TrafficArguments
    ) throws {
        self.init(target: try connection.target())
        connectsPerSecond =
            connection.interval.map { $0 > 0 ? 1000 / $0 : 0 }
            ?? connection.connectsPerSecond
        openingMax = max(connection.inFlightConnects, 1)
        brokerPIDs = try (run.pid ?? "").split(separator: ",").map { text in
            guard let pid = Int32(text) else { throw ValidationError("\(text) is no process") }
            return pid
        }
        guard ProcessProbe(brokerPIDs).isReadable else {
            throw ValidationError("--pid: there is no such process")
        }
        if let text = run.admin {
            guard let probe = AdminProbe(text) else {
                throw ValidationError("--admin is an IPv4 address and a port")
            }
            admin = probe
        }
        loops = run.loops
        poller = run.poller
        seed = run.seed
        prefix = run.prefix
        brokerName = run.broker ?? ""
        brokerLoops = run.brokerLoops
        try take(traffic)
    }

    private mutating func take(_ traffic: TrafficArguments) throws {
        guard let qos = QoS(rawValue: traffic.qos) else { throw ValidationError("-q is 0 to 2") }
        self.qos = qos
        if let value = traffic.subQos {
            guard let qos = QoS(rawValue: value) else {
                throw ValidationError("--sub-qos is 0 to 2")
            }
            subscribeQoS = qos
        }
        publishers = traffic.publishers
        subscribers = traffic.subscribers
        topics = traffic.topics
        payloadBytes = traffic.size
        retain = traffic.retain
        window = min(max(traffic.window, 1), 65_535)
        lag = traffic.lag
        perSecond = traffic.rate
        if let interval = traffic.messageInterval, interval > 0 {
            perSecond = 1000 / interval * Double(publishers ?? 1)
        }
        guard traffic.waits == "true" else {
            throw ValidationError("-w: clients always wait for all others")
        }
        limit = max(traffic.limit, 0)
        warmUp = .milliseconds(Int(traffic.warmup * 1000))
        duration = .milliseconds(Int(traffic.duration * 1000))
        drain = .milliseconds(Int(traffic.drain * 1000))
        countsSystemCalls = traffic.syscalls
        comparesPayload = !traffic.leavesPayload
    }
}
