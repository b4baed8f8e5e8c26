import Base
import Policy
import Yams

/// Reads a YAML file into the neutral form of options, with the line of every value.
package enum ConfigurationFile {
    /// Reads and parses a file.
    package static func load(_ path: String) throws(OptionError) -> OptionValue {
        do {
            let bytes = try FileBytes.read(path, limit: 16 << 20)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw OptionError(.file(path: path, line: 1), "is not UTF-8 text")
            }
            return try parse(text, path: path)
        } catch let error as OptionError {
            throw error
        } catch let error as FileError {
            throw OptionError(.file(path: path, line: 1), error.problem)
        } catch {
            throw OptionError(.file(path: path, line: 1), "\(error)")
        }
    }

    /// Parses the text of a file. `path` is for the errors.
    package static func parse(_ text: String, path: String) throws(OptionError) -> OptionValue {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw OptionError(.file(path: path, line: line(of: error)), problem(of: error))
        } catch {
            throw OptionError(.file(path: path, line: 1), "is not YAML: \(error)")
        }
        guard let root else { return .map([], .file(path: path, line: 1)) }
        return try convert(root, path: path, line: 1)
    }

    private static func convert(
        _ node: Node, path: String, line: Int
    ) throws(OptionError) -> OptionValue {
        switch node {
        case .scalar(let scalar):
            let mark = OptionMark.file(path: path, line: scalar.mark?.line ?? line)
            return .scalar(text(of: scalar), mark)
        case .sequence(let sequence):
            let mark = OptionMark.file(path: path, line: sequence.mark?.line ?? line)
            var items: [String] = []
            for item in sequence {
                guard case .scalar(let scalar) = item else {
                    throw OptionError(mark, "a list holds plain values alone")
                }
                items.append(text(of: scalar))
            }
            return .list(items, mark)
        case .mapping(let mapping):
            return try convert(mapping, path: path, line: line)
        case .alias:
            throw OptionError(.file(path: path, line: line), "aliases are not used here")
        }
    }

    private static func convert(
        _ mapping: Node.Mapping, path: String, line: Int
    ) throws(OptionError) -> OptionValue {
        var entries: [OptionEntry] = []
        for (key, value) in mapping {
            guard case .scalar(let name) = key else {
                throw OptionError(.file(path: path, line: line), "a name must be a plain word")
            }
            let mark = OptionMark.file(path: path, line: name.mark?.line ?? line)
            entries.append(
                OptionEntry(
                    name: name.string, mark: mark,
                    value: try convert(value, path: path, line: name.mark?.line ?? line)))
        }
        return .map(entries, .file(path: path, line: mapping.mark?.line ?? line))
    }

    /// A plain `~` or `null` is nothing.
    private static func text(of scalar: Node.Scalar) -> String {
        scalar.style == .plain && ["~", "null"].contains(scalar.string) ? "" : scalar.string
    }

    private static func line(of error: YamlError) -> Int {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _),
            .composer(_, _, let mark, _):
            mark.line
        default: 1
        }
    }

    private static func problem(of error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, _, _), .parser(_, let problem, _, _),
            .composer(_, let problem, _, _):
            "is not YAML: " + problem
        default: "is not YAML: \(error)"
        }
    }
}
