import Base

/// What an applied command answers: version u8, status u8, and if the status is `ok` the body.
///
/// The body's type is that of the command (`AttachResult` for `attach`, and so on); commands
/// without anything to say have an empty body.
package enum InboxResult {
    /// Nil for bytes that are no result of a version known here.
    package static func status(of bytes: [UInt8]) -> InboxStatus? {
        guard bytes.count >= 2, bytes[0] == InboxLimits.formatVersion else { return nil }
        return InboxStatus(rawValue: bytes[1])
    }

    /// Reads the body behind an `ok`; nil for anything else.
    static func decode<Body>(_ bytes: [UInt8], _ body: (inout FieldReader) -> Body) -> Body? {
        guard status(of: bytes) == .ok else { return nil }
        return bytes.withUnsafeBytes { raw in
            var fields = FieldReader(raw)
            _ = fields.u16()
            let value = body(&fields)
            return fields.isFine ? value : nil
        }
    }
}

extension ByteWriter {
    mutating func append(status: InboxStatus) {
        append(InboxLimits.formatVersion)
        append(status.rawValue)
    }
}

/// The session as it is found by the connection that takes it.
package struct AttachResult: Equatable, Sendable {
    /// CONNACK's flag.
    package var isSessionPresent = false
    /// False: nothing but the will is kept here, and no entry will ever be pushed.
    package var isStored = false
    package var incarnation: UInt64 = 0
    /// The next entry will have this sequence.
    package var nextSequence: UInt64 = 0
    /// Entries up to here are pushed with DUP.
    package var sentThrough: UInt64 = 0
    package var queuedMessages: UInt32 = 0
    package var queuedBytes: UInt64 = 0
    /// Subscriptions of the discarded incarnation; their routes go by `intentReady`.
    package var discardedSubscriptions: UInt32 = 0
    /// QoS 2 packet ids recorded and not yet released by PUBREL.
    package var inboundPacketIDs: [UInt16] = []
    /// Whether there are more subscriptions than given here: ask by page.
    package var hasMoreSubscriptions = false
    package var subscriptions: [StoredSubscription] = []

    package init() {}

    package static func decode(_ bytes: [UInt8]) -> AttachResult? {
        InboxResult.decode(bytes) { fields in
            var result = AttachResult()
            let flags = fields.u8()
            result.isSessionPresent = flags & 1 != 0
            result.isStored = flags & 2 != 0
            result.hasMoreSubscriptions = flags & 4 != 0
            result.incarnation = fields.u64()
            result.nextSequence = fields.u64()
            result.sentThrough = fields.u64()
            result.queuedMessages = fields.u32()
            result.queuedBytes = fields.u64()
            result.discardedSubscriptions = fields.u32()
            result.inboundPacketIDs = fields.list16 { $0.u16() }
            result.subscriptions = fields.list16 { StoredSubscription(&$0) }
            return result
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(
            (isSessionPresent ? 1 : 0) | (isStored ? 2 : 0) | (hasMoreSubscriptions ? 4 : 0))
        writer.append(bigEndian: incarnation)
        writer.append(bigEndian: nextSequence)
        writer.append(bigEndian: sentThrough)
        writer.append(bigEndian: queuedMessages)
        writer.append(bigEndian: queuedBytes)
        writer.append(bigEndian: discardedSubscriptions)
        writer.append(list16: inboundPacketIDs) { $0.append(bigEndian: $1) }
        writer.append(list16: subscriptions) { $1.encode(into: &$0) }
    }
}

/// What a detach did.
package struct DetachResult: Equatable, Sendable {
    /// The session ended with its connection.
    package var hasEnded: Bool
    package var will: WillOutcome

    package init(hasEnded: Bool, will: WillOutcome) {
        self.hasEnded = hasEnded
        self.will = will
    }

    package static func decode(_ bytes: [UInt8]) -> DetachResult? {
        InboxResult.decode(bytes) {
            DetachResult(hasEnded: $0.flag(), will: WillOutcome(rawValue: $0.u8()) ?? .none)
        }
    }
}

/// One result for each filter of a subscribe or unsubscribe.
package struct SubscriptionResult: Equatable, Sendable {
    /// What became of one filter.
    package enum Outcome: UInt8, Sendable {
        /// Subscribe: the filter is new. Unsubscribe: it is removed.
        case changed = 0
        /// Subscribe: it was there, and its options are the given ones now.
        case replaced = 1
        /// Subscribe: the session has as many filters as it may.
        case quotaExceeded = 2
        /// Unsubscribe: there was no such subscription.
        case absent = 3
    }

    /// One filter's outcome and the intent to complete once dist has the change; 0 if dist has
    /// nothing to do.
    package struct Item: Equatable, Sendable {
        package var outcome: Outcome
        package var intent: UInt64
        package init(outcome: Outcome, intent: UInt64) {
            self.outcome = outcome
            self.intent = intent
        }
    }

    /// To be carried by the routes.
    package var incarnation: UInt64
    package var items: [Item]

    package init(incarnation: UInt64, items: [Item]) {
        self.incarnation = incarnation
        self.items = items
    }

    package static func decode(_ bytes: [UInt8]) -> SubscriptionResult? {
        InboxResult.decode(bytes) { fields in
            SubscriptionResult(
                incarnation: fields.u64(),
                items: fields.list16 { fields in
                    let outcome = Outcome(rawValue: fields.u8())
                    if outcome == nil { fields.fail() }
                    return Item(outcome: outcome ?? .absent, intent: fields.u64())
                })
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: incarnation)
        writer.append(list16: items) {
            $0.append($1.outcome.rawValue)
            $0.append(bigEndian: $1.intent)
        }
    }
}

/// For each intent whether it was open, and whether its filter is subscribed to now.
///
/// An intent that was not open any more was completed by another worker meanwhile; if what this
/// worker did contradicts `isWanted`, it does the opposite, with the incarnation given here.
package struct CompleteIntentsResult: Equatable, Sendable {
    /// One intent.
    package struct Item: Equatable, Sendable {
        package var wasOpen: Bool
        package var isWanted: Bool
        package init(wasOpen: Bool, isWanted: Bool) {
            self.wasOpen = wasOpen
            self.isWanted = isWanted
        }
    }

    package var incarnation: UInt64
    package var items: [Item]

    package static func decode(_ bytes: [UInt8]) -> CompleteIntentsResult? {
        InboxResult.decode(bytes) {
            CompleteIntentsResult(
                incarnation: $0.u64(),
                items: $0.list16 {
                    let flags = $0.u8()
                    return Item(wasOpen: flags & 1 != 0, isWanted: flags & 2 != 0)
                })
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: incarnation)
        writer.append(list16: items) {
            $0.append(($1.wasOpen ? 1 : 0) | ($1.isWanted ? 2 : 0))
        }
    }
}

/// One outcome for each receiver of an insert, in the order of the command.
package struct InsertResult: Equatable, Sendable {
    package var outcomes: [InsertOutcome]
    /// Entries that gave way: index of the receiver, and how many of its oldest.
    package var droppedOldest: [Dropped]

    /// Dropped entries of one receiver.
    package struct Dropped: Equatable, Sendable {
        package var receiver: UInt32
        package var count: UInt32
        package init(receiver: UInt32, count: UInt32) {
            self.receiver = receiver
            self.count = count
        }
    }

    /// Layout: receivers u32, one byte each, drops u32, (receiver u32, count u32) each.
    package static func decode(_ bytes: [UInt8]) -> InsertResult? {
        InboxResult.decode(bytes) { fields in
            let raw = fields.slice32()
            var result = InsertResult(outcomes: [], droppedOldest: [])
            result.outcomes.reserveCapacity(raw.count)
            for byte in raw {
                guard let outcome = InsertOutcome(rawValue: byte) else {
                    fields.fail()
                    break
                }
                result.outcomes.append(outcome)
            }
            var left = fields.u32()
            while fields.isFine, left > 0 {
                result.droppedOldest.append(Dropped(receiver: fields.u32(), count: fields.u32()))
                left -= 1
            }
            return result
        }
    }
}

/// One status for each item of a batch (acknowledge, outboxDone, pubrelReceived, groupTake).
package struct BatchResult: Equatable, Sendable {
    package var statuses: [InboxStatus]

    package static func decode(_ bytes: [UInt8]) -> BatchResult? {
        InboxResult.decode(bytes) { fields in
            BatchResult(
                statuses: fields.list16 { fields in
                    let status = InboxStatus(rawValue: fields.u8())
                    if status == nil { fields.fail() }
                    return status ?? .malformed
                })
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(list16: statuses) { $0.append($1.rawValue) }
    }
}

/// One status and outbox sequence for each item of `outboxPut` (and the one of `outboxPublish`).
package struct OutboxPutResult: Equatable, Sendable {
    /// `duplicate`: the packet id is recorded; the sequence is that of the first time.
    package struct Item: Equatable, Sendable {
        package var status: InboxStatus
        package var sequence: UInt64
        package init(status: InboxStatus, sequence: UInt64) {
            self.status = status
            self.sequence = sequence
        }
    }

    package var items: [Item]

    package static func decode(_ bytes: [UInt8]) -> OutboxPutResult? {
        InboxResult.decode(bytes) { fields in
            OutboxPutResult(
                items: fields.list16 { fields in
                    let status = InboxStatus(rawValue: fields.u8())
                    if status == nil { fields.fail() }
                    return Item(status: status ?? .malformed, sequence: fields.u64())
                })
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(list16: items) {
            $0.append($1.status.rawValue)
            $0.append(bigEndian: $1.sequence)
        }
    }
}

/// A number: sessions that `expireTenant` reached, the incarnation of a joined group, members left
/// behind by `groupLeave`.
package struct NumberResult: Equatable, Sendable {
    package var number: UInt64

    package static func decode(_ bytes: [UInt8]) -> NumberResult? {
        InboxResult.decode(bytes) { NumberResult(number: $0.u64()) }
    }
}
