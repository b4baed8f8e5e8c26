import ArgumentParser
import Base
import MQTT
import PerfLoad

/// Commands about connections and about what waits in the broker.
struct ConnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conn", abstract: "Opens clients and holds them for --duration.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Option(name: [.short, .long], help: "Clients.") var count = 200

    func run() throws {
        let options = try LoadOptions(connection, common, traffic)
        let observer = try Observers(common)
        try observer.finish(Connections(.open, clients: count, options).run(observer), options)
    }
}

struct IdleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "What a connection with one subscription costs that does nothing.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Option(name: [.short, .long], help: "Clients.") var count = 1000

    func run() throws {
        let options = try LoadOptions(connection, common, traffic)
        let observer = try Observers(common)
        try observer.finish(Connections(.idle, clients: count, options).run(observer), options)
    }
}

struct StormCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm", abstract: "Cuts all clients off and lets them all come back.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Option(name: [.short, .long], help: "Clients.") var count = 1000
    @Option(help: "How often they are cut off.") var rounds = 3

    func run() throws {
        let options = try LoadOptions(connection, common, traffic)
        let observer = try Observers(common)
        try observer.finish(
            Connections(.storm, clients: count, rounds: rounds, options).run(observer), options)
    }
}

struct RetainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retain", abstract: "Retained messages: stored, fetched, cleared.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Option(help: "Retained messages.") var messages = 10_000
    @Option(help: "Filter behind prefix/retained/: # or +/+.") var filter = "#"

    func run() throws {
        var options = try LoadOptions(connection, common, traffic)
        options.qos = max(options.qos, .atLeastOnce)
        let observer = try Observers(common)
        let kind = Stored.Kind.retained(messages: messages, filter: filter)
        try observer.finish(Stored(kind, options).run(observer), options)
    }
}

struct OfflineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "offline",
        abstract: "Stored sessions: filled while away, drained when back, at the next -h.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Option(help: "Messages stored for each session.") var messages = 100

    func run() throws {
        var options = try LoadOptions(connection, common, traffic)
        options.qos = max(options.qos, .atLeastOnce)
        let observer = try Observers(common)
        let kind = Stored.Kind.offline(messagesEach: messages)
        try observer.finish(Stored(kind, options).run(observer), options)
    }
}
