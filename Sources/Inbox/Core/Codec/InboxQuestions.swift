import Base
import KV

/// A question to an inbox range's leader: version u8, kind u8, fields (Docs/FORMATS.md).
package enum InboxQuestion: Equatable, Sendable {
    /// Who owns the client id: answered when the asker does. Safe to repeat with the same token.
    case claim(ClaimQuestion)
    /// Sessions of a tenant in key order.
    case list(ListQuestion)
    /// One session in detail.
    case show(SessionName)
    /// Subscriptions of a session behind a filter, in the order of subscribing.
    case subscriptions(SessionName, skip: UInt32)
    /// What the range holds for a tenant.
    case counts(tenant: [UInt8])
    /// Who owns the client id now, stored session or not.
    case owner(SessionName)

    enum Kind: UInt8 {
        case claim = 1, list, show, subscriptions, counts, owner
    }

    /// The question's bytes.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.append(InboxLimits.formatVersion)
        switch self {
        case .claim(let claim):
            writer.append(Kind.claim.rawValue)
            claim.encode(into: &writer)
        case .list(let list):
            writer.append(Kind.list.rawValue)
            writer.append(lengthPrefixed16: list.tenant)
            writer.append(lengthPrefixed16: list.cursor)
            writer.append(bigEndian: list.limit)
        case .show(let session):
            writer.append(Kind.show.rawValue)
            session.encode(into: &writer)
        case .subscriptions(let session, let skip):
            writer.append(Kind.subscriptions.rawValue)
            session.encode(into: &writer)
            writer.append(bigEndian: skip)
        case .counts(let tenant):
            writer.append(Kind.counts.rawValue)
            writer.append(lengthPrefixed16: tenant)
        case .owner(let session):
            writer.append(Kind.owner.rawValue)
            session.encode(into: &writer)
        }
        return writer.array
    }

    /// Nil for bytes that are no question of a version known here.
    package static func decode(_ bytes: UnsafeRawBufferPointer) -> InboxQuestion? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion, let kind = Kind(rawValue: fields.u8())
        else { return nil }
        let question: InboxQuestion =
            switch kind {
            case .claim: .claim(ClaimQuestion(&fields))
            case .list:
                .list(
                    ListQuestion(
                        tenant: fields.bytes16(), cursor: fields.bytes16(), limit: fields.u32()))
            case .show: .show(SessionName(&fields))
            case .subscriptions: .subscriptions(SessionName(&fields), skip: fields.u32())
            case .counts: .counts(tenant: fields.bytes16())
            case .owner: .owner(SessionName(&fields))
            }
        return fields.isComplete ? question : nil
    }
}

/// A connection asks for a client id.
package struct ClaimQuestion: Equatable, Sendable {
    package var session: SessionName
    package var principal: [UInt8]
    package var place: Place
    package var connectionToken: UInt64
    /// Refuse another principal than the one that has the client id.
    package var bindsPrincipal: Bool

    package init(
        session: SessionName, principal: [UInt8], place: Place, connectionToken: UInt64,
        bindsPrincipal: Bool
    ) {
        self.session = session
        self.principal = principal
        self.place = place
        self.connectionToken = connectionToken
        self.bindsPrincipal = bindsPrincipal
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(lengthPrefixed16: principal)
        writer.append(place: place)
        writer.append(bigEndian: connectionToken)
        writer.append(bindsPrincipal ? 1 : 0)
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        principal = fields.bytes16()
        place = fields.place()
        connectionToken = fields.u64()
        bindsPrincipal = fields.flag()
    }
}

/// A page of a tenant's sessions.
package struct ListQuestion: Equatable, Sendable {
    package var tenant: [UInt8]
    /// The cursor of the answer before, empty for the first page.
    package var cursor: [UInt8]
    package var limit: UInt32

    package init(tenant: [UInt8], cursor: [UInt8], limit: UInt32) {
        self.tenant = tenant
        self.cursor = cursor
        self.limit = limit
    }
}

