import Base
import Inbox
import MQTT

/// UNSUBSCRIBE, and how a session that ends leaves its filters.
extension Worker {
    func handleUnsubscribe(
        _ packet: UnsubscribePacket, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let most = tenants[session.pointee.tenant].pointee.settings.topicFiltersPerSubscribeMax
        if packet.entryCount > most {
            disconnect(
                session, index, .quotaExceeded,
                .disconnect(.tooLargeUnsubscription(max: most, actual: packet.entryCount)))
            return
        }
        let task = SubscribeTask(
            session: ref(session, index), packetID: packet.packetID, isSubscribe: false)
        let isInUse = isInUse(packet.packetID, session)
        var position = 0
        while let filter = packet.next(bytes, &position) {
            let code: ReasonCode =
                isInUse
                ? .packetIdentifierInUse : isFilter(bytes, filter) ? .success : .topicFilterInvalid
            task.entries.append(
                SubscribeTask.Entry(
                    filter: bytes.array(filter), options: SubscriptionOptions(rawValue: 0),
                    code: code))
        }
        guard askFilters(task, session, index), !endsForRefusal(task, session, index) else {
            return
        }
        guard limitUnsubscribing(task, session, index) else { return }
        setBusy(session)
        for entry in task.entries { cancelReplays(of: entry.filter, session) }
        if session.pointee.machine.isStored {
            unsubscribeStored(task, session, index)
        } else {
            unsubscribeTransient(task, session, index)
        }
    }

    private func isFilter(_ bytes: RawSpan, _ filter: ByteRange) -> Bool {
        (try? TopicFilter.parse(bytes, filter, .protocolLimits)) != nil
    }

    /// An UNSUBSCRIBE that is not permitted: 3.x has no word for it, so the connection ends.
    private func endsForRefusal(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        reportDisallowed(task, session)
        let isRefused = task.entries.contains {
            $0.code == .notAuthorized || $0.code == .implementationSpecificError
        }
        guard isRefused, session.pointee.machine.version != .v5 else { return false }
        end(session, index, .disconnect(.byServer))
        return true
    }

    // MARK: Transient sessions

    func unsubscribeTransient(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let tenant = UInt32(bitPattern: session.pointee.tenant.index)
        task.waiting = 1
        for position in task.entries.indices where !task.entries[position].code.isFailure {
            let filter = task.entries[position].filter
            leaveGroup(filter, session)
            let removal = filter.withUnsafeBytes {
                filters.unsubscribe(
                    tenant: tenant, filter: $0, session: index,
                    isMember: SharedName(filter) != nil)
            }
            switch removal {
            case .notSubscribed: task.entries[position].code = .noSubscriptionExisted
            case .left(let slot):
                forget(slot, session)
                giveBackSubscription(filter, session)
                reportRoute(task, position, session)
            case .last(let vacated):
                forget(vacated.token.slot, session)
                giveBackSubscription(filter, session)
                if !removeRoute(vacated) {
                    reportLeftBehind(task.entries[position].filter, session)
                }
                reportRoute(task, position, session)
            }
        }
        arrived(task)
    }

    private func forget(_ slot: UInt32, _ session: UnsafeMutablePointer<Session>) {
        metrics.subscriptions &-= 1
        unsubscriptions &+= 1
        if let position = session.pointee.filters.firstIndex(of: slot) {
            session.pointee.filters.remove(at: position)
        }
    }

    /// A session that ends leaves a filter.
    func dropFilter(
        _ slot: UInt32, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        metrics.subscriptions &-= 1
        if let filter = filters.filter(slot: slot)?.filter {
            giveBackSubscription([UInt8](filter), session)
        }
        if case .last(let vacated) = filters.remove(session: index, slot: slot) {
            removeRoute(vacated)
        }
    }

    // MARK: Stored sessions

    private func unsubscribeStored(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let name = sessionName(session)
        let valid = task.entries.indices.filter { !task.entries[$0].code.isFailure }
        guard !valid.isEmpty else {
            answer(task, session, index)
            return
        }
        let command = UnsubscribeCommand(
            session: name, ownerEpoch: session.pointee.ownerEpoch,
            filters: valid.map { task.entries[$0].filter })
        task.waiting = 1
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name),
            .storedSubscription(task, valid, session.pointee.tenant)
        ) { InboxCommand.unsubscribe(command).encode(into: &$0) }
        if !accepted { failStored(task, valid) }
    }
}
