/// What stands at the top of the repository, and words that stand nowhere in it.
enum ContentRules {
    static let all: [Rule] = [topLevel, marks, words, paths, map]

    static let allowedTopLevel: Set<String> = [
        "Package.swift", "Sources", "CShims", "Tests", "Perf", "README.md", "Makefile", "LICENSE",
        "CHANGELOG.md", "Docs", "Packaging",
    ]

    static let topLevel = Rule(name: "the top level holds what the plan names") { repository in
        repository.topLevel.filter { !allowedTopLevel.contains($0) && !$0.hasPrefix(".") }.map {
            Violation(
                path: $0, line: 1, problem: "is not part of the plan for the top level",
                remedy: "put it under Sources, Tests, Perf, Docs or Packaging")
        }
    }

    /// Notes to oneself. Put together here, so that this file passes its own rule.
    static let unfinished = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]

    static let marks = Rule.perFile("nothing is left unfinished", where: { _ in true }) { file in
        file.lines.indices.flatMap { index -> [Violation] in
            unfinished.filter { Tokens.contains(file.lines[index], Array($0.utf8)) }.map {
                file.violation(index + 1, "says \($0)", "do it, or open an issue")
            }
        }
    }

    /// Names of places and people that mean nothing to a reader of the repository.
    static let foreign = [
        "/wo" + "rk/", "/fa" + "rm/", "/tmp/w" + "t", "/tmp/help" + "ers", ".libr" + "ary/",
        "sub" + "agent", "clau" + "de", "anthro" + "pic", "co-authored" + "-by",
    ]

    static let words = Rule.perFile(
        "the repository speaks of itself alone", where: { _ in true }
    ) { file in
        file.lines.indices.flatMap { index -> [Violation] in
            let line = file.lines[index].lowercased()
            return foreign.filter(line.contains).map {
                file.violation(index + 1, "says \($0)", "leave out where and by whom it was made")
            }
        }
    }

    /// Paths in back quotes: of a file, such as `Docs/DECISIONS.md`, or of a folder.
    static let paths = Rule(name: "pages name files that exist") { repository in
        var known = Set(repository.files.map(\.path))
        for file in repository.files {
            let parts = file.components
            for count in parts.indices.dropFirst() {
                known.insert(parts[..<count].joined(separator: "/"))
            }
        }
        let tops = allowedTopLevel.filter { !$0.contains(".") }
        return names(in: repository.files.filter { $0.path.hasSuffix(".md") }) { path in
            let parts = path.split(separator: "/")
            return parts.count > 1 && tops.contains(String(parts[0])) && !path.contains("*")
                && !path.contains(" ") && !known.contains(parts.joined(separator: "/"))
        }
    }

    static let mapPage = "Docs/ARCHITECTURE.md"

    /// A name in back quotes on the map, such as `QueryDoor` or `Worker+Drain`, is that of a file,
    /// a folder or a module; so is one with a plus on any page and in the sources.
    static let map = Rule(name: "the map names sources that exist") { repository in
        var known = Set(FloorPlan.rows.map(\.module) + FloorPlan.shims)
        for file in repository.files {
            known.formUnion(file.components)
            if file.isSwift, let name = file.components.last {
                known.insert(String(name.dropLast(".swift".count)))
            }
        }
        let map = repository.files.filter { $0.path == mapPage }
        return names(in: map) { isTypeName($0) && !known.contains($0) }
            + names(in: repository.files.filter { $0.isInSources || $0.path.hasSuffix(".md") }) {
                name in
                let parts = name.split(separator: "+")
                return parts.count == 2 && parts.allSatisfy(isTypeName) && !known.contains(name)
            }
    }

    /// A capital first and small letters behind it.
    private static func isTypeName(_ name: some StringProtocol) -> Bool {
        name.first?.isUppercase == true && name.contains(where: \.isLowercase)
            && name.allSatisfy { $0.isLetter || $0.isNumber }
    }

    private static func names(
        in files: [SourceFile], where isWrong: (String) -> Bool
    ) -> [Violation] {
        files.flatMap { file in
            file.lines.enumerated().flatMap { index, line -> [Violation] in
                quoted(line).filter(isWrong).map {
                    file.violation(index + 1, "names \($0), which does not exist", "mend the name")
                }
            }
        }
    }

    private static func quoted(_ line: String) -> [String] {
        guard line.utf8.contains(UInt8(ascii: "`")) else { return [] }
        let parts = line.split(separator: "`", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }
    }
}
