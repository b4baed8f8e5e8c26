import Testing

/// One thing the house insists on and a machine can see.
struct Rule: Sendable, CustomTestStringConvertible {
    let name: String
    let check: @Sendable (Repository) -> [Violation]

    var testDescription: String { name }

    static let all: [Rule] =
        ImportRules.all + SizeRules.all + CallRules.all + NamingRules.all + SwitchRules.all
        + InliningRules.all + ContentRules.all

    static func named(_ name: String) -> Rule? { all.first { $0.name == name } }

    /// A rule that looks at one file at a time.
    static func perFile(
        _ name: String, where applies: @escaping @Sendable (SourceFile) -> Bool,
        _ check: @escaping @Sendable (SourceFile) -> [Violation]
    ) -> Rule {
        Rule(name: name) { repository in
            repository.files.filter(applies).flatMap(check)
        }
    }
}

extension SourceFile {
    func violation(_ line: Int, _ problem: String, _ remedy: String) -> Violation {
        Violation(path: path, line: line, problem: problem, remedy: remedy)
    }

    /// Numbers (from 1) of the lines whose code contains a token, with word boundaries at those
    /// ends of it that are letters.
    func linesWithToken(_ token: String) -> [Int] {
        let wanted = Array(token.utf8)
        return code.indices.filter { index in
            code[index].utf8.count >= wanted.count && Tokens.contains(code[index], wanted)
        }.map { $0 + 1 }
    }
}

/// Search for words in code.
enum Tokens {
    static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    static func contains(_ line: String, _ token: [UInt8]) -> Bool {
        first(line, token) != nil
    }

    /// Byte offset of the first occurrence.
    static func first(_ line: String, _ token: [UInt8], from begin: Int = 0) -> Int? {
        guard let head = token.first, let tail = token.last else { return nil }
        let bytes = Array(line.utf8)
        guard bytes.count >= token.count + begin else { return nil }
        for start in begin...(bytes.count - token.count) where bytes[start] == head {
            let end = start + token.count
            guard bytes[start..<end].elementsEqual(token) else { continue }
            if isWord(head), start > 0, isWord(bytes[start - 1]) { continue }
            if isWord(tail), end < bytes.count, isWord(bytes[end]) { continue }
            return start
        }
        return nil
    }

    /// The identifiers and keywords of a line, in order.
    static func words(_ line: String) -> [String] {
        line.utf8.split(whereSeparator: { !isWord($0) }).map { String(decoding: $0, as: UTF8.self) }
    }
}
