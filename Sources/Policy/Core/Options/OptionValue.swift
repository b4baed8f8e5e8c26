/// Where an option's value was said.
package enum OptionMark: Equatable, Sendable {
    case builtIn
    case file(path: String, line: Int)
    case environment(name: String)
    case commandLine(argument: String)

    /// For errors and `--print-config`.
    package var text: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "environment variable \(name)"
        case .commandLine(let argument): "--set \(argument)"
        }
    }
}

/// What a source of options says, whatever the source: a tree of names with scalars and lists at
/// its leaves, each with its mark.
package indirect enum OptionValue: Equatable, Sendable {
    case scalar(String, OptionMark)
    case list([String], OptionMark)
    case map([OptionEntry], OptionMark)

    package var mark: OptionMark {
        switch self {
        case .scalar(_, let mark), .list(_, let mark), .map(_, let mark): mark
        }
    }
}

/// A name and its value, in the order in which they were written.
package struct OptionEntry: Equatable, Sendable {
    package var name: String
    package var mark: OptionMark
    package var value: OptionValue

    package init(name: String, mark: OptionMark, value: OptionValue) {
        self.name = name
        self.mark = mark
        self.value = value
    }
}

/// What is wrong with the options; says where and, if it can, what was meant.
package struct OptionError: Error, Equatable, CustomStringConvertible {
    package var mark: OptionMark
    package var problem: String

    package init(_ mark: OptionMark, _ problem: String) {
        self.mark = mark
        self.problem = problem
    }

    package var description: String { "\(mark.text): \(problem.escapedForLog)" }
}

/// One value on its way from a source into the configuration.
struct OptionAssignment {
    var path: [String]
    var value: OptionLeaf
    var mark: OptionMark
}

/// A value without further names in it.
package enum OptionLeaf: Equatable, Sendable {
    case scalar(String)
    case list([String])

    /// A scalar counts as a list with commas; `[]` and the empty text are the empty list.
    var items: [String] {
        switch self {
        case .list(let items): items
        case .scalar(let text):
            text.isEmpty || text == "[]"
                ? []
                : text.split(separator: ",", omittingEmptySubsequences: false).map {
                    String($0.drop { $0 == " " })
                }
        }
    }

    /// As it stands in `--print-config`.
    package var text: String {
        switch self {
        case .scalar(let text): Self.quoted(text)
        case .list(let items): "[" + items.map(Self.quoted).joined(separator: ", ") + "]"
        }
    }

    private static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy {
            ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A)
                || [0x2E, 0x2F, 0x5F, 0x2D].contains($0)
        }
        return isPlain && !text.isEmpty ? text : text.quotedForJSON
    }
}
