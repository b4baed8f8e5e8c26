import Base
import Dist
import Inbox
import MQTT
import Policy

/// Something this worker has asked of a range and waits for: what to do with the answer.
///
/// Kept in the worker's slab under the token that the range client carries. A class reference is
/// held only on the control path; what belongs to a connection is named by `SessionRef` and found
/// gone if the connection is.
enum Operation {
    case claim(SessionRef, SessionName)
    case attach(SessionRef)
    case detach
    /// A session took leave; its client id is free once the inbox knows.
    case departure(SessionName, OwnerEpoch, connectionToken: UInt64)
    /// Entries of a stored session's SUBSCRIBE or UNSUBSCRIBE reached its inbox.
    case storedSubscription(SubscribeTask, [Int], TenantSlot)
    /// A dist route of one filter of a task holds everywhere, or is gone.
    case route(SubscribeTask, entry: Int)
    /// A route was removed after its last session had gone: nobody waits.
    case routeRemoval
    /// The route changes of an inbox's intents, carried out for a session that may be gone.
    case intentRoute(IntentTask)
    case intentsCompleted(IntentTask?)
    /// Which routes match a question's topic: the exact part (0), wildcard ranges as they answer
    /// (-1), or the next page of a part.
    case match(QuestionID, attempt: UInt32, part: Int)
    /// A message for stored sessions of one range.
    case insert(InsertTask)
    /// Acknowledgements of a stored session: the sequences whose PUBREC was committed.
    case acknowledge(SessionRef, received: [UInt64])
    case outboxPut(SessionRef, serial: UInt32)
    case outboxDone
    case pubrel
    /// Other bounds of a stored session's queue.
    case limits
    case retain(RetainTask)
    case retainedMatch(ReplayTask)
    /// A session becomes a member of a shared group, or leaves it.
    case groupJoin(SubscribeTask, entry: Int)
    case groupLeave(GroupLeaveCommand)
    /// A member commits itself to a QoS 2 message.
    case groupTake(GroupLease)
    case groupAcknowledge(GroupMembership, [AcknowledgeCommand.Entry])
    /// More of a resumed session's subscriptions.
    case sessionSubscriptions(SessionRef, skip: Int)
    /// A request of the query door.
    case door(DoorTask)
}

/// Whose publish it is, and so who is told its outcome.
enum PublishOrigin {
    /// QoS 0, or nobody waits.
    case none
    case session(SessionRef, serial: UInt32)
    /// An entry of an outbox: its end is committed in the publisher's inbox.
    case outbox(OutboxTask)
    /// A message on its way back to its group.
    case group(GroupReturn)
    /// A request of the query door, by its ticket.
    case door(UInt64)
}

/// An entry of an outbox that this worker fans out.
final class OutboxTask {
    let publisher: SessionName
    let source: OutboxSource
    /// The message, for trying again.
    var ready: OutboxReadyMessage?
    init(publisher: SessionName, source: OutboxSource) {
        self.publisher = publisher
        self.source = source
    }
}

/// A message on its way into stored sessions of one range.
final class InsertTask {
    let tracker: TrackerRef?
    let tenant: [UInt8]
    let slot: TenantSlot
    /// Receivers in the order of the command, to remove stale routes.
    var receivers: [(clientID: [UInt8], incarnation: UInt64)] = []
    /// The replay of retained messages that it is part of.
    var replay: ReplayTask?
    /// The lease that it fulfils.
    var lease: GroupLease?
    init(tracker: TrackerRef?, tenant: [UInt8], slot: TenantSlot) {
        self.tracker = tracker
        self.tenant = tenant
        self.slot = slot
    }
}

/// A retained message under commitment; it is matched afterwards.
final class RetainTask {
    let record: SharedBlock
    let origin: PublishOrigin
    let lane: RetainLaneKey
    let topicHash: UInt64
    let tenant: TenantSlot
    /// Counted for it until its range has.
    var reservedTopics = 0
    var reservedBytes = 0
    /// Of what there is no more: it may only replace.
    var exhausted: ResourceType?

    init(
        record: SharedBlock, origin: PublishOrigin, lane: RetainLaneKey, topicHash: UInt64,
        tenant: TenantSlot
    ) {
        record.retain()
        self.record = record
        self.origin = origin
        self.lane = lane
        self.topicHash = topicHash
        self.tenant = tenant
    }

    deinit { record.release() }

    var isWill: Bool {
        if case .outbox(let task) = origin { return task.ready?.isWill == true }
        return false
    }
}

/// How a publish ended.
enum PublishOutcome {
    case success
    case noMatchingSubscribers
    /// Nothing was done with it.
    case refused(ReasonCode)
    /// It was proposed and nobody can say what became of it: no acknowledgement may follow.
    case unknown

    /// What is said in an acknowledgement; `unknown` has none.
    var reasonCode: ReasonCode {
        switch self {
        case .success: .success
        case .noMatchingSubscribers: .noMatchingSubscribers
        case .refused(let code): code
        case .unknown: .unspecifiedError
        }
    }
}

/// A publish whose groups of receivers have not all answered.
struct PublishTracker {
    var origin: PublishOrigin
    /// Groups that are still to answer.
    var remaining: UInt32
    /// Success, unless a group failed.
    var outcome: PublishOutcome
    var generation: UInt32
}

/// A tracker by slab index and generation.
package struct TrackerRef: Equatable, BitwiseCopyable {
    package var index: Int32
    package var generation: UInt32

    package init(index: Int32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}
