import Admin
import ArgumentParser
import Base
import Policy

/// `apus check`: says everything that is wrong with a configuration and the files it names.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check the configuration and the files that it names.")

    @OptionGroup var options: OptionArguments

    func run() throws {
        let outcome = options.load()
        let errors =
            outcome.errors.map(\.description) + Self.fileErrors(outcome.configuration)
        for warning in outcome.warnings { Terminal.complain("warning: \(warning)") }
        for error in errors { Terminal.complain("error: \(error)") }
        if !errors.isEmpty { throw ExitCode.failure }
        print("The configuration is sound.")
    }

    /// Faults of files that the configuration names.
    static func fileErrors(_ configuration: Configuration) -> [String] {
        var errors: [String] = []
        let authentication = configuration.authentication
        if !authentication.passwordFile.isEmpty {
            do throws(PolicyFileError) {
                _ = try PolicyFiles.passwords(authentication.passwordFile)
            } catch {
                errors.append(error.description)
            }
        }
        let authorisation = configuration.authorisation
        if !authorisation.file.isEmpty {
            do throws(PolicyFileError) {
                _ = try PolicyFiles.rules(authorisation.file, format: authorisation.format)
            } catch {
                errors.append(error.description)
            }
        }
        do throws(PolicyFileError) {
            _ = try APIKeyTable.read(configuration.admin.apiKeyFile)
        } catch {
            errors.append(error.description)
        }
        for listener in configuration.listeners {
            let paths =
                listener.certificates + listener.keys + listener.revocationLists
                + (listener.authorities.isEmpty ? [] : [listener.authorities])
            for path in paths {
                do throws(FileError) {
                    _ = try FileBytes.read(path)
                } catch {
                    errors.append("listeners.\(listener.name): \(error)")
                }
            }
        }
        return errors
    }
}
