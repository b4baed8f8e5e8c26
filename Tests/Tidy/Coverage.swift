/// Which of the things that need a test have one, by the tags in the tests' titles.
///
/// A tag is a bracket in a string of a test: `[MQTT-3.1.2-3]` for a statement of MQTT 5.0,
/// `[v3 MQTT-3.1.2-3]` for 3.1.1, `[refusal C05]` for a row of Docs/REFUSALS.md. One bracket may
/// hold several of a kind: `[MQTT-4.3.3-8, MQTT-4.3.3-11]`, `[refusal P01, P02]`.
struct Coverage: Sendable {
    /// Where a tag stands.
    struct Place: Sendable, CustomStringConvertible {
        let path: String
        let line: Int
        /// The string with the tag, without its tags.
        let title: String

        var description: String { "\(path):\(line)" }
    }

    /// Places by id: `MQTT-3.1.2-3`, `v3 MQTT-3.1.2-3`, `refusal C05`.
    private(set) var places: [String: [Place]] = [:]

    init(of repository: Repository) {
        let tests = repository.swift.filter {
            $0.isInTests && !$0.path.hasPrefix("Tests/Tidy/")
        }
        for file in tests {
            for index in file.lines.indices where file.lines[index].contains("[") {
                read(index, of: file)
            }
        }
    }

    /// Ids of `required` that no test names.
    func missing(of required: [String]) -> [String] { required.filter { places[$0] == nil } }

    /// Ids with the prefix that stand in a test and not in `known`: misspelt or outdated.
    func unknown(prefix: String, known: Set<String>) -> [(id: String, place: Place)] {
        places.filter { $0.key.hasPrefix(prefix) && !known.contains($0.key) }
            .flatMap { id, places in places.map { (id, $0) } }
            .sorted { $0.id < $1.id }
    }

    private mutating func read(_ index: Int, of file: SourceFile) {
        let line = file.lines[index]
        guard !line.drop(while: { $0 == " " }).hasPrefix("//") else { return }
        for tag in Self.tags(in: line) {
            let place = Place(
                path: file.path, line: index + 1,
                title: Self.title(of: Self.string(around: index, of: file.lines)))
            for id in Self.ids(of: tag) { places[id, default: []].append(place) }
        }
    }

    /// The contents of brackets that begin with a known word.
    static func tags(in line: String) -> [String] {
        line.split(separator: "[", omittingEmptySubsequences: false).dropFirst().compactMap {
            part in
            guard let close = part.firstIndex(of: "]") else { return nil }
            let tag = part[..<close]
            return kinds.contains { tag.hasPrefix($0) } ? String(tag) : nil
        }
    }

    private static let kinds = ["MQTT-", "v3 MQTT-", "refusal ", "attack ", "setting ", "event "]

    static func ids(of tag: String) -> [String] {
        let words = tag.split { $0 == " " || $0 == "," }.map(String.init)
        guard let first = words.first else { return [] }
        if first.hasPrefix("MQTT-") { return words }
        return words.dropFirst().map { "\(first) \($0)" }
    }

    /// The line; where it is part of a string of several lines, the whole string on one.
    private static func string(around index: Int, of lines: [String]) -> String {
        guard !lines[index].contains("\"") else { return lines[index] }
        func isFence(_ line: String) -> Bool {
            line.drop { $0 == " " }.hasPrefix("\"\"\"")
        }
        let start = lines[..<index].lastIndex(where: isFence).map { $0 + 1 } ?? index
        let end = lines[index...].firstIndex(where: isFence) ?? index + 1
        let parts = lines[start..<end].map { line in
            line.hasSuffix("\\") ? String(line.dropLast()) : line
        }
        return "\"\(parts.joined(separator: " "))\""
    }

    private static func title(of line: String) -> String {
        let quoted = line.split(separator: "\"", omittingEmptySubsequences: false)
        let withTag = quoted.first { !tags(in: String($0)).isEmpty } ?? ""
        var title = String(withTag)
        while let open = title.firstIndex(of: "["), let close = title[open...].firstIndex(of: "]") {
            title.removeSubrange(open...close)
        }
        return title.split(separator: " ").joined(separator: " ")
    }
}
