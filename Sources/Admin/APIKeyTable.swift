import Base
import Policy

/// The keys of the HTTP API: one `NAME:sha256:HEX` per line, the digest of a key. A value: a reload
/// makes a new one or keeps the old.
///
/// Keys are random and long, so that one round of a fast hash is enough: `apus apikey` makes them.
package struct APIKeyTable: Equatable, Sendable {
    /// A name and the digest of its key.
    private struct Entry: Equatable {
        var name: String
        var digest: [UInt8]
    }

    private var entries: [Entry] = []

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }

    /// Reads a whole file. `path` is for the errors.
    package init(_ text: [UInt8], path: String) throws(PolicyFileError) {
        for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false)
            .enumerated()
        {
            func fault(_ problem: String) -> PolicyFileError {
                PolicyFileError(
                    path: path, line: index + 1, problem: problem,
                    remedy: "make one with: apus apikey \(path) NAME")
            }
            guard let line = String(validating: line.filter { $0 != 0x0D }, as: UTF8.self) else {
                throw fault("is not UTF-8 text")
            }
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, Self.isName(parts[0]), parts[1] == "sha256",
                let digest = Self.bytes(hex: parts[2])
            else { throw fault("is not NAME:sha256:DIGEST") }
            guard !entries.contains(where: { $0.name == parts[0] }) else {
                throw fault("is a second key of '\(parts[0])'")
            }
            guard entries.count < AdminLimits.keysMax else { throw fault("is one key too many") }
            entries.append(Entry(name: String(parts[0]), digest: digest))
        }
        if entries.isEmpty {
            throw PolicyFileError(
                path: path, problem: "has no key",
                remedy: "make one with: apus apikey \(path) NAME")
        }
    }

    /// The keys of a file; none without a path.
    package static func read(_ path: String) throws(PolicyFileError) -> APIKeyTable {
        path.isEmpty
            ? APIKeyTable() : try APIKeyTable(PolicyFiles.bytes(path), path: path)
    }

    /// Whose key it is; nil for a stranger's. The time it takes does not tell how near a guess is.
    package func name(of key: String) -> String? {
        let digest = Digest.sha256(Array(key.utf8))
        var found: String?
        for entry in entries where ConstantTime.equals(entry.digest, digest) { found = entry.name }
        return found
    }

    /// The line of a key. Nil for a name that cannot stand in the file.
    package static func line(name: String, key: String) -> String? {
        guard isName(name[...]) else { return nil }
        let digits = Digest.sha256(Array(key.utf8)).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return "\(name):sha256:\(digits.joined())"
    }

    private static func isName(_ name: Substring) -> Bool { TenantName(name) != nil }

    private static func bytes(hex: Substring) -> [UInt8]? {
        let digits = Array(hex.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            let pair = String(decoding: digits[index..<index + 2], as: UTF8.self)
            guard pair.allSatisfy(\.isHexDigit), let byte = UInt8(pair, radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}
