import Base
import Foundation
import Policy
import Testing

@Suite("Options")
struct OptionTests {
    /// A tree as a file with one value per line would give it.
    static func file(_ pairs: [(String, String)]) -> OptionValue {
        let entries = pairs.enumerated().map { index, pair in
            let mark = OptionMark.file(path: "apus.yml", line: index + 1)
            let path = pair.0.split(separator: ".").map(String.init)
            return nested(path[...], .scalar(pair.1, mark), mark)
        }
        return .map(merged(entries), .file(path: "apus.yml", line: 1))
    }

    private static func nested(
        _ path: ArraySlice<String>, _ value: OptionValue, _ mark: OptionMark
    ) -> OptionEntry {
        let rest = path.dropFirst()
        let inner = rest.isEmpty ? value : .map([nested(rest, value, mark)], mark)
        return OptionEntry(name: path.first ?? "", mark: mark, value: inner)
    }

    /// Groups of one name become one; two values of one name stay two.
    private static func merged(_ entries: [OptionEntry]) -> [OptionEntry] {
        var result: [OptionEntry] = []
        for entry in entries {
            if let place = result.firstIndex(where: { $0.name == entry.name }),
                case .map(let old, let mark) = result[place].value,
                case .map(let new, _) = entry.value
            {
                result[place].value = .map(merged(old + new), mark)
            } else {
                result.append(entry)
            }
        }
        return result
    }

    private func decode(_ pairs: [(String, String)]) -> ConfigurationDecoder.Outcome {
        ConfigurationDecoder.decode([Self.file(pairs)])
    }

