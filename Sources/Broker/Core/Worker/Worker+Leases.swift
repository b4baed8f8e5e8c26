import Base
import Inbox
import KV
import MQTT
import Policy

/// Leases of groups' inboxes to members of this worker: sent to transient ones, put into the inbox
/// of stored ones above QoS 1, and acknowledged when the client has.
///
/// ```
///  groupPush -> receiveLease -> QoS 0: sent, acknowledged
///                           \-> QoS 1: sent, acknowledged with PUBACK
///                            \-> QoS 2: take -> taken -> transient: sent, acknowledged with PUBREC
///                                                   \-> stored: transfer -> transferred
/// ```
extension Worker {
    /// Messages of a group's inbox, leased to one of our members.
    func receiveGroupPush(_ body: RawSpan) {
        guard let push = body.withUnsafeBytes({ GroupPushMessage.decode($0) }) else {
            metrics.damagedFrames &+= 1
            return
        }
        metrics.groupPushes &+= UInt64(push.entries.count)
        withSession(sessionRef(ofToken: push.connectionToken)) { session, index in
            guard let share = session.pointee.rare?.share,
                let membership = share.membership(group: push.group)
            else { return }
            for entry in push.entries {
                receiveLease(entry, push.incarnation, membership, share, session, index)
                guard session.pointee.phase == .live else { return }
            }
        }
    }

    private func receiveLease(
        _ entry: PushMessage.Entry, _ incarnation: UInt64, _ membership: GroupMembership,
        _ share: ShareState, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let published = QoS(rawValue: entry.flags.qos) ?? .atMostOnce
        let delivery = membership.delivery(published, retain: entry.flags.retain)
        if delivery.qos == .atMostOnce {
            entry.record.withUnsafeBytes { record in
                var message = Message(record: record, tenant: session.pointee.tenant)
                deliver(&message, delivery, to: index)
            }
            if entry.sequence != 0 { acknowledge(membership, entry.sequence, .acknowledged) }
            return
        }
        guard membership.held.insert(entry.sequence).inserted else { return }
        let lease = GroupLease(
            membership: membership, incarnation: incarnation, sequence: entry.sequence,
            qos: delivery.qos, retain: delivery.retain,
            record: entry.record.withUnsafeBytes { SharedBlock.copy(of: $0) })
        if delivery.qos == .exactlyOnce {
            membership.openTakes += 1
            take(lease)
        } else {
            carryOut(lease, session, index)
        }
    }

    func take(_ lease: GroupLease) {
        let membership = lease.membership
        let command = GroupTakeCommand(
            group: membership.group, member: membership.name, sequences: [lease.sequence])
        let isAccepted = propose(
            .inbox, InboxKeys.sessionPrefix(membership.group), .groupTake(lease)
        ) { InboxCommand.groupTake(command).encode(into: &$0) }
        if !isAccepted { retryLater(.take(lease)) }
    }

    /// The group's inbox has committed, or not, that the message is this member's.
    func taken(_ lease: GroupLease, _ result: BatchResult?) {
        let membership = lease.membership
        guard let result else { return retryLater(.take(lease)) }
        membership.openTakes -= 1
        defer { if membership.isLeaving { leaveWhenSettled(membership) } }
        guard result.statuses.first == .ok else {
            membership.held.remove(lease.sequence)
            return
        }
        // A stored member gets it in its own inbox, whatever has become of the connection.
        if let incarnation = membership.incarnation { return transfer(lease, incarnation) }
        guard let session = find(membership.session), session.pointee.phase == .live else {
            // Nothing was sent: it may go to another.
            acknowledge(membership, lease.sequence, .released)
            return
        }
        carryOut(lease, session, membership.session.index)
    }

    /// The member has the message for good: it is sent, or put into its own inbox.
    private func carryOut(
        _ lease: GroupLease, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        var message = Message(
            record: lease.record.bytes, tenant: session.pointee.tenant, block: lease.record)
        guard let share = session.pointee.rare?.share,
            permitsDelivery(message, lease.qos, session, index)
        else {
            acknowledge(lease.membership, lease.sequence, .acknowledged)
            return
        }
        let delivery = lease.membership.delivery(lease.qos, retain: lease.retain)
        lease.record.retain()
        let flight = SharedFlight(
            membership: lease.membership, sequence: lease.sequence, qos: lease.qos,
            record: lease.record)
        frames.removeAll()
        isFanOut = false
        send(&message, delivery, flight, share, session)
    }