/// The answer to a claim: version u8, status u8, and if `ok` the fields.
package struct ClaimAnswer: Equatable, Sendable {
    package var status: InboxStatus
    package var ownerEpoch = OwnerEpoch.none
    /// There is something to attach to: a stored session, or the will of an earlier connection.
    package var hasRecord = false
    package var hasStoredSession = false
    package var incarnation: UInt64 = 0
    package var expirySeconds: UInt32 = 0
    /// To be given to `attach`: entries up to here may have been sent before.
    package var sentThrough: UInt64 = 0

    package init(status: InboxStatus) { self.status = status }

    package static func decode(_ bytes: [UInt8]) -> ClaimAnswer? {
        bytes.withUnsafeBytes { raw in
            var fields = FieldReader(raw)
            guard fields.u8() == InboxLimits.formatVersion,
                let status = InboxStatus(rawValue: fields.u8())
            else { return nil }
            var answer = ClaimAnswer(status: status)
            guard status == .ok else { return answer }
            answer.ownerEpoch = OwnerEpoch(fields.u64())
            let flags = fields.u8()
            answer.hasRecord = flags & 1 != 0
            answer.hasStoredSession = flags & 2 != 0
            answer.incarnation = fields.u64()
            answer.expirySeconds = fields.u32()
            answer.sentThrough = fields.u64()
            return fields.isFine ? answer : nil
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(status: status)
        guard status == .ok else { return }
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append((hasRecord ? 1 : 0) | (hasStoredSession ? 2 : 0))
        writer.append(bigEndian: incarnation)
        writer.append(bigEndian: expirySeconds)
        writer.append(bigEndian: sentThrough)
    }
}

/// The answer to `owner`.
package struct OwnerAnswer: Equatable, Sendable {
    package var ownerEpoch = OwnerEpoch.none
    package var place: Place
    package var connectionToken: UInt64
    package var principal: [UInt8] = []

    /// Nil if nobody owns the client id, or this replica cannot know.
    package static func decode(_ bytes: [UInt8]) -> OwnerAnswer? {
        InboxResult.decode(bytes) {
            OwnerAnswer(
                ownerEpoch: OwnerEpoch($0.u64()), place: $0.place(), connectionToken: $0.u64(),
                principal: $0.bytes16())
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(place: place)
        writer.append(bigEndian: connectionToken)
        writer.append(lengthPrefixed16: principal)
    }
}

/// A session in a list or in detail.
package struct SessionSummary: Equatable, Sendable {
    package var clientID: [UInt8] = []
    package var principal: [UInt8] = []
    package var incarnation: UInt64 = 0
    package var isStored = false
    /// Range time says a connection holds it; the owner table of the leader is `owner`.
    package var isAttached = false
    package var ownerEpoch = OwnerEpoch.none
    /// Where its connection lives, if the leader knows.
    package var owner: Place?
    package var expirySeconds: UInt32 = 0
    /// When it expires if nobody comes, in range time; zero while attached or never.
    package var expiresAt = WallTime.zero
    /// When its delayed will is due, zero if none is waiting.
    package var willDueAt = WallTime.zero
    package var hasWill = false
    package var subscriptionCount: UInt32 = 0
    package var limits = QueueLimits(messagesMax: 0, bytesMax: 0, policy: .dropOldest)
    package var queuedMessages: UInt32 = 0
    package var queuedBytes: UInt64 = 0
    /// Entries whose PUBREL is owed.
    package var pubrelsOwed: UInt32 = 0
    package var outboxEntries: UInt32 = 0
    package var inboundPacketIDs: UInt32 = 0
    package var openIntents: UInt32 = 0

    package init() {}

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: clientID)
        writer.append(lengthPrefixed16: principal)
        writer.append(bigEndian: incarnation)
        writer.append(
            (isStored ? 1 : 0) | (isAttached ? 2 : 0) | (hasWill ? 4 : 0) | (owner == nil ? 0 : 8))
        writer.append(bigEndian: ownerEpoch.rawValue)
        if let owner { writer.append(place: owner) }
        writer.append(bigEndian: expirySeconds)
        writer.append(bigEndian: expiresAt.milliseconds)
        writer.append(bigEndian: willDueAt.milliseconds)
        writer.append(bigEndian: subscriptionCount)
        limits.encode(into: &writer)
        writer.append(bigEndian: queuedMessages)
        writer.append(bigEndian: queuedBytes)
        writer.append(bigEndian: pubrelsOwed)
        writer.append(bigEndian: outboxEntries)
        writer.append(bigEndian: inboundPacketIDs)
        writer.append(bigEndian: openIntents)
    }

    init(_ fields: inout FieldReader) {
        clientID = fields.bytes16()
        principal = fields.bytes16()
        incarnation = fields.u64()
        let flags = fields.u8()
        isStored = flags & 1 != 0
        isAttached = flags & 2 != 0
        hasWill = flags & 4 != 0
        ownerEpoch = OwnerEpoch(fields.u64())
        if flags & 8 != 0 { owner = fields.place() }
        expirySeconds = fields.u32()
        expiresAt = fields.time()
        willDueAt = fields.time()
        subscriptionCount = fields.u32()
        limits = QueueLimits(&fields)
        queuedMessages = fields.u32()
        queuedBytes = fields.u64()
        pubrelsOwed = fields.u32()
        outboxEntries = fields.u32()
        inboundPacketIDs = fields.u32()
        openIntents = fields.u32()
    }

    /// The answer to `show`; nil if there is no such session.
    package static func decode(_ bytes: [UInt8]) -> SessionSummary? {
        InboxResult.decode(bytes) { SessionSummary(&$0) }
    }
}

