import ArgumentParser
import Base
import PerfLoad

/// Commands that are made of others: a mixture, a published workload, a search.
struct MixedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mixed", abstract: "Telemetry, commands, alarms and idle clients at once.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Option(name: [.short, .long], help: "Devices.") var count = 1000

    func run() throws {
        var options = try LoadOptions(connection, common, traffic)
        if options.perSecond == 0 { options.perSecond = 1000 }
        let (groups, rates) = Mixed.make(options, devices: count)
        let observer = try Observers(common)
        try observer.finish(
            Throughput(name: "mixed", groups: groups, rates: rates, options).run(observer), options)
    }
}

struct PresetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preset",
        abstract: "A workload that others have published figures of.",
        discussion: "Known names (any numbers may stand in them):\n"
            + Preset.known.joined(separator: "\n"))
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Argument(help: "Name of the preset.") var preset: String
    @Option(help: "Multiplies clients and rates.") var scale = 1.0

    func run() throws {
        guard let found = Preset(preset), scale > 0 else {
            throw ValidationError("no preset is called \(preset); see --help")
        }
        let options = try LoadOptions(connection, common, traffic)
        let observer = try Observers(common)
        try observer.finish(found.scaled(scale).run(options, observer), options)
    }
}

extension TrafficShape: ExpressibleByArgument {}

struct AutoRateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "autorate",
        abstract: "Finds the highest rate at which latency stays below a bound.")
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments
    @Argument(help: "pair, fan-in, fan-out or shared.") var shape: TrafficShape
    @Option(help: "The bound in milliseconds.") var latency = 5.0
    @Option(help: "The percentile that is bounded.") var percentile = 99.0
    @Option(help: "The first rate tried.") var start = 1000.0
    @Option(help: "The highest rate tried.") var maximum = 10_000_000.0

    func run() throws {
        var options = try LoadOptions(connection, common, traffic)
        options.lag = 0
        let observer = try Observers(common)
        var search = RateSearch(
            start: start, rateMax: maximum, latencyMax: .microseconds(Int64(latency * 1000)),
            percentile: percentile)
        _ = try search.run(shape, options, observer)
        guard let rate = search.highestHeld else {
            throw ValidationError("no rate held; try a lower --start or a higher --latency")
        }
        observer.began(
            "highest rate with p\(percentile) within \(latency) ms: \(Int(rate)) a second")
    }
}
