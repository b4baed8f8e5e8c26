import Base
import MQTT
import Policy

/// What the door says to a request, once. A value with a form in bytes, like the request.
///
/// ```
///  answer:  version u8 (1) | kind u8 | fields
/// ```
package enum DoorAnswer: Equatable, Sendable {
    case refused(DoorRefusal)
    /// Done, and nothing is to be said of it.
    case done
    case published(DoorPublishOutcome)
    case retainedPage(DoorRetainedPage)
    case message(DoorMessage, expiresAt: UInt64)
    case sessionPage(DoorSessionPage)
    case session(DoorSession)
    case connection(DoorConnection)
    case subscriptionPage([DoorSubscription], hasMore: Bool)
    /// A subscription was made, or changed if it was there.
    case subscribed(maximumQoS: QoS, isNew: Bool)
    case figures(WorkerFigures)
    case health(WorkerHealth)
}

/// Why a request was not carried out.
package enum DoorRefusal: UInt8, CaseIterable, Sendable, Error {
    /// The bytes are no request of a version known here.
    case malformed = 1
    /// There is no such session, message or subscription.
    case notFound
    /// The session's connection is not where it was.
    case moved
    /// As many requests as may wait are waiting.
    case busy
    /// The range that would know could not be asked; nothing happened.
    case unavailable
    /// It was begun, and nobody can say what became of it.
    case unknown
    /// The node is stopping.
    case stopped
    /// The tenant is not configured, and such tenants are not served.
    case tenantUnknown
    case topicInvalid
    case filterInvalid
    case propertyInvalid
    case payloadFormatInvalid
    case qosNotSupported
    case retainNotSupported
    case wildcardsNotSupported
    case sharesNotSupported
    case subscriptionIDsNotSupported
    case quotaExceeded
    case tooLarge
}

/// How a publish ended.
package enum DoorPublishOutcome: Equatable, Sendable {
    /// Somebody receives it; with QoS 1 and 2 every receiver has it stored.
    case delivered
    case noMatchingSubscribers
    case refused(ReasonCode)
}

/// A page of retained topics.
package struct DoorRetainedPage: Equatable, Sendable {
    /// One retained message, without its payload.
    package struct Item: Equatable, Sendable {
        package var topic: [UInt8]
        /// Of the whole record.
        package var byteCount: UInt32
        /// Milliseconds since 1970; 0 for never.
        package var expiresAt: UInt64

        package init(topic: [UInt8], byteCount: UInt32, expiresAt: UInt64) {
            self.topic = topic
            self.byteCount = byteCount
            self.expiresAt = expiresAt
        }
    }

    package var items: [Item]
    /// For the next page; empty if this is the last.
    package var cursor: [UInt8]

    package init(items: [Item] = [], cursor: [UInt8] = []) {
        self.items = items
        self.cursor = cursor
    }
}

/// A page of sessions.
package struct DoorSessionPage: Equatable, Sendable {
    package var sessions: [DoorSession]
    /// For the next page; empty if this is the last that the worker or the ranges have.
    package var cursor: [UInt8]

    package init(sessions: [DoorSession] = [], cursor: [UInt8] = []) {
        self.sessions = sessions
        self.cursor = cursor
    }
}

/// A session as the ranges know it.
package struct DoorSession: Equatable, Sendable {
    /// Where its connection is, and under which token.
    package struct Owner: Equatable, Sendable {
        package var place: Place
        package var token: UInt64

        package init(place: Place, token: UInt64) {
            self.place = place
            self.token = token
        }
    }

    package var clientID: [UInt8]
    package var user: [UInt8] = []
    package var isStored = false
    package var isOnline = false
    /// Known if one session was asked for.
    package var owner: Owner?
    package var expirySeconds: UInt32 = 0
    /// Milliseconds since 1970; 0 while it is online, or never.
    package var expiresAt: UInt64 = 0
    package var hasWill = false
    package var subscriptionCount: UInt32 = 0
    package var queuedMessages: UInt32 = 0
    package var queuedBytes: UInt64 = 0

    package init(clientID: [UInt8]) { self.clientID = clientID }
}

