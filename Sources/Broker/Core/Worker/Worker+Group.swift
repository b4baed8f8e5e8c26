import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// Shared subscriptions, from the members' side: joining a group, what a member is sent, what goes
/// back to the group when the member's connection ends.
///
/// ```
///  publisher --------------------> transient member with room      direct: kept until PUBACK
///      \--> group's inbox -lease-> transient member   QoS 1: sent;  QoS 2: taken, then sent
///                        \-lease-> stored member      QoS 1: sent;  QoS 2: taken, then put into
///                                                      its own inbox
/// ```
/// A lease ends with the client's acknowledgement. When a connection ends, the leases of QoS 1 and
/// of what was not taken go to others, and what came directly goes into the group's inbox, unless
/// it is QoS 2 that was sent [MQTT-4.8.2-4] to [MQTT-4.8.2-6].
extension Worker {
    // MARK: Joining and leaving

    /// The session becomes a member, or its membership changes; `task` waits for the group's inbox.
    func join(
        _ task: SubscribeTask, _ position: Int, slot: UInt32?,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let entry = task.entries[position]
        let options = SubscriptionOptions(
            rawValue: entry.options.rawValue & 0xFC | entry.code.rawValue & 3)
        if let known = session.pointee.rare?.share?.membership(filter: entry.filter) {
            known.options = options
            known.subscriptionID = task.subscriptionID
        } else {
            let membership = membership(
                entry.filter, slot: slot, options, task.subscriptionID, session, index)
            guard let membership else { return }
            shareState(session, index).memberships.append(membership)
        }
        guard let membership = session.pointee.rare?.share?.membership(filter: entry.filter) else {
            return
        }
        let settings = tenants[session.pointee.tenant].pointee.settings
        task.waiting += 1
        let command = GroupJoinCommand(
            group: membership.group, member: membership.name, limits: queueLimits(settings))
        let isAccepted = propose(
            .inbox, InboxKeys.sessionPrefix(membership.group), .groupJoin(task, entry: position)
        ) { InboxCommand.groupJoin(command).encode(into: &$0) }
        if !isAccepted {
            task.waiting -= 1
            task.entries[position].code = .unspecifiedError
        }
    }

