/// Blanks comments and string literals of Swift text; everything else keeps its place.
///
/// Knows nested block comments, raw and multi-line strings, and interpolations (blanked with the
/// string they stand in: the rules lose nothing that matters). Regular-expression literals are
/// not used in this house.
struct CodeMask {
    private let bytes: [UInt8]
    private var output: [UInt8]
    private var index = 0

    static func mask(_ text: String) -> String {
        var mask = CodeMask(bytes: Array(text.utf8))
        mask.run()
        return String(decoding: mask.output, as: UTF8.self)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
        output = bytes
    }

    private mutating func run() {
        while index < bytes.count {
            if matches("//") {
                blankLine()
            } else if matches("/*") {
                blankBlockComment()
            } else if let pounds = stringStart() {
                blankString(pounds: pounds)
            } else {
                index += 1
            }
        }
    }

    private func matches(_ token: StaticString, at offset: Int = 0) -> Bool {
        token.withUTF8Buffer { token in
            let start = index + offset
            guard start + token.count <= bytes.count else { return false }
            return bytes[start..<start + token.count].elementsEqual(token)
        }
    }

    private mutating func blank(_ count: Int) {
        for place in index..<min(index + count, bytes.count) where bytes[place] != 10 {
            output[place] = 32
        }
        index += count
    }

    private mutating func blankLine() {
        while index < bytes.count, bytes[index] != 10 { blank(1) }
    }

    private mutating func blankBlockComment() {
        var depth = 0
        repeat {
            if matches("/*") {
                depth += 1
                blank(2)
            } else if matches("*/") {
                depth -= 1
                blank(2)
            } else {
                blank(1)
            }
        } while depth > 0 && index < bytes.count
    }

    /// The number of `#` before a quote that opens a string here.
    private func stringStart() -> Int? {
        var pounds = 0
        while index + pounds < bytes.count, bytes[index + pounds] == UInt8(ascii: "#") {
            pounds += 1
        }
        let quote = index + pounds
        return quote < bytes.count && bytes[quote] == UInt8(ascii: "\"") ? pounds : nil
    }

    /// Keeps the quotes, so that an empty argument still looks like an argument.
    private mutating func blankString(pounds: Int) {
        index += pounds
        let isMultiline = matches("\"\"\"")
        let quotes = isMultiline ? 3 : 1
        index += quotes
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), hasPounds(pounds, at: index + 1) {
                blankEscape(pounds: pounds)
            } else if closes(quotes: quotes, pounds: pounds) {
                index += quotes + pounds
                return
            } else if bytes[index] == 10 && !isMultiline {
                return
            } else {
                blank(1)
            }
        }
    }

    private func hasPounds(_ count: Int, at start: Int) -> Bool {
        guard start + count <= bytes.count else { return false }
        return bytes[start..<start + count].allSatisfy { $0 == UInt8(ascii: "#") }
    }

    private func closes(quotes: Int, pounds: Int) -> Bool {
        guard index + quotes + pounds <= bytes.count else { return false }
        return bytes[index..<index + quotes].allSatisfy { $0 == UInt8(ascii: "\"") }
            && hasPounds(pounds, at: index + quotes)
    }

    private mutating func blankEscape(pounds: Int) {
        blank(1 + pounds)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "(") else { return blank(1) }
        var depth = 0
        repeat {
            if let inner = stringStart() {
                let begin = index
                blankString(pounds: inner)
                let end = index
                index = begin
                blank(end - begin)
                continue
            }
            if bytes[index] == UInt8(ascii: "(") { depth += 1 }
            if bytes[index] == UInt8(ascii: ")") { depth -= 1 }
            blank(1)
        } while depth > 0 && index < bytes.count
    }
}
