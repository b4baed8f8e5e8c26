import Foundation

/// The brokers of a comparison, read from a small JSON file (`Perf/Examples/compare.json`).
package struct ComparisonFile: Sendable, Equatable {
    package static let brokersMax = 16
    package static let bytesMax = 1 << 20

    /// The first is what the others are compared with.
    package var brokers: [BrokerSpec]

    package init(brokers: [BrokerSpec]) { self.brokers = brokers }

    /// Reads and checks a file.
    package static func read(path: String) throws(ComparisonError) -> ComparisonFile {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw ComparisonError(subject: path, reason: "cannot be read")
        }
        return try parse(bytes, path: path)
    }

    /// Reads and checks the contents of a file; `path` is for errors.
    package static func parse(
        _ bytes: Data, path: String
    ) throws(ComparisonError) -> ComparisonFile {
        guard bytes.count <= bytesMax else {
            throw ComparisonError(subject: path, reason: "is longer than \(bytesMax) bytes")
        }
        let file: ComparisonFile
        do {
            file = try JSONDecoder().decode(ComparisonFile.self, from: bytes)
        } catch let error as DecodingError {
            throw ComparisonError(subject: path, reason: words(for: error))
        } catch {
            throw ComparisonError(subject: path, reason: "\(error)")
        }
        if let reason = file.fault { throw ComparisonError(subject: path, reason: reason) }
        return file
    }

    /// What is wrong with it; nil if nothing is.
    private var fault: String? {
        guard !brokers.isEmpty else { return "names no broker" }
        guard brokers.count <= Self.brokersMax else {
            return "names more than \(Self.brokersMax) brokers"
        }
        let names = brokers.map(\.name)
        guard Set(names).count == names.count else { return "names a broker twice" }
        return brokers.lazy.compactMap(\.fault).first
    }

    private static func words(for error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            let keys = context.codingPath.map {
                $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)"
            }
            let text = keys.joined().drop { $0 == "." }
            return text.isEmpty ? "it" : String(text)
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "\(path(context)) has no \"\(key.stringValue)\""
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "\(path(context)) has another type"
        case .dataCorrupted(let context):
            // Ours name a key.
            return context.codingPath.isEmpty && !context.debugDescription.hasPrefix("\"")
                ? "is not JSON" : "\(path(context)): \(context.debugDescription)"
        @unknown default: return "is not JSON"
        }
    }
}

/// One broker of a comparison: how to start it, and how to know that it is ready.
package struct BrokerSpec: Sendable, Equatable {
    /// What it is called in tables and reports.
    package var name: String
    /// Program and arguments. `{port}`, `{data}` and `{name}` are replaced: the port it is to
    /// listen on at 127.0.0.1, its own empty directory, and its name. It is the broker itself, not
    /// something that starts it: processor time and memory are read by its process number.
    package var start: [String]
    /// Files written into the directory first, by name; the same words are replaced in them.
    package var files: [String: String] = [:]
    /// Set beside what is inherited.
    package var environment: [String: String] = [:]
    /// A command that prints the version.
    package var version: [String] = []
    /// It is ready when the port accepts; after this time it never will be.
    package var readySeconds = 15.0
    /// After this time it is not asked to end any more.
    package var endSeconds = 10.0
    /// What a report is to say of it.
    package var loops: Int?
    package var poller: String?

    package init(name: String, start: [String]) {
        self.name = name
        self.start = start
    }

    /// What is wrong with it; nil if nothing is.
    fileprivate var fault: String? {
        guard !name.isEmpty, name.utf8.count <= 64 else { return "a name is empty or too long" }
        guard start.first?.isEmpty == false else { return "\(name): \"start\" has no program" }
        guard (0.1...600).contains(readySeconds), (0.1...600).contains(endSeconds) else {
            return "\(name): \"ready_seconds\" and \"end_seconds\" lie between 0.1 and 600"
        }
        for file in files.keys.sorted()
        where file.isEmpty || file.contains("/") || file.contains("\0") || file.hasPrefix(".") {
            return "\(name): \"\(file)\" is no plain file name"
        }
        for text in start + files.values.sorted() + environment.values.sorted() {
            if let word = Placeholder.unknown(in: text) {
                return "\(name): {\(word)} is none of \(Placeholder.list)"
            }
        }
        let uses = (start + files.values).contains { $0.contains("{port}") }
        return uses ? nil : "\(name): nothing tells it its {port}"
    }
}

