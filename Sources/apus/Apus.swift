import ArgumentParser

/// The command line of Apus.
@main
struct Apus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus", abstract: "A clustered, multi-tenant MQTT broker.",
        version: Release.version,
        subcommands: [ServeCommand.self, CheckCommand.self, PasswdCommand.self, APIKeyCommand.self])
}

/// Which Apus this is.
enum Release {
    static let version = "0.1.0-dev"
}
