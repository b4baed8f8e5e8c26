import ArgumentParser
import Base
import Policy

/// Puts the parts of a node together and runs it until it is told to stop.
enum Serve {
    /// `reload` reads all sources of options again, for SIGHUP.
    static func run(
        _ configuration: Configuration, readyFile: String?,
        reload: @escaping @Sendable () -> ConfigurationDecoder.Outcome
    ) throws {
        let access: AccessControl
        do throws(PolicyFileError) {
            access = try AccessControl(configuration) { SecureRandom.bytes($0) }
        } catch {
            Terminal.complain("error: \(error)")
            throw ExitCode.failure
        }
        defer { access.stop() }
        throw ValidationError("this build has no node to run")
    }
}