/// The answer to `list`.
package struct ListAnswer: Equatable, Sendable {
    package var sessions: [SessionSummary]
    /// Where the next page begins; empty at the end of the range.
    package var cursor: [UInt8]

    package static func decode(_ bytes: [UInt8]) -> ListAnswer? {
        InboxResult.decode(bytes) {
            ListAnswer(sessions: $0.list16 { SessionSummary(&$0) }, cursor: $0.bytes16())
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(list16: sessions) { $1.encode(into: &$0) }
        writer.append(lengthPrefixed16: cursor)
    }
}

/// The answer to `subscriptions`.
package struct SubscriptionsAnswer: Equatable, Sendable {
    package var subscriptions: [StoredSubscription]
    package var hasMore: Bool

    package static func decode(_ bytes: [UInt8]) -> SubscriptionsAnswer? {
        InboxResult.decode(bytes) {
            let hasMore = $0.flag()
            return SubscriptionsAnswer(
                subscriptions: $0.list16 { StoredSubscription(&$0) }, hasMore: hasMore)
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(hasMore ? 1 : 0)
        writer.append(list16: subscriptions) { $1.encode(into: &$0) }
    }
}

/// The answer to `counts`: of one tenant in this range.
package struct CountsAnswer: Equatable, Sendable {
    package var storedSessions: UInt64 = 0
    package var attachedSessions: UInt64 = 0
    package var queuedMessages: UInt64 = 0
    package var queuedBytes: UInt64 = 0
    package var subscriptions: UInt64 = 0

    package init() {}

    package static func decode(_ bytes: [UInt8]) -> CountsAnswer? {
        InboxResult.decode(bytes) {
            var counts = CountsAnswer()
            counts.storedSessions = $0.u64()
            counts.attachedSessions = $0.u64()
            counts.queuedMessages = $0.u64()
            counts.queuedBytes = $0.u64()
            counts.subscriptions = $0.u64()
            return counts
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: storedSessions)
        writer.append(bigEndian: attachedSessions)
        writer.append(bigEndian: queuedMessages)
        writer.append(bigEndian: queuedBytes)
        writer.append(bigEndian: subscriptions)
    }
}
