import Base
import Inbox

/// The owner's view of a stored session's queue.
final class StoredState {
    let incarnation: UInt64
    /// Highest sequence that was pushed to us.
    var cursor: UInt64 = 0
    /// Highest sequence that was written to the client.
    var sentThrough: UInt64 = 0
    /// Totals since the credit was last restarted.
    var messagesFinished: UInt64 = 0
    var bytesFinished: UInt64 = 0
    var messagesGranted: UInt64 = 0
    var bytesGranted: UInt64 = 0
    /// Bytes of entries that the client has not acknowledged, by sequence; at most the credit.
    var openSizes: [UInt64: Int] = [:]
    /// PUBREC came and PUBREL has not left, in the order of PUBREC; and those of them that the
    /// inbox has committed. At most the receive maximum.
    var unreleased: [UInt64] = []
    var committed: Set<UInt64> = []
    /// Acknowledgements of this turn.
    var acknowledgements: [AcknowledgeCommand.Entry] = []
    /// Replayed retained messages that the client has not acknowledged, about.
    var replayDebt = 0
    /// Pushed and not sent; at most the credit.
    var waiting: [PushMessage.Entry] = []
    /// Entries of groups' inboxes that were put into its own, oldest first; each is acknowledged to
    /// its group with the next message that the client finishes. At most its credit.
    var transferred: [(membership: GroupMembership, sequence: UInt64)] = []
    /// In the worker's list of sessions with acknowledgements.
    var isMarked = false
    /// Bounds of the queue as the inbox knows them.
    var limits: QueueLimits

    init(incarnation: UInt64, limits: QueueLimits) {
        self.incarnation = incarnation
        self.limits = limits
    }

    func restart() {
        messagesFinished = 0
        bytesFinished = 0
        messagesGranted = 0
        bytesGranted = 0
    }
}
