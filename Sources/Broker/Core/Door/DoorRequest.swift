import Base
import MQTT
import Policy

/// What may be asked of a node from outside its loops: by the HTTP API, the console and the
/// publisher of $SYS topics.
///
/// Each request is answered once, by one worker; what needs several (a whole list, a session that
/// lives on another worker) its caller puts together. A value with a form in bytes, so that it
/// travels to another node as well as to another loop; it carries its tenant.
///
/// ```
///  letter:   version u8 (1) | ticket u64 | kind u8 | fields
/// ```
package enum DoorRequest: Equatable, Sendable {
    case publish(DoorPublish)
    /// A page of retained topics, without their messages.
    case retainedList(DoorList)
    case retainedShow(TenantName, topic: [UInt8])
    case retainedClear(TenantName, topic: [UInt8])
    /// A page of stored sessions, from the ranges.
    case storedSessions(DoorList)
    /// A page of connected transient sessions of the worker that is asked.
    case connectedSessions(DoorList)
    /// What the ranges know of one session, and where its connection is.
    case session(DoorSessionName)
    /// What the owner knows of its connection; asked at the place that `session` named.
    case connection(DoorConnectionName)
    /// Subscriptions: of a stored session from its range, of a transient one at its place.
    case subscriptions(DoorSessionName, skip: UInt32)
    case connectionSubscriptions(DoorConnectionName, skip: UInt32)
    /// Ends a connection; a stored session stays.
    case disconnect(DoorConnectionName)
    /// Ends a session for good, stored or not, and its connection.
    case terminate(DoorSessionName, publishesWill: Bool)
    /// A subscription of a stored session, connected or not.
    case subscribe(DoorSessionName, DoorSubscription)
    case unsubscribe(DoorSessionName, filter: [UInt8])
    /// A subscription of a transient session, at its place.
    case subscribeConnection(DoorConnectionName, DoorSubscription)
    case unsubscribeConnection(DoorConnectionName, filter: [UInt8])
    /// The counters and gauges of the worker that is asked.
    case figures
    /// Whether the worker serves.
    case health
}

/// A session by its tenant and client id.
package struct DoorSessionName: Equatable, Hashable, Sendable {
    package var tenant: TenantName
    package var clientID: [UInt8]

    package init(tenant: TenantName, clientID: [UInt8]) {
        self.tenant = tenant
        self.clientID = clientID
    }
}

/// A session and the connection that it had when its place was asked for.
package struct DoorConnectionName: Equatable, Sendable {
    package var session: DoorSessionName
    package var token: UInt64

    package init(session: DoorSessionName, token: UInt64) {
        self.session = session
        self.token = token
    }
}

/// A message to be published.
package struct DoorPublish: Equatable, Sendable {
    package var tenant: TenantName
    package var message: DoorMessage
    /// The server's own: may begin with `$`.
    package var isSystem = false

    package init(tenant: TenantName, message: DoorMessage) {
        self.tenant = tenant
        self.message = message
    }
}

/// A page of a list of a tenant's.
package struct DoorList: Equatable, Sendable {
    /// Sessions that are listed.
    package enum Presence: UInt8, Sendable, CaseIterable {
        case any = 0
        case online = 1
        case offline = 2
    }

    package var tenant: TenantName
    /// A topic filter, or the beginning of client ids.
    package var pattern: [UInt8] = []
    package var presence = Presence.any
    /// Of the page before; empty for the first.
    package var cursor: [UInt8] = []
    package var limit = 100

    package init(tenant: TenantName) { self.tenant = tenant }
}

/// A subscription as the door takes and shows it.
package struct DoorSubscription: Equatable, Sendable {
    package var filter: [UInt8]
    package var options: SubscriptionOptions
    /// 0 for none.
    package var subscriptionID: UInt32 = 0

    package init(filter: [UInt8], options: SubscriptionOptions, subscriptionID: UInt32 = 0) {
        self.filter = filter
        self.options = options
        self.subscriptionID = subscriptionID
    }
}

