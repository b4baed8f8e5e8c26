import Base

/// Reads the files of Policy: passwords, rules and bans. At start and at reload, never in a
/// loop's turn.
package enum PolicyFiles {
    package static func passwords(_ path: String) throws(PolicyFileError) -> PasswordTable {
        try PasswordTable(bytes(path), path: path)
    }

    package static func rules(
        _ path: String, format: AccessFormat
    ) throws(PolicyFileError) -> AccessTable {
        switch format {
        case .apus: try AccessFileDecoder.decode(bytes(path), path: path)
        case .mosquitto: try MosquittoAccessDecoder.decode(bytes(path), path: path)
        }
    }

    package static func bans(_ path: String) throws(PolicyFileError) -> BanTable {
        try BanFileDecoder.decode(bytes(path), path: path)
    }

    package static func bytes(_ path: String) throws(PolicyFileError) -> [UInt8] {
        do throws(FileError) {
            return try FileBytes.read(path)
        } catch {
            throw PolicyFileError(
                path: path, problem: error.problem, remedy: "check the path and its permissions")
        }
    }
}
