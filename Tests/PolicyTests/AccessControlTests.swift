import Base
import Policy
import TestKit
import Testing

@Suite("Access control")
struct AccessControlTests {
    private static let hash = "$7$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA=="

    @Test("a reload replaces rules, users and tenants together, and the epoch rises")
    func reload() throws {
        let directory = try TemporaryDirectory("access")
        var configuration = Configuration()
        configuration.authorisation.file = try directory.write("default allow\n", to: "acl")
        let access = try AccessControl(configuration, wallTime: { .zero }) {
            [UInt8](repeating: 1, count: $0)
        }
        defer { access.stop() }
        let client = ClientIdentity(
            Principal(tenant: .standard, user: ""), clientID: "c", peerAddress: "")
        let action = AccessAction.publish(topic: "t", qos: 0, retain: false)
        let free = AccessVerdict.allowed(needsDeliveryCheck: false)
        #expect(access.judge(action, of: client) { _ in } == free)
        let before = access.epoch
        let tenantsBefore = access.tenants.epoch
        try directory.write("default deny\n", to: "acl")
        configuration.tenancy.unknown = .refuse
        try configuration.tenancy.defaults.set("MaximumQoS", to: "1")
        try access.reload(configuration)
        #expect(access.epoch > before)
        #expect(access.tenants.epoch > tenantsBefore)
        #expect(access.judge(action, of: client) { _ in } != free)
        #expect(access.tenants.settings(for: .standard).maximumQoS == 1)
        let stranger = try #require(TenantName("stranger"))
        #expect(!access.tenants.admits(stranger))
    }

    @Test("a broken file at reload leaves everything as it was")
    func brokenReload() throws {
        let directory = try TemporaryDirectory("access")
        var configuration = Configuration()
        configuration.authentication.order = [.password]
        configuration.authentication.passwordFile = try directory.write(
            "alice:\(Self.hash)\n", to: "users")
        configuration.authorisation.file = try directory.write("default allow\n", to: "acl")
        let access = try AccessControl(configuration, wallTime: { .zero }) {
            [UInt8](repeating: 1, count: $0)
        }
        defer { access.stop() }
        let before = access.epoch
        for (name, text) in [("users", ""), ("acl", "allow everything\n")] {
            let path = directory.file(name)
            let good = try FileBytes.read(path)
            try directory.write(text, to: name)
            #expect(throws: PolicyFileError.self) { try access.reload(configuration) }
            try FileBytes.replace(path, with: good)
        }
        #expect(access.epoch == before)
        try access.reload(configuration)
        #expect(access.epoch > before)
    }

    @Test("a broken file at start is an error")
    func brokenStart() {
        var configuration = Configuration()
        configuration.authorisation.file = "/nonexistent/acl"
        #expect(throws: PolicyFileError.self) {
            try AccessControl(configuration, wallTime: { .zero }) {
                [UInt8](repeating: 1, count: $0)
            }
        }
    }

    @Test("the standard configuration serves local clients without a name, and no others")
    func standard() throws {
        let access = try AccessControl(Configuration(), wallTime: { .zero }) {
            [UInt8](repeating: 1, count: $0)
        }
        defer { access.stop() }
        var request = AuthenticationRequest()
        request.peerAddress = "127.0.0.1"
        guard case .accepted(let principal, _) = access.authenticate(request, { _ in }) else {
            Issue.record("a local client was refused")
            return
        }
        #expect(principal == Principal(tenant: .standard, user: ""))
        request.peerAddress = "192.0.2.1"
        guard case .refused = access.authenticate(request, { _ in }) else {
            Issue.record("a remote client was accepted")
            return
        }
    }
}
