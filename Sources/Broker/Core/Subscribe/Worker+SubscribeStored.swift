import Base
import Inbox
import Policy

/// A stored session subscribes: first its inbox has the subscription and the intent to change the
/// route, then dist has the route, then the intent is completed.
///
/// Whoever dies on the way, the inbox's leader carries the intent out: see `receiveIntentReady`.
extension Worker {
    func subscribeStored(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let open = task.entries.indices.filter { !task.entries[$0].code.isFailure }
        let settings = tenants[session.pointee.tenant].pointee.settings
        var adding: [Int] = []
        var replacing: [Int] = []
        for position in open {
            if reserveSubscription(task, position, session) {
                adding.append(position)
            } else {
                replacing.append(position)
            }
        }
        // `noneNew` is another word.
        let most = min(
            UInt32(clamping: settings.topicFiltersPerSessionMax), SubscribeCommand.noneNew - 1)
        task.waiting = 1
        putSubscriptions(task, adding, filtersMax: most, session)
        putSubscriptions(task, replacing, filtersMax: SubscribeCommand.noneNew, session)
        arrived(task)
    }

    private func putSubscriptions(
        _ task: SubscribeTask, _ positions: [Int], filtersMax: UInt32,
        _ session: UnsafeMutablePointer<Session>
    ) {
        guard !positions.isEmpty else { return }
        let name = sessionName(session)
        let command = SubscribeCommand(
            session: name, ownerEpoch: session.pointee.ownerEpoch, filtersMax: filtersMax,
            subscriptions: positions.map {
                let entry = task.entries[$0]
                return StoredSubscription(
                    filter: entry.filter,
                    options: entry.options.rawValue & 0xFC | entry.code.rawValue & 3,
                    subscriptionID: task.subscriptionID)
            })
        task.waiting += 1
        let tenant = session.pointee.tenant
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name), .storedSubscription(task, positions, tenant)
        ) { InboxCommand.subscribe(command).encode(into: &$0) }
        if !accepted {
            giveBackReservations(task, positions, tenant)
            failStored(task, positions)
        }
    }

    /// The inbox has the subscriptions and their intents; now the routes.
    func storedSubscriptionDone(
        _ task: SubscribeTask, _ positions: [Int], _ tenant: TenantSlot,
        _ result: SubscriptionResult?
    ) {
        giveBackReservations(task, positions, tenant)
        guard let session = find(task.session) else { return }
        guard let result, result.items.count == positions.count else {
            failStored(task, positions)
            return
        }
        task.incarnation = result.incarnation
        for (position, item) in zip(positions, result.items) {
            task.entries[position].intent = item.intent
            switch item.outcome {
            case .changed: break
            case .replaced: task.entries[position].isNew = false
            case .quotaExceeded:
                task.entries[position].code = .quotaExceeded
                if let exhausted = task.exhausted { reportExhausted(exhausted, session) }
            case .absent: task.entries[position].code = .noSubscriptionExisted
            }
            if item.intent != 0 { changeStoredRoute(task, position, session) }
            guard !task.entries[position].code.isFailure else { continue }
            if task.isSubscribe {
                join(task, position, slot: nil, session, task.session.index)
            } else {
                leaveGroup(task.entries[position].filter, session)
            }
        }
        arrived(task)
    }

    func failStored(_ task: SubscribeTask, _ positions: [Int]) {
        for position in positions { task.entries[position].code = .implementationSpecificError }
        arrived(task)
    }

    private func changeStoredRoute(
        _ task: SubscribeTask, _ position: Int, _ session: UnsafeMutablePointer<Session>
    ) {
        let entry = task.entries[position]
        let options =
            task.isSubscribe ? entry.options.rawValue & 0xFC | entry.code.rawValue & 3 : 0
        let route = storedRoute(
            sessionName(session), task.incarnation, entry.filter, options, task.subscriptionID)
        let members = UInt32(
            clamping: tenants[session.pointee.tenant].pointee.settings.sharedGroupMembersMax)
        task.waiting += 1
        let accepted = changeRoute(route, .route(task, entry: position)) {
            if task.isSubscribe {
                $0.add(route, membersMax: members)
            } else {
                $0.remove(route)
            }
        }
        // The intent stays: the inbox's leader carries the change out later.
        if !accepted {
            task.waiting -= 1
            task.entries[position].intent = 0
            task.entries[position].code = .implementationSpecificError
            reportRoute(task, position, session)
        }
    }
}