extension DoorRequest {
    package static let formatVersion: UInt8 = 1

    private enum Kind: UInt8 {
        case publish = 1, retainedList, retainedShow, retainedClear, storedSessions
        case connectedSessions, session, connection, subscriptions, connectionSubscriptions
        case disconnect, terminate, subscribe, unsubscribe, subscribeConnection
        case unsubscribeConnection, figures, health
    }

    private var kind: Kind {
        switch self {
        case .publish: .publish
        case .retainedList: .retainedList
        case .retainedShow: .retainedShow
        case .retainedClear: .retainedClear
        case .storedSessions: .storedSessions
        case .connectedSessions: .connectedSessions
        case .session: .session
        case .connection: .connection
        case .subscriptions: .subscriptions
        case .connectionSubscriptions: .connectionSubscriptions
        case .disconnect: .disconnect
        case .terminate: .terminate
        case .subscribe: .subscribe
        case .unsubscribe: .unsubscribe
        case .subscribeConnection: .subscribeConnection
        case .unsubscribeConnection: .unsubscribeConnection
        case .figures: .figures
        case .health: .health
        }
    }

    /// The letter that carries the request.
    package func letter(ticket: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.append(Self.formatVersion)
        writer.append(bigEndian: ticket)
        writer.append(kind.rawValue)
        encodeFields(into: &writer)
        return writer.array
    }

    private func encodeFields(into writer: inout ByteWriter) {
        switch self {
        case .publish(let publish):
            writer.append(text: publish.tenant.text)
            writer.append(flag: publish.isSystem)
            publish.message.encode(into: &writer)
        case .retainedList(let list), .storedSessions(let list), .connectedSessions(let list):
            list.encode(into: &writer)
        case .retainedShow(let tenant, let topic), .retainedClear(let tenant, let topic):
            writer.append(text: tenant.text)
            writer.append(lengthPrefixed16: topic)
        case .session(let name): name.encode(into: &writer)
        case .connection(let name), .disconnect(let name): name.encode(into: &writer)
        case .subscriptions(let name, let skip):
            name.encode(into: &writer)
            writer.append(bigEndian: skip)
        case .connectionSubscriptions(let name, let skip):
            name.encode(into: &writer)
            writer.append(bigEndian: skip)
        case .terminate(let name, let publishesWill):
            name.encode(into: &writer)
            writer.append(flag: publishesWill)
        case .subscribe(let name, let subscription):
            name.encode(into: &writer)
            subscription.encode(into: &writer)
        case .unsubscribe(let name, let filter):
            name.encode(into: &writer)
            writer.append(lengthPrefixed16: filter)
        case .subscribeConnection(let name, let subscription):
            name.encode(into: &writer)
            subscription.encode(into: &writer)
        case .unsubscribeConnection(let name, let filter):
            name.encode(into: &writer)
            writer.append(lengthPrefixed16: filter)
        case .figures, .health: break
        }
    }

    /// The ticket of a letter and what it asks: nil if it cannot be understood. No ticket: it is
    /// no letter of the door.
    package static func decode(
        letter: RawSpan
    ) -> (ticket: UInt64, request: DoorRequest?)? {
        var reader = ByteReader(letter)
        do throws(ByteShortage) {
            guard try reader.readUInt8(letter) == formatVersion else { return nil }
            let ticket = try reader.readUInt64(letter)
            return (ticket, decodeFields(letter, &reader))
        } catch {
            return nil
        }
    }

    private static func decodeFields(
        _ bytes: RawSpan, _ reader: inout ByteReader
    ) -> DoorRequest? {
        do throws(ByteShortage) {
            guard let kind = Kind(rawValue: try reader.readUInt8(bytes)) else { return nil }
            let request = try decode(kind, bytes, &reader)
            return reader.isAtEnd ? request : nil
        } catch {
            return nil
        }
    }

