import Foundation
import Testing

/// What every listed thing has: a statement its test, a refusal its test.
@Suite("Coverage")
struct CoverageTests {
    static let writesDocs = ProcessInfo.processInfo.environment["APUS_WRITE_DOCS"] == "1"
    static let coverage = Coverage(of: RepositoryReader.current)

    private func statements() throws -> Statements {
        Statements(file: try #require(RepositoryReader.current.file(Statements.path)))
    }

    @Test("the list of statements has the right form")
    func statementsAreWellFormed() throws {
        let statements = try statements()
        for fault in statements.faults { Issue.record("\(fault)") }
        #expect(statements.rows.count { $0.version == "5.0" } >= 249)
        #expect(statements.rows.count { $0.version == "3.1.1" } >= 134)
    }

    @Test("tests name statements that exist, and every statement for a server has a test")
    func statementsAreTested() throws {
        let statements = try statements()
        let known = Set(statements.rows.map(\.id))
        for prefix in ["MQTT-", "v3 MQTT-"] {
            for (id, place) in Self.coverage.unknown(prefix: prefix, known: known) {
                Issue.record("\(place): \(id) is no statement; see \(Statements.path)")
            }
        }
        report("statements", required: statements.idsThatNeedTests)
    }

    @Test("sources and pages name statements that exist")
    func namedStatementsExist() throws {
        let known = Set(try statements().rows.map(\.number))
        let files = RepositoryReader.current.files.filter {
            $0.isInSources || ($0.path.hasPrefix("Docs/") && $0.path != "Docs/CONFORMANCE.md")
        }
        for file in files {
            for (index, line) in file.lines.enumerated() {
                for number in Statements.numbers(in: line) where !known.contains(number) {
                    Issue.record("\(file.path):\(index + 1): \(number) is no statement")
                }
            }
        }
    }

    @Test("tests name refusals that exist, and every refusal has a test")
    func refusalsAreTested() throws {
        let page = try #require(RepositoryReader.current.file("Docs/REFUSALS.md"))
        try check("refusals", tag: "refusal", required: RequiredIDs.refusals(in: page))
    }

    @Test("tests name attacks that are listed, and every listed attack has a test")
    func attacksAreTested() throws {
        let list = try #require(RepositoryReader.current.file("Tests/Conformance/attacks"))
        try check("attacks", tag: "attack", required: RequiredIDs.attacks(in: list))
    }

    @Test("tests name settings that exist, and every setting has a test")
    func settingsAreTested() throws {
        let required = RequiredIDs.settings(in: RepositoryReader.current)
        try check("settings", tag: "setting", required: required)
    }

    @Test("tests name events that exist, and every event has a test")
    func eventsAreTested() throws {
        let events = RequiredIDs.events(in: RepositoryReader.current)
        let excused = RequiredIDs.eventsWithoutCause
        let required = events.filter { excused[$0] == nil }
        try check("events", tag: "event", required: required)
        #expect(required.count + excused.count == events.count)
        #expect(Self.coverage.missing(of: required.map { "event \($0)" }) == [])
    }

    @Test("events that are said to have no cause are raised nowhere")
    func excusedEventsAreNotRaised() {
        let sources = RepositoryReader.current.sources.filter {
            !$0.path.hasPrefix("Sources/Policy/Core/Events/")
        }
        for event in RequiredIDs.eventsWithoutCause.keys {
            for file in sources where file.lines.contains(where: { $0.contains(".\(event)(") }) {
                Issue.record("\(file.path) raises \(event): it needs a test, not a reason")
            }
        }
    }

    @Test("Docs/CONFORMANCE.md is what the tests say")
    func conformancePageIsCurrent() throws {
        let page = try statements().page(Self.coverage)
        let url = RepositoryReader.root.appendingPathComponent("Docs/CONFORMANCE.md")
        if Self.writesDocs { try Data(page.utf8).write(to: url) }
        let written = try? String(contentsOf: url, encoding: .utf8)
        #expect(written == page, "Docs/CONFORMANCE.md is out of date: make docs")
    }

    /// The common part: the list is real, tests name only what is on it, the rest is reported.
    private func check(_ what: String, tag: String, required: [String]) throws {
        #expect(required.count > 30, "the list of \(what) was not read")
        #expect(Set(required).count == required.count, "something stands twice among the \(what)")
        let ids = required.map { "\(tag) \($0)" }
        for (id, place) in Self.coverage.unknown(prefix: "\(tag) ", known: Set(ids)) {
            Issue.record("\(place): there is no \(id)")
        }
        report(what, required: ids)
    }

    private func report(_ what: String, required: [String]) {
        let missing = Self.coverage.missing(of: required)
        let tested = required.count - missing.count
        print("\(what): \(tested) of \(required.count) have a test")
        if !missing.isEmpty {
            Issue.record("\(what) without a test: \(missing.joined(separator: ", "))")
        }
    }
}

@Suite("The counting of coverage")
struct CoverageRuleTests {
    private let tests = Repository(samples: [
        (
            "Tests/MQTTTests/A.swift",
            """
            @Test("[MQTT-1.5.4-1, MQTT-1.5.4-2] a string is checked [v3 MQTT-1.5.3-1]")
            // [MQTT-1.5.4-3] in a comment counts for nothing
            let array = [first, second]
            Row("[refusal C01, C02] nothing comes"),
            """
        )
    ])

