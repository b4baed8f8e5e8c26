import Admin
import ArgumentParser
import Base
import Foundation
import Policy

/// `apus apikey`: makes or removes a key of the HTTP API.
struct APIKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apikey", abstract: "Make or remove a key of the HTTP API.",
        discussion: """
            The key is printed once; the file keeps a digest of it. A name that is there already \
            gets a new key. The file is made if it does not exist.
            """)

    @Argument(help: "The file of keys (admin.apiKeyFile).")
    var file: String

    @Argument(help: "Whose key it is: letters, digits, '-', '_' and '.'.")
    var name: String

    @Flag(name: [.long, .customShort("D")], help: "Remove the key.")
    var delete = false

    func run() throws {
        let key = "apus_" + SecureRandom.bytes(32).map(Self.hex).joined()
        guard let line = APIKeyTable.line(name: name, key: key) else {
            throw ValidationError("'\(name)' is no name for a key")
        }
        var lines = try contents()
        let isThere = lines.contains { $0.hasPrefix(name + ":") }
        if delete, !isThere { throw ValidationError("\(file) has no key '\(name)'") }
        lines.removeAll { $0.hasPrefix(name + ":") }
        if !delete { lines.append(line) }
        do throws(FileError) {
            try FileBytes.replace(file, with: Array(lines.map { $0 + "\n" }.joined().utf8))
        } catch {
            Terminal.complain("error: \(error)")
            throw ExitCode.failure
        }
        if !delete { print(key) }
    }

    private func contents() throws -> [String] {
        guard FileBytes.exists(file) else { return [] }
        do throws(FileError) {
            let text = String(decoding: try FileBytes.read(file), as: UTF8.self)
            return text.split(separator: "\n").map(String.init)
        } catch {
            Terminal.complain("error: \(error)")
            throw ExitCode.failure
        }
    }

    private static func hex(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
