import ArgumentParser

/// The load harness: one command for each way of loading a broker.
@main
struct ApusPerf: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-perf",
        abstract: "Loads any MQTT broker, checks every message, and says what it cost.",
        subcommands: [
            PairCommand.self, FanInCommand.self, FanOutCommand.self, SharedCommand.self,
            PublishCommand.self, SubscribeCommand.self, ConnectCommand.self, IdleCommand.self,
            StormCommand.self, RetainCommand.self, OfflineCommand.self, MixedCommand.self,
            FairnessCommand.self, PresetCommand.self, AutoRateCommand.self, ReportCommand.self,
            CompareCommand.self,
        ],
        helpNames: .long)
}
