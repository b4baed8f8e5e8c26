import Base

/// How a result or an answer ended. Numbers are part of the wire format.
package enum InboxStatus: UInt8, Sendable, CaseIterable {
    case ok = 0
    /// The bytes could not be understood; nothing was changed.
    case malformed = 1
    /// The owner epoch is not the session's: another connection has taken the client id.
    case staleOwner = 2
    /// There is no such session (or no longer this incarnation of it).
    case noSession = 3
    /// A limit that came with the command is reached.
    case quotaExceeded = 4
    /// The client id is bound to another principal.
    case notAuthorised = 5
    /// A newer claimant took the place in the line, or the line is full.
    case superseded = 6
    /// The same connection asked again; only its last question is answered.
    case repeated = 7
    /// This replica does not lead, so it decides no ownership.
    case notLeader = 8
    /// The packet id is recorded already, or the idempotency key is known: nothing was added.
    case duplicate = 9
}

/// What becomes of a message that finds the queue full.
package enum QueuePolicy: UInt8, Sendable, CaseIterable {
    case dropOldest = 0
    case dropNewest = 1
    /// Like `dropNewest`, and the publisher is to be told.
    case reject = 2
}

/// Bounds of one session's queue, from the tenant's settings.
package struct QueueLimits: Equatable, Sendable {
    package var messagesMax: UInt32
    package var bytesMax: UInt32
    package var policy: QueuePolicy
    /// What a full queue does for QoS 0, which has a bound of its own of as many messages.
    package var dropsOldestQoS0: Bool

    package init(
        messagesMax: UInt32, bytesMax: UInt32, policy: QueuePolicy, dropsOldestQoS0: Bool = false
    ) {
        self.messagesMax = messagesMax
        self.bytesMax = bytesMax
        self.policy = policy
        self.dropsOldestQoS0 = dropsOldestQoS0
    }

    private static let qos0Bit: UInt8 = 0x80

    /// messages max u32 | bytes max u32 | policy u8, with bit 7 for QoS 0
    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: messagesMax)
        writer.append(bigEndian: bytesMax)
        writer.append(policy.rawValue | (dropsOldestQoS0 ? Self.qos0Bit : 0))
    }

    init(_ fields: inout FieldReader) {
        self.init(messagesMax: fields.u32(), bytesMax: fields.u32(), policy: .dropOldest)
        let byte = fields.u8()
        dropsOldestQoS0 = byte & Self.qos0Bit != 0
        if let policy = QueuePolicy(rawValue: byte & ~Self.qos0Bit) {
            self.policy = policy
        } else {
            fields.fail()
        }
    }
}

/// What became of one receiver of an inserted message. Numbers are part of the wire format.
package enum InsertOutcome: UInt8, Sendable, CaseIterable {
    case stored = 0
    /// Stored, and older entries were dropped to make room; how many is in the result's list.
    case storedDroppingOldest = 1
    /// The route is stale: no such session or another incarnation. The caller removes the route.
    case noSession = 2
    case droppedFullMessages = 3
    case droppedFullBytes = 4
    /// The queue is full and the policy is `reject`.
    case rejected = 5
    /// The publisher's outbox sequence was inserted before.
    case duplicate = 6
    /// QoS 0 that is not to be queued: pushed if the session is online, dropped otherwise.
    case qos0NotQueued = 7
    /// The message had expired on arrival.
    case expired = 8
}

/// Why queued messages were dropped, counted by tenant and reason by `InboxDroppedMessage`.
package enum InboxDropReason: UInt8, Sendable, CaseIterable {
    case messageExpired = 0
    case sessionEnded = 1
    case queueFull = 2
    /// QoS 0 for a session that is offline, behind or out of credit.
    case qos0Offline = 3
    case groupEnded = 4
    /// As `sessionEnded`, because its expiry interval had passed.
    case sessionExpired = 5

    /// The whole session is gone, not only what waited in it.
    var endsSession: Bool {
        switch self {
        case .sessionEnded, .sessionExpired: true
        case .messageExpired, .queueFull, .qos0Offline, .groupEnded: false
        }
    }
}

/// Why a connection leaves its session.
package enum DetachReason: UInt8, Sendable, CaseIterable {
    /// DISCONNECT with reason 0x00: the will is deleted.
    case discardWill = 0
    /// The connection was lost or closed for an error, or DISCONNECT 0x04: the will is published
    /// after its delay.
    case connectionLost = 1
    /// The will is published at once, whatever its delay.
    case willNow = 2
}

/// What became of the will at a detach.
package enum WillOutcome: UInt8, Sendable, CaseIterable {
    case none = 0
    case discarded = 1
    case published = 2
    case delayed = 3
}

/// One subscription of a session. `options` is opaque here (QoS, no local, retain as published,
/// retain handling, in the codec's layout).
package struct StoredSubscription: Equatable, Sendable {
    package var filter: [UInt8]
    package var options: UInt8
    /// 0 if there is none.
    package var subscriptionID: UInt32

    package init(filter: [UInt8], options: UInt8, subscriptionID: UInt32 = 0) {
        self.filter = filter
        self.options = options
        self.subscriptionID = subscriptionID
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: filter)
        writer.append(options)
        writer.append(bigEndian: subscriptionID)
    }

    init(_ fields: inout FieldReader) {
        filter = fields.bytes16()
        options = fields.u8()
        subscriptionID = fields.u32()
    }
}

/// The will of a connection.
package struct StoredWill: Equatable, Sendable {
    /// Seconds between the end of the connection and the publication.
    package var delaySeconds: UInt32
    /// The message record.
    package var record: [UInt8]

    package init(delaySeconds: UInt32, record: [UInt8]) {
        self.delaySeconds = delaySeconds
        self.record = record
    }
}

/// Where a message came out of: a publisher's outbox. Receivers drop what they had before.
///
/// `identity` is the bucket hash of tenant and publisher; `origin` tells lives of that outbox
/// apart. Both stay when ranges split or move, so a repeat is known wherever it comes from.
package struct OutboxSource: Equatable, Sendable {
    package var identity: UInt64
    package var origin: UInt64
    package var sequence: UInt64

    package init(identity: UInt64, origin: UInt64, sequence: UInt64) {
        self.identity = identity
        self.origin = origin
        self.sequence = sequence
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: identity)
        writer.append(bigEndian: origin)
        writer.append(bigEndian: sequence)
    }

    init(_ fields: inout FieldReader) {
        identity = fields.u64()
        origin = fields.u64()
        sequence = fields.u64()
    }
}
