import Foundation

/// One text file of the repository, as written and as code alone.
///
/// Read once, shared by all rules. `code` has the same lines and columns as `lines`, with comments
/// and the contents of string literals turned to spaces, so that a rule that looks for a call does
/// not stumble over prose.
struct SourceFile: Sendable {
    /// From the top of the repository, with `/`.
    let path: String
    let lines: [String]
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = Self.split(text)
        code = path.hasSuffix(".swift") ? Self.split(CodeMask.mask(text)) : lines
    }

    var isSwift: Bool { path.hasSuffix(".swift") }
    var isC: Bool { path.hasSuffix(".c") || path.hasSuffix(".h") }

    /// Folder names and file name.
    var components: [String] { path.split(separator: "/").map(String.init) }

    /// The module of a file under `Sources`, the target's folder of one under `Tests`.
    var module: String? {
        let parts = components
        return parts.count > 2 && (parts[0] == "Sources" || parts[0] == "Tests") ? parts[1] : nil
    }

    var isInSources: Bool { path.hasPrefix("Sources/") }
    var isInTests: Bool { path.hasPrefix("Tests/") }

    private static func split(_ text: String) -> [String] {
        var parts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if parts.last == "" { parts.removeLast() }
        return parts
    }
}

/// A fault in one place, with what to do about it.
struct Violation: CustomStringConvertible, Sendable {
    let path: String
    let line: Int
    let problem: String
    let remedy: String

    var description: String { "\(path):\(line): \(problem); \(remedy)" }
}

/// Everything the rules may look at.
struct Repository: Sendable {
    var files: [SourceFile]
    /// Names at the top that are not empty directories.
    var topLevel: [String]

    /// A repository made of samples, for the tests of the rules.
    init(samples: [(path: String, text: String)], topLevel: [String] = []) {
        files = samples.map { SourceFile(path: $0.path, text: $0.text) }
        self.topLevel = topLevel
    }

    var swift: [SourceFile] { files.filter(\.isSwift) }
    var sources: [SourceFile] { files.filter { $0.isSwift && $0.isInSources } }

    func file(_ path: String) -> SourceFile? { files.first { $0.path == path } }
}
