import Admin
import Base
import Broker
import Policy
import Testing

@Suite("Who may use the HTTP port", .serialized, .ownThreads)
struct AccessTests {
    private static let key = "apus_0123456789"

    private func table() throws -> APIKeyTable {
        let line = try #require(APIKeyTable.line(name: "ops", key: Self.key))
        return try APIKeyTable(Array("# keys\n\n\(line)\n".utf8), path: "keys")
    }

    @Test("with keys, the API and the metrics ask for one; health does not")
    func keys() throws {
        let rig = try AdminRig(keys: table())
        for path in ["/api/v1/sessions", "/metrics", "/api/v1/openapi.json"] {
            let reply = rig.request("GET", path)
            #expect(reply?.status == 401)
            #expect(reply?.headers["www-authenticate"] == "Bearer")
            for wrong in ["Bearer wrong", "Bearer", "Basic \(Self.key)", "Bearer  "] {
                #expect(
                    rig.request("GET", path, headers: ["Authorization: \(wrong)"])?.status == 401)
            }
            let right = ["Authorization: Bearer \(Self.key)", "X-API-Key: \(Self.key)"]
            for header in right {
                #expect(rig.request("GET", path, headers: [header])?.status == 200)
            }
        }
        #expect(rig.request("GET", "/healthz")?.status == 200)
        #expect(rig.request("GET", "/readyz")?.status == 200)
        #expect(rig.state.openCount == 0)
    }

    @Test("a reload puts other keys in force at once")
    func reload() throws {
        let rig = try AdminRig(keys: table())
        let header = ["X-API-Key: \(Self.key)"]
        #expect(rig.request("GET", "/metrics", headers: header)?.status == 200)
        let line = try #require(APIKeyTable.line(name: "ops", key: "another"))
        rig.state.reload(
            keys: try APIKeyTable(Array(line.utf8), path: "keys"), bodyBytesMax: 100)
        #expect(rig.request("GET", "/metrics", headers: header)?.status == 401)
    }

    @Test("beyond loopback nothing is served without keys")
    func needsKeys() throws {
        let rig = try AdminRig()
        let open = AdminOptions(address: .ip(IPAddress(high: 0, low: 0), port: 0))
        #expect(throws: AdminError.needsKeys("\(open.address)")) {
            _ = try AdminServer(open, door: rig.node.door, state: rig.state)
        }
    }

    @Test("a port in use is an error that names the address")
    func inUse() throws {
        let rig = try AdminRig()
        let same = AdminOptions(address: .ip(.v4Loopback, port: rig.httpPort))
        do {
            _ = try AdminServer(same, door: rig.node.door, state: rig.state)
            Issue.record("the port was bound twice")
        } catch {
            #expect("\(error)".contains("127.0.0.1:\(rig.httpPort)"))
        }
    }

    @Test(
        "without keys only loopback names are served, so that no page can come in by another",
        arguments: [
            ("localhost", 200), ("localhost:8091", 200), ("127.0.0.1", 200), ("127.0.0.1:1", 200),
            ("[::1]:8091", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421),
            ("10.0.0.1:8091", 421),
        ])
    func host(name: String, status: Int) throws {
        let rig = try AdminRig()
        let connection = HTTPConnection(port: rig.httpPort)
        connection.send("GET /healthz HTTP/1.1\r\nHost: \(name)\r\n\r\n")
        #expect(connection.reply()?.status == status)
    }

    @Test(
        "a file of keys that makes no sense is refused with its line",
        arguments: [
            "ops", "ops:sha256:12", "ops:md5:" + String(repeating: "0", count: 64),
            "o p:sha256:" + String(repeating: "0", count: 64),
            "ops:sha256:" + String(repeating: "g", count: 64), "# nothing",
        ])
    func badFiles(text: String) {
        #expect(throws: PolicyFileError.self) {
            _ = try APIKeyTable(Array(text.utf8), path: "keys")
        }
    }
}
