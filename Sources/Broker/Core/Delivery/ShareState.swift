import Base
import Inbox
import MQTT

/// A session's membership in a shared group, as its worker sees it.
///
/// Owned by the session's `ShareState`; what is under way for it (a take, a transfer, an
/// acknowledgement) keeps it a little longer.
final class GroupMembership {
    let session: SessionRef
    /// The group's inbox.
    let group: SessionName
    /// The name it joined under: one life of the session.
    let name: [UInt8]
    /// With the group, as subscribed to.
    let filter: [UInt8]
    /// In the worker's filter table; nil for a stored session.
    let slot: UInt32?
    /// Of a stored session; nil for a transient one.
    let incarnation: UInt64?
    let clientID: [UInt8]
    var options: SubscriptionOptions
    var subscriptionID: UInt32
    /// Sequences of the group's inbox that are leased to it; at most its credit.
    var held: Set<UInt64> = []
    /// Takes whose outcome is not known yet.
    var openTakes = 0
    /// The session has left: the group hears of it once no take is open.
    var isLeaving = false
    /// For the group's inbox, collected during a turn.
    var acknowledgements: [AcknowledgeCommand.Entry] = []
    /// In the worker's list of memberships with acknowledgements.
    var isMarked = false
    /// The session's SUBACK has left: from then on it is granted messages.
    var isGranted = false

    init(
        session: SessionRef, group: SessionName, name: [UInt8], clientID: [UInt8],
        incarnation: UInt64?, filter: [UInt8], slot: UInt32?, options: SubscriptionOptions,
        subscriptionID: UInt32
    ) {
        self.session = session
        self.group = group
        self.name = name
        self.clientID = clientID
        self.incarnation = incarnation
        self.filter = filter
        self.slot = slot
        self.options = options
        self.subscriptionID = subscriptionID
    }

    /// How this member gets a message.
    func delivery(_ qos: QoS, retain: Bool) -> Delivery {
        Delivery(
            qos: min(qos, options.maximumQoS), retain: options.retainAsPublished && retain,
            subscriptionIDs: SubscriptionIDs(one: subscriptionID))
    }
}

/// A message that a transient session got as a group's member and has not acknowledged.
struct SharedFlight {
    let membership: GroupMembership
    /// In the group's inbox; 0: it came directly, and goes to the group's inbox if the connection
    /// ends first [MQTT-4.8.2-4].
    let sequence: UInt64
    let qos: QoS
    /// One reference is the holder's.
    let record: SharedBlock

    /// The same, once the group's inbox no longer holds it.
    var withoutLease: SharedFlight {
        SharedFlight(membership: membership, sequence: 0, qos: qos, record: record)
    }
}

/// A message of a group's member on its way into the group's inbox.
final class GroupReturn {
    let group: SessionName
    let record: SharedBlock

    init(group: SessionName, record: SharedBlock) {
        record.retain()
        self.group = group
        self.record = record
    }

    deinit { record.release() }
}

/// An entry of a group's inbox on its way to the member that holds its lease.
final class GroupLease {
    let membership: GroupMembership
    /// Life of the group's inbox.
    let incarnation: UInt64
    let sequence: UInt64
    /// As the member gets it.
    let qos: QoS
    let retain: Bool
    let record: SharedBlock

    init(
        membership: GroupMembership, incarnation: UInt64, sequence: UInt64, qos: QoS,
        retain: Bool, record: SharedBlock
    ) {
        self.membership = membership
        self.incarnation = incarnation
        self.sequence = sequence
        self.qos = qos
        self.retain = retain
        self.record = record
    }

    deinit { record.release() }
}

/// What a session has as a member of shared groups; allocated with its first membership.
///
/// Bounded by the session's subscriptions, its outbound window and its queue.
final class ShareState {
    /// In the order of joining; found by filter, by slot, and by the id of the group's inbox.
    private(set) var memberships: [GroupMembership] = []
    private var byFilter: [[UInt8]: GroupMembership] = [:]
    private var bySlot: [UInt32: GroupMembership] = [:]
    private var byGroup: [[UInt8]: GroupMembership] = [:]
    /// Sent and not finished, by sequence of the outbound window: a transient session's.
    var flights: [UInt64: SharedFlight] = [:]
    /// Sent and not finished, by packet id: a stored session's, which are not of its own queue.
    /// They end with the connection.
    var leased: [UInt16: SharedFlight] = [:]
    private var lastLeased = InboxLimits.leasedPacketIDs.lowerBound
    /// In the session's queue, by the number that they have there.
    private var waiting: [UInt32: SharedFlight] = [:]
    private var lastWaiting: UInt32 = 0

    deinit {
        for flight in flights.values { flight.record.release() }
        for flight in leased.values { flight.record.release() }
        for flight in waiting.values { flight.record.release() }
    }

    func membership(slot: UInt32) -> GroupMembership? { bySlot[slot] }

    func membership(filter: [UInt8]) -> GroupMembership? { byFilter[filter] }

    func membership(group: SessionName) -> GroupMembership? { byGroup[group.clientID] }

    func add(_ membership: GroupMembership) {
        memberships.append(membership)
        byFilter[membership.filter] = membership
        byGroup[membership.group.clientID] = membership
        if let slot = membership.slot { bySlot[slot] = membership }
    }

    func remove(_ membership: GroupMembership) {
        memberships.removeAll { $0 === membership }
        byFilter[membership.filter] = nil
        byGroup[membership.group.clientID] = nil
        if let slot = membership.slot { bySlot[slot] = nil }
    }

    /// Gives up all of them.
    func removeAll() -> [GroupMembership] {
        byFilter = [:]
        bySlot = [:]
        byGroup = [:]
        defer { memberships = [] }
        return memberships
    }

    /// A free packet id of those kept for leases; nil if all are in use.
    func nextLeasedID() -> UInt16? {
        let ids = InboxLimits.leasedPacketIDs
        guard leased.count < ids.count else { return nil }
        repeat {
            lastLeased = ids.contains(lastLeased &+ 1) ? lastLeased + 1 : ids.lowerBound
        } while leased[lastLeased] != nil
        return lastLeased
    }

    /// The number under which the queue knows the message.
    func addWaiting(_ flight: SharedFlight) -> UInt32 {
        lastWaiting = lastWaiting == .max ? 1 : lastWaiting + 1
        waiting[lastWaiting] = flight
        return lastWaiting
    }

    func takeWaiting(_ number: UInt32) -> SharedFlight? { waiting.removeValue(forKey: number) }
}