/// A connection as its worker knows it.
package struct DoorConnection: Equatable, Sendable {
    package var peer = ""
    /// Name of the listener.
    package var listener = ""
    package var version = ProtocolVersion.v5
    package var isWebSocket = false
    /// Seconds; 0 for none.
    package var keepAlive: UInt16 = 0
    /// Milliseconds since 1970.
    package var connectedAt: UInt64 = 0
    /// Messages to the client that it has not acknowledged.
    package var inFlight: UInt32 = 0
    /// Messages of a transient session that wait.
    package var queuedMessages: UInt32 = 0
    package var subscriptionCount: UInt32 = 0
    package var receiveMaximum: UInt16 = 0

    package init() {}
}

extension DoorAnswer {
    package static let formatVersion: UInt8 = 1

    private enum Kind: UInt8 {
        case refused = 1, done, published, retainedPage, message, sessionPage, session, connection
        case subscriptionPage, subscribed, figures, health
    }

    private var kind: Kind {
        switch self {
        case .refused: .refused
        case .done: .done
        case .published: .published
        case .retainedPage: .retainedPage
        case .message: .message
        case .sessionPage: .sessionPage
        case .session: .session
        case .connection: .connection
        case .subscriptionPage: .subscriptionPage
        case .subscribed: .subscribed
        case .figures: .figures
        case .health: .health
        }
    }

    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.append(Self.formatVersion)
        writer.append(kind.rawValue)
        switch self {
        case .refused(let refusal): writer.append(refusal.rawValue)
        case .done: break
        case .published(let outcome): outcome.encode(into: &writer)
        case .retainedPage(let page): page.encode(into: &writer)
        case .message(let message, let expiresAt):
            message.encode(into: &writer)
            writer.append(bigEndian: expiresAt)
        case .sessionPage(let page):
            writer.append(list: page.sessions) { $1.encode(into: &$0) }
            writer.append(bytes32: page.cursor)
        case .session(let session): session.encode(into: &writer)
        case .connection(let connection): connection.encode(into: &writer)
        case .subscriptionPage(let subscriptions, let hasMore):
            writer.append(list: subscriptions) { $1.encode(into: &$0) }
            writer.append(flag: hasMore)
        case .subscribed(let qos, let isNew):
            writer.append(qos.rawValue)
            writer.append(flag: isNew)
        case .figures(let figures): figures.encode(into: &writer)
        case .health(let health): health.encode(into: &writer)
        }
        return writer.array
    }

    /// Nil for bytes that are no answer of a version known here.
    package static func decode(_ answer: [UInt8]) -> DoorAnswer? {
        answer.withRawSpan { bytes in
            var reader = ByteReader(bytes)
            do throws(ByteShortage) {
                guard try reader.readUInt8(bytes) == formatVersion,
                    let kind = Kind(rawValue: try reader.readUInt8(bytes))
                else { return nil }
                let answer = try decode(kind, bytes, &reader)
                return reader.isAtEnd ? answer : nil
            } catch {
                return nil
            }
        }
    }

    private static func decode(
        _ kind: Kind, _ bytes: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> DoorAnswer {
        switch kind {
        case .refused:
            guard let refusal = DoorRefusal(rawValue: try reader.readUInt8(bytes)) else {
                throw ByteShortage()
            }
            return .refused(refusal)
        case .done: return .done
        case .published: return .published(try DoorPublishOutcome(bytes, &reader))
        case .retainedPage: return .retainedPage(try DoorRetainedPage(bytes, &reader))
        case .message:
            return .message(
                try DoorMessage(bytes, &reader), expiresAt: try reader.readUInt64(bytes))
        case .sessionPage:
            let sessions = try reader.list(bytes) { reader throws(ByteShortage) in
                try DoorSession(bytes, &reader)
            }
            return .sessionPage(
                DoorSessionPage(sessions: sessions, cursor: try reader.bytes32(bytes)))
        case .session: return .session(try DoorSession(bytes, &reader))
        case .connection: return .connection(try DoorConnection(bytes, &reader))
        case .subscriptionPage:
            let items = try reader.list(bytes) { reader throws(ByteShortage) in
                try DoorSubscription(bytes, &reader)
            }
            return .subscriptionPage(items, hasMore: try reader.flag(bytes))
        case .subscribed:
            return .subscribed(maximumQoS: try reader.qos(bytes), isNew: try reader.flag(bytes))
        case .figures: return .figures(try WorkerFigures(bytes, &reader))
        case .health: return .health(try WorkerHealth(bytes, &reader))
        }
    }
}

