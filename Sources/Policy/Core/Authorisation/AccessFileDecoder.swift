import Base

/// Reads access files.
///
/// ```
///  # who may do what; the first rule that matches decides
///  default deny
///  allow publish,subscribe  devices/%c/#
///  allow publish            "plant one/alarms"  user=alice,bob  qos=0,1  retain=no
///  deny  subscribe          secret/#            network=10.0.0.0/8
///  deny  connect            client=test-*       tenant=acme
/// ```
/// One rule per line: `allow` or `deny`, actions, topic filters, qualifiers. `%c`, `%u` and `%t`
/// stand for client id, user and tenant; `%%` is a per cent sign. Words with blanks, and filters
/// that look like a qualifier, stand in double quotes. `user=""` are clients without a name.
/// The default must be said.
package struct AccessFileDecoder {
    private let path: String
    private var line = 0
    private var rules: [AccessRule] = []
    private var isDefaultAllow: Bool?

    private init(path: String) { self.path = path }

    /// Reads a whole file. `path` is for the errors.
    package static func decode(
        _ text: [UInt8], path: String
    ) throws(PolicyFileError) -> AccessTable {
        var decoder = AccessFileDecoder(path: path)
        for line in text.split(separator: 0x0A, omittingEmptySubsequences: false) {
            try decoder.receive(line)
        }
        guard let isDefaultAllow = decoder.isDefaultAllow else {
            throw PolicyFileError(
                path: path, problem: "does not say what holds where no rule matches",
                remedy: "add the line: default deny")
        }
        return AccessTable(decoder.rules, isDefaultAllow: isDefaultAllow)
    }

    private func fault(_ problem: String, _ remedy: String) -> PolicyFileError {
        PolicyFileError(path: path, line: line, problem: problem, remedy: remedy)
    }

    private mutating func receive(_ bytes: ArraySlice<UInt8>) throws(PolicyFileError) {
        line += 1
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw fault("is not UTF-8 text", "remove the line")
        }
        let words = try words(of: text)
        guard let first = words.first, first.isQuoted || !first.text.hasPrefix("#") else { return }
        switch first.text {
        case "default": try takeDefault(words)
        case "allow", "deny": try takeRule(words, isAllowing: first.text == "allow")
        default:
            throw fault("begins with '\(first.text)'", "begin with allow, deny or default")
        }
    }

    private mutating func takeDefault(_ words: [Word]) throws(PolicyFileError) {
        guard words.count == 2, ["allow", "deny"].contains(words[1].text) else {
            throw fault("is no default", "write: default deny, or: default allow")
        }
        guard isDefaultAllow == nil else {
            throw fault("says the default a second time", "remove one of the two")
        }
        isDefaultAllow = words[1].text == "allow"
    }

    private mutating func takeRule(
        _ words: [Word], isAllowing: Bool
    ) throws(PolicyFileError) {
        guard words.count >= 2, let actions = Self.actions(words[1].text) else {
            throw fault(
                "names no action", "name connect, publish or subscribe, or several with commas")
        }
        var rule = AccessRule(isAllowing: isAllowing, actions: actions, line: line)
        for word in words.dropFirst(2) {
            if !word.isQuoted, let equals = word.text.firstIndex(of: "="),
                Self.qualifiers.contains(String(word.text[..<equals]))
            {
                let value = String(word.text[word.text.index(after: equals)...])
                try qualify(&rule, String(word.text[..<equals]), value)
            } else if let filter = FilterPattern(word.text) {
                rule.filters.append(filter)
            } else {
                throw fault(
                    "has '\(word.text)', which is no topic filter",
                    "correct it; %c, %u and %t are the placeholders, %% a per cent sign")
            }
        }
        guard rule.filters.isEmpty == (actions == .connect) else {
            throw fault(
                rule.filters.isEmpty ? "names no topic filter" : "has topics for connect",
                rule.filters.isEmpty
                    ? "add one; # stands for all topics" : "write connect in a rule of its own")
        }
        guard rules.count < AccessTable.rulesMax else {
            throw fault("is beyond the limit of \(AccessTable.rulesMax) rules", "use placeholders")
        }
        rules.append(rule)
    }

    private static let qualifiers: Set<String> = [
        "user", "client", "tenant", "network", "qos", "retain",
    ]

    private static func actions(_ text: String) -> AccessRule.Actions? {
        var actions: AccessRule.Actions = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            switch name {
            case "connect": actions.insert(.connect)
            case "publish": actions.insert(.publish)
            case "subscribe": actions.insert(.subscribe)
            default: return nil
            }
        }
        return actions.contains(.connect) && actions != .connect ? nil : actions
    }

    private func qualify(
        _ rule: inout AccessRule, _ name: String, _ value: String
    ) throws(PolicyFileError) {
        let parts = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        switch name {
        case "user": rule.users += parts.map { .init($0) }
        case "client": rule.clients += parts.map { .init($0) }
        case "tenant": rule.tenants += parts.map { .init($0) }
        case "network":
            for part in parts {
                guard let network = IPNetwork(part) else {
                    throw fault("has '\(part)', which is no network", "write it as 10.0.0.0/8")
                }
                rule.networks.append(network)
            }
        case "qos":
            rule.qosMask = 0
            for part in parts {
                guard let qos = UInt8(part), qos <= 2 else {
                    throw fault("has the QoS '\(part)'", "write 0, 1, 2 or several with commas")
                }
                rule.qosMask |= 1 << qos
            }
        default:
            guard let flag = Units.flag(value) else {
                throw fault("has retain=\(value)", "write retain=yes or retain=no")
            }
            rule.retain = flag
        }
    }
}

extension AccessFileDecoder {
    /// A word of a line; quoted ones are never a qualifier.
    private struct Word {
        var text: String
        var isQuoted: Bool
    }

    /// Splits at blanks; within double quotes a backslash takes the next character as it is.
    private func words(of line: String) throws(PolicyFileError) -> [Word] {
        var words: [Word] = []
        var current: Word?
        var isInside = false
        var rest = line.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            if isInside {
                if scalar == "\"" {
                    isInside = false
                } else {
                    let taken = scalar == "\\" ? rest.popFirst() : scalar
                    current?.text.unicodeScalars.append(taken ?? scalar)
                }
            } else if scalar == "\"" {
                current = current ?? Word(text: "", isQuoted: true)
                isInside = true
            } else if scalar == " " || scalar == "\t" || scalar == "\r" {
                if let word = current { words.append(word) }
                current = nil
            } else if words.isEmpty, current == nil, scalar == "#" {
                return []
            } else {
                current = current ?? Word(text: "", isQuoted: false)
                current?.text.unicodeScalars.append(scalar)
            }
        }
        guard !isInside else { throw fault("has an open quotation mark", "close it with \"") }
        if let word = current { words.append(word) }
        return words
    }
}
