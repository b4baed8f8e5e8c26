import Admin
import Base
import Broker
import Policy
import Testing

/// One request to an operation, and the status that it must have.
struct Exchange: Sendable {
    var operation: String
    var status: Int
    /// Segments for `{names}`, in order, encoded; then the query with its `?`.
    var parameters: [String] = []
    var query = ""
    var json: String?

    init(
        _ operation: String, _ status: Int, _ parameters: [String] = [], query: String = "",
        json: String? = nil
    ) {
        self.operation = operation
        self.status = status
        self.parameters = parameters
        self.query = query
        self.json = json
    }
}

@Suite("The OpenAPI document and what is answered", .serialized, .ownThreads)
struct OpenAPITests {
    /// An operation of the document.
    private struct Operation {
        var method: String
        var path: String
        var description: JSONValue
    }

    private let document: JSONValue
    private let operations: [String: Operation]

    init() throws {
        document = try JSONReader.decode(AdminServer.openAPI)
        var found: [String: Operation] = [:]
        for path in document["paths"]?.members ?? [] {
            for method in path.value.members ?? [] where method.name != "parameters" {
                let id = try #require(method.value["operationId"]?.text)
                #expect(found[id] == nil, "\(id) stands twice")
                found[id] = Operation(
                    method: method.name.uppercased(), path: path.name, description: method.value)
            }
        }
        operations = found
    }

    @Test("it describes every route, and no other")
    func routes() {
        let described = operations.values.map { "\($0.method) \($0.path)" }.sorted()
        let served = RouteTable.routes.map { "\($0.method) \($0.path)" }.sorted()
        #expect(described == served)
    }

    @Test("it is a document of OpenAPI 3.1 whose references lead somewhere")
    func references() {
        #expect(document["openapi"] == "3.1.0")
        let checker = SchemaChecker(document: document)
        func walk(_ value: JSONValue) {
            if value["$ref"] != nil {
                #expect(checker.resolve(value) != .null, "\(value)")
            }
            for member in value.members ?? [] { walk(member.value) }
            for item in value.list ?? [] { walk(item) }
        }
        walk(document)
    }