    @Test("without a source everything is a default, and TCP, WebSocket and HTTP are local")
    func defaults() {
        let outcome = ConfigurationDecoder.decode([])
        #expect(outcome.errors.isEmpty)
        #expect(outcome.warnings.isEmpty)
        let listeners = outcome.configuration.listeners
        #expect(
            listeners.map { "\($0.kind.rawValue) \($0.address)" } == [
                "tcp 127.0.0.1:1883", "ws 127.0.0.1:8083", "http 127.0.0.1:8091",
            ])
        #expect(listeners.allSatisfy { $0.address.isLocal })
        #expect(outcome.configuration.fsync == Configuration().fsync)
        #expect(outcome.configuration.dataDirectory == "./data")
        #expect(outcome.configuration.authentication.anonymous == .loopback)
    }

    @Test("every option reads what it prints", arguments: OptionTable.rows.map(\.name))
    func roundTrip(name: String) throws {
        let row = try #require(OptionTable.rows.first { $0.name == name })
        var configuration = Configuration()
        let standard = row.read(configuration)
        #expect(row.write(&configuration, standard) == nil)
        #expect(configuration == Configuration())
        #expect(row.write(&configuration, .list(["\u{1}", "x y"])) != nil)
        #expect(!row.reason.isEmpty && row.reason.hasSuffix("."))
    }

    @Test("every option of a listener reads what it prints", arguments: Self.listenerNames)
    func listenerRoundTrip(name: String) throws {
        let row = try #require(OptionTable.listenerRows.first { $0.name == name })
        let fresh = ListenerConfiguration(name: "x", kind: .wss)
        var listener = fresh
        #expect(row.write(&listener, row.read(listener)) == nil)
        #expect(listener == fresh)
        #expect(row.reason.hasSuffix("."))
    }
    static let listenerNames = OptionTable.listenerRows.map(\.name)

    /// Name, text, whether it is accepted.
    static let values: [(name: String, text: String, isValid: Bool)] = [
        ("loops", "auto", true), ("loops", "4", true), ("loops", "-1", false),
        ("loops", "2000", false), ("poller", "io_uring", true), ("poller", "kqueue", false),
        ("limits.memory", "2GiB", true), ("limits.memory", "auto", true),
        ("limits.memory", "much", false), ("limits.loopLag", "250ms", true),
        ("limits.loopLag", "250", false), ("limits.loopLag", "1ms", false),
        ("limits.connections", "unlimited", true), ("limits.connections", "1e3", false),
        ("authentication.order", "certificate,anonymous", true),
        ("authentication.order", "nobody", false), ("authentication.order", "", false),
        ("shutdown.drainTimeout", "1m30s", true), ("fsync.inbox", "off", true),
        ("fsync", "off", true), ("fsync", "maybe", false), ("dataDirectory", "/var/lib/apus", true),
        ("log.level", "debug", true), ("log.level", "loud", false),
    ]

    @Test("values are checked", arguments: Self.values)
    func checked(name: String, text: String, isValid: Bool) {
        let outcome = decode([(name, text)])
        #expect(outcome.errors.isEmpty == isValid, "\(outcome.errors)")
        if !isValid { #expect(outcome.errors[0].description.hasPrefix("apus.yml:1: ")) }
    }

    /// A wrong name and what is suggested.
    static let wrongNames: [(name: String, suggestion: String?)] = [
        ("dataDirectroy", "dataDirectory"), ("limits.conections", "limits.connections"),
        ("drainTimeout", "shutdown.drainTimeout"), ("listner.tcp", "listeners"), ("zzz", nil),
        ("listeners.tcp.adress", "address"), ("listeners.tcp.kindd", "kind"),
        ("tenants.acme.MaximumQos2", "MaximumQoS"),
        ("tenantDefaults.MaxTopicLevel", "MaxTopicLevels"),
        ("log", nil),
    ]

    @Test(
        "an unknown name is refused, with a suggestion where one is near",
        arguments: Self.wrongNames)
    func unknown(name: String, suggestion: String?) {
        let errors = decode([(name, "1")]).errors
        #expect(errors.count == 1)
        let text = errors.first?.description ?? ""
        #expect(text.contains("there is no"))
        if let suggestion { #expect(text.contains("did you mean '\(suggestion)'")) }
    }

    /// Text of an address and how it reads.
    static let addressTexts: [(text: String, expected: String?)] = [
        ("127.0.0.1:1883", "127.0.0.1:1883"), ("localhost:0", "127.0.0.1:0"),
        (":1883", "[::]:1883"), ("*:1883", "[::]:1883"), ("[::1]:80", "[::1]:80"),
        ("0.0.0.0:65535", "0.0.0.0:65535"), ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("1883", nil), ("127.0.0.1", nil), ("127.0.0.1:65536", nil), ("::1:80", nil),
        ("[127.0.0.1]:80", nil), ("example.org:80", nil), ("127.0.0.1:+80", nil), ("unix:", nil),
        ("", nil), (":", nil),
    ]

    @Test("addresses to listen on", arguments: Self.addressTexts)
    func addresses(text: String, expected: String?) {
        #expect(ListenAddress(text)?.description == expected)
    }

    @Test("naming one listener leaves only what is named")
    func namedListeners() throws {
        let outcome = decode([
            ("listeners.tcp", "0.0.0.0:1883"), ("listeners.plant.kind", "ws"),
        ])
        #expect(outcome.errors.isEmpty)
        let listeners = outcome.configuration.listeners
        #expect(listeners.map(\.name) == ["tcp", "plant"])
        #expect(listeners[1].kind == .ws)
        #expect(listeners[1].address.description == "127.0.0.1:8083")
    }

    @Test("a later source overrides one value and switches a listener off")
    func laterSources() {
        let file = Self.file([
            ("listeners.tcp", ":1883"), ("listeners.ws", ":8083"), ("loops", "2"),
        ])
        let environment = OptionSources.environment([
            ("APUS_LOOPS", "3"), ("APUS_LISTENERS__TCP__CONNECTION_S", "10"),
            ("APUS_DATA_DIRECTORY", "/srv"), ("APUS_TENANTS__ACME__MAXIMUM_QOS", "1"),
            ("APUS_PORT_1883_TCP_ADDR", "10.0.0.1"), ("PATH", "/bin"),
        ])
        let arguments = OptionSources.commandLine([
            "listeners.ws=off", "loops=4", "authentication.order=anonymous",
        ])
        let outcome = ConfigurationDecoder.decode(
            [file] + environment.options + arguments.options)
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
        #expect(environment.warnings.map(\.mark) == [.environment(name: "APUS_PORT_1883_TCP_ADDR")])
        let configuration = outcome.configuration
        #expect(configuration.loops == 4)
        #expect(configuration.dataDirectory == "/srv")
        #expect(configuration.listeners.map(\.name) == ["tcp"])
        #expect(configuration.listeners[0].connections == 10)
        let acme = TenantName("acme").flatMap { configuration.tenancy.tenants[$0] }
        #expect(acme?.applied(to: .standard).maximumQoS == 1)
        #expect(outcome.origins["loops"] == .commandLine(argument: "loops=4"))
        #expect(outcome.origins["dataDirectory"] == .environment(name: "APUS_DATA_DIRECTORY"))
    }

    @Test("the arguments of a script that starts a node on a port of the kernel's choice")
    func script() {
        let arguments = OptionSources.commandLine([
            "listeners.tcp=127.0.0.1:0", "poller=epoll", "loops=1",
        ])
        let outcome = ConfigurationDecoder.decode(arguments.options)
        #expect(outcome.errors.isEmpty && arguments.errors.isEmpty)
        #expect(outcome.configuration.listeners.map(\.address.description) == ["127.0.0.1:0"])
        #expect(OptionSources.commandLine(["loops", "=3"]).errors.count == 2)
    }

    @Test("an address and other options of a listener may come in arguments of their own")
    func addressAndMore() {
        let arguments = OptionSources.commandLine([
            "listeners.tls=127.0.0.1:0", "listeners.tls.certificates=a.pem",
            "listeners.tls.keys=a.key", "fsync.inbox=on", "fsync=off",
        ])
        let outcome = ConfigurationDecoder.decode(arguments.options)
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
        let listener = outcome.configuration.listeners.first
        #expect(listener?.address.description == "127.0.0.1:0")
        #expect(listener?.certificates == ["a.pem"])
        #expect(!outcome.configuration.fsync.inbox)
    }

    /// Options that contradict each other, and words of the error.
    static let contradictions: [(pairs: [(String, String)], words: String)] = [
        ([("listeners.tls", ":8883")], "certificates: is needed"),
        ([("listeners.tls.certificates", "a.pem")], "keys: as many"),
        ([("listeners.tcp.certificates", "a.pem")], "has no TLS"),
        ([("listeners.tcp.proxyProtocol", "true")], "trustedNetworks"),
        ([("listeners.a.address", ":1")], "say its kind"),
        ([("listeners.tcp", ":1"), ("listeners.ws", ":1")], "is there already"),
        ([("listeners.a b", ":1")], "no name for a listener"),
        ([("authentication.order", "password")], "passwordFile: is needed"),
        ([("authentication.passwordFile", "p")], "never asked"),
        ([("tenants.a b.MaximumQoS", "1")], "no tenant's name"),
        (
            [
                ("tenants.acme.MinSessionExpirySeconds", "60s"),
                ("tenants.acme.MaxSessionExpirySeconds", "1s"),
            ], "is above"
        ),
        ([("tenants.acme.MaximumQoS", "7")], "must be 0 to 2"),
        ([("loops", "1"), ("loops", "2")], "stands twice"),
    ]

    @Test("options that contradict each other are refused", arguments: Self.contradictions)
    func contradiction(pairs: [(String, String)], words: String) {
        let errors = decode(pairs).errors.map(\.description)
        #expect(errors.contains { $0.contains(words) }, "\(errors)")
    }

    @Test("an empty file and empty groups are fine, a bare word is not")
    func shapes() {
        let mark = OptionMark.file(path: "f", line: 1)
        #expect(ConfigurationDecoder.decode([.scalar("", mark)]).errors.isEmpty)
        #expect(ConfigurationDecoder.decode([.map([], mark)]).errors.isEmpty)
        #expect(decode([("listeners", ""), ("limits", ""), ("tenants", "")]).errors.isEmpty)
        #expect(!ConfigurationDecoder.decode([.scalar("loops", mark)]).errors.isEmpty)
        #expect(!ConfigurationDecoder.decode([.list(["loops"], mark)]).errors.isEmpty)
    }

    @Test("settings without effect are warned about at their line")
    func warnings() {
        let outcome = decode([("tenants.acme.MaxResendTimes", "5")])
        #expect(outcome.errors.isEmpty)
        #expect(outcome.warnings.first?.description.hasPrefix("apus.yml:1: tenants.acme") == true)
    }

    @Test("the printed configuration says every value with its origin")
    func rendering() {
        let outcome = decode([
            ("loops", "2"), ("listeners.tcp", ":1883"), ("tenants.acme.MaximumQoS", "1"),
        ])
        let text = ConfigurationPages.render(outcome)
        func line(_ start: String) -> String? {
            text.split(separator: "\n").first { $0.hasPrefix(start) }.map(String.init)
        }
        #expect(line("loops: 2")?.hasSuffix("# apus.yml:1") == true)
        #expect(line("poller: auto")?.hasSuffix("# default") == true)
        #expect(line("    address: \"[::]:1883\"")?.hasSuffix("# apus.yml:2") == true)
        #expect(line("    MaximumQoS: 1")?.hasSuffix("# apus.yml:3") == true)
    }

    @Test("what changed between two configurations, and when it takes hold")
    func changes() {
        let old = decode([("listeners.tcp", ":1"), ("log.level", "info")]).configuration
        let new = decode([
            ("listeners.tcp", ":2"), ("log.level", "debug"), ("tenants.acme.MaximumQoS", "1"),
        ]).configuration
        let changes = ConfigurationPages.changes(from: old, to: new)
        #expect(changes.map(\.name) == ["log.level", "listeners.tcp.address", "tenants"])
        #expect(changes.map(\.change) == [.reload, .restart, .reload])
        #expect(ConfigurationPages.changes(from: new, to: new).isEmpty)
    }

    @Test("the reference page in Docs is the one that the tables give")
    func reference() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Docs/CONFIGURATION.md").standardizedFileURL
        if ProcessInfo.processInfo.environment["APUS_WRITE_DOCS"] == "1" {
            try Data(ConfigurationPages.reference.utf8).write(to: url)
        }
        let page = try String(contentsOf: url, encoding: .utf8)
        #expect(page == ConfigurationPages.reference, "run: make docs")
    }
}
