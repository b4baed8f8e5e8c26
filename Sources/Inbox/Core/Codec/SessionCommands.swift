import Base
import KV

/// A connection takes its session: after a granted claim, if the claim's answer says that there is
/// something stored, or the connection wants a stored session or has a will.
package struct AttachCommand: Equatable, Sendable {
    package var session: SessionName
    package var principal: [UInt8]
    package var ownerEpoch: OwnerEpoch
    package var place: Place
    package var connectionToken: UInt64
    package var cleanStart: Bool
    /// 0: the session ends with the connection; `UInt32.max`: never.
    package var expirySeconds: UInt32
    package var limits: QueueLimits
    /// Sessions of the tenant in this range, at most; 0 for no limit.
    package var tenantSessionsMax: UInt32
    /// The tenant may have no more stored sessions: one is taken up only if it is there.
    package var isNewRefused = false
    /// From the claim's answer: entries up to here may have been sent before (DUP).
    package var sentThrough: UInt64
    package var will: StoredWill?

    package init(
        session: SessionName, principal: [UInt8], ownerEpoch: OwnerEpoch, place: Place,
        connectionToken: UInt64, cleanStart: Bool, expirySeconds: UInt32, limits: QueueLimits,
        tenantSessionsMax: UInt32 = 0, sentThrough: UInt64 = 0, will: StoredWill? = nil
    ) {
        self.session = session
        self.principal = principal
        self.ownerEpoch = ownerEpoch
        self.place = place
        self.connectionToken = connectionToken
        self.cleanStart = cleanStart
        self.expirySeconds = expirySeconds
        self.limits = limits
        self.tenantSessionsMax = tenantSessionsMax
        self.sentThrough = sentThrough
        self.will = will
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(lengthPrefixed16: principal)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(place: place)
        writer.append(bigEndian: connectionToken)
        writer.append(
            (cleanStart ? 1 : 0) | (will == nil ? 0 : 2) | (isNewRefused ? 4 : 0))
        writer.append(bigEndian: expirySeconds)
        limits.encode(into: &writer)
        writer.append(bigEndian: tenantSessionsMax)
        writer.append(bigEndian: sentThrough)
        if let will {
            writer.append(bigEndian: will.delaySeconds)
            writer.append(bytes32: will.record)
        }
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        principal = fields.bytes16()
        ownerEpoch = OwnerEpoch(fields.u64())
        place = fields.place()
        connectionToken = fields.u64()
        let flags = fields.u8()
        cleanStart = flags & 1 != 0
        isNewRefused = flags & 4 != 0
        expirySeconds = fields.u32()
        limits = QueueLimits(&fields)
        tenantSessionsMax = fields.u32()
        sentThrough = fields.u64()
        if flags & 2 != 0 {
            will = StoredWill(delaySeconds: fields.u32(), record: fields.bytes32())
        }
    }
}

/// The tenant's settings have changed while the session is attached: other bounds of its queue.
/// What is queued beyond them stays.
package struct LimitsCommand: Equatable, Sendable {
    package var session: SessionName
    package var ownerEpoch: OwnerEpoch
    package var limits: QueueLimits

    package init(session: SessionName, ownerEpoch: OwnerEpoch, limits: QueueLimits) {
        self.session = session
        self.ownerEpoch = ownerEpoch
        self.limits = limits
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
        limits.encode(into: &writer)
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        ownerEpoch = OwnerEpoch(fields.u64())
        limits = QueueLimits(&fields)
    }
}

/// A connection leaves its session.
package struct DetachCommand: Equatable, Sendable {
    package var session: SessionName
    package var ownerEpoch: OwnerEpoch
    package var reason: DetachReason
    /// The session expiry interval of DISCONNECT, if it had one.
    package var expirySeconds: UInt32?
    /// Highest sequence that was sent to the client: up to here a resume sends with DUP.
    package var sentThrough: UInt64

    package init(
        session: SessionName, ownerEpoch: OwnerEpoch, reason: DetachReason,
        expirySeconds: UInt32? = nil, sentThrough: UInt64 = 0
    ) {
        self.session = session
        self.ownerEpoch = ownerEpoch
        self.reason = reason
        self.expirySeconds = expirySeconds
        self.sentThrough = sentThrough
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(reason.rawValue)
        writer.append(expirySeconds == nil ? 0 : 1)
        writer.append(bigEndian: expirySeconds ?? 0)
        writer.append(bigEndian: sentThrough)
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        ownerEpoch = OwnerEpoch(fields.u64())
        reason = .connectionLost
        if let known = DetachReason(rawValue: fields.u8()) { reason = known } else { fields.fail() }
        let hasExpiry = fields.flag()
        let seconds = fields.u32()
        expirySeconds = hasExpiry ? seconds : nil
        sentThrough = fields.u64()
    }
}

