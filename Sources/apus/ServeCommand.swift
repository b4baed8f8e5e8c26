import ArgumentParser
import Policy

/// `apus serve`: runs a node.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run a node.")

    @OptionGroup var options: OptionArguments

    @Flag(help: "Print the configuration in force, with the origin of every value, and exit.")
    var printConfig = false

    @Option(
        name: .long, help: "Write a JSON object with pid and bound addresses there when ready.")
    var readyFile: String?

    func run() throws {
        let outcome = options.load()
        for warning in outcome.warnings { Terminal.complain("warning: \(warning)") }
        for error in outcome.errors { Terminal.complain("error: \(error)") }
        if !outcome.errors.isEmpty { throw ExitCode.failure }
        if printConfig {
            print(ConfigurationPages.render(outcome), terminator: "")
            return
        }
        try Serve.run(outcome.configuration, readyFile: readyFile) { options.load() }
    }
}
