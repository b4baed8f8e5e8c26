import ArgumentParser
import Base
import Foundation
import Policy

/// `apus passwd`: sets or removes a user of a password file.
struct PasswdCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd", abstract: "Set or remove a user of a password file.",
        discussion: """
            The password is asked for twice on a terminal, or read from standard input up to the \
            first line break. The file is made if it does not exist.
            """)

    @Argument(help: "The password file.")
    var file: String

    @Argument(help: "The user, as it logs in (tenant/user for a user of a tenant).")
    var user: String

    @Flag(name: [.long, .customShort("D")], help: "Remove the user.")
    var delete = false

    @Option(
        name: .long,
        help: "scrypt, pbkdf2 (little memory), or scram (also for SCRAM-SHA-256).")
    var algorithm = "scrypt"

    func run() throws {
        guard let form = PasswordEntry.Algorithm(rawValue: algorithm) else {
            throw ValidationError("the algorithm is scrypt, pbkdf2 or scram")
        }
        if let problem = PasswordTable.problem(withUser: user) { throw ValidationError(problem) }
        let before = try contents()
        let entry = delete ? nil : try makeEntry(form)
        let edited = PasswordTable.edit(before, user: user, entry: entry)
        if delete, !edited.existed { throw ValidationError("\(file) has no user '\(user)'") }
        try check(edited.text)
        do throws(FileError) {
            try FileBytes.replace(file, with: Array(edited.text.utf8))
        } catch {
            Terminal.complain("error: \(error)")
            throw ExitCode.failure
        }
    }

    private func contents() throws -> String {
        guard FileBytes.exists(file) else { return "" }
        do throws(FileError) {
            return String(decoding: try FileBytes.read(file), as: UTF8.self)
        } catch {
            Terminal.complain("error: \(error)")
            throw ExitCode.failure
        }
    }

    /// A file that a node would refuse is not written, except one without users after a removal.
    private func check(_ text: String) throws {
        do throws(PolicyFileError) {
            _ = try PasswordTable(Array(text.utf8), path: file)
        } catch {
            if delete, error.line == nil {
                Terminal.complain("warning: \(error)")
                return
            }
            Terminal.complain("error: \(error)")
            throw ExitCode.failure
        }
    }

    private func makeEntry(_ form: PasswordEntry.Algorithm) throws -> PasswordEntry {
        let password = try PasswordPrompt.read()
        guard !password.isEmpty else { throw ValidationError("the password is empty") }
        let entry = PasswordEntry.make(
            form, password: Array(password.utf8), salt: SecureRandom.bytes(16))
        guard let entry else { throw ValidationError("the password cannot be hashed here") }
        return entry
    }
}

/// Reads a password without showing it.
enum PasswordPrompt {
    static func read() throws -> String {
        guard isatty(STDIN_FILENO) == 1 else { return readLine(strippingNewline: true) ?? "" }
        let first = ask("Password: ")
        guard first == ask("Again: ") else {
            throw ValidationError("the two passwords are not the same")
        }
        return first
    }

    private static func ask(_ prompt: String) -> String {
        FileHandle.standardError.write(Data(prompt.utf8))
        var before = termios()
        tcgetattr(STDIN_FILENO, &before)
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
            FileHandle.standardError.write(Data("\n".utf8))
        }
        return readLine(strippingNewline: true) ?? ""
    }
}
