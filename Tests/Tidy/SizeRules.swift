/// How long a file, a function and a line may be.
enum SizeRules {
    static let fileLinesMax = 800
    static let functionLinesMax = 70
    static let columnsMax = 100

    static let all: [Rule] = [files, functions, columns]

    static let files = Rule.perFile(
        "a file has at most 800 lines", where: { $0.isSwift || $0.isC }
    ) { file in
        guard file.lines.count > fileLinesMax else { return [] }
        return [
            file.violation(
                fileLinesMax + 1, "\(file.lines.count) lines",
                "one idea, one file: split it (aim for 300 lines)")
        ]
    }

    static let columns = Rule.perFile(
        "a line has at most 100 columns", where: { $0.isSwift || $0.isC }
    ) { file in
        file.lines.indices.filter { file.lines[$0].count > columnsMax }.map {
            file.violation($0 + 1, "\(file.lines[$0].count) columns", "break it (make format)")
        }
    }

    static let functions = Rule.perFile(
        "a function has at most 70 lines", where: \.isSwift
    ) { file in
        FunctionScanner.functions(in: file).filter { $0.lineCount > functionLinesMax }.map {
            file.violation(
                $0.line, "\($0.name) has \($0.lineCount) lines",
                "name its steps and make them functions (aim for 15 lines)")
        }
    }
}

/// Finds functions by their keyword and the braces that follow.
enum FunctionScanner {
    /// A function with its extent, declaration line to closing brace.
    struct Found {
        let name: String
        let line: Int
        let lineCount: Int
    }

    static func functions(in file: SourceFile) -> [Found] {
        file.code.indices.compactMap { index in
            guard let name = declaredName(file.code[index]),
                let end = closingLine(of: index, in: file.code)
            else { return nil }
            return Found(name: name, line: index + 1, lineCount: end - index + 1)
        }
    }

    private static let keywords: Set<String> = ["func", "init", "deinit", "subscript"]
    private static let modifiers: Set<String> = [
        "public", "package", "internal", "fileprivate", "private", "static", "final", "mutating",
        "nonmutating", "override", "convenience", "required", "borrowing", "consuming", "class",
        "nonisolated", "isolated", "prefix", "postfix", "indirect", "unsafe", "inlinable",
        "usableFromInline", "inline", "__always", "never", "discardableResult", "Sendable", "Test",
        "MainActor", "available", "lazy", "unowned", "weak", "_silgen_name", "_cdecl", "concurrent",
    ]

    /// The name if the line declares a function, an initializer or a computed property.
    static func declaredName(_ line: String) -> String? {
        let words = Tokens.words(line)
        guard let place = words.firstIndex(where: { keywords.contains($0) || $0 == "var" }),
            words[..<place].allSatisfy({ modifiers.contains($0) })
        else { return nil }
        let keyword = words[place]
        let trimmed = line.reversed().drop { $0 == " " }
        if keyword == "var" {
            return trimmed.first == "{" ? words[place...].dropFirst().first : nil
        }
        if keyword == "func" {
            return words[place...].dropFirst().first ?? "operator"
        }
        return startsWithDot(line, keyword) ? nil : keyword
    }

    private static func startsWithDot(_ line: String, _ keyword: String) -> Bool {
        guard let offset = Tokens.first(line, Array(keyword.utf8)), offset > 0 else { return false }
        return Array(line.utf8)[offset - 1] == UInt8(ascii: ".")
    }

    /// Index of the line with the brace that closes the body; nil without a body.
    private static func closingLine(of start: Int, in code: [String]) -> Int? {
        var depth = 0
        var parentheses = 0
        for index in start..<code.count {
            if index > start, depth == 0, parentheses == 0, beginsAnother(code[index]) {
                return nil
            }
            for byte in code[index].utf8 {
                switch byte {
                case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
                case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
                case UInt8(ascii: "{") where depth > 0 || parentheses == 0: depth += 1
                case UInt8(ascii: "}") where depth == 0 && parentheses == 0: return nil
                case UInt8(ascii: "}") where depth > 0:
                    depth -= 1
                    if depth == 0 { return index }
                default: break
                }
            }
        }
        return nil
    }

    private static func beginsAnother(_ line: String) -> Bool {
        if declaredName(line) != nil { return true }
        let first = Tokens.words(line).first { !modifiers.contains($0) }
        return ["let", "var", "case", "struct", "enum", "extension", "associatedtype"]
            .contains(first)
    }
}
