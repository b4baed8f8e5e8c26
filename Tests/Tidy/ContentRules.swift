/// What stands at the top of the repository, and words that stand nowhere in it.
enum ContentRules {
    static let all: [Rule] = [topLevel, marks, words, paths]

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

    /// Paths in back quotes with a file name at their end, such as `Docs/DECISIONS.md`.
    static let paths = Rule(name: "pages name files that exist") { repository in
        let known = Set(repository.files.map(\.path))
        let tops = allowedTopLevel.filter { !$0.contains(".") }
        return repository.files.filter { $0.path.hasSuffix(".md") }.flatMap { page in
            page.lines.enumerated().flatMap { index, line -> [Violation] in
                quoted(line).filter { path in
                    let parts = path.split(separator: "/")
                    return parts.count > 1 && tops.contains(String(parts[0]))
                        && parts[parts.count - 1].contains(".") && !path.contains("*")
                        && !known.contains(path)
                }.map {
                    page.violation(index + 1, "names \($0), which does not exist", "mend the name")
                }
            }
        }
    }

    private static func quoted(_ line: String) -> [String] {
        let parts = line.split(separator: "`", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }
    }
}
