import ArgumentParser
import Base
import PerfLoad

/// A command that moves messages from publishers to subscribers.
protocol TrafficCommand: ParsableCommand {
    static var shape: TrafficShape { get }
    var connection: ConnectionArguments { get }
    var common: RunArguments { get }
    var traffic: TrafficArguments { get }
}

extension TrafficCommand {
    func run() throws {
        let options = try LoadOptions(connection, common, traffic)
        let observer = try Observers(common)
        try observer.finish(Throughput(Self.shape, options).run(observer), options)
    }
}

struct PairCommand: TrafficCommand {
    static let configuration = CommandConfiguration(
        commandName: "pair", abstract: "Publisher i to subscriber i.")
    static let shape = TrafficShape.pair
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
}

struct FanInCommand: TrafficCommand {
    static let configuration = CommandConfiguration(
        commandName: "fan-in", abstract: "Many publishers to few subscribers, by wildcard.")
    static let shape = TrafficShape.fanIn
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
}

struct FanOutCommand: TrafficCommand {
    static let configuration = CommandConfiguration(
        commandName: "fan-out", abstract: "Every publisher to every subscriber.")
    static let shape = TrafficShape.fanOut
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
}

struct SharedCommand: TrafficCommand {
    static let configuration = CommandConfiguration(
        commandName: "shared", abstract: "Every publisher to one shared subscription.")
    static let shape = TrafficShape.shared
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
}
