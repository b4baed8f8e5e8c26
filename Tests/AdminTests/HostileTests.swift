import Admin
import Base
import Broker
import TestKit
import Testing

@Suite("Bad input at the HTTP port", .serialized, .ownThreads)
struct HostileTests {
    private static func post(_ body: String, _ headers: String = "") -> String {
        "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
    }

    private static func get(_ target: String) -> String {
        "GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    }

    /// Requests and their statuses; 0 for a connection that ends without an answer.
    static let requests: [(request: String, status: Int)] = [
        // JSON.
        (post(""), 400), (post("{"), 400), (post("[]"), 400), (post("nul"), 400),
        (post(#"{"topic":"a"} x"#), 400), (post(#"{"topic":"a","topic":"b"}"#), 400),
        (post(#"{"topic":"a","qos":1.5}"#), 400), (post(#"{"topic":"a","qos":"1"}"#), 400),
        (post(#"{"topic":"a","unknown":1}"#), 400), (post(#"{"topic":null}"#), 400),
        (post(#"{"topic":"\ud800"}"#), 400), (post("{\"topic\":\"a\u{1}\"}"), 400),
        (post(#"{"topic":"a","payload":"x","payloadBase64":"eA=="}"#), 400),
        (post(#"{"topic":"a","payloadBase64":"e"}"#), 400),
        (post(#"{"topic":"a","userProperties":[{"name":"a"}]}"#), 400),
        (post(String(repeating: "[", count: 1_000)), 400),
        (post(#"{"topic":"a","messageExpiryInterval":-1}"#), 400),
        (post(#"{"topic":"a","messageExpiryInterval":4294967296}"#), 400),
        // What the door refuses.
        (post(#"{"topic":"a\u0000b"}"#), 422), (post(#"{"topic":""}"#), 422),
        (post(#"{"topic":"a/#"}"#), 422), (post(#"{"topic":"a","responseTopic":"b/+"}"#), 422),
        (post(#"{"topic":"a","payloadFormatIndicator":1,"payloadBase64":"/w=="}"#), 422),
        // Paths.
        (get("/"), 404), (get("/api/v1/../../healthz"), 404), (get("/api/v1/"), 404),
        (get("/api/v1/sessions/"), 404), (get("/api/v1/sessions/a/b"), 404),
        (get("/healthz/"), 404), (get("//healthz"), 404), (get("/api/v1/sessions/%"), 400),
        (get("/api/v1/sessions/%zz"), 400), (get("/api/v1/sessions/%FF"), 400),
        (get("/api/v1/sessions?x=1"), 400), (get("/api/v1/sessions?limit=1&limit=2"), 400),
        (get("/api/v1/sessions?tenant=../x"), 400), (get("/api/v1/sessions?limit=99999"), 400),
        (get("/api/v1/sessions?cursor=AAAA_w"), 400),
        (get("/api/v1/sessions?cursor=__8"), 409),
        (get("/api/v1/retained/" + String(repeating: "a", count: 9_000)), 414),
        // Methods and heads.
        ("PUT /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("DELETE /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415),
        (
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                + "Content-Length: 2\r\n\r\n{}", 415
        ),
        (post("{}", "Content-Length: 3\r\n"), 400),
        ("\u{0}\u{1}\u{2}\r\n\r\n", 400), ("GET /healthz\r\n\r\n", 400),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "
                + String(repeating: "a", count: 20_000) + "\r\n\r\n", 400
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                + (0..<200).map { "X-\($0): 1\r\n" }.joined() + "\r\n", 400
        ),
        // Bodies.
        (
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
            413
        ),
        (
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
                + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400
        ),
    ]

    @Test("[attack 37] each is answered as it must be, and the port serves on")
    func requests() throws {
        let rig = try AdminRig()
        for (request, status) in Self.requests {
            let connection = HTTPConnection(port: rig.httpPort)
            connection.send(request)
            let reply = connection.reply()
            #expect(reply?.status ?? 0 == status, "\(request.prefix(120)): \(reply?.text ?? "")")
            if let reply, status >= 400, reply.headers["content-type"] != nil {
                #expect(reply.headers["content-type"] == "application/problem+json")
            }
        }
        #expect(rig.request("GET", "/healthz")?.status == 200)
        #expect(rig.state.openCount == 0)
        #expect(rig.node.door.openCount == 0)
    }

    @Test("a body without an end is cut off at the limit")
    func endlessBody() throws {
        let rig = try AdminRig()
        let connection = HTTPConnection(port: rig.httpPort)
        connection.send(
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "4000\r\n" + String(repeating: "a", count: 0x4000) + "\r\n"
        for _ in 0..<16 { connection.send(chunk) }
        #expect(connection.reply()?.status == 413)
        #expect(connection.isEnded())
        #expect(rig.state.openCount == 0)
    }

    @Test("a head that does not come, or a body by the byte, costs its connection alone")
    func slow() throws {
        let rig = try AdminRig { options in
            options.idleTime = .milliseconds(100)
            options.requestTime = .milliseconds(100)
        }
        let head = HTTPConnection(port: rig.httpPort)
        head.send("GET /healthz HTTP/1.1\r\nHost: loc")
        let body = HTTPConnection(port: rig.httpPort)
        body.send(
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
        #expect(rig.request("GET", "/healthz")?.status == 200)
        #expect(head.isEnded())
        #expect(body.isEnded())
        // The handler hears of it a moment after the client.
        for _ in 0..<1_000 where rig.state.openCount > 0 { _ = rig.request("GET", "/healthz") }
        #expect(rig.state.openCount == 0)
    }

    @Test("thousands of connections: as many as may be are served, the others wait their turn")
    func manyConnections() throws {
        let rig = try AdminRig { options in
            options.connectionsMax = 32
            options.idleTime = .milliseconds(300)
        }
        // The descriptors of this process bound the number; the limit is what is tested.
        var silent = (0..<400).map { _ in HTTPConnection(port: rig.httpPort) }
        let late = HTTPConnection(port: rig.httpPort)
        late.send(Self.get("/healthz"))
        // Its turn comes when silent ones have been idle for too long.
        #expect(late.reply()?.status == 200)
        silent.removeAll()
        #expect(rig.request("GET", "/healthz")?.status == 200)
    }

    @Test("random bytes and damaged requests never stop the port", arguments: Seed.series(3))
    func random(seed: Seed) throws {
        let rig = try AdminRig { $0.idleTime = .milliseconds(100) }
        var random = seed.random()
        for _ in 0..<40 {
            let (request, _) = Self.requests[random.below(Self.requests.count)]
            var bytes = Array(request.utf8)
            for _ in 0..<4 { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            let connection = HTTPConnection(port: rig.httpPort)
            connection.send(bytes)
        }
        #expect(rig.request("GET", "/healthz")?.status == 200)
    }
}
