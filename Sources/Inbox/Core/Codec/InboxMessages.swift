import Base

/// A page of entries for an owner (`MessageKind.inboxPush`), in sequence order.
///
/// ```
///  version u8 | connection token u64 | owner epoch u64 | entries u16 | entry ...
///  entry: sequence u64 | flags u8 | ids u8 | subscription id u32 ... | record32
/// ```
package struct PushMessage: Equatable, Sendable {
    /// One queued message, or the PUBREL owed for one.
    package struct Entry: Equatable, Sendable {
        /// 0 for an unlogged QoS 0 message, which is never acknowledged here.
        package var sequence: UInt64
        package var flags: PushFlags
        package var subscriptionIDs: [UInt32]
        /// Empty if only PUBREL is owed.
        package var record: [UInt8]

        package init(
            sequence: UInt64, flags: PushFlags, subscriptionIDs: [UInt32], record: [UInt8]
        ) {
            self.sequence = sequence
            self.flags = flags
            self.subscriptionIDs = subscriptionIDs
            self.record = record
        }

        /// The packet id of an entry above QoS 0.
        package var packetID: UInt16 { PushMessage.packetID(ofSequence: sequence) }
    }

    package var connectionToken: UInt64
    package var ownerEpoch: OwnerEpoch
    package var entries: [Entry]

    /// The packet id of a stored session's outgoing entry: the same for every owner.
    package static func packetID(ofSequence sequence: UInt64) -> UInt16 {
        let cycle = InboxLimits.packetIDWindow + 1
        return 1 + UInt16(truncatingIfNeeded: (sequence &+ cycle - 1) % cycle)
    }

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> PushMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = PushMessage(
            connectionToken: fields.u64(), ownerEpoch: OwnerEpoch(fields.u64()),
            entries: fields.list16 { Entry(&$0) })
        return fields.isComplete ? message : nil
    }
}

/// How a pushed entry is to be sent.
@usableFromInline
package struct PushFlags: Equatable, Sendable {
    @usableFromInline package var rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(qos: UInt8, retain: Bool, isRedelivery: Bool, owesPubrel: Bool) {
        rawValue =
            (qos & 3) | (retain ? 4 : 0) | (isRedelivery ? 8 : 0) | (owesPubrel ? 16 : 0)
    }

    package var qos: UInt8 { rawValue & 3 }
    package var retain: Bool { rawValue & 4 != 0 }
    /// It may have been sent before: DUP.
    package var isRedelivery: Bool { rawValue & 8 != 0 }
    /// PUBREC was received: send PUBREL, not the message.
    package var owesPubrel: Bool { rawValue & 16 != 0 }
}

extension PushMessage.Entry {
    init(_ fields: inout FieldReader) {
        sequence = fields.u64()
        flags = PushFlags(rawValue: fields.u8())
        subscriptionIDs = []
        var ids = fields.u8()
        while ids > 0 {
            subscriptionIDs.append(fields.u32())
            ids -= 1
        }
        record = fields.bytes32()
    }
}

/// An owner's credit (`MessageKind.inboxCredit`).
///
/// Credit is granted as totals since the cursor was set, so that a repeat or a lost message does
/// no harm: the leader pushes while what it has pushed since is below both totals.
package struct CreditMessage: Equatable, Sendable {
    package var session: SessionName
    package var ownerEpoch: OwnerEpoch
    /// With `restarts`: highest sequence that the owner has; the push goes on behind it.
    package var cursor: UInt64
    /// Start again behind `cursor`, totals at zero: the first credit of a connection and of a new
    /// leader, with cursor 0 to get everything that is in flight or queued.
    package var restarts: Bool
    package var messagesTotal: UInt64
    package var bytesTotal: UInt64

    package init(
        session: SessionName, ownerEpoch: OwnerEpoch, cursor: UInt64, restarts: Bool,
        messagesTotal: UInt64, bytesTotal: UInt64
    ) {
        self.session = session
        self.ownerEpoch = ownerEpoch
        self.cursor = cursor
        self.restarts = restarts
        self.messagesTotal = messagesTotal
        self.bytesTotal = bytesTotal
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(bigEndian: cursor)
        writer.append(restarts ? 1 : 0)
        writer.append(bigEndian: messagesTotal)
        writer.append(bigEndian: bytesTotal)
    }

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> CreditMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = CreditMessage(
            session: SessionName(&fields), ownerEpoch: OwnerEpoch(fields.u64()),
            cursor: fields.u64(), restarts: fields.flag(), messagesTotal: fields.u64(),
            bytesTotal: fields.u64())
        return fields.isComplete ? message : nil
    }
}

/// Another connection takes the client id, or an administrator ended the session
/// (`MessageKind.ownerEvict`): close, and answer with `OwnerReleasedMessage`.
package struct OwnerEvictMessage: Equatable, Sendable {
    /// Why.
    package enum Reason: UInt8, Sendable {
        case takenOver = 0
        case terminated = 1
    }

    package var session: SessionName
    package var ownerEpoch: OwnerEpoch
    package var connectionToken: UInt64
    package var reason: Reason

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> OwnerEvictMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let session = SessionName(&fields)
        let epoch = OwnerEpoch(fields.u64())
        let token = fields.u64()
        guard let reason = Reason(rawValue: fields.u8()), fields.isComplete else { return nil }
        return OwnerEvictMessage(
            session: session, ownerEpoch: epoch, connectionToken: token, reason: reason)
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(bigEndian: connectionToken)
        writer.append(reason.rawValue)
    }
}

