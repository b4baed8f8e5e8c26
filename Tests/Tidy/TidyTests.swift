import Testing

@Suite("Tidy")
struct TidyTests {
    @Test("the repository keeps the rule", arguments: Rule.all)
    func repositoryKeeps(rule: Rule) {
        let violations = rule.check(RepositoryReader.current)
        for violation in violations { Issue.record("\(violation)") }
    }

    @Test("the reader finds sources, tests and the manifest")
    func readerFindsFiles() {
        let repository = RepositoryReader.current
        #expect(repository.file("Package.swift") != nil)
        #expect(repository.file("Tests/Tidy/TidyTests.swift") != nil)
        #expect(repository.sources.count > 5)
        #expect(repository.topLevel.contains("Sources"))
    }

    @Test("no row of the floor plan looks sideways or up")
    func floorPlanDescends() {
        for row in FloorPlan.rows {
            for name in row.imports where !FloorPlan.shims.contains(name) {
                let other = FloorPlan.row(name)
                #expect(other != nil, "\(row.module) names \(name), which has no row")
                #expect((other?.floor ?? 99) < row.floor, "\(row.module) looks up at \(name)")
            }
        }
    }

    @Test("every module of the manifest's rows is found")
    func manifestIsRead() throws {
        let manifest = try #require(RepositoryReader.current.file("Package.swift"))
        let modules = ImportRules.moduleRows(of: manifest).map(\.module)
        #expect(modules.contains("Base"))
        #expect(modules.contains("Broker"))
    }
}
