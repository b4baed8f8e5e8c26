import Testing

/// A rule, text that it must refuse, and text that it must let pass.
struct RuleSample: Sendable, CustomTestStringConvertible {
    let rule: Rule
    let path: String
    let bad: String
    let good: String
    /// Line of the bad text that the rule must point at.
    var line = 1
    /// Where the good text lies, if not at the same path.
    var goodPath: String?

    var testDescription: String { "\(rule.name) (\(path))" }
}

@Suite("The rules themselves")
struct RuleTests {
    @Test("a rule finds its fault, at its line, and nothing else", arguments: samples)
    func ruleFindsFault(sample: RuleSample) {
        let bad = sample.rule.check(Repository(samples: [(sample.path, sample.bad)]))
        #expect(bad.map(\.line) == [sample.line], "\(bad)")
        #expect(bad.allSatisfy { $0.path == sample.path && !$0.remedy.isEmpty })
        let good = sample.rule.check(
            Repository(
                samples: [(sample.goodPath ?? sample.path, sample.good)]))
        #expect(good.isEmpty, "\(good)")
    }

    @Test("every rule has a bad sample")
    func everyRuleHasSample() {
        let covered = Set(Self.samples.map(\.rule.name) + [ContentRules.topLevel.name])
        #expect(covered == Set(Rule.all.map(\.name)))
    }

    @Test("every banned token is found", arguments: CallRules.bans.map(\.token))
    func banIsFound(token: String) {
        let text = token.hasSuffix("(") ? "\(token)1)" : token
        let repository = Repository(samples: [("Sources/MQTT/A.swift", "x = \(text)")])
        #expect(CallRules.banned.check(repository).count >= 1)
    }

    @Test("the top level admits the plan's names and dotfiles alone")
    func topLevelNames() {
        let plan = Repository(samples: [], topLevel: ["Sources", ".ci", "LICENSE"])
        #expect(ContentRules.topLevel.check(plan).isEmpty)
        let more = Repository(samples: [], topLevel: ["Sources", "scripts"])
        #expect(ContentRules.topLevel.check(more).map(\.path) == ["scripts"])
    }

    static let samples = imports + sizes + calls + names + switches + inlining + content

    private static let inlining = [
        RuleSample(
            rule: InliningRules.members, path: "Sources/Base/A.swift",
            bad: "package struct A {\n    @inlinable\n    package var b: Int { 1 }\n}",
            good: "@usableFromInline\npackage struct A {\n    @inlinable\n    var b: Int { 1 }\n}",
            line: 2)
    ]

    private static let imports = [
        RuleSample(
            rule: ImportRules.imports, path: "Sources/MQTT/A.swift",
            bad: "import Base\nimport EventLoops", good: "import Base", line: 2),
        RuleSample(
            rule: ImportRules.imports, path: "Sources/Dist/Core/A.swift",
            bad: "import Inbox", good: "import KV"),
        RuleSample(
            rule: ImportRules.imports, path: "Sources/Base/A.swift",
            bad: "package import Glibc", good: "// import Glibc\nimport CLinux"),
        RuleSample(
            rule: ImportRules.imports, path: "Sources/Policy/Shell/A.swift",
            bad: "import struct Foundation.Date", good: "import KV"),
        RuleSample(
            rule: ImportRules.imports, path: "Tests/MQTTTests/A.swift",
            bad: "import XCTest", good: "import Foundation\nimport Testing\nimport MQTT"),
        RuleSample(
            rule: ImportRules.imports, path: "Sources/Admin/A.swift",
            bad: "import Yams", good: "import Hummingbird"),
        RuleSample(
            rule: ImportRules.core, path: "Sources/Broker/Core/Session.swift",
            bad: "import EventLoops", good: "import MQTT"),
        RuleSample(
            rule: ImportRules.folders, path: "Sources/Broker/Session.swift",
            bad: "struct A {}", good: "struct A {}",
            goodPath: "Sources/Broker/Core/Session.swift"),
        RuleSample(
            rule: ImportRules.testable, path: "Tests/MQTTTests/A.swift",
            bad: "@testable import MQTT", good: "import MQTT"),
        RuleSample(
            rule: ImportRules.manifest, path: "Package.swift",
            bad: "    module(\"MQTT\", [\"Base\", \"KV\"]),",
            good: "    module(\"MQTT\", [\"Base\"]),"),
    ]

    private static let sizes = [
        RuleSample(
            rule: SizeRules.files, path: "Sources/Base/A.swift",
            bad: String(repeating: "\n", count: 801), good: String(repeating: "\n", count: 800),
            line: 801),
        RuleSample(
            rule: SizeRules.columns, path: "CShims/CLinux/CLinux.c",
            bad: "\n" + String(repeating: "x", count: 101),
            good: String(repeating: "ä", count: 100), line: 2),
        RuleSample(
            rule: SizeRules.functions, path: "Sources/Base/A.swift",
            bad: function(lines: 71), good: function(lines: 70)),
        RuleSample(
            rule: SizeRules.functions, path: "Tests/KVTests/A.swift",
            bad: "struct A {\n    init(\n        a: Int = f({ 1 })\n    ) {\n"
                + String(repeating: "x()\n", count: 67) + "    }\n}",
            good: "protocol P {\n    func a()\n    func b()\n}\n"
                + String(repeating: "{}\n", count: 70),
            line: 2),
    ]