    private func membership(
        _ filter: [UInt8], slot: UInt32?, _ options: SubscriptionOptions, _ subscriptionID: UInt32,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> GroupMembership? {
        guard let shared = SharedName(filter) else { return nil }
        let incarnation = session.pointee.rare?.stored?.incarnation
        let name =
            incarnation.map { GroupMemberName.stored(session.pointee.clientID, incarnation: $0) }
            ?? GroupMemberName.transient(
                place, epoch, connectionToken: connectionToken(session, index))
        return GroupMembership(
            session: ref(session, index),
            group: shared.inbox(tenantBytes(session.pointee.tenant)), name: name,
            clientID: session.pointee.clientID, incarnation: incarnation, filter: filter,
            slot: slot, options: options, subscriptionID: subscriptionID)
    }

    private func shareState(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> ShareState {
        let rare = rareState(session)
        if let share = rare.share { return share }
        let share = ShareState()
        rare.share = share
        if memberSessions.isEmpty { scheduleGroupCredit() }
        memberSessions.insert(ref(session, index))
        return share
    }

    func joined(_ task: SubscribeTask, _ position: Int, _ status: InboxStatus?) {
        if status != .ok {
            task.entries[position].code =
                status == .quotaExceeded ? .quotaExceeded : .unspecifiedError
        }
        arrived(task)
    }

    /// SUBACK has left: messages of the group may come.
    func grantJoined(_ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>) {
        guard let share = session.pointee.rare?.share else { return }
        for entry in task.entries where !entry.code.isFailure {
            guard let membership = share.membership(filter: entry.filter) else { continue }
            membership.isGranted = true
            grantGroupCredit(membership, session)
        }
    }

    /// The session takes leave of one group, on a connection that lives on.
    func leaveGroup(_ filter: [UInt8], _ session: UnsafeMutablePointer<Session>) {
        guard let share = session.pointee.rare?.share,
            let position = share.memberships.firstIndex(where: { $0.filter == filter })
        else { return }
        let membership = share.memberships.remove(at: position)
        // What it holds, it keeps: this connection will acknowledge it.
        for (sequence, flight) in share.flights where flight.membership === membership {
            guard flight.sequence != 0 else { continue }
            acknowledge(membership, flight.sequence, .acknowledged)
            share.flights[sequence] = flight.withoutLease
        }
        for (packetID, flight) in share.leased where flight.membership === membership {
            guard flight.sequence != 0 else { continue }
            acknowledge(membership, flight.sequence, .acknowledged)
            share.leased[packetID] = flight.withoutLease
        }
        leave(membership)
    }

    /// The group hears of it after all that this member has to say of what it took.
    private func leave(_ membership: GroupMembership) {
        membership.isLeaving = true
        guard membership.openTakes == 0 else { return }
        flushAcknowledgements(of: membership)
        proposeGroupLeave(membership.group, membership.name)
    }

    func proposeGroupLeave(_ group: SessionName, _ member: [UInt8]) {
        let command = GroupLeaveCommand(group: group, member: member)
        let isAccepted = propose(.inbox, InboxKeys.sessionPrefix(group), .groupLeave(command)) {
            InboxCommand.groupLeave(command).encode(into: &$0)
        }
        if !isAccepted { retryLater(.leave(command)) }
    }

    func groupLeft(_ command: GroupLeaveCommand, isDone: Bool) {
        if !isDone { retryLater(.leave(command)) }
    }

    /// The connection ends: what the member has not finished goes to others.
    func leaveGroups(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard let share = session.pointee.rare?.share else { return }
        memberSessions.remove(ref(session, index))
        for sequence in share.flights.keys.sorted() {
            share.flights.removeValue(forKey: sequence).map { endFlight($0) }
        }
        for packetID in share.leased.keys.sorted() {
            share.leased.removeValue(forKey: packetID).map { endFlight($0) }
        }
        if let stored = session.pointee.rare?.stored {
            for one in stored.transferred {
                acknowledge(one.membership, one.sequence, .acknowledged)
            }
            stored.transferred.removeAll()
        }
        for membership in share.memberships {
            if session.pointee.machine.isStored {
                sendGroupCredit(membership, session, index, 0)
            } else {
                leave(membership)
            }
        }
        share.memberships = []
    }

    /// A message of the queue of a session that ends: it was not sent.
    func giveBackWaiting(_ number: UInt32, _ session: UnsafeMutablePointer<Session>) {
        guard let flight = session.pointee.rare?.share?.takeWaiting(number) else { return }
        if flight.sequence == 0 {
            returnToGroup(flight)
        } else {
            acknowledge(flight.membership, flight.sequence, .released)
        }
        flight.record.release()
    }

    private func endFlight(_ flight: SharedFlight) {
        if flight.sequence == 0, flight.qos == .atLeastOnce { returnToGroup(flight) }
        flight.record.release()
    }

    private func returnToGroup(_ flight: SharedFlight) {
        returnToGroup(GroupReturn(group: flight.membership.group, record: flight.record))
    }

    private func returnToGroup(_ task: GroupReturn) {
        metrics.groupReturns &+= 1
        var message = Message(
            record: task.record.bytes, tenant: TenantSlot(0), block: task.record)
        guard let tenant = tenantSlot(of: message) else { return }
        message.tenant = tenant
        let origin = PublishOrigin.group(task)
        var groups = GroupCount(origin: origin, waits: true)
        storeForGroup(&message, task.group.clientID, origin, &groups)
    }

    /// The end of a message's way back to its group.
    func finishReturn(_ task: GroupReturn, _ outcome: PublishOutcome) {
        switch outcome {
        case .success, .noMatchingSubscribers: break
        case .refused(.quotaExceeded): break
        case .refused: retryLater(.put(task))
        // It may be there: a second copy is what QoS 1 allows.
        case .unknown: retryLater(.put(task))
        }
    }

    // MARK: What a range did not take

    private func retryLater(_ work: GroupWork) {
        guard groupRetries.count < WorkerLimits.groupRetriesMax else {
            metrics.groupRetriesLost &+= 1
            return
        }
        if groupRetries.isEmpty {
            _ = timers.schedule(
                at: now + WorkerLimits.outboxRetryAfter, token: 0,
                kind: TimerKind.groupRetry.rawValue)
        }
        groupRetries.append(work)
    }

    func retryGroups() {
        let retries = groupRetries
        groupRetries = []
        for work in retries {
            switch work {
            case .put(let task): returnToGroup(task)
            case .leave(let command): proposeGroupLeave(command.group, command.member)
            case .take(let lease): take(lease)
            case .transfer(let lease, let incarnation): transfer(lease, incarnation)
            case .acknowledge(let membership):
                guard !membership.isMarked else { continue }
                membership.isMarked = true
                groupAcknowledging.append(membership)
            }
        }
    }

    // MARK: Credit

    private func scheduleGroupCredit() {
        _ = timers.schedule(
            at: now + WorkerLimits.groupCreditAgain, token: 0, kind: TimerKind.groupCredit.rawValue)
    }

    /// Every member says again what it may hold: a credit may have been lost, a leader may be new.
    func regrantGroups(isTimer: Bool) {
        for ref in memberSessions {
            withSession(ref) { session, _ in
                for membership in session.pointee.rare?.share?.memberships ?? []
                where membership.isGranted {
                    grantGroupCredit(membership, session)
                }
            }
        }
        if isTimer, !memberSessions.isEmpty { scheduleGroupCredit() }
    }

    private func grantGroupCredit(
        _ membership: GroupMembership, _ session: UnsafeMutablePointer<Session>
    ) {
        let credit = min(
            Int(session.pointee.machine.receiveMaximum), WorkerLimits.groupCreditMessages)
        sendGroupCredit(membership, session, membership.session.index, UInt32(credit))
    }

    private func sendGroupCredit(
        _ membership: GroupMembership, _ session: UnsafeMutablePointer<Session>, _ index: Int32,
        _ credit: UInt32
    ) {
        let message = GroupCreditMessage(
            group: membership.group, member: membership.name,
            connectionToken: connectionToken(session, index), credit: credit)
        _ = InboxKeys.sessionPrefix(membership.group).withRawSpan { key in
            client.send(.groupCredit, .inbox, key: key, outbox: outbox) {
                message.encode(into: &$0)
            }
        }
    }

    /// A stored session is back: its memberships, from the pages of its subscriptions.
    func restoreMemberships(
        _ subscriptions: [StoredSubscription], skip: Int, hasMore: Bool,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        for one in subscriptions where SharedName(one.filter) != nil {
            guard
                let membership = membership(
                    one.filter, slot: nil, SubscriptionOptions(rawValue: one.options),
                    one.subscriptionID, session, index),
                session.pointee.rare?.share?.membership(filter: one.filter) == nil
            else { continue }
            membership.isGranted = true
            shareState(session, index).memberships.append(membership)
            grantGroupCredit(membership, session)
        }
        guard hasMore else { return }
        let name = sessionName(session)
        let next = skip + subscriptions.count
        ask(
            .inbox, InboxKeys.sessionPrefix(name),
            .sessionSubscriptions(ref(session, index), skip: next),
            InboxQuestion.subscriptions(name, skip: UInt32(next)).encoded)
    }

    // MARK: Direct deliveries

    /// A message for one member of this worker. False if it has gone or has no room; an ordered
    /// group's member queues what it has no room for.
    func deliverToMember(
        _ message: inout Message, _ token: FilterToken, isOrdered: Bool
    ) -> Bool {
        guard let subscriber = filters.subscribers(token).first else { return false }
        let index = subscriber.session
        let session = sessions[pointer: index]
        guard session.pointee.phase == .live,
            let share = session.pointee.rare?.share,
            let membership = share.membership(slot: token.slot)
        else { return false }
        let delivery = membership.delivery(message.qos, retain: message.retain)
        frames.removeAll()
        isFanOut = false
        if delivery.qos == .atMostOnce {
            deliver(&message, delivery, to: index)
            return true
        }
        let record = message.record()
        let hasRoom =
            mayGo(session) || isOrdered && !isQueueFull(session, adding: record.count)
        guard hasRoom else { return false }
        guard permitsDelivery(message, delivery.qos, session, index) else { return true }
        record.retain()
        let flight = SharedFlight(
            membership: membership, sequence: 0, qos: delivery.qos, record: record)
        send(&message, delivery, flight, share, session)
        return true
    }

    private func mayGo(_ session: UnsafeMutablePointer<Session>) -> Bool {
        session.pointee.machine.queue.isEmpty && session.pointee.machine.hasSendQuota
            && !isOutputBlocked(session)
            && session.pointee.rare?.stored?.waiting.isEmpty != false
    }

    private func send(
        _ message: inout Message, _ delivery: Delivery, _ flight: SharedFlight,
        _ share: ShareState, _ session: UnsafeMutablePointer<Session>
    ) {
        guard mayGo(session) else {
            flight.record.retain()
            countMemory(flight.record.count, session.pointee.tenant)
            session.pointee.machine.queue.append(
                QueuedMessage(
                    record: flight.record, qos: delivery.qos, retain: delivery.retain,
                    subscriptionIDs: delivery.subscriptionIDs, flight: share.addWaiting(flight)))
            metrics.queued &+= 1
            return
        }
        sendShared(&message, delivery, flight, share, session)
    }

    /// A member's message: window and socket have room.
    func sendShared(
        _ message: inout Message, _ delivery: Delivery, _ flight: SharedFlight,
        _ share: ShareState, _ session: UnsafeMutablePointer<Session>
    ) {
        var delivery = delivery
        if session.pointee.machine.isStored {
            guard let packetID = share.nextLeasedID() else { return finish(flight) }
            delivery.packetID = packetID
            guard write(&message, delivery, to: session) else { return finish(flight) }
            share.leased[packetID] = flight
            session.pointee.machine.leasedCount += 1
            return
        }
        let sequence = session.pointee.machine.outbound.next
        delivery.packetID = session.pointee.machine.openOutbound(delivery.qos)
        guard write(&message, delivery, to: session) else {
            session.pointee.machine.outbound.finishNewest()
            return finish(flight)
        }
        // QoS 2 that came directly and was sent is nobody else's any more [MQTT-4.8.2-5].
        if flight.sequence != 0 || flight.qos == .atLeastOnce {
            share.flights[sequence] = flight
        } else {
            finish(flight)
        }
    }

    /// PUBACK of a stored session for what it holds for a group; false if it is for its own queue.
    func finishLeased(
        _ packetID: UInt16, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard InboxLimits.leasedPacketIDs.contains(packetID),
            let share = session.pointee.rare?.share,
            let flight = share.leased.removeValue(forKey: packetID)
        else { return false }
        session.pointee.machine.leasedCount -= 1
        finish(flight)
        return true
    }

    /// The client has acknowledged a message, whatever it said of it [MQTT-4.8.2-6].
    func finishFlight(_ sequence: UInt64, _ share: ShareState) {
        guard let flight = share.flights.removeValue(forKey: sequence) else { return }
        finish(flight)
    }

    private func finish(_ flight: SharedFlight) {
        if flight.sequence != 0 { acknowledge(flight.membership, flight.sequence, .acknowledged) }
        flight.record.release()
    }

    /// A message of the queue was dropped by its policy.
    func discardWaiting(_ number: UInt32, _ session: UnsafeMutablePointer<Session>) {
        guard let flight = session.pointee.rare?.share?.takeWaiting(number) else { return }
        finish(flight)
    }

    // MARK: Leases

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

    private func take(_ lease: GroupLease) {
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
        defer { if membership.isLeaving { leave(membership) } }
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
    private func transfer(_ lease: GroupLease, _ incarnation: UInt64) {
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

    private func flushAcknowledgements(of membership: GroupMembership) {
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

/// What a group's inbox did not take, to be tried again.
enum GroupWork {
    case put(GroupReturn)
    case leave(GroupLeaveCommand)
    case take(GroupLease)
    case transfer(GroupLease, UInt64)
    case acknowledge(GroupMembership)
}