    /// Sessions: `plain` transient and `kept` stored are connected, `away` is stored.
    private static let exchanges: [Exchange] = [
        Exchange("live", 200), Exchange("ready", 200), Exchange("metrics", 200),
        Exchange("openapi", 200),
        // Messages.
        Exchange("publish", 200, json: #"{"topic": "nobody", "qos": 1}"#),
        Exchange("publish", 200, json: #"{"topic": "kept/1", "qos": 2, "payload": "x"}"#),
        Exchange(
            "publish", 200,
            json: """
                {"topic": "r/text", "retain": true, "qos": 1, "payload": "gr\\u00fc\\u00df dich",
                "messageExpiryInterval": 60, "payloadFormatIndicator": 1,
                "contentType": "text/plain", "responseTopic": "r/answer",
                "correlationDataBase64": "AAH/",
                "userProperties": [{"name": "a", "value": "b"}, {"name": "a", "value": ""}]}
                """),
        Exchange(
            "publish", 200,
            json: #"{"topic": "r/bytes", "retain": true, "payloadBase64": "AP8="}"#),
        Exchange("publish", 400, json: #"{"payload": "x"}"#),
        Exchange("publish", 400, json: #"{"topic": "a", "qos": 3}"#),
        Exchange("publish", 400, json: #"{"topic": "a", "tenant": "-"}"#),
        Exchange("publish", 422, json: #"{"topic": "a/+"}"#),
        Exchange("publish", 422, json: #"{"topic": "$SYS/broker/uptime"}"#),
        Exchange("publish", 404, json: #"{"topic": "a", "tenant": "unknown"}"#),
        Exchange("listRetained", 200),
        Exchange("listRetained", 200, query: "?filter=r/%2B&limit=1"),
        Exchange("listRetained", 422, query: "?filter=a%23"),
        Exchange("listRetained", 400, query: "?limit=0"),
        Exchange("listRetained", 400, query: "?cursor=nonsense"),
        Exchange("showRetained", 200, ["r%2Ftext"]), Exchange("showRetained", 200, ["r%2Fbytes"]),
        Exchange("showRetained", 404, ["r%2Fnone"]), Exchange("showRetained", 422, ["r%2F%2B"]),
        Exchange("clearRetained", 204, ["r%2Ftext"]),
        Exchange("clearRetained", 404, ["r%2Ftext"]), Exchange("clearRetained", 422, ["%23"]),
        // Sessions.
        Exchange("listSessions", 200),
        Exchange("listSessions", 200, query: "?online=false&limit=1"),
        Exchange("listSessions", 400, query: "?online=maybe"),
        Exchange("showSession", 200, ["plain"]), Exchange("showSession", 200, ["kept"]),
        Exchange("showSession", 200, ["away"]), Exchange("showSession", 404, ["nobody"]),
        Exchange("showSession", 404, ["plain"], query: "?tenant=other"),
        Exchange("subscribe", 201, ["plain"], json: #"{"filter": "on/#", "qos": 1}"#),
        Exchange("subscribe", 200, ["plain"], json: #"{"filter": "on/#", "qos": 2}"#),
        Exchange(
            "subscribe", 201, ["away"],
            json: #"{"filter": "on/#", "noLocal": true, "subscriptionIdentifier": 7}"#),
        Exchange("subscribe", 201, ["kept"], json: #"{"filter": "on/#"}"#),
        Exchange("subscribe", 404, ["nobody"], json: #"{"filter": "on/#"}"#),
        Exchange("subscribe", 422, ["kept"], json: #"{"filter": "on/#/x"}"#),
        Exchange("subscribe", 400, ["kept"], json: #"{"filter": 1}"#),
        Exchange("publish", 200, json: #"{"topic": "on/behalf", "qos": 1}"#),
        Exchange("showSession", 200, ["away"]), Exchange("showSession", 200, ["plain"]),
        Exchange("unsubscribe", 204, ["plain"], query: "?filter=on/%23"),
        Exchange("unsubscribe", 404, ["plain"], query: "?filter=on/%23"),
        Exchange("unsubscribe", 204, ["away"], query: "?filter=on/%23"),
        Exchange("unsubscribe", 404, ["nobody"], query: "?filter=on/%23"),
        Exchange("unsubscribe", 400, ["away"]),
        Exchange("endSession", 204, ["plain"]), Exchange("endSession", 409, ["away"]),
        Exchange("endSession", 204, ["away"], query: "?discard=true"),
        Exchange("endSession", 404, ["away"], query: "?discard=true"),
        Exchange("endSession", 404, ["nobody"]),
    ]

    @Test("every operation answers as it is described there")
    func answers() throws {
        let rig = try AdminRig { _ in
        } node: { options in
            options.tenants.replace { table in
                var table = table
                table.configure(
                    defaults: TenantOverrides(), tenants: [:], acceptsUnknown: false)
                return table
            }
        }
        let clients = [
            rig.client("plain"), rig.client("kept", isStored: true),
            rig.client("away", isStored: true),
        ]
        clients[1].subscribe("kept/#")
        #expect(rig.request("DELETE", "/api/v1/sessions/away")?.status == 204)
        waitUntilAway(rig)
        var seen: Set<String> = []
        withExtendedLifetime(clients) {
            for exchange in Self.exchanges {
                check(exchange, rig)
                seen.insert(exchange.operation)
            }
        }
        #expect(seen == Set(operations.keys))
    }

    /// The connection has ended once its owner has been released.
    private func waitUntilAway(_ rig: AdminRig) {
        for _ in 0..<1_000 {
            let reply = rig.request("GET", "/api/v1/sessions/away")
            if reply?.text.contains(#""online":false"#) == true { return }
        }
        Issue.record("the session stays online")
    }

    private func check(_ exchange: Exchange, _ rig: AdminRig) {
        guard let operation = operations[exchange.operation] else {
            Issue.record("\(exchange.operation) is not described")
            return
        }
        var parameters = exchange.parameters[...]
        let path = operation.path.split(separator: "/", omittingEmptySubsequences: false).map {
            $0.hasPrefix("{") ? parameters.popFirst() ?? "" : String($0)
        }.joined(separator: "/")
        let reply = rig.request(operation.method, path + exchange.query, json: exchange.json)
        let comment = Comment(rawValue: "\(exchange): \(reply?.text ?? "no answer")")
        guard let reply, reply.status == exchange.status else {
            Issue.record("\(exchange): \(reply?.status ?? 0) \(reply?.text ?? "")")
            return
        }
        let checker = SchemaChecker(document: document)
        checkRequest(exchange, operation.description, checker)
        guard let response = operation.description["responses"]?["\(reply.status)"] else {
            Issue.record("\(exchange): the status is not described")
            return
        }
        guard let content = checker.resolve(response)["content"]?.members?.first else {
            #expect(reply.body.isEmpty, comment)
            return
        }
        #expect(reply.headers["content-type"] == content.name, comment)
        guard content.name.contains("json"), let schema = content.value["schema"] else { return }
        guard let body = try? JSONReader.decode(reply.body) else {
            Issue.record("\(exchange): no JSON: \(reply.text)")
            return
        }
        #expect(checker.faults(of: body, schema) == [], comment)
    }

    /// What is accepted must be allowed by the document.
    private func checkRequest(
        _ exchange: Exchange, _ description: JSONValue, _ checker: SchemaChecker
    ) {
        guard let json = exchange.json, exchange.status < 300,
            let schema = description["requestBody"]?["content"]?["application/json"]?["schema"],
            let body = try? JSONReader.decode(Array(json.utf8))
        else { return }
        #expect(checker.faults(of: body, schema) == [], "\(json)")
    }
}
