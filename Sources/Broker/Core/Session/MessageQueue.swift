import Base
import MQTT

/// Messages that wait for a slow or absent client, oldest first: counted, and bounded by whoever
/// appends (`QueueLimits`). Holds one reference on each message's record.
package struct MessageQueue: ~Copyable {
    private var items = RingQueue<QueuedMessage>()
    /// Bytes of the records, each counted in full although they are shared.
    package private(set) var byteCount = 0

    package init() {}

    deinit {
        for position in 0..<items.count { items[position].releaseAll() }
    }

    package var count: Int { items.count }
    package var isEmpty: Bool { items.isEmpty }
    package var first: QueuedMessage { items[0] }

    package mutating func append(_ message: QueuedMessage) {
        items.append(message)
        byteCount += message.record.count
    }

    /// The caller takes over the references.
    package mutating func removeFirst() -> QueuedMessage {
        let message = items.removeFirst()
        byteCount -= message.record.count
        return message
    }
}

/// One waiting message: its record and how its receiver gets it.
package struct QueuedMessage: BitwiseCopyable {
    /// The record's bytes; one reference belongs to the holder of this value.
    package var record: SharedBlock
    package var qos: QoS
    package var retain: Bool
    package var subscriptionIDs: SubscriptionIDs
    /// What the session's `ShareState` knows of it; 0 for what came by no shared subscription.
    package var flight: UInt32

    package init(
        record: SharedBlock, qos: QoS, retain: Bool, subscriptionIDs: SubscriptionIDs,
        flight: UInt32 = 0
    ) {
        self.record = record
        self.qos = qos
        self.retain = retain
        self.subscriptionIDs = subscriptionIDs
        self.flight = flight
    }

    package func releaseAll() {
        record.release()
        subscriptionIDs.free()
    }
}

/// The subscription identifiers that a PUBLISH carries: usually none or one, so without memory.
package struct SubscriptionIDs: BitwiseCopyable {
    package private(set) var first: UInt32 = 0
    package private(set) var count: UInt16 = 0
    /// All of them, if more than one; owned by whoever owns this value.
    private var more: UnsafeMutablePointer<UInt32>?

    /// Identifiers of one message: a client has as many as overlapping subscriptions.
    package static let countMax = 64

    package init() {}

    package init(one identifier: UInt32) {
        first = identifier
        count = identifier == 0 ? 0 : 1
    }

    package init(_ identifiers: UnsafeBufferPointer<UInt32>) {
        count = UInt16(min(identifiers.count, Self.countMax))
        guard count > 0 else { return }
        first = identifiers[0]
        guard count > 1 else { return }
        let copy = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(count))
        copy.initialize(from: identifiers.baseAddress.unsafelyUnwrapped, count: Int(count))
        more = copy
    }

    /// Calls `body` with the identifiers; valid during the call.
    @inline(__always)
    package func withAll<R>(_ body: (UnsafeBufferPointer<UInt32>) -> R) -> R {
        if let more { return body(UnsafeBufferPointer(start: more, count: Int(count))) }
        var one = first
        return withUnsafeMutablePointer(to: &one) {
            body(UnsafeBufferPointer(start: $0, count: Int(count)))
        }
    }

    /// A value with memory of its own.
    package func copied() -> SubscriptionIDs {
        count > 1 ? withAll { SubscriptionIDs($0) } : self
    }

    package func free() { more?.deallocate() }
}