extension DoorPublishOutcome {
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .delivered: writer.append(0)
        case .noMatchingSubscribers: writer.append(1)
        case .refused(let code):
            writer.append(2)
            writer.append(code.rawValue)
        }
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        let kind = try reader.readUInt8(bytes)
        if kind == 0 {
            self = .delivered
        } else if kind == 1 {
            self = .noMatchingSubscribers
        } else if kind == 2, let code = ReasonCode(rawValue: try reader.readUInt8(bytes)) {
            self = .refused(code)
        } else {
            throw ByteShortage()
        }
    }
}

extension DoorRetainedPage {
    func encode(into writer: inout ByteWriter) {
        writer.append(list: items) { writer, item in
            writer.append(lengthPrefixed16: item.topic)
            writer.append(bigEndian: item.byteCount)
            writer.append(bigEndian: item.expiresAt)
        }
        writer.append(bytes32: cursor)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        items = try reader.list(bytes) { reader throws(ByteShortage) in
            Item(
                topic: try reader.bytes16(bytes), byteCount: try reader.readUInt32(bytes),
                expiresAt: try reader.readUInt64(bytes))
        }
        cursor = try reader.bytes32(bytes)
    }
}

extension DoorSession {
    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: clientID)
        writer.append(lengthPrefixed16: user)
        writer.append((isStored ? 1 : 0) | (isOnline ? 2 : 0) | (hasWill ? 4 : 0))
        writer.append(optional: owner) {
            $0.append(bigEndian: $1.place.node.rawValue)
            $0.append(bigEndian: $1.place.worker.rawValue)
            $0.append(bigEndian: $1.token)
        }
        writer.append(bigEndian: expirySeconds)
        writer.append(bigEndian: expiresAt)
        writer.append(bigEndian: subscriptionCount)
        writer.append(bigEndian: queuedMessages)
        writer.append(bigEndian: queuedBytes)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        clientID = try reader.bytes16(bytes)
        user = try reader.bytes16(bytes)
        let flags = try reader.readUInt8(bytes)
        isStored = flags & 1 != 0
        isOnline = flags & 2 != 0
        hasWill = flags & 4 != 0
        owner = try reader.optional(bytes) { reader throws(ByteShortage) in
            let node = NodeID(try reader.readUInt64(bytes))
            let worker = WorkerIndex(try reader.readUInt16(bytes))
            return Owner(
                place: Place(node: node, worker: worker), token: try reader.readUInt64(bytes))
        }
        expirySeconds = try reader.readUInt32(bytes)
        expiresAt = try reader.readUInt64(bytes)
        subscriptionCount = try reader.readUInt32(bytes)
        queuedMessages = try reader.readUInt32(bytes)
        queuedBytes = try reader.readUInt64(bytes)
    }
}

extension DoorConnection {
    func encode(into writer: inout ByteWriter) {
        writer.append(text: peer)
        writer.append(text: listener)
        writer.append(version.rawValue)
        writer.append(flag: isWebSocket)
        writer.append(bigEndian: keepAlive)
        writer.append(bigEndian: connectedAt)
        writer.append(bigEndian: inFlight)
        writer.append(bigEndian: queuedMessages)
        writer.append(bigEndian: subscriptionCount)
        writer.append(bigEndian: receiveMaximum)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        peer = try reader.text(bytes)
        listener = try reader.text(bytes)
        guard let version = ProtocolVersion(rawValue: try reader.readUInt8(bytes)) else {
            throw ByteShortage()
        }
        self.version = version
        isWebSocket = try reader.flag(bytes)
        keepAlive = try reader.readUInt16(bytes)
        connectedAt = try reader.readUInt64(bytes)
        inFlight = try reader.readUInt32(bytes)
        queuedMessages = try reader.readUInt32(bytes)
        subscriptionCount = try reader.readUInt32(bytes)
        receiveMaximum = try reader.readUInt16(bytes)
    }
}
