/// What stands at the top of the repository, and words that stand nowhere in it.
enum ContentRules {
    static let all: [Rule] = [topLevel, marks, words]

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
}
