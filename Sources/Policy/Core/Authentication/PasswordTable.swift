import Base

/// The users of a password file. A value: a reload makes a new one or keeps the old.
///
/// One `user:entry` per line; empty lines and lines that begin with `#` are ignored. A user of a
/// tenant is written as it logs in (`tenant/user`). A second entry of the same user is an error,
/// because one of the two is not meant.
package struct PasswordTable: Equatable, Sendable {
    /// Users in one file.
    package static let usersMax = 1_000_000

    package private(set) var entries: [String: PasswordEntry] = [:]

    package init() {}

    /// Reads a whole file. `path` is for the errors.
    package init(_ text: [UInt8], path: String) throws(PolicyFileError) {
        for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false)
            .enumerated()
        {
            func fault(_ problem: String, _ remedy: String) -> PolicyFileError {
                PolicyFileError(path: path, line: index + 1, problem: problem, remedy: remedy)
            }
            guard let line = String(validating: Self.trimmed(line), as: UTF8.self) else {
                throw fault("is not UTF-8 text", "remove the line")
            }
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else {
                throw fault("has no 'user:' before the password", "run: apus passwd \(path) USER")
            }
            let user = String(line[..<colon])
            let hash = String(line[line.index(after: colon)...])
            guard let entry = PasswordEntry(text: hash) else {
                throw fault(
                    Self.problem(with: hash, of: user), "run: apus passwd \(path) \(user)")
            }
            guard entries[user] == nil else {
                throw fault("is a second entry of '\(user)'", "remove one of the two")
            }
            guard entries.count < Self.usersMax else {
                throw fault("is beyond the limit of \(Self.usersMax) users", "split the file")
            }
            entries[user] = entry
        }
        if entries.isEmpty {
            throw PolicyFileError(
                path: path, problem: "has no user", remedy: "run: apus passwd \(path) USER")
        }
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        line.last == 0x0D ? line.dropLast() : line
    }

    private static func problem(with hash: String, of user: String) -> String {
        if hash.hasPrefix("$6$") {
            return "'\(user)' has a hash of one fast round (mosquitto's $6$), which is not safe"
        }
        return hash.hasPrefix("$")
            ? "'\(user)' has a hash of an unknown form or with parameters out of range"
            : "'\(user)' has no hashed password"
    }

    /// The text of a file with a user's entry set, or removed if nil; the rest stays as it is.
    /// Says whether the user was there before.
    package static func edit(
        _ text: String, user: String, entry: PasswordEntry?
    ) -> (text: String, existed: Bool) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        let place = lines.firstIndex { $0.hasPrefix(user + ":") }
        switch (place, entry) {
        case (let place?, let entry?): lines[place] = "\(user):\(entry.text)"
        case (let place?, nil): lines.remove(at: place)
        case (nil, let entry?): lines.append("\(user):\(entry.text)")
        case (nil, nil): break
        }
        return (lines.map { $0 + "\n" }.joined(), place != nil)
    }

    /// Why a name cannot stand in a password file, or nil if it can.
    package static func problem(withUser user: String) -> String? {
        if user.isEmpty { return "a user name cannot be empty" }
        if user.hasPrefix("#") { return "a user name cannot begin with '#'" }
        if user.utf8.count > 1_024 { return "a user name has at most 1024 bytes" }
        if user.unicodeScalars.contains(where: { $0 == ":" || $0.value < 0x20 || $0.value == 0x7F })
        {
            return "a user name cannot contain ':' or control characters"
        }
        return nil
    }
}
