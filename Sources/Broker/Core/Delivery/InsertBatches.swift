import Base
import Dist
import Inbox
import KV
import MQTT

/// One stored session that receives a message, by all of its filters that match.
struct StoredReceiver {
    var clientID: UnsafeRawBufferPointer
    var incarnation: UInt64
    var maximumQoS: QoS
    var retainAsPublished: Bool
    var subscriptionIDs: [UInt32]
}

/// The stored sessions of a plan, each once: a plan lists them in the order of their client ids,
/// so that a session's filters stand together.
struct StoredReceivers {
    private let plan: RoutePlan
    /// Publisher of the message: No Local receivers that are itself are left out.
    private let publisherHash: UInt64
    private let tenant: [UInt8]
    private var position = 0

    init(_ plan: RoutePlan, publisherHash: UInt64, tenant: [UInt8]) {
        self.plan = plan
        self.publisherHash = publisherHash
        self.tenant = tenant
    }

    mutating func next() -> StoredReceiver? {
        let stored = plan.stored
        while position < stored.count {
            let clientID = plan.string(stored[position].clientID)
            var receiver: StoredReceiver?
            while position < stored.count,
                same(plan.string(stored[position].clientID), clientID)
            {
                take(stored[position], clientID, into: &receiver)
                position += 1
            }
            if let receiver { return receiver }
        }
        return nil
    }

    private func take(
        _ route: PlanStored, _ clientID: UnsafeRawBufferPointer,
        into receiver: inout StoredReceiver?
    ) {
        let options = SubscriptionOptions(rawValue: route.options)
        if options.noLocal, isPublisher(clientID) { return }
        var known =
            receiver
            ?? StoredReceiver(
                clientID: clientID, incarnation: route.incarnation, maximumQoS: .atMostOnce,
                retainAsPublished: false, subscriptionIDs: [])
        // Routes of an older life of the session are on their way out.
        known.incarnation = max(known.incarnation, route.incarnation)
        known.maximumQoS = max(known.maximumQoS, options.maximumQoS)
        known.retainAsPublished = known.retainAsPublished || options.retainAsPublished
        if route.subscriptionID != 0 { known.subscriptionIDs.append(route.subscriptionID) }
        receiver = known
    }

    private func isPublisher(_ clientID: UnsafeRawBufferPointer) -> Bool {
        MessageRecord.publisherHash(tenant: tenant, clientID: [UInt8](clientID)) == publisherHash
    }

    private func same(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.elementsEqual(right)
    }
}

/// The insert commands of one message, one per inbox range (more beyond the command's limit).
struct InsertBatches {
    /// A command in the making.
    final class Batch {
        let range: RangeID
        /// Routes the command: the first receiver's.
        let key: [UInt8]
        var encoder: InsertEncoder
        var receivers: [(clientID: [UInt8], incarnation: UInt64)] = []

        init(range: RangeID, key: [UInt8], tenant: [UInt8]) {
            self.range = range
            self.key = key
            encoder = InsertEncoder(tenant: tenant)
        }
    }

    private let tenant: [UInt8]
    private let source: OutboxSource?
    private(set) var batches: [Batch] = []

    init(tenant: [UInt8], source: OutboxSource?) {
        self.tenant = tenant
        self.source = source
    }

    /// False if no range holds the receiver.
    mutating func add(
        _ receiver: StoredReceiver, _ options: Inbox.DeliveryOptions,
        record: UnsafeRawBufferPointer, expiry: UInt32?, map: RangeMap
    ) -> Bool {
        let clientID = [UInt8](receiver.clientID)
        let key = InboxKeys.sessionPrefix(SessionName(tenant: tenant, clientID: clientID))
        guard let range = map.descriptor(.inbox, at: key)?.id else { return false }
        let batch = open(range, key, record, expiry)
        batch.encoder.addReceiver(
            clientID: receiver.clientID, incarnation: receiver.incarnation, options: options,
            subscriptionIDs: receiver.subscriptionIDs)
        batch.receivers.append((clientID, receiver.incarnation))
        return true
    }

    private mutating func open(
        _ range: RangeID, _ key: [UInt8], _ record: UnsafeRawBufferPointer, _ expiry: UInt32?
    ) -> Batch {
        if let open = batches.last(where: { $0.range == range }),
            open.receivers.count < InboxLimits.receiversPerCommandMax
        {
            return open
        }
        let batch = Batch(range: range, key: key, tenant: tenant)
        batch.encoder.beginMessage(record: record, expirySeconds: expiry, source: source)
        batches.append(batch)
        return batch
    }
}
