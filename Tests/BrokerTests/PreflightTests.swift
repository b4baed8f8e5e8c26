import Base
import Broker
import EventLoops
import Policy
import TestKit
import Testing

@Suite("Start of a node")
struct PreflightTests {
    private static var sound: HostFacts {
        var facts = HostFacts(
            descriptorLimit: 1 << 20, wallTime: WallTime(milliseconds: 1_800_000_000_000))
        facts.listenQueueMax = 4_096
        facts.memory = 8 << 30
        facts.socketMemory = 1 << 30
        facts.diskFree = 100 << 30
        facts.clockSource = "tsc"
        return facts
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.listeners = ListenerConfiguration.standard
        return configuration
    }

    @Test("a sound machine gives no findings, nor does one of which nothing could be read")
    func sound() {
        #expect(Preflight.findings(Self.sound, Self.configuration).isEmpty)
        let unknown = HostFacts(
            descriptorLimit: 1 << 20, wallTime: WallTime(milliseconds: 1_800_000_000_000))
        #expect(Preflight.findings(unknown, Self.configuration).isEmpty)
    }

    struct Ailment: Sendable, CustomTestStringConvertible {
        let change: @Sendable (inout HostFacts) -> Void
        /// What the finding tells to do.
        let remedy: String
        var testDescription: String { remedy }

        init(_ remedy: String, _ change: @escaping @Sendable (inout HostFacts) -> Void) {
            self.change = change
            self.remedy = remedy
        }
    }

    static let ailments = [
        Ailment("LimitNOFILE=") { $0.descriptorLimit = 1_024 },
        Ailment("net.core.somaxconn=4096") { $0.listenQueueMax = 128 },
        Ailment("256 MiB or more") { $0.memory = 64 << 20 },
        Ailment("net.ipv4.tcp_mem") { $0.socketMemory = 1 << 20 },
        Ailment("dataDirectory") { $0.diskFree = 1 << 20 },
        Ailment("chrony") { $0.wallTime = .zero },
        Ailment("prefer tsc") { $0.clockSource = "hpet" },
    ]

    @Test("each ailment gives one finding, which says what to change", arguments: ailments)
    func findings(_ ailment: Ailment) {
        var facts = Self.sound
        ailment.change(&facts)
        let findings = Preflight.findings(facts, Self.configuration)
        #expect(findings.count == 1)
        #expect(findings.first?.contains(ailment.remedy) == true, "\(findings)")
    }

    @Test("with a limit of connections just so many files are asked for")
    func connectionsLimit() {
        var facts = Self.sound
        facts.descriptorLimit = 2_000
        var configuration = Self.configuration
        configuration.limits.connections = 1_000
        #expect(Preflight.findings(facts, configuration).isEmpty)
        configuration.limits.connections = 1_900
        #expect(Preflight.findings(facts, configuration).count == 1)
    }

    @Test("a configuration becomes listeners with their address, tenant, path, proxy and time")
    func listeners() throws {
        var configuration = Self.configuration
        var web = ListenerConfiguration(name: "web", kind: .ws)
        web.path = "/m"
        web.origins = ["https://example.org"]
        web.tenant = "acme"
        web.connectTimeout = .seconds(3)
        var local = ListenerConfiguration(
            name: "local", kind: .tcp, address: .unix(path: "/run/apus"))
        local.proxyProtocol = true
        local.backlog = 7
        configuration.listeners = [web, local, ListenerConfiguration(name: "http", kind: .http)]
        configuration.loops = 3
        configuration.poller = .epoll
        configuration.pinsLoops = false
        let access = try AccessControl(configuration, wallTime: { .zero }) {
            [UInt8](repeating: 1, count: $0)
        }
        defer { access.stop() }
        let options = NodeOptions(
            configuration, access: access, certificates: try CertificateStore([]), random: 7)
        #expect(options.listeners.map(\.name) == ["web", "local"])
        #expect(options.loops.workers == 3 && !options.loops.pinsThreads)
        #expect(options.loops.poller == .epoll && options.seed == 7)
        let first = options.listeners[0]
        #expect(first.socket.address.text == "127.0.0.1:8083")
        #expect(first.upgrade?.path == Array("/m".utf8))
        #expect(first.tenant == TenantName("acme") && first.connectTimeout == .seconds(3))
        #expect(first.socket.proxy == nil)
        let second = options.listeners[1]
        #expect(second.socket.address.text == "unix:/run/apus")
        #expect(second.upgrade == nil && second.tenant == nil)
        #expect(second.socket.proxy != nil && second.socket.backlog == 7)
    }

    @Test("a sealed listener without readable files is refused, naming the file")
    func missingCertificate() {
        var listener = ListenerConfiguration(name: "tls", kind: .tls)
        listener.certificates = ["/nowhere.pem"]
        listener.keys = ["/nowhere.key"]
        #expect {
            _ = try CertificateStore([listener])
        } throws: { error in
            "\(error)".contains("/nowhere.")
        }
    }
}
