import Admin
import Base
import Broker
import Policy
import Testing

@Suite("What the endpoints do", .serialized, .ownThreads)
struct EndpointTests {
    private func json(_ reply: HTTPReply?) -> JSONValue {
        (reply.map { try? JSONReader.decode($0.body) } ?? nil) ?? .null
    }

    @Test("a published message arrives with its properties, and the answer says so")
    func publishes() throws {
        let rig = try AdminRig()
        let client = rig.client("reader")
        client.subscribe("news/#")
        let body = #"{"topic": "news/1", "qos": 1, "payload": "hello", "contentType": "text/x"}"#
        #expect(
            json(rig.request("POST", "/api/v1/publish", json: body)) == ["outcome": "delivered"])
        let packet = try #require(client.next())
        #expect(packet[0] == 0x32)
        let text = String(decoding: packet, as: UTF8.self)
        #expect(text.contains("news/1") && text.contains("text/x") && text.hasSuffix("hello"))
    }

    @Test("lists go on with their cursor until every session has been shown once")
    func pages() throws {
        let rig = try AdminRig()
        let clients = (0..<9).map { rig.client("client-\($0)", isStored: $0 % 2 == 0) }
        var names: [String] = []
        var cursor = ""
        for _ in 0..<50 {
            let page = json(rig.request("GET", "/api/v1/sessions?limit=2" + cursor))
            names += (page["items"]?.list ?? []).compactMap { $0["clientID"]?.text }
            guard let next = page["cursor"]?.text else { break }
            cursor = "&cursor=" + next
        }
        #expect(names.sorted() == (0..<9).map { "client-\($0)" })
        #expect(clients.count == 9)
    }

    @Test("client ids and topics with slashes, dots and spaces are found under their encoded names")
    func encodedNames() throws {
        let rig = try AdminRig()
        let client = rig.client("../a b/c")
        #expect(rig.request("GET", "/api/v1/sessions/..%2Fa%20b%2Fc")?.status == 200)
        #expect(rig.request("DELETE", "/api/v1/sessions/..%2Fa%20b%2Fc")?.status == 204)
        #expect(client.next()?.prefix(3) == [0xE0, 1, 0x98])
    }

    @Test("metrics have help and type before their values, and count by tenant")
    func metrics() throws {
        let rig = try AdminRig()
        let client = rig.client("counted")
        client.subscribe("a")
        let reply = try #require(rig.request("GET", "/metrics"))
        var kinds: [String: String] = [:]
        var values: [String: Double] = [:]
        for line in reply.text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") {
                #expect(kinds[String(words[2])] == nil, "\(words[2]) stands twice")
                kinds[String(words[2])] = String(words[3])
            } else if !line.hasPrefix("#") {
                let name = words[0].split(separator: "{")[0]
                let kind = try #require(kinds[String(name)], "\(line) has no type")
                #expect((kind == "counter") == name.hasSuffix("_total"), "\(line)")
                #expect(name.hasPrefix("apus_"))
                let value: Double = try #require(Double(String(words[1])), "\(line)")
                values[String(words[0])] = value
            }
        }
        #expect(kinds.count > FigureTable.rows.count - FigureTable.memoryRows.count)
        for row in FigureTable.memoryRows {
            #expect(values["apus_memory_bytes{owner=\"\(row.name)\"}"] != nil, "\(row.name)")
        }
        #expect((values[#"apus_memory_bytes{owner="sessions"}"#] ?? 0) > 0)
        #expect((values[#"apus_memory_bytes{owner="connections"}"#] ?? 0) > 0)
        #expect(values["apus_sessions_connected"] == 1)
        #expect(values["apus_subscriptions"] == 1)
        #expect(values[#"apus_build_info{version="test"}"#] == 1)
        #expect((values["apus_process_resident_memory_bytes"] ?? 0) > 1e6)
        #expect((values["apus_bytes_received_total"] ?? 0) > 20)
        #expect(values[#"apus_tenant_connections{tenant="default"}"#] == 1)
        let connected = #"apus_events_total{tenant="default",event="CLIENT_CONNECTED"}"#
        #expect(values[connected] == 1, "\(values.keys.filter { $0.contains("events_total") })")
        #expect(values[#"apus_loop_turn_seconds_longest{loop="1"}"#] != nil)
        withExtendedLifetime(client) {}
    }

    @Test("a node that has ended is alive for a moment, and not ready, with the reason")
    func notReady() throws {
        let rig = try AdminRig()
        #expect(rig.request("GET", "/readyz")?.status == 200)
        rig.node.handle.stop()
        rig.node.join()
        let reply = rig.request("GET", "/readyz")
        #expect(reply?.status == 503)
        #expect(json(reply)["reasons"]?.list?.first?["code"] == "draining")
        #expect(rig.request("GET", "/healthz")?.status == 200)
        #expect(rig.request("GET", "/api/v1/sessions")?.status == 503)
    }

    @Test("HEAD is GET without the body, and a connection takes several requests")
    func head() throws {
        let rig = try AdminRig()
        let connection = HTTPConnection(port: rig.httpPort)
        for _ in 0..<3 {
            connection.send("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(connection.reply(hasBody: false)?.status == 200)
            connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(connection.reply()?.text == #"{"status":"ok"}"#)
        }
    }
}