    private static func decode(
        _ kind: Kind, _ bytes: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> DoorRequest {
        switch kind {
        case .publish: .publish(try DoorPublish(bytes, &reader))
        case .retainedList: .retainedList(try DoorList(bytes, &reader))
        case .retainedShow:
            .retainedShow(try reader.tenant(bytes), topic: try reader.bytes16(bytes))
        case .retainedClear:
            .retainedClear(try reader.tenant(bytes), topic: try reader.bytes16(bytes))
        case .storedSessions: .storedSessions(try DoorList(bytes, &reader))
        case .connectedSessions: .connectedSessions(try DoorList(bytes, &reader))
        case .session: .session(try DoorSessionName(bytes, &reader))
        case .connection: .connection(try DoorConnectionName(bytes, &reader))
        case .subscriptions:
            .subscriptions(
                try DoorSessionName(bytes, &reader), skip: try reader.readUInt32(bytes))
        case .connectionSubscriptions:
            .connectionSubscriptions(
                try DoorConnectionName(bytes, &reader), skip: try reader.readUInt32(bytes))
        case .disconnect: .disconnect(try DoorConnectionName(bytes, &reader))
        case .terminate:
            .terminate(
                try DoorSessionName(bytes, &reader), publishesWill: try reader.flag(bytes))
        case .subscribe:
            .subscribe(
                try DoorSessionName(bytes, &reader), try DoorSubscription(bytes, &reader))
        case .unsubscribe:
            .unsubscribe(try DoorSessionName(bytes, &reader), filter: try reader.bytes16(bytes))
        case .subscribeConnection:
            .subscribeConnection(
                try DoorConnectionName(bytes, &reader), try DoorSubscription(bytes, &reader))
        case .unsubscribeConnection:
            .unsubscribeConnection(
                try DoorConnectionName(bytes, &reader), filter: try reader.bytes16(bytes))
        case .figures: .figures
        case .health: .health
        }
    }
}

extension DoorSessionName {
    func encode(into writer: inout ByteWriter) {
        writer.append(text: tenant.text)
        writer.append(lengthPrefixed16: clientID)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        tenant = try reader.tenant(bytes)
        clientID = try reader.bytes16(bytes)
    }
}

extension DoorConnectionName {
    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(bigEndian: token)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        session = try DoorSessionName(bytes, &reader)
        token = try reader.readUInt64(bytes)
    }
}

extension DoorPublish {
    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        tenant = try reader.tenant(bytes)
        isSystem = try reader.flag(bytes)
        message = try DoorMessage(bytes, &reader)
    }
}

extension DoorList {
    func encode(into writer: inout ByteWriter) {
        writer.append(text: tenant.text)
        writer.append(lengthPrefixed16: pattern)
        writer.append(presence.rawValue)
        writer.append(bytes32: cursor)
        writer.append(bigEndian: UInt32(clamping: limit))
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        tenant = try reader.tenant(bytes)
        pattern = try reader.bytes16(bytes)
        guard let presence = Presence(rawValue: try reader.readUInt8(bytes)) else {
            throw ByteShortage()
        }
        self.presence = presence
        cursor = try reader.bytes32(bytes)
        limit = min(max(Int(try reader.readUInt32(bytes)), 1), DoorLimits.pageMax)
    }
}

extension DoorSubscription {
    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: filter)
        writer.append(options.rawValue)
        writer.append(bigEndian: subscriptionID)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        filter = try reader.bytes16(bytes)
        let raw = try reader.readUInt8(bytes)
        // QoS 3, retain handling 3 and the reserved bits are not allowed.
        guard raw & 3 != 3, raw & 0x30 != 0x30, raw & 0xC0 == 0 else { throw ByteShortage() }
        options = SubscriptionOptions(rawValue: raw)
        subscriptionID = try reader.readUInt32(bytes)
    }
}
