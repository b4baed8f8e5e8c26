/// Switches over our own enums name every case.
///
/// A text scanner does not know types. It knows every enum that the sources declare, and calls a
/// `default` wrong when some enum of ours declares all the cases that the switch names: then the
/// compiler could have checked the rest. A switch over a foreign enum that happens to look the same
/// carries `// foreign enum` on the line of its default.
enum SwitchRules {
    static let all: [Rule] = [defaults]
    static let excuse = "foreign enum"

    static let defaults = Rule(name: "no default in a switch over an enum of ours") { repository in
        let enums = repository.sources.flatMap(declaredEnums)
        return repository.sources.flatMap { file in
            switches(in: file).compactMap { found -> Violation? in
                guard let line = found.defaultLine, !found.cases.isEmpty,
                    !file.lines[line - 1].contains(excuse),
                    let match = enums.first(where: { found.cases.isSubset(of: $0.cases) })
                else { return nil }
                return file.violation(
                    line, "default in a switch over \(match.name)",
                    "name the cases, or write // \(excuse) if it is not ours")
            }
        }
    }

    /// An enum and the names of its cases.
    struct DeclaredEnum {
        let name: String
        var cases: Set<String>
    }

    /// A switch with the names behind its `case .`, and the line of its `default`.
    struct FoundSwitch {
        var cases: Set<String> = []
        var defaultLine: Int?
        var hasOtherPattern = false
    }

    static func declaredEnums(in file: SourceFile) -> [DeclaredEnum] {
        file.code.indices.compactMap { index in
            let words = Tokens.words(file.code[index])
            guard words.contains("enum"), let type = NamingRules.declaredType(file.code[index])
            else { return nil }
            var found = DeclaredEnum(name: type.name, cases: [])
            forEachLine(ofBlockAt: index, in: file.code) { _, line in
                found.cases.formUnion(declaredCases(line))
            }
            return found.cases.isEmpty ? nil : found
        }
    }

    /// `case a, b(Int), c = 3` of a declaration; a pattern begins with `case .` or `case let`.
    static func declaredCases(_ line: String) -> [String] {
        let trimmed = line.drop { $0 == " " }
        let words = Tokens.words(line)
        let start = words.first == "indirect" ? 1 : 0
        guard words.count > start + 1, words[start] == "case", !trimmed.contains("case ."),
            !["let", "var", "is"].contains(words[start + 1])
        else { return [] }
        var depth = 0
        var names: [String] = []
        var current = ""
        for character in trimmed.drop(while: { $0 != "c" }).dropFirst(4) {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == "," && depth == 0 {
                names.append(current)
                current = ""
            } else {
                current.append(character)
            }
        }
        names.append(current)
        return names.compactMap { Tokens.words($0).first }
    }

    static func switches(in file: SourceFile) -> [FoundSwitch] {
        file.code.indices.compactMap { index in
            guard Tokens.contains(file.code[index], Array("switch".utf8)),
                file.code[index].hasSuffix("{")
            else { return nil }
            var found = FoundSwitch()
            forEachLine(ofBlockAt: index, in: file.code) { line, text in
                note(text, line: line, in: &found)
            }
            return found.hasOtherPattern ? nil : found
        }
    }

    private static func note(_ text: String, line: Int, in found: inout FoundSwitch) {
        let trimmed = text.drop { $0 == " " }
        if trimmed.hasPrefix("default:") {
            found.defaultLine = line + 1
        } else if trimmed.hasPrefix("case ") {
            let pattern = trimmed.dropFirst(5)
            let bare = pattern.hasPrefix("let .") ? pattern.dropFirst(4) : pattern
            if bare.hasPrefix(".") {
                found.cases.formUnion(patternNames(String(bare)))
            } else {
                found.hasOtherPattern = true
            }
        }
    }

    /// `.a, .b(let x), .c:` to a, b, c.
    private static func patternNames(_ pattern: String) -> [String] {
        var names: [String] = []
        var depth = 0
        var name: String?
        for character in pattern {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            let isWord = character.isLetter || character.isNumber || character == "_"
            if let read = name, !isWord {
                names.append(read)
                name = nil
            } else if name != nil {
                name?.append(character)
            }
            if depth == 0 && character == "." { name = "" }
            if depth == 0 && character == ":" { break }
        }
        return names.filter { !$0.isEmpty }
    }

    /// The lines directly inside the braces that open on a line, without deeper blocks.
    private static func forEachLine(
        ofBlockAt start: Int, in code: [String], _ body: (Int, String) -> Void
    ) {
        var depth = 0
        for index in start..<code.count {
            if depth == 1 { body(index, code[index]) }
            for byte in code[index].utf8 {
                if byte == UInt8(ascii: "{") { depth += 1 }
                if byte == UInt8(ascii: "}") { depth -= 1 }
            }
            if depth <= 0 && index > start { return }
            if depth <= 0 && code[index].contains("}") { return }
        }
    }
}
