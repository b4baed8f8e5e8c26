import Policy
import Testing
import apus

@Suite("Configuration files")
struct ConfigurationFileTests {
    static let text = """
        # a node
        loops: 2
        limits:
          memory: 2GiB   # of eight
        listeners:
          tcp: "0.0.0.0:1883"
          tls:
            address: ":8883"
            certificates: [a.pem, b.pem]
            keys:
              - a.key
              - b.key
        tenants:
          acme:
            MaximumQoS: 1
            RetainEnabled: no
        log: ~
        """

    @Test("a file becomes a configuration, with the line of every value")
    func wholeFile() throws {
        let value = try ConfigurationFile.parse(Self.text, path: "apus.yml")
        let outcome = ConfigurationDecoder.decode([value])
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
        let configuration = outcome.configuration
        #expect(configuration.loops == 2)
        #expect(configuration.limits.memory == 2 << 30)
        #expect(configuration.listeners.map(\.name) == ["tcp", "tls"])
        #expect(configuration.listeners[1].keys == ["a.key", "b.key"])
        let acme = TenantName("acme").flatMap { configuration.tenancy.tenants[$0] }
        #expect(acme?.applied(to: .standard).retainEnabled == false)
        let origins = outcome.origins
        #expect(origins["limits.memory"] == .file(path: "apus.yml", line: 4))
        #expect(origins["listeners.tls.address"] == .file(path: "apus.yml", line: 8))
        #expect(origins["tenants.acme.MaximumQoS"] == .file(path: "apus.yml", line: 15))
    }

    @Test("the printed configuration can be read again and means the same")
    func printed() throws {
        let first = ConfigurationDecoder.decode([
            try ConfigurationFile.parse(Self.text, path: "apus.yml")
        ])
        let printed = ConfigurationPages.render(first)
        let second = ConfigurationDecoder.decode([
            try ConfigurationFile.parse(printed, path: "printed.yml")
        ])
        #expect(second.errors.isEmpty, "\(second.errors)")
        #expect(second.configuration == first.configuration)
    }

    @Test(
        "what is not YAML, or not of our shape, is an error with its line",
        arguments: [
            ("loops: [1", 1), ("a: b: c", 1), ("loops: 1\nlimits:\n\t memory: 1", 3),
            ("loops: 1\n- x", 2), ("x:\n  - {a: 1}", 2), ("? [a]\n: b", 1),
            ("loops: 1\nloops: 2", 1),
        ])
    func notYAML(text: String, line: Int) {
        let error = #expect(throws: OptionError.self) {
            try ConfigurationFile.parse(text, path: "apus.yml")
        }
        guard case .file(let path, let found) = error?.mark else {
            Issue.record("no place in \(String(describing: error))")
            return
        }
        #expect(path == "apus.yml")
        #expect(abs(found - line) <= 1)
    }

    @Test("an empty file is an empty configuration", arguments: ["", "# nothing\n", "---\n", "~"])
    func empty(text: String) throws {
        let outcome = ConfigurationDecoder.decode([
            try ConfigurationFile.parse(text, path: "apus.yml")
        ])
        #expect(outcome.errors.isEmpty)
    }
}