    private static let calls = [
        RuleSample(
            rule: CallRules.banned, path: "Sources/KV/Core/A.swift",
            bad: "let a = 1\nprint(a)", good: "log(\"print(a)\") // print(a)\nfingerprint(a)",
            line: 2),
        RuleSample(
            rule: CallRules.banned, path: "Sources/KV/Core/A.swift",
            bad: "let x = y as! Int", good: "let x = y as? Int"),
        RuleSample(
            rule: CallRules.banned, path: "Sources/Broker/Core/A.swift",
            bad: "func f() async {}", good: "metrics.dump()\nlet asyncronous = 1"),
        RuleSample(
            rule: CallRules.banned, path: "Sources/Broker/Core/A.swift",
            bad: "let now = ContinuousClock.now", good: "let later = now + .seconds(1)"),
        RuleSample(
            rule: CallRules.banned, path: "Tests/KVTests/A.swift",
            bad: "try await Task.sleep(for: .seconds(1))", good: "print(1)\nawait done()"),
        RuleSample(
            rule: CallRules.unseededRandom, path: "Sources/KV/Core/A.swift",
            bad: "let x = Int.random(in: 0..<3)",
            good: "let x = Int.random(in: 0..<3, using: &random)"),
        RuleSample(
            rule: CallRules.unchecked, path: "Sources/Base/A.swift",
            bad: "\n\nfinal class A: @unchecked Sendable {",
            good: "/// Touched by its loop alone.\nfinal class A: @unchecked Sendable {", line: 3),
    ]

    private static let names = [
        RuleSample(
            rule: NamingRules.inlinable, path: "Sources/Base/A.swift",
            bad: "package struct A {\n    @inlinable\n    package init() {}\n}",
            good: "@usableFromInline\npackage struct A {\n    @inlinable package init() {}\n}\n"
                + "package struct B {\n    package init() {}\n}\nextension A {\n    @inlinable\n"
                + "    package var b: Int { 1 }\n}",
            line: 2),
        RuleSample(
            rule: NamingRules.endings, path: "Tests/TestKit/A.swift",
            bad: "final class SessionManager {",
            good: "struct Metadata {\nlet manager = SessionTable()"),
        RuleSample(
            rule: NamingRules.documentation, path: "Sources/Base/A.swift",
            bad: "/// A.\npackage struct A {\n\n    package enum B {",
            good: "/// A.\n@frozen\npackage struct A {\n    enum B {", line: 4),
    ]

    private static let switches = [
        RuleSample(
            rule: SwitchRules.defaults, path: "Sources/Base/A.swift",
            bad: colours + "switch c {\ncase .red, .green(let x):\n    f(x)\ndefault: break\n}",
            good: colours
                + """
                switch c {
                case .red: switch n { case 1: f() default: g() }
                case .green: break
                case .blue: break
                }
                switch s {
                case .connected: f()
                default: break
                }
                switch t {
                case .red: f()
                default: break  // foreign enum
                }
                switch (a, b) {
                case (.red, .red): f()
                default: break
                }
                """, line: 8)
    ]

    private static let content = [
        RuleSample(
            rule: ContentRules.marks, path: "Docs/A.md",
            bad: "one\n" + ContentRules.unfinished[0] + ": two", good: "all done", line: 2),
        RuleSample(
            rule: ContentRules.words, path: "Docs/A.md",
            bad: "see " + ContentRules.foreign[0] + "x", good: "see network/x"),
        RuleSample(
            rule: ContentRules.paths, path: "Docs/A.md",
            bad: "see `Docs/B.md` and `Docs/A.md`",
            good: "see `Docs/A.md`, `Docs`, `Sources/KV/*.swift`, `a/b.c` and Docs/C.md"),
        RuleSample(
            rule: ContentRules.paths, path: "Docs/A.md",
            bad: "see `Tests/Nothing`", good: "see `Tests`, and `Docs/A.md more`"),
        RuleSample(
            rule: ContentRules.map, path: "Docs/ARCHITECTURE.md",
            bad: "see `QueryWindow`", good: "see `Docs`, `Base`, `MQTT`, `queryWindow` and `a.b`"),
        RuleSample(
            rule: ContentRules.map, path: "Sources/KV/A.swift",
            bad: "// see `Host+Log`", good: "// see `Host`, `a+b` and `1+B`"),
    ]

    private static let colours = "enum Colour {\n    case red\n    case green(Int), blue\n}\n"

    private static func function(lines: Int) -> String {
        "func f() {\n" + String(repeating: "    g()\n", count: lines - 2) + "}"
    }
}

@Suite("The mask of comments and strings")
struct CodeMaskTests {
    @Test(
        "code stays, prose goes, nothing moves",
        arguments: [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\")", "f(\"    \")"),
            ("f(#\"a\"b\"#)", "f(#\"   \"#)"),
            ("f(\"a \\(g(\"b\")) c\")", "f(\"             \")"),
            ("\"\"\"\n\"a\"\n\"\"\" b", "\"\"\"\n   \n\"\"\" b"),
        ])
    func mask(text: String, expected: String) {
        #expect(CodeMask.mask(text) == expected)
        #expect(CodeMask.mask(text).utf8.count == text.utf8.count)
    }
}
