import ArgumentParser
import Foundation
import Policy

/// Arguments that say where options come from.
struct OptionArguments: ParsableArguments {
    @Option(name: .long, help: "The configuration file (YAML).")
    var config: String?

    @Option(
        name: .long, help: ArgumentHelp("Overrides one option.", valueName: "name=value"))
    var set: [String] = []

    @Option(name: .long, help: "The data directory; the same as --set dataDirectory=DIR.")
    var data: String?

    /// Reads all sources, the weaker first.
    func load() -> ConfigurationDecoder.Outcome {
        var errors: [OptionError] = []
        var sources: [OptionValue] = []
        if let config {
            do throws(OptionError) {
                sources.append(try ConfigurationFile.load(config))
            } catch {
                errors.append(error)
            }
        }
        let variables = ProcessInfo.processInfo.environment.map { (name: $0.key, value: $0.value) }
        let environment = OptionSources.environment(variables)
        let arguments = OptionSources.commandLine(
            set + (data.map { ["dataDirectory=" + $0] } ?? []))
        sources += environment.options + arguments.options
        var outcome = ConfigurationDecoder.decode(sources)
        outcome.errors = errors + arguments.errors + outcome.errors
        outcome.warnings = environment.warnings + outcome.warnings
        return outcome
    }
}

/// Text for people: what fails goes to standard error.
enum Terminal {
    static func complain(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }
}
