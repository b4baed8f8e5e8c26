/// Something that happened, with what is worth knowing about it.
///
/// Built only where someone listens; the counters do not need it (see `EventQueue`).
public enum Event: Equatable, Sendable {
    case channel(ChannelEvent)
    case connection(ConnectionEvent)
    case disconnect(DisconnectEvent)
    case packet(PacketEvent)
    case publish(PublishEvent)
    case retain(RetainEvent)
    case push(PushEvent)
    case access(AccessEvent)
    case dist(DistEvent)
    case session(SessionEvent)
    case node(NodeEvent)

    public var kind: EventKind { described.kind }
    /// The payload, for sinks that do not know every kind.
    public var fields: [(name: String, value: EventValue)] { described.fields }

    var described: EventDescription {
        switch self {
        case .channel(let event): event.described
        case .connection(let event): event.described
        case .disconnect(let event): event.described
        case .packet(let event): event.described
        case .publish(let event): event.described
        case .retain(let event): event.described
        case .push(let event): event.described
        case .access(let event): event.described
        case .dist(let event): event.described
        case .session(let event): event.described
        case .node(let event): event.described
        }
    }
}

/// The kind of an event and its payload as named values.
typealias EventDescription = (kind: EventKind, fields: [(name: String, value: EventValue)])

/// One value of a payload.
public enum EventValue: Equatable, Sendable {
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([String])

    /// As JSON.
    public var json: String {
        switch self {
        case .text(let text): text.quotedForJSON
        case .number(let number): String(number)
        case .flag(let flag): flag ? "true" : "false"
        case .list(let items): "[" + items.map(\.quotedForJSON).joined(separator: ",") + "]"
        }
    }

    /// As it stands in a log line, with nothing that could forge one.
    public var logText: String {
        switch self {
        case .text(let text): "'" + text.escapedForLog + "'"
        case .number(let number): String(number)
        case .flag(let flag): flag ? "yes" : "no"
        case .list(let items):
            "[" + items.map { "'" + $0.escapedForLog + "'" }.joined(separator: " ") + "]"
        }
    }
}

/// Whom an event concerns.
public struct EventSubject: Equatable, Sendable {
    public var user: String
    public var clientID: String
    /// Address and port, or empty.
    public var peer: String

    public init(user: String, clientID: String, peer: String) {
        self.user = user
        self.clientID = clientID
        self.peer = peer
    }
}

/// An event with its circumstances, as sinks get it.
public struct EventRecord: Equatable, Sendable {
    /// Wall-clock time in milliseconds since 1970.
    public var milliseconds: UInt64
    /// Empty if it concerns the whole node.
    public var tenant: String
    /// Nil if it concerns no single client.
    public var subject: EventSubject?
    public var event: Event

    public init(
        milliseconds: UInt64, tenant: String, subject: EventSubject?, event: Event
    ) {
        self.milliseconds = milliseconds
        self.tenant = tenant
        self.subject = subject
        self.event = event
    }

    /// One line without line breaks or control characters.
    public var logLine: String {
        var line = event.kind.name
        if !tenant.isEmpty { line += " tenant=" + tenant.escapedForLog }
        if let subject {
            line += " client='" + subject.clientID.escapedForLog + "'"
            if !subject.user.isEmpty { line += " user='" + subject.user.escapedForLog + "'" }
            if !subject.peer.isEmpty { line += " peer=" + subject.peer.escapedForLog }
        }
        for field in event.fields { line += " " + field.name + "=" + field.value.logText }
        return line
    }

    /// One JSON object.
    public var json: String {
        var text = "{\"time\":\(milliseconds),\"type\":\"\(event.kind.name)\""
        text += ",\"tenant\":" + tenant.quotedForJSON
        if let subject {
            text += ",\"client\":" + subject.clientID.quotedForJSON
            text += ",\"user\":" + subject.user.quotedForJSON
            text += ",\"peer\":" + subject.peer.quotedForJSON
        }
        for field in event.fields { text += ",\"\(field.name)\":" + field.value.json }
        return text + "}"
    }
}
