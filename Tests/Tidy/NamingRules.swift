/// Names and documentation of types.
enum NamingRules {
    static let all: [Rule] = [endings, documentation, inlinable]

    /// Endings that say nothing about what a type decides or holds.
    static let forbiddenEndings = [
        "Manager", "Helper", "Helpers", "Util", "Utils", "Impl", "Factory", "Provider", "Wrapper",
        "Info", "Data", "Service",
    ]

    private static let remedy =
        "end in Machine, Action, Decoder, Encoder, Store, Engine, Cache, Table, Link, Queue, Pool, "
        + "Window, Options, Limits, Metrics or Error, or name the thing"

    private static let typeKeywords: Set<String> = [
        "struct", "class", "enum", "protocol", "actor", "typealias",
    ]
    private static let modifiers: Set<String> = [
        "public", "package", "internal", "fileprivate", "private", "final", "indirect", "open",
        "frozen", "unsafe", "usableFromInline", "available", "unavailable", "MainActor", "Suite",
        "dynamicMemberLookup", "main", "nonisolated", "preconcurrency", "unchecked", "Sendable",
    ]

    /// A type that a line declares, with the words before its keyword.
    static func declaredType(_ line: String) -> (name: String, modifiers: [String])? {
        let words = Tokens.words(line)
        guard let place = words.firstIndex(where: typeKeywords.contains),
            place + 1 < words.count,
            words[..<place].allSatisfy({ modifiers.contains($0) })
        else { return nil }
        let name = words[place + 1]
        guard !["func", "var", "let", "subscript", "override"].contains(name) else { return nil }
        return (name, Array(words[..<place]))
    }

    static let endings = Rule.perFile("a type's name says what it is", where: \.isSwift) { file in
        file.code.enumerated().flatMap { index, line -> [Violation] in
            guard let type = declaredType(line) else { return [] }
            return forbiddenEndings.filter { type.name.hasSuffix($0) }.map {
                file.violation(
                    index + 1, "\(type.name) ends in \($0)",
                    remedy)
            }
        }
    }

    static let documentation = Rule.perFile(
        "a package or public type has a doc comment", where: { $0.isSwift && $0.isInSources }
    ) { file in
        file.code.indices.flatMap { index -> [Violation] in
            guard let type = declaredType(file.code[index]),
                type.modifiers.contains(where: { $0 == "package" || $0 == "public" }),
                !hasDocComment(above: index, in: file)
            else { return [] }
            return [
                file.violation(
                    index + 1, "\(type.name) has no doc comment",
                    "say what it decides, who owns it, what bounds it (/// above it)")
            ]
        }
    }

    /// The compiler takes `@inlinable` in a `package` type without a word, and inlines nothing of
    /// it in other modules unless the type is `@usableFromInline` (measured: 20 per cent of the
    /// instructions of a QoS 1 message).
    static let inlinable = Rule.perFile(
        "what is inlinable stands in a type that is usable from inline",
        where: { $0.isSwift && $0.isInSources }
    ) { file in
        var violations: [Violation] = []
        var name: String?
        for (index, line) in file.code.enumerated() {
            if line.hasPrefix("}") { name = nil }
            if !line.hasPrefix(" "), let type = declaredType(line) {
                let isSafe = !type.modifiers.contains("package") || isUsable(index, in: file)
                name = isSafe ? nil : type.name
            }
            if let name, Tokens.contains(line, Array("@inlinable".utf8)) {
                violations.append(
                    file.violation(
                        index + 1, "\(name) is not @usableFromInline: this is not inlined",
                        "write @usableFromInline above the type, or take @inlinable away"))
            }
        }
        return violations
    }

    private static func isUsable(_ index: Int, in file: SourceFile) -> Bool {
        let attribute = Array("@usableFromInline".utf8)
        var line = index
        while line >= 0 {
            if Tokens.contains(file.code[line], attribute) { return true }
            guard line == index || file.code[line].hasPrefix("@") else { return false }
            line -= 1
        }
        return false
    }

    private static func hasDocComment(above index: Int, in file: SourceFile) -> Bool {
        var line = index - 1
        while line >= 0 {
            let text = file.lines[line].drop { $0 == " " }
            if text.hasPrefix("///") { return true }
            guard text.hasPrefix("@") || text.hasPrefix("#if") || text.hasPrefix("//") else {
                return false
            }
            line -= 1
        }
        return false
    }
}
