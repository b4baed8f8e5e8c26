import ArgumentParser
import Base
import PerfLoad

/// emqtt_bench's `pub` and `sub`: one side alone, the other elsewhere or nowhere.
struct ClientArguments: ParsableArguments {
    @Option(name: [.short, .long], help: "Clients.")
    var count = 200

    @Option(name: [.short, .long], help: "Topic or filter: %i %c %u %s %rand_N.")
    var topic: String

    @Option(name: [.customShort("n"), .customLong("startnumber")], help: "First number.")
    var first = 0

    @Option(
        name: [.customShort("C"), .customLong("clean")],
        help: "Whether sessions begin anew: true or false.")
    var clean = "true"

    @Option(
        name: [.customShort("x"), .customLong("session-expiry")],
        help: "Seconds that a session outlives its connection (MQTT 5).")
    var sessionExpiry: UInt32 = 0

    @Flag(help: "Client ids are the prefix and the number alone.")
    var shortids = false

    func apply(to group: inout ClientGroup, prefix: String) {
        if shortids { group.clientID = TextPattern("\(prefix)%i") }
        group.firstNumber = first
        group.cleanStart = clean != "false"
        group.sessionExpiry = sessionExpiry
    }
}

struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub", abstract: "Publishes; nobody need listen.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @OptionGroup var clients: ClientArguments

    func run() throws {
        var options = try LoadOptions(connection, common, traffic)
        options.publishers = clients.count
        // As emqtt_bench: one message a second of each, unless something else is said.
        let interval = traffic.messageInterval ?? (traffic.rate > 0 ? 0 : 1000)
        if interval > 0 { options.perSecond = 1000 / interval * Double(clients.count) }
        var groups = TrafficShape.publish.groups(options)
        groups[0].publishing?.topic = TextPattern(clients.topic)
        clients.apply(to: &groups[0], prefix: common.prefix)
        let observer = try Observers(common)
        try observer.finish(Throughput(name: "pub", groups: groups, options).run(observer), options)
    }
}

struct SubscribeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub", abstract: "Subscribes, and counts what comes.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @OptionGroup var clients: ClientArguments

    @Option(help: "Publishers that run elsewhere with the same seed, all of whom must be heard.")
    var streams: Int?

    func run() throws {
        var options = try LoadOptions(connection, common, traffic)
        options.subscribers = clients.count
        options.subscribeQoS = options.subscribeQoS ?? options.qos
        var groups = TrafficShape.subscribe.groups(options)
        groups[0].subscriptions[0].filter = TextPattern(clients.topic)
        if let streams { groups[0].expectation = .every(first: 0, streams: streams) }
        clients.apply(to: &groups[0], prefix: common.prefix)
        let observer = try Observers(common)
        try observer.finish(Throughput(name: "sub", groups: groups, options).run(observer), options)
    }
}
