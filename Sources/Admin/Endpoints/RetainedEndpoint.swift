import Base
import Broker
import Policy

/// Retained messages: by filter, one by one, and away with them.
enum RetainedEndpoint {
    static func list(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant", "filter", "limit", "cursor")
        var list = DoorList(tenant: try request.tenant())
        list.pattern = Array((request.query("filter") ?? "#").utf8)
        guard list.pattern.count <= 0xFFFF else { throw Problem(.filterInvalid) }
        let limit = try request.limit()
        list.cursor = try PageCursor(request.query("cursor")).inner
        var items: [DoorRetainedPage.Item] = []
        for _ in 0..<AdminLimits.questionsPerPage {
            list.limit = limit - items.count
            guard
                case .retainedPage(let page) = try await request.client.demand(
                    .retainedList(list))
            else { throw Problem(.unavailable) }
            items += page.items
            list.cursor = page.cursor
            if page.cursor.isEmpty || items.count >= limit { break }
        }
        return .json(
            .page(
                items.map { item in
                    .object(
                        [
                            JSONMember("topic", .text(item.topic.text)),
                            JSONMember("byteCount", .integer(Int(item.byteCount))),
                        ] + .time("expiresAt", item.expiresAt))
                },
                cursor: list.cursor.isEmpty ? nil : PageCursor(inner: list.cursor)))
    }

    private static func topic(_ request: AdminRequest) throws(Problem) -> [UInt8] {
        let topic = Array(request.parameters[0].utf8)
        guard topic.count <= 0xFFFF else { throw Problem(.topicInvalid) }
        return topic
    }

    static func show(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant")
        let answer = try await request.client.demand(
            .retainedShow(try request.tenant(), topic: try topic(request)))
        guard case .message(let message, let expiresAt) = answer else {
            throw Problem(.unavailable)
        }
        var members = [
            JSONMember("topic", .text(message.topic.text)),
            JSONMember("qos", .integer(Int(message.qos.rawValue))),
            JSONMember("publisher", .text(message.publisher.text)),
        ]
        members += .time("publishedAt", message.publishedAt) + .time("expiresAt", expiresAt)
        members += message.properties.members
        if let text = String(validating: message.payload, as: UTF8.self) {
            members.append(JSONMember("payload", .text(text)))
        } else {
            members.append(JSONMember("payloadBase64", .text(message.payload.base64)))
        }
        return .json(.object(members))
    }

    static func clear(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant")
        _ = try await request.client.demand(
            .retainedClear(try request.tenant(), topic: try topic(request)))
        return .nothing
    }
}

/// Where a list goes on, as its caller sees it: opaque text.
struct PageCursor {
    /// 0 from the ranges; 1 and up: connected sessions of worker `phase - 1`.
    var phase: UInt16 = 0
    var inner: [UInt8] = []

    init(phase: UInt16 = 0, inner: [UInt8]) {
        self.phase = phase
        self.inner = inner
    }

    init(_ text: String?) throws(Problem) {
        guard let text, !text.isEmpty else { return }
        let standard = text.utf8.map { byte -> UInt8 in
            byte == UInt8(ascii: "-")
                ? UInt8(ascii: "+") : byte == UInt8(ascii: "_") ? UInt8(ascii: "/") : byte
        }
        let padding = [UInt8](repeating: UInt8(ascii: "="), count: (4 - standard.count % 4) % 4)
        guard let bytes = Base64.decode(standard + padding), bytes.count >= 2 else {
            throw .badRequest("cursorInvalid", "'cursor' is none that was given out")
        }
        phase = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        inner = Array(bytes[2...])
    }

    var text: String {
        let bytes = [UInt8(phase >> 8), UInt8(truncatingIfNeeded: phase)] + inner
        let text = Base64.encode(bytes).filter { $0 != UInt8(ascii: "=") }.map { byte -> UInt8 in
            byte == UInt8(ascii: "+")
                ? UInt8(ascii: "-") : byte == UInt8(ascii: "/") ? UInt8(ascii: "_") : byte
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension JSONValue {
    /// A page; without a cursor it is the last.
    static func page(_ items: [JSONValue], cursor: PageCursor?) -> JSONValue {
        var members = [JSONMember("items", .list(items))]
        if let cursor { members.append(JSONMember("cursor", .text(cursor.text))) }
        return .object(members)
    }
}

extension [JSONMember] {
    /// A time in milliseconds since 1970; nothing for 0.
    static func time(_ name: String, _ milliseconds: UInt64) -> [JSONMember] {
        milliseconds == 0 ? [] : [JSONMember(name, .integer(Int(clamping: milliseconds)))]
    }
}
