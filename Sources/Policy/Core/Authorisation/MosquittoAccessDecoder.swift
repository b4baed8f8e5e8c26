import Base

/// Reads the access files of mosquitto: lines `user`, `topic` and `pattern`.
///
/// Their meaning there, as an order of rules here: a user's denials, its permissions, then the
/// denials and permissions of patterns; nothing else is allowed. Lines before the first `user`
/// are for clients without a name. One difference stays: a subscription must lie wholly in what
/// is allowed, where mosquitto grants it and filters the messages.
package struct MosquittoAccessDecoder {
    private let path: String
    private var line = 0
    /// Whose `topic` lines follow.
    private var user = ""
    private var topics: [AccessRule] = []
    private var patterns: [AccessRule] = []

    private init(path: String) { self.path = path }

    /// Reads a whole file. `path` is for the errors.
    package static func decode(
        _ text: [UInt8], path: String
    ) throws(PolicyFileError) -> AccessTable {
        var decoder = MosquittoAccessDecoder(path: path)
        for line in text.split(separator: 0x0A, omittingEmptySubsequences: false) {
            try decoder.receive(line)
        }
        let rules =
            decoder.topics.filter { !$0.isAllowing } + decoder.topics.filter(\.isAllowing)
            + decoder.patterns.filter { !$0.isAllowing } + decoder.patterns.filter(\.isAllowing)
        guard !rules.isEmpty else {
            throw PolicyFileError(
                path: path, problem: "has no rule", remedy: "add one, or turn authorisation off")
        }
        return AccessTable(rules, isDefaultAllow: false)
    }

    private func fault(_ problem: String, _ remedy: String) -> PolicyFileError {
        PolicyFileError(path: path, line: line, problem: problem, remedy: remedy)
    }

    private mutating func receive(_ bytes: ArraySlice<UInt8>) throws(PolicyFileError) {
        line += 1
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw fault("is not UTF-8 text", "remove the line")
        }
        let trimmed = Self.trimmed(text[...])
        guard !trimmed.isEmpty, !trimmed.hasPrefix("#") else { return }
        let keyword = trimmed.prefix { $0 != " " && $0 != "\t" }
        let rest = Self.trimmed(trimmed.dropFirst(keyword.count))
        guard !rest.isEmpty else { throw fault("has nothing behind '\(keyword)'", "complete it") }
        switch keyword {
        case "user": user = String(rest)
        case "topic": topics.append(try rule(rest, isPattern: false))
        case "pattern": patterns.append(try rule(rest, isPattern: true))
        default: throw fault("begins with '\(keyword)'", "begin with user, topic or pattern")
        }
        guard topics.count + patterns.count <= AccessTable.rulesMax else {
            throw fault("is beyond the limit of \(AccessTable.rulesMax) rules", "use patterns")
        }
    }

    private func rule(_ text: Substring, isPattern: Bool) throws(PolicyFileError) -> AccessRule {
        let word = text.prefix { $0 != " " && $0 != "\t" }
        let known: [Substring: (isAllowing: Bool, actions: AccessRule.Actions)] = [
            "read": (true, .subscribe), "write": (true, .publish),
            "readwrite": (true, [.publish, .subscribe]), "deny": (false, [.publish, .subscribe]),
        ]
        let access = known[word]
        let topic = access == nil ? text : Self.trimmed(text.dropFirst(word.count))
        // Per cent signs are placeholders in patterns alone.
        let written = isPattern ? String(topic) : String(topic.replacing("%", with: "%%"))
        guard let filter = FilterPattern(written) else {
            throw fault("has '\(topic)', which is no topic filter", "correct it")
        }
        var rule = AccessRule(
            isAllowing: access?.isAllowing ?? true,
            actions: access?.actions ?? [.publish, .subscribe], line: line)
        rule.filters = [filter]
        if !isPattern { rule.users = [.exact(user)] }
        return rule
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