    /// QoS 2 goes into the member's own inbox, from which it is pushed, resumed and released like
    /// any other message, under a number of its own, so that a repeat is dropped.
    func transfer(_ lease: GroupLease, _ incarnation: UInt64) {
        let membership = lease.membership
        let tenant = membership.group.tenant
        let group = membership.group.clientID.withUnsafeBytes { BucketHash.hash($0) }
        let source = OutboxSource(
            identity: group &+ lease.sequence &* 0x9E37_79B9_7F4A_7C15,
            origin: lease.incarnation, sequence: 1)
        let message = Message(record: lease.record.bytes, tenant: TenantSlot(0))
        guard let slot = tenantSlot(of: message) else { return }
        var batches = InsertBatches(tenant: tenant, source: source)
        let isAdded = membership.clientID.withUnsafeBytes { clientID in
            let receiver = StoredReceiver(
                clientID: clientID, incarnation: incarnation, maximumQoS: lease.qos,
                retainAsPublished: lease.retain,
                subscriptionIDs: membership.subscriptionID == 0 ? [] : [membership.subscriptionID])
            let options = DeliveryOptions(
                qos: lease.qos.rawValue, retain: lease.retain, queuesQoS0: false)
            return batches.add(
                receiver, options, record: lease.record.bytes,
                expiry: message.remainingSeconds(wallTime), map: client.map)
        }
        guard isAdded, let batch = batches.batches.first else {
            return retryLater(.transfer(lease, incarnation))
        }
        let task = InsertTask(tracker: nil, tenant: tenant, slot: slot)
        task.lease = lease
        batch.encoder.finish()
        task.receivers = batch.receivers
        let isAccepted = propose(.inbox, batch.key, .insert(task)) {
            $0.append(batch.encoder.bytes)
        }
        if !isAccepted { retryLater(.transfer(lease, incarnation)) }
    }

    /// The member's own inbox has the message. The group is told once the client has finished as
    /// many: a member that is slow does not empty the group's inbox into its own.
    func transferred(_ lease: GroupLease, _ outcome: InsertOutcome?) {
        switch outcome {
        case .stored, .duplicate, .storedDroppingOldest, .droppedFullMessages, .droppedFullBytes,
            .expired, .rejected, .qos0NotQueued:
            if let session = find(lease.membership.session),
                let stored = session.pointee.rare?.stored
            {
                stored.transferred.append((lease.membership, lease.sequence))
            } else {
                acknowledge(lease.membership, lease.sequence, .acknowledged)
            }
        case .noSession: acknowledge(lease.membership, lease.sequence, .released)
        case nil:
            // It may be there: a repeat is dropped.
            if let incarnation = lease.membership.incarnation {
                retryLater(.transfer(lease, incarnation))
            }
        }
    }

    // MARK: Acknowledging

    func acknowledge(
        _ membership: GroupMembership, _ sequence: UInt64, _ kind: AcknowledgementKind
    ) {
        // What is acknowledged stays held until the group knows: a new leader may lease it again.
        if kind == .released { membership.held.remove(sequence) }
        membership.acknowledgements.append(
            AcknowledgeCommand.Entry(sequence: sequence, kind: kind))
        guard !membership.isMarked else { return }
        membership.isMarked = true
        groupAcknowledging.append(membership)
    }

    /// End of turn: one command for each membership that has something to say.
    func flushGroupAcknowledgements() {
        guard !groupAcknowledging.isEmpty else { return }
        let memberships = groupAcknowledging
        groupAcknowledging = []
        for membership in memberships {
            membership.isMarked = false
            flushAcknowledgements(of: membership)
        }
    }

    func flushAcknowledgements(of membership: GroupMembership) {
        let entries = membership.acknowledgements
        guard !entries.isEmpty else { return }
        membership.acknowledgements = []
        let command = AcknowledgeCommand(
            tenant: membership.group.tenant,
            items: [
                AcknowledgeCommand.Item(
                    clientID: membership.group.clientID, ownerEpoch: .none, entries: entries)
            ])
        let isAccepted = propose(
            .inbox, InboxKeys.sessionPrefix(membership.group),
            .groupAcknowledge(membership, entries)
        ) { InboxCommand.acknowledge(command).encode(into: &$0) }
        if !isAccepted { groupAcknowledged(membership, entries, isDone: false) }
    }

    func groupAcknowledged(
        _ membership: GroupMembership, _ entries: [AcknowledgeCommand.Entry], isDone: Bool
    ) {
        guard !isDone else {
            for entry in entries { membership.held.remove(entry.sequence) }
            return
        }
        membership.acknowledgements = entries + membership.acknowledgements
        retryLater(.acknowledge(membership))
    }
}
