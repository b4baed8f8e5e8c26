import Base
import Dist
import MQTT

/// A transient session subscribes: its filters go into the worker's filter table, and the worker
/// itself is the receiver of their routes.
extension Worker {
    func subscribeTransient(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let settings = tenants[session.pointee.tenant].pointee.settings
        task.waiting = 1
        for position in task.entries.indices where !task.entries[position].code.isFailure {
            let filter = task.entries[position].filter
            let isFull = session.pointee.filters.count >= settings.topicFiltersPerSessionMax
            let exhausted = isFull ? nil : takeSubscription(filter, session)
            let isTaken = !isFull && exhausted == nil
            guard isTaken || isSubscribed(filter, session) else {
                if let exhausted { reportExhausted(exhausted, session) }
                task.entries[position].code = .quotaExceeded
                continue
            }
            let change = enterFilter(task.entries[position], task.subscriptionID, session, index)
            task.entries[position].isNew = !change.wasReplaced
            if change.wasReplaced {
                if isTaken { giveBackSubscription(filter, session) }
            } else {
                session.pointee.filters.append(change.token.slot)
                metrics.subscriptions &+= 1
            }
            addRoute(task, position, change.token, session)
            join(task, position, slot: change.token.slot, session, index)
        }
        arrived(task)
    }

    /// Whether the filter is there already, so that a new subscription only replaces it.
    private func isSubscribed(
        _ filter: [UInt8], _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        session.pointee.filters.array.contains { slot in
            filters.filter(slot: slot).map { $0.filter.elementsEqual(filter) } ?? false
        }
    }

    private func enterFilter(
        _ entry: SubscribeTask.Entry, _ subscriptionID: UInt32,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> FilterTable.Change {
        let granted = entry.code.rawValue & 3
        let subscriber = Subscriber(
            session: index, options: entry.options.rawValue & 0xFC | granted,
            subscriptionID: subscriptionID)
        let tenant = UInt32(bitPattern: session.pointee.tenant.index)
        return entry.filter.withUnsafeBytes { filter in
            SharedName(entry.filter) == nil
                ? filters.subscribe(tenant: tenant, filter: filter, subscriber: subscriber)
                : filters.subscribeMember(tenant: tenant, filter: filter, subscriber: subscriber)
        }
    }

    /// Puts the route of a filter into dist, or makes sure that it holds: another session's may be
    /// on its way only. A route that is there already costs one command that changes nothing.
    private func addRoute(
        _ task: SubscribeTask, _ position: Int, _ token: FilterToken,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let route = transientRoute(
            tenantBytes(session.pointee.tenant), task.entries[position].filter, token)
        let members = UInt32(
            clamping: tenants[session.pointee.tenant].pointee.settings.sharedGroupMembersMax)
        task.waiting += 1
        let accepted = changeRoute(route, .route(task, entry: position)) {
            $0.add(route, membersMax: members)
        }
        if !accepted {
            task.waiting -= 1
            task.entries[position].code = .quotaExceeded
            reportRoute(task, position, session)
        }
    }
}
