import Inbox
import MQTT
import Policy

/// A SUBSCRIBE or UNSUBSCRIBE that waits for its routes.
final class SubscribeTask {
    /// One filter of the packet.
    struct Entry {
        var filter: [UInt8]
        var options: SubscriptionOptions
        var code: ReasonCode
        /// The session did not have the filter before.
        var isNew = true
        /// Intent of a stored session, to be completed; 0 for none.
        var intent: UInt64 = 0
        var wantsRetained = false
        /// Counted for the tenant until its range has.
        var isReserved = false
        var isSharedReserved = false
    }

    let session: SessionRef
    let packetID: UInt16
    let isSubscribe: Bool
    let subscriptionID: UInt32
    var entries: [Entry] = []
    /// Answers to come.
    var waiting = 0
    /// Replays of retained messages that hold the connection back.
    var replaying = 0
    var incarnation: UInt64 = 0
    /// The request of the query door that it is carried out for: no packet answers it.
    var door: UInt64?
    /// Of what the tenant has no more, if that is why filters could only be replaced.
    var exhausted: ResourceType?

    init(session: SessionRef, packetID: UInt16, isSubscribe: Bool, subscriptionID: UInt32 = 0) {
        self.session = session
        self.packetID = packetID
        self.isSubscribe = isSubscribe
        self.subscriptionID = subscriptionID
    }
}

/// Route changes that an inbox asked for (`intentReady`).
final class IntentTask {
    let message: IntentReadyMessage
    var waiting = 0
    var hasFailed = false
    init(_ message: IntentReadyMessage) { self.message = message }
}
