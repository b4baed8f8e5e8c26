import ArgumentParser

/// The command line of Apus.
@main
struct Apus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus", abstract: "A clustered, multi-tenant MQTT broker.",
        subcommands: [ServeCommand.self, CheckCommand.self, PasswdCommand.self])
}