    @Test("tags are read from titles, not from comments")
    func tagsAreRead() {
        let coverage = Coverage(of: tests)
        #expect(
            Set(coverage.places.keys) == [
                "MQTT-1.5.4-1", "MQTT-1.5.4-2", "v3 MQTT-1.5.3-1", "refusal C01", "refusal C02",
            ])
        #expect(coverage.places["MQTT-1.5.4-2"]?.first?.title == "a string is checked")
        #expect(coverage.places["refusal C02"]?.first?.title == "nothing comes")
        #expect(coverage.missing(of: ["MQTT-1.5.4-1", "MQTT-1.5.4-3"]) == ["MQTT-1.5.4-3"])
        #expect(coverage.unknown(prefix: "refusal ", known: ["refusal C01"]).count == 1)
    }

    @Test("a title over several lines is read as one")
    func longTitlesAreRead() {
        let text = """
            @Test(
                \"\"\"
                [MQTT-1.5.4-1] [v3 MQTT-1.5.3-1] \\
                [MQTT-1.5.4-2] a long \\
                title
                \"\"\", arguments: all)
            """
        let coverage = Coverage(of: Repository(samples: [("Tests/MQTTTests/B.swift", text)]))
        #expect(coverage.places["MQTT-1.5.4-1"]?.first?.title == "a long title")
        #expect(coverage.places["MQTT-1.5.4-2"]?.first?.title == "a long title")
    }

    @Test("the lists of what needs a test are read from where it is declared")
    func requiredIDsAreRead() {
        let page = SourceFile(
            path: "Docs/REFUSALS.md",
            text: "| id | what |\n|---|---|\n| C01 | late |\nC02 | |\n| C03 | far (*cluster*) |")
        #expect(RequiredIDs.refusals(in: page) == ["C01"])
        let list = SourceFile(path: "attacks", text: "# 1 | no\n01 | one | two\n02 | a | b")
        #expect(RequiredIDs.attacks(in: list) == ["01", "02"])
        let policy = Repository(samples: [
            (
                "Sources/Policy/Core/Tenants/SettingRowsOwn.swift",
                "SettingRow(\n1, \"One\", \"text\"), SettingRow(2, \"Two\",\n \"text\")"
            ),
            (
                "Sources/Policy/Core/Events/EventKind.swift",
                "enum EventKind {\n  case a\n  case b\n}"
            ),
        ])
        #expect(RequiredIDs.settings(in: policy) == ["One", "Two"])
        #expect(RequiredIDs.events(in: policy) == ["a", "b"])
    }

    @Test(
        "a wrong row in the list of statements is a fault",
        arguments: [
            "5.0 | MQTT-1.1.1-1 | server | text", "4 | MQTT-1.1.1-1 | server | text |",
            "5.0 | 1.1.1-1 | server | text |", "5.0 | MQTT-1.1.1-1 | broker | text |",
            "5.0 | MQTT-1.1.1-1 | client | no reason |",
        ])
    func wrongRowIsFault(line: String) {
        let good = "# words\n5.0 | MQTT-1.1.1-2 | server | text |\n"
        #expect(Statements(file: SourceFile(path: "statements", text: good)).faults.isEmpty)
        #expect(
            Statements(file: SourceFile(path: "statements", text: good + line)).faults.count == 1)
    }

    @Test("statement numbers are found in prose and in strings")
    func numbersAreFound() {
        let line = "see [MQTT-3.3.5-2], \"MQTT-4.2-1\". MQTT-5 and MQTT-3-8.3-4. Not MQTT-SN."
        #expect(
            Statements.numbers(in: line)
                == ["MQTT-3.3.5-2", "MQTT-4.2-1", "MQTT-5", "MQTT-3-8.3-4"])
    }

    @Test("the page names the test of a statement, and says where there is none")
    func pageNamesTests() {
        let file = SourceFile(
            path: "statements",
            text: """
                5.0 | MQTT-1.5.4-1 | both | one |
                5.0 | MQTT-1.5.4-3 | both | two |
                3.1.1 | MQTT-9.9.9-9 | client | three | clients only
                """)
        let page = Statements(file: file).page(Coverage(of: tests))
        let title = "a string is checked (`Tests/MQTTTests/A.swift`)"
        #expect(page.contains("| MQTT-1.5.4-1 | one | both | \(title) |"))
        #expect(page.contains("| MQTT-1.5.4-3 | two | both | **none yet** |"))
        #expect(page.contains("| MQTT-9.9.9-9 | three | client | clients only |"))
    }
}
