/// Who may import whom.
enum ImportRules {
    static let all: [Rule] = [imports, core, folders, manifest, testable]

    /// The module an import line names.
    static func importedModule(_ line: String) -> String? {
        let words = Tokens.words(line)
        guard let place = words.firstIndex(of: "import"),
            words[..<place].allSatisfy({ attributes.contains($0) })
        else { return nil }
        let kinds: Set<String> = [
            "struct", "class", "enum", "protocol", "func", "var", "typealias",
        ]
        let rest = words[(place + 1)...].drop { kinds.contains($0) }
        return rest.first
    }

    private static let attributes: Set<String> = [
        "testable", "preconcurrency", "_exported", "_implementationOnly", "_spi", "public",
        "package", "internal", "fileprivate", "private",
    ]

    static func imports(of file: SourceFile) -> [(line: Int, module: String)] {
        file.code.enumerated().compactMap { index, line in
            importedModule(line).map { (index + 1, $0) }
        }
    }

    static let imports = Rule.perFile("imports follow the floor plan", where: \.isSwift) { file in
        imports(of: file).compactMap { line, module in
            fault(of: file, importing: module).map { file.violation(line, $0.0, $0.1) }
        }
    }

    private static func fault(
        of file: SourceFile, importing module: String
    ) -> (String, String)? {
        if file.isInSources { return faultInSources(file, module) }
        let isHouse = FloorPlan.row(module) != nil || FloorPlan.shims.contains(module)
        if isHouse || FloorPlan.librariesOfTests.contains(module) { return nil }
        if file.path == "Package.swift" && module == "PackageDescription" { return nil }
        return (
            "imports \(module), which no test or tool of this repository needs",
            "use what is there, or add the library to FloorPlan.librariesOfTests with a reason"
        )
    }

    private static func faultInSources(
        _ file: SourceFile, _ module: String
    ) -> (String, String)? {
        guard let name = file.module, let row = FloorPlan.row(name) else {
            return (
                "belongs to no module of the floor plan", "add a row to FloorPlan.rows, or move it"
            )
        }
        if row.imports.contains(module) { return nil }
        if row.floor >= 8 && FloorPlan.librariesFromFloor8.contains(module) { return nil }
        if row.floor >= 9 && FloorPlan.librariesOfExecutable.contains(module) { return nil }
        if let other = FloorPlan.row(module) {
            let place = other.floor == row.floor ? "the same floor" : "floor \(other.floor)"
            return (
                "\(name) (floor \(row.floor)) imports \(module) (\(place))",
                "move the shared part to a lower floor, or pass a value in from above"
            )
        }
        if module == "Glibc" {
            return ("\(name) imports Glibc", "import CLinux, the one door to the C library")
        }
        return (
            "\(name) imports \(module), which its row of the floor plan does not name",
            "do without, or change FloorPlan.rows and Docs/ARCHITECTURE.md together"
        )
    }

    static let core = Rule.perFile(
        "Core decides without loops, files and clocks",
        where: { $0.isSwift && $0.isInSources && $0.components.dropFirst(2).first == "Core" },
        { file in
            imports(of: file).filter { FloorPlan.forbiddenInCore.contains($0.module) }.map {
                file.violation(
                    $0.line, "Core imports \($0.module)",
                    "let Core return an action and carry it out in Shell")
            }
        })

    static let folders = Rule.perFile(
        "a module from floor 4 to 7 has Core and Shell", where: { $0.isSwift && $0.isInSources }
    ) { file in
        guard let name = file.module, let row = FloorPlan.row(name),
            (FloorPlan.firstFloorWithCore...FloorPlan.lastFloorWithCore).contains(row.floor),
            file.components.last != "Placeholder.swift",
            !["Core", "Shell"].contains(file.components[2])
        else { return [] }
        return [
            file.violation(
                1, "lies neither in \(name)/Core nor in \(name)/Shell",
                "Core if the simulator runs it, Shell if the simulator replaces it")
        ]
    }

    static let testable = Rule.perFile("tests use package access", where: \.isSwift) { file in
        file.linesWithToken("@testable").map {
            file.violation(
                $0, "@testable needs a debug build", "give what the test needs `package` access")
        }
    }

    /// The rows `module("Name", ["Import", …])` of the manifest.
    static let manifest = Rule(name: "Package.swift agrees with the floor plan") { repository in
        guard let file = repository.file("Package.swift") else { return [] }
        return moduleRows(of: file).flatMap { entry -> [Violation] in
            guard let row = FloorPlan.row(entry.module) else {
                return [
                    file.violation(
                        entry.line, "\(entry.module) has no row in the floor plan",
                        "add it to FloorPlan.rows")
                ]
            }
            return entry.imports.filter { !row.imports.contains($0) }.map {
                file.violation(
                    entry.line, "\(entry.module) depends on \($0) against the floor plan",
                    "take the dependency out of the row")
            }
        }
    }

    static func moduleRows(
        of file: SourceFile
    ) -> [(line: Int, module: String, imports: [String])] {
        file.lines.indices.compactMap { index in
            guard file.lines[index].contains(" module(\"") || file.lines[index].hasSuffix("module(")
            else { return nil }
            let rest = file.lines[index...].prefix(6).joined(separator: " ")
            guard let close = rest.firstIndex(of: "]") else { return nil }
            let quoted = rest[..<close].split(separator: "\"", omittingEmptySubsequences: false)
            let names = quoted.indices.filter { $0 % 2 == 1 }.map { String(quoted[$0]) }
            guard let module = names.first else { return nil }
            return (index + 1, module, Array(names.dropFirst()))
        }
    }
}
