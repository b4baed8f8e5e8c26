import Foundation
import Glibc
import TestKit
import Testing

/// The program itself, as an operator starts it.
@Suite("apus serve")
struct ServeTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory("serve") }

    /// The program lies where the tests do.
    private static var program: String {
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("apus").path
    }

    private func serve(
        _ arguments: [String], data: String? = nil, environment: [String: String] = [:]
    ) throws -> ChildProcess {
        try ChildProcess(
            path: Self.program,
            arguments: ["serve", "--ready-file", directory.file("ready")]
                + ["--data", data ?? directory.file("data"), "--set", "loops=2"] + arguments,
            environment: environment)
    }

    private func ready(_ process: ChildProcess) throws -> [String: Any] {
        let text = try #require(
            process.waitForFile(directory.file("ready"), within: .seconds(30)), "no ready file")
        let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
        return try #require(value as? [String: Any])
    }

    private static let anyPort = ["--set", "listeners.tcp=127.0.0.1:0"]

    @Test("[attack 19] it says where it serves, keeps its directory to itself, ends when told to")
    func lifeCycle() throws {
        let node = try serve(
            Self.anyPort + ["--set", "listeners.ws=127.0.0.1:0", "--set", "poller=epoll"])
        let report = try ready(node)
        #expect(report["pid"] as? Int == Int(node.pid))
        #expect(report["poller"] as? String == "epoll")
        #expect(report["loops"] as? Int == 2)
        let listeners = try #require(report["listeners"] as? [String: String])
        #expect(Set(listeners.keys) == ["tcp", "ws"])
        #expect(listeners.values.allSatisfy { $0.hasPrefix("127.0.0.1:") && !$0.hasSuffix(":0") })
        var status = stat()
        #expect(stat(directory.file("data"), &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
        #expect(node.terminate() == 0)
        #expect(node.output.contains("stopped"))
    }

    @Test(
        "[event reloaded, reloadFailed] a broken file at a reload leaves the node as it was"
    )
    func brokenReload() throws {
        let rules = try directory.write("default allow\n", to: "acl")
        let node = try serve(Self.anyPort + ["--set", "authorisation.file=\(rules)"])
        _ = try ready(node)
        try directory.write("nonsense\n", to: "acl")
        node.send(signal: SIGHUP)
        #expect(node.waitForOutput("RELOAD_FAILED", within: .seconds(10)))
        try directory.write("default deny\n", to: "acl")
        node.send(signal: SIGHUP)
        #expect(node.waitForOutput("'users, rules and tenants'", within: .seconds(10)))
        #expect(node.terminate() == 0)
    }

    @Test(
        "[event certificateExpiring] a certificate that runs out in some days is told at the start")
    func expiringCertificate() throws {
        let key = directory.file("key.pem")
        let chain = directory.file("chain.pem")
        let openssl = try ChildProcess(
            path: "/usr/bin/openssl",
            arguments: [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", chain, "-days", "5", "-subj", "/CN=localhost",
            ])
        #expect(openssl.waitForExit(within: .seconds(30)) == 0)
        let configuration = try directory.write(
            """
            listeners:
              tls: {address: 127.0.0.1:0, kind: tls, certificates: [\(chain)], keys: [\(key)]}
            """, to: "apus.yml")
        let node = try serve(["--config", configuration])
        _ = try ready(node)
        #expect(node.waitForOutput("CERTIFICATE_EXPIRING", within: .seconds(10)))
        #expect(node.output.contains("path='\(chain)' days=4"))
        #expect(node.terminate() == 0)
    }

    @Test("systemd hears that it is ready, alive and stopping")
    func systemd() throws {
        let socket = try NotifySocket(directory.file("notify"))
        let node = try serve(
            Self.anyPort,
            environment: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "300000"])
        #expect(socket.receive() == "READY=1\n")
        #expect(socket.receive() == "WATCHDOG=1\n")
        #expect(socket.receive() == "WATCHDOG=1\n")
        node.send(signal: SIGTERM)
        var last = socket.receive()
        while last == "WATCHDOG=1\n" { last = socket.receive() }
        #expect(last == "STOPPING=1\n")
        #expect(node.waitForExit(within: .seconds(10)) == 0)
    }

    @Test("what is wrong with the configuration ends it with 1, what the machine refuses with 2")
    func exits() throws {
        let wrong = try serve(["--set", "loops=none"])
        #expect(wrong.waitForExit(within: .seconds(10)) == 1)
        let noFile = try serve(Self.anyPort + ["--set", "authorisation.file=/nowhere"])
        #expect(noFile.waitForExit(within: .seconds(10)) == 1)
        let noDirectory = try serve(Self.anyPort, data: "/proc/apus")
        #expect(noDirectory.waitForExit(within: .seconds(10)) == 2)
    }
}

/// The socket on which systemd listens.
private final class NotifySocket {
    let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0, "cannot bind \(path)")
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// The next message, or nothing if none comes in half a minute.
    func receive() -> String {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
    }
}
