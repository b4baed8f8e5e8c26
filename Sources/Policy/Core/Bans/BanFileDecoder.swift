import Base

/// Reads files of bans.
///
/// ```
///  # who may not connect
///  client   sensor-7        tenant=acme
///  client   "my sensor"
///  user     mallory         until=2026-12-31T12:00:00Z
///  address  203.0.113.9     until=2027-01-01
///  network  2001:db8::/32
/// ```
/// One ban per line. `until` is in UTC; without it a ban does not end. Words with blanks stand in
/// double quotes. An empty file bans nobody.
package struct BanFileDecoder {
    /// Bans of one file.
    package static let bansMax = 100_000

    private let path: String
    private var line = 0
    private var count = 0
    private var table = BanTable()

    private init(path: String) { self.path = path }

    /// Reads a whole file. `path` is for the errors.
    package static func decode(
        _ text: [UInt8], path: String
    ) throws(PolicyFileError) -> BanTable {
        var decoder = BanFileDecoder(path: path)
        for line in text.split(separator: 0x0A, omittingEmptySubsequences: false) {
            try decoder.receive(line)
        }
        return decoder.table
    }

    private func fault(_ problem: String, _ remedy: String) -> PolicyFileError {
        PolicyFileError(path: path, line: line, problem: problem, remedy: remedy)
    }

    private mutating func receive(_ bytes: ArraySlice<UInt8>) throws(PolicyFileError) {
        line += 1
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw fault("is not UTF-8 text", "remove the line")
        }
        guard let words = Self.words(of: text) else {
            throw fault("has a quote without its partner", "add the other quote")
        }
        guard let kind = words.first, !kind.hasPrefix("#") else { return }
        guard words.count >= 2 else {
            throw fault(
                "does not say who is banned", "write: client, user, address or network, and whom")
        }
        count += 1
        guard count <= Self.bansMax else {
            throw fault("is beyond the limit of \(Self.bansMax) bans", "use networks or rules")
        }
        try enter(kind, words[1], try ban(words.dropFirst(2)))
    }

    private mutating func enter(
        _ kind: String, _ whom: String, _ ban: BanTable.Ban
    ) throws(PolicyFileError) {
        switch kind {
        case "client": table.banClient(whom, ban)
        case "user": table.banUser(whom, ban)
        case "address", "network":
            guard let network = IPNetwork(whom), kind == "network" || !whom.contains("/") else {
                throw fault("has '\(whom)', which is no \(kind)", "correct it")
            }
            table.banNetwork(network, ban)
        default:
            throw fault("begins with '\(kind)'", "begin with client, user, address or network")
        }
    }

    private func ban(_ qualifiers: ArraySlice<String>) throws(PolicyFileError) -> BanTable.Ban {
        var ban = BanTable.Ban(tenant: nil, until: .distantFuture)
        for word in qualifiers {
            if word.hasPrefix("tenant="), let tenant = TenantName(String(word.dropFirst(7))) {
                ban.tenant = tenant
            } else if word.hasPrefix("until="), let time = WallTime(utc: String(word.dropFirst(6)))
            {
                ban.until = time
            } else {
                throw fault(
                    "has '\(word)'", "write tenant=NAME or until=2026-12-31T12:00:00Z (UTC)")
            }
        }
        return ban
    }

    /// Words between blanks, or between quotes; nil if a quote is not closed.
    private static func words(of text: String) -> [String]? {
        var words: [String] = []
        for (number, part) in text.split(separator: "\"", omittingEmptySubsequences: false)
            .enumerated()
        {
            if number % 2 == 1 {
                words.append(String(part))
            } else {
                words += part.split { $0 == " " || $0 == "\t" || $0 == "\r" }.map(String.init)
            }
        }
        return text.count { $0 == "\"" } % 2 == 0 ? words : nil
    }
}
