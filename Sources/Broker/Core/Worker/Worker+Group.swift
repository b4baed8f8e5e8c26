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
            shareState(session, index).add(membership)
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
            let membership = share.membership(filter: filter)
        else { return }
        share.remove(membership)
        // What it holds, it keeps: this connection will acknowledge it.
        for sequence in share.flights.keys.sorted() {
            keep(&share.flights[sequence], of: membership)
        }
        for packetID in share.leased.keys.sorted() {
            keep(&share.leased[packetID], of: membership)
        }
        leaveWhenSettled(membership)
    }

    private func keep(_ flight: inout SharedFlight?, of membership: GroupMembership) {
        guard let known = flight, known.membership === membership, known.sequence != 0 else {
            return
        }
        acknowledge(membership, known.sequence, .acknowledged)
        flight = known.withoutLease
    }

    /// The group hears of it after all that this member has to say of what it took.
    func leaveWhenSettled(_ membership: GroupMembership) {
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
        for membership in share.removeAll() {
            if session.pointee.machine.isStored {
                sendGroupCredit(membership, session, index, 0)
            } else {
                leaveWhenSettled(membership)
            }
        }
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

    func retryLater(_ work: GroupWork) {
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
        // In an order that the next run has, too.
        for ref in memberSessions.sorted(by: { $0.index < $1.index }) {
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
            shareState(session, index).add(membership)
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

    func mayGo(_ session: UnsafeMutablePointer<Session>) -> Bool {
        session.pointee.machine.queue.isEmpty && session.pointee.machine.hasSendQuota
            && !isOutputBlocked(session)
            && session.pointee.rare?.stored?.waiting.isEmpty != false
    }

    func send(
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
}

/// What a group's inbox did not take, to be tried again.
enum GroupWork {
    case put(GroupReturn)
    case leave(GroupLeaveCommand)
    case take(GroupLease)
    case transfer(GroupLease, UInt64)
    case acknowledge(GroupMembership)
}
