import Foundation

/// One line of a run file. The field `line` says of what kind it is.
package enum RunLine: Sendable, Equatable {
    case head(RunHead)
    case sample(RunSample)
    case fault(RunFault)
    case end(RunEnd)

    /// The line with its line feed. Keys are sorted, so that equal runs give equal text.
    package func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: NonFinite.positive, negativeInfinity: NonFinite.negative,
            nan: NonFinite.nan)
        return String(decoding: try encoder.encode(LineBody(line: self)), as: UTF8.self) + "\n"
    }
}

/// JSON has no such numbers, and one division by nothing must not cost the whole run.
private enum NonFinite {
    static let positive = "infinity"
    static let negative = "-infinity"
    static let nan = "nan"
}

/// What is wrong with a run file, and where.
package struct RunRecordError: Error, Equatable, CustomStringConvertible {
    package enum Problem: Sendable, Equatable {
        case notJSON(String)
        case newerFormat(Int)
        /// A line of a run before the line that begins one.
        case noHead
        case tooLong
        case unreadable
    }

    package var file: String
    /// From 1.
    package var line: Int
    package var problem: Problem

    package var description: String {
        let what =
            switch problem {
            case .notJSON(let reason): "is no line of a run: \(reason)"
            case .newerFormat(let format):
                "has format \(format), written by a newer apus-perf; this one reads up to "
                    + "\(RunHead.formatMax)"
            case .noHead: "belongs to no run: a line of kind \"run\" comes first"
            case .unreadable: "cannot be read"
            case .tooLong:
                "is beyond the limit of \(RunRecordReader.bytesMax >> 20) MiB or "
                    + "\(RunRecordReader.runsMax) runs"
            }
        return problem == .unreadable ? "\(file) \(what)" : "\(file):\(line): \(what)"
    }
}

/// Reads run files. Unknown fields and unknown kinds of lines are passed over.
package enum RunRecordReader {
    /// A day of seconds is about 30 MiB.
    package static let bytesMax = 256 << 20
    package static let runsMax = 1_000

    /// The runs in a text; `file` is for errors.
    package static func read(
        _ text: String, file: String
    ) throws(RunRecordError) -> [RunRecord] {
        var runs: [RunRecord] = []
        var number = 0
        guard text.utf8.count <= bytesMax else {
            throw RunRecordError(file: file, line: 1, problem: .tooLong)
        }
        for bytes in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false) {
            number += 1
            guard bytes.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else {
                continue
            }
            let line: RunLine?
            do {
                line = try parse(Data(bytes))
            } catch {
                throw RunRecordError(file: file, line: number, problem: error)
            }
            guard append(line, to: &runs) else {
                throw RunRecordError(file: file, line: number, problem: .noHead)
            }
            guard runs.count <= runsMax else {
                throw RunRecordError(file: file, line: number, problem: .tooLong)
            }
        }
        return runs
    }

    /// The runs in a file.
    package static func read(path: String) throws(RunRecordError) -> [RunRecord] {
        let url = URL(fileURLWithPath: path)
        guard let bytes = try? Data(contentsOf: url, options: .mappedIfSafe) else {
            throw RunRecordError(file: path, line: 1, problem: .unreadable)
        }
        return try read(String(decoding: bytes, as: UTF8.self), file: path)
    }

    /// False for a line that has no run to belong to.
    private static func append(_ line: RunLine?, to runs: inout [RunRecord]) -> Bool {
        switch line {
        case .head(let head):
            runs.append(RunRecord(head: head))
        case .sample(let sample):
            guard !runs.isEmpty else { return false }
            runs[runs.count - 1].samples.append(sample)
        case .fault(let fault):
            guard !runs.isEmpty else { return false }
            runs[runs.count - 1].faults.append(fault)
        case .end(let end):
            guard !runs.isEmpty else { return false }
            runs[runs.count - 1].end = end
        case nil:
            break
        }
        return true
    }

    /// Nil for a kind of line that this program does not know.
    private static func parse(_ bytes: Data) throws(RunRecordError.Problem) -> RunLine? {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: NonFinite.positive, negativeInfinity: NonFinite.negative,
            nan: NonFinite.nan)
        do {
            let mark = try decoder.decode(LineMark.self, from: bytes)
            // Before the rest: a newer form may be unlike anything that is known here.
            if let format = mark.format, format > RunHead.formatMax {
                throw RunRecordError.Problem.newerFormat(format)
            }
            guard LineBody.Kind(rawValue: mark.line) != nil else { return nil }
            return try decoder.decode(LineBody.self, from: bytes).line
        } catch let problem as RunRecordError.Problem {
            throw problem
        } catch let error as DecodingError {
            throw .notJSON(Self.words(for: error))
        } catch {
            throw .notJSON("\(error)")
        }
    }

    private static func words(for error: DecodingError) -> String {
        func path(_ context: DecodingError.Context, _ key: CodingKey? = nil) -> String {
            let keys = context.codingPath + (key.map { [$0] } ?? [])
            return keys.isEmpty ? "it" : keys.map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context, key)) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "\(path(context)) has another type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "not JSON" : "\(path(context)) is damaged"
        @unknown default: return "not JSON"
        }
    }
}

extension RunRecordError.Problem: Error {}

/// What every line has.
private struct LineMark: Decodable {
    var line: String
    var format: Int?
}

/// The fields of a line beside its kind, all in one object.
private struct LineBody: Codable {
    enum Kind: String, Codable {
        case run, second, fault, end
    }

    var line: RunLine

    init(line: RunLine) { self.line = line }

    private enum CodingKeys: String, CodingKey {
        case line
    }

    init(from decoder: any Decoder) throws {
        let kind = try decoder.container(keyedBy: CodingKeys.self).decode(Kind.self, forKey: .line)
        switch kind {
        case .run: line = .head(try RunHead(from: decoder))
        case .second: line = .sample(try RunSample(from: decoder))
        case .fault: line = .fault(try RunFault(from: decoder))
        case .end: line = .end(try RunEnd(from: decoder))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch line {
        case .head(let head):
            try container.encode(Kind.run, forKey: .line)
            try head.encode(to: encoder)
        case .sample(let sample):
            try container.encode(Kind.second, forKey: .line)
            try sample.encode(to: encoder)
        case .fault(let fault):
            try container.encode(Kind.fault, forKey: .line)
            try fault.encode(to: encoder)
        case .end(let end):
            try container.encode(Kind.end, forKey: .line)
            try end.encode(to: encoder)
        }
    }
}