/// The connection is gone and the client id is free (`MessageKind.ownerReleased`).
package struct OwnerReleasedMessage: Equatable, Sendable {
    package var session: SessionName
    package var ownerEpoch: OwnerEpoch

    package init(session: SessionName, ownerEpoch: OwnerEpoch) {
        self.session = session
        self.ownerEpoch = ownerEpoch
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        session.encode(into: &writer)
        writer.append(bigEndian: ownerEpoch.rawValue)
    }

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> OwnerReleasedMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = OwnerReleasedMessage(
            session: SessionName(&fields), ownerEpoch: OwnerEpoch(fields.u64()))
        return fields.isComplete ? message : nil
    }
}

/// A connection says to a new leader that it owns its client id (`MessageKind.ownerAnnounce`).
package struct OwnerAnnounceMessage: Equatable, Sendable {
    package var session: SessionName
    package var principal: [UInt8]
    package var ownerEpoch: OwnerEpoch
    package var connectionToken: UInt64

    package init(
        session: SessionName, principal: [UInt8], ownerEpoch: OwnerEpoch, connectionToken: UInt64
    ) {
        self.session = session
        self.principal = principal
        self.ownerEpoch = ownerEpoch
        self.connectionToken = connectionToken
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        session.encode(into: &writer)
        writer.append(lengthPrefixed16: principal)
        writer.append(bigEndian: ownerEpoch.rawValue)
        writer.append(bigEndian: connectionToken)
    }

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> OwnerAnnounceMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = OwnerAnnounceMessage(
            session: SessionName(&fields), principal: fields.bytes16(),
            ownerEpoch: OwnerEpoch(fields.u64()), connectionToken: fields.u64())
        return fields.isComplete ? message : nil
    }
}

/// A message of an outbox is to be fanned out (`MessageKind.outboxReady`): match, store and deliver
/// it with `source`, in the order of arrival for one source, then propose `outboxDone`.
package struct OutboxReadyMessage: Equatable, Sendable {
    package var publisher: SessionName
    package var source: OutboxSource
    /// It is a will: its expiry and publication time count from now.
    package var isWill: Bool
    package var record: [UInt8]

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> OutboxReadyMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = OutboxReadyMessage(
            publisher: SessionName(&fields), source: OutboxSource(&fields), isWill: fields.flag(),
            record: fields.bytes32())
        return fields.isComplete ? message : nil
    }
}

/// Route changes to carry out in dist, in this order (`MessageKind.intentReady`); then propose
/// `completeIntents`.
package struct IntentReadyMessage: Equatable, Sendable {
    /// One route change.
    package struct Intent: Equatable, Sendable {
        package var number: UInt64
        /// True: there is to be a route; false: the route of this incarnation goes.
        package var isAddition: Bool
        package var incarnation: UInt64
        package var subscription: StoredSubscription
    }

    package var session: SessionName
    package var intents: [Intent]

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> IntentReadyMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = IntentReadyMessage(
            session: SessionName(&fields),
            intents: fields.list16 {
                Intent(
                    number: $0.u64(), isAddition: $0.flag(), incarnation: $0.u64(),
                    subscription: StoredSubscription(&$0))
            })
        return fields.isComplete ? message : nil
    }
}

/// Queued messages were dropped (`MessageKind.inboxDropped`), to be counted and evented. The end of
/// a session is told even if its queue was empty.
package struct InboxDroppedMessage: Equatable, Sendable {
    package var session: SessionName
    package var reason: InboxDropReason
    package var count: UInt32
    /// Whose session it is.
    package var principal: [UInt8]

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> InboxDroppedMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let session = SessionName(&fields)
        guard let reason = InboxDropReason(rawValue: fields.u8()) else { return nil }
        let count = fields.u32()
        let principal = fields.bytes16()
        return fields.isComplete
            ? InboxDroppedMessage(
                session: session, reason: reason, count: count, principal: principal) : nil
    }
}

/// A member of a shared group is online and has room (`MessageKind.groupCredit`).
package struct GroupCreditMessage: Equatable, Sendable {
    package var group: SessionName
    /// The name that the member joined under.
    package var member: [UInt8]
    package var connectionToken: UInt64
    /// Messages that it may hold unacknowledged; 0: it has gone offline, and its leases of QoS 1
    /// (and those of QoS 2 that it did not take) go to others.
    package var credit: UInt32

    package init(
        group: SessionName, member: [UInt8], connectionToken: UInt64, credit: UInt32
    ) {
        self.group = group
        self.member = member
        self.connectionToken = connectionToken
        self.credit = credit
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        group.encode(into: &writer)
        writer.append(lengthPrefixed16: member)
        writer.append(bigEndian: connectionToken)
        writer.append(bigEndian: credit)
    }

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> GroupCreditMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = GroupCreditMessage(
            group: SessionName(&fields), member: fields.bytes16(), connectionToken: fields.u64(),
            credit: fields.u32())
        return fields.isComplete ? message : nil
    }
}

/// Messages of a group's inbox leased to a member (`MessageKind.groupPush`). Before a QoS 2 message
/// is sent it is taken by `groupTake`; acknowledgements go to the group by `acknowledge`.
package struct GroupPushMessage: Equatable, Sendable {
    package var group: SessionName
    /// Which life of the group's inbox the sequences belong to.
    package var incarnation: UInt64
    package var connectionToken: UInt64
    package var entries: [PushMessage.Entry]

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> GroupPushMessage? {
        var fields = FieldReader(bytes)
        guard fields.u8() == InboxLimits.formatVersion else { return nil }
        let message = GroupPushMessage(
            group: SessionName(&fields), incarnation: fields.u64(),
            connectionToken: fields.u64(), entries: fields.list16 { PushMessage.Entry(&$0) })
        return fields.isComplete ? message : nil
    }
}