/// Words in braces that are replaced at the start of a broker.
enum Placeholder {
    static let known = ["port", "data", "name"]
    static var list: String { known.map { "{\($0)}" }.joined(separator: ", ") }

    static func replace(_ text: String, _ values: [String: String]) -> String {
        var result = text
        for word in known { result = result.replacing("{\(word)}", with: values[word] ?? "") }
        return result
    }

    /// The first word in braces that looks like one of ours and is not.
    static func unknown(in text: String) -> String? {
        for part in text.split(separator: "{", omittingEmptySubsequences: false).dropFirst() {
            guard let end = part.firstIndex(of: "}") else { continue }
            let word = part[..<end]
            let isWord = !word.isEmpty && word.allSatisfy { $0.isLetter && $0.isLowercase }
            if isWord, !known.contains(String(word)) { return String(word) }
        }
        return nil
    }
}

/// Why a comparison cannot be made.
package struct ComparisonError: Error, Equatable, CustomStringConvertible {
    /// A file, or a broker.
    package var subject: String
    package var reason: String

    package init(subject: String, reason: String) {
        self.subject = subject
        self.reason = reason
    }

    package var description: String { "\(subject): \(reason)" }
}

extension ComparisonFile: Decodable {
    private enum CodingKeys: String, CodingKey, CaseIterable {
        case comment, brokers
    }

    package init(from decoder: any Decoder) throws {
        try StrictKey.check(decoder, CodingKeys.allCases.map(\.rawValue))
        let container = try decoder.container(keyedBy: CodingKeys.self)
        brokers = try container.decode([BrokerSpec].self, forKey: .brokers)
    }
}

extension BrokerSpec: Decodable {
    private enum CodingKeys: String, CodingKey, CaseIterable {
        case comment, name, start, files, environment, version, loops, poller
        case readySeconds = "ready_seconds"
        case endSeconds = "end_seconds"
    }

    package init(from decoder: any Decoder) throws {
        try StrictKey.check(decoder, CodingKeys.allCases.map(\.rawValue))
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        start = try container.decode([String].self, forKey: .start)
        files = try container.decodeIfPresent([String: String].self, forKey: .files) ?? files
        environment =
            try container.decodeIfPresent([String: String].self, forKey: .environment)
            ?? environment
        version = try container.decodeIfPresent([String].self, forKey: .version) ?? version
        readySeconds =
            try container.decodeIfPresent(Double.self, forKey: .readySeconds) ?? readySeconds
        endSeconds = try container.decodeIfPresent(Double.self, forKey: .endSeconds) ?? endSeconds
        loops = try container.decodeIfPresent(Int.self, forKey: .loops)
        poller = try container.decodeIfPresent(String.self, forKey: .poller)
    }
}

/// A file that a person writes has no unknown keys: a key with a slip in it is told, not passed
/// over.
private struct StrictKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }

    static func check(_ decoder: any Decoder, _ known: [String]) throws {
        let keys = try decoder.container(keyedBy: StrictKey.self).allKeys.map(\.stringValue)
        guard let key = keys.sorted().first(where: { !known.contains($0) }) else { return }
        throw DecodingError.dataCorrupted(
            DecodingError.Context(
                codingPath: decoder.codingPath,
                debugDescription: "\"\(key)\" is none of \(known.joined(separator: ", "))"))
    }
}