/// Subscriptions of a stored session. The route changes in dist follow, by intent number.
package struct SubscribeCommand: Equatable, Sendable {
    package var session: SessionName
    /// `.none` on behalf of an administrator.
    package var ownerEpoch: OwnerEpoch
    /// Subscriptions of the session, at most; 0 for no limit, `noneNew` to replace only.
    package var filtersMax: UInt32
    package static let noneNew = UInt32.max
    package var subscriptions: [StoredSubscription]

    package init(
        session: SessionName, ownerEpoch: OwnerEpoch, filtersMax: UInt32 = 0,
        subscriptions: [StoredSubscription]
    ) {
        self.session = session
        self.ownerEpoch = ownerEpoch
        self.filtersMax = filtersMax
        self.subscriptions = subscriptions
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(bigEndian: filtersMax)
        writer.append(list16: subscriptions) { $1.encode(into: &$0) }
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        ownerEpoch = OwnerEpoch(fields.u64())
        filtersMax = fields.u32()
        subscriptions = fields.list16(countMax: InboxLimits.itemsPerCommandMax) {
            StoredSubscription(&$0)
        }
    }
}

/// Ends subscriptions of a stored session.
package struct UnsubscribeCommand: Equatable, Sendable {
    package var session: SessionName
    /// `.none` on behalf of an administrator.
    package var ownerEpoch: OwnerEpoch
    package var filters: [[UInt8]]

    package init(session: SessionName, ownerEpoch: OwnerEpoch, filters: [[UInt8]]) {
        self.session = session
        self.ownerEpoch = ownerEpoch
        self.filters = filters
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(list16: filters) { $0.append(lengthPrefixed16: $1) }
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        ownerEpoch = OwnerEpoch(fields.u64())
        filters = fields.list16(countMax: InboxLimits.itemsPerCommandMax) { $0.bytes16() }
    }
}

/// The route changes of these intents hold in dist.
package struct CompleteIntentsCommand: Equatable, Sendable {
    package var session: SessionName
    /// Intents with their filters, for the result's `isWanted`.
    package var intents: [Completed]

    /// An intent that was carried out.
    package struct Completed: Equatable, Sendable {
        package var number: UInt64
        package var filter: [UInt8]
        package init(number: UInt64, filter: [UInt8]) {
            self.number = number
            self.filter = filter
        }
    }

    package init(session: SessionName, intents: [Completed]) {
        self.session = session
        self.intents = intents
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(list16: intents) {
            $0.append(bigEndian: $1.number)
            $0.append(lengthPrefixed16: $1.filter)
        }
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        intents = fields.list16(countMax: InboxLimits.itemsPerCommandMax) {
            Completed(number: $0.u64(), filter: $0.bytes16())
        }
    }
}

/// Ends a session by an administrator's will; its owner is told to close.
package struct TerminateCommand: Equatable, Sendable {
    package var session: SessionName
    package var publishesWill: Bool

    package init(session: SessionName, publishesWill: Bool) {
        self.session = session
        self.publishesWill = publishesWill
    }

    func encode(into writer: inout ByteWriter) {
        session.encode(into: &writer)
        writer.append(publishesWill ? 1 : 0)
    }

    init(_ fields: inout FieldReader) {
        session = SessionName(&fields)
        publishesWill = fields.flag()
    }
}

/// Lets every offline session of a tenant in this range expire after at most `seconds`.
package struct ExpireTenantCommand: Equatable, Sendable {
    package var tenant: [UInt8]
    package var seconds: UInt32

    package init(tenant: [UInt8], seconds: UInt32) {
        self.tenant = tenant
        self.seconds = seconds
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: tenant)
        writer.append(bigEndian: seconds)
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        seconds = fields.u32()
    }
}
