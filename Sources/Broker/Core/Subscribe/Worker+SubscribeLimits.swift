import Base
import MQTT
import Policy

/// How much a tenant may subscribe: rates per second, and subscriptions in all.
///
/// A filter that is refused gets its own code in SUBACK, the others of its packet are served. A
/// subscription that only replaces one is no new one.
extension Worker {
    // MARK: Rates

    /// Marks the filters for which a rate of the tenant leaves nothing.
    func limitSubscribing(
        _ task: SubscribeTask, _ settings: TenantSettings,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let tenant = session.pointee.tenant
        let rate: ResourceType =
            session.pointee.machine.isStored
            ? .totalPersistentSubscribePerSecond : .totalTransientSubscribePerSecond
        let isMatchLimited =
            settings.totalRetainMatchPerSecond | settings.totalRetainMatchBytesPerSecond != 0
        var exhausted: ResourceType?
        for position in task.entries.indices where !task.entries[position].code.isFailure {
            let entry = task.entries[position]
            if !take(rate, 1, tenant) {
                exhausted = rate
            } else if isMatchLimited, wantsRetained(entry, settings),
                let used = exceedsMatchRate(tenant)
            {
                exhausted = used
            } else {
                continue
            }
            task.entries[position].code = .quotaExceeded
        }
        if let exhausted { reportExhausted(exhausted, session) }
    }

    private func wantsRetained(
        _ entry: SubscribeTask.Entry, _ settings: TenantSettings
    ) -> Bool {
        settings.retainEnabled && !Self.isShared(entry.filter)
            && entry.options.retainHandling != .doNotSend
    }

    /// False if the UNSUBSCRIBE came too fast and ended a 3.x connection, which has no word for it.
    func limitUnsubscribing(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        let rate: ResourceType =
            session.pointee.machine.isStored
            ? .totalPersistentUnsubscribePerSecond : .totalTransientUnsubscribePerSecond
        if take(rate, task.entries.count, session.pointee.tenant) { return true }
        reportExhausted(rate, session)
        guard session.pointee.machine.version == .v5 else {
            end(session, index, .disconnect(.resourceThrottled(reason: rate.name)))
            return false
        }
        for position in task.entries.indices where !task.entries[position].code.isFailure {
            task.entries[position].code = .implementationSpecificError
        }
        return true
    }

    // MARK: Totals

    static func isShared(_ filter: [UInt8]) -> Bool {
        filter.first == 0x24
            && (filter.starts(with: "$share/".utf8) || filter.starts(with: "$oshare/".utf8))
    }

    /// Counts one more subscription of a session that ends with its connection.
    func takeSubscription(
        _ filter: [UInt8], _ session: UnsafeMutablePointer<Session>
    ) -> ResourceType? {
        let tenant = session.pointee.tenant
        guard take(.totalTransientSubscriptions, 1, tenant) else {
            return .totalTransientSubscriptions
        }
        guard Self.isShared(filter) else { return nil }
        guard take(.totalSharedSubscriptions, 1, tenant) else {
            giveBack(.totalTransientSubscriptions, 1, tenant)
            return .totalSharedSubscriptions
        }
        return nil
    }

    func giveBackSubscription(_ filter: [UInt8], _ session: UnsafeMutablePointer<Session>) {
        giveBack(.totalTransientSubscriptions, 1, session.pointee.tenant)
        if Self.isShared(filter) {
            giveBack(.totalSharedSubscriptions, 1, session.pointee.tenant)
        }
    }

    /// Reserves a stored session's subscription until its range counts it. False if there is room
    /// for none: then it can only replace one.
    func reserveSubscription(
        _ task: SubscribeTask, _ position: Int, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let tenant = session.pointee.tenant
        let settings = tenants[tenant]
        let isShared = Self.isShared(task.entries[position].filter)
        if settings.pointee.settings.totalPersistentSubscriptions != 0 {
            guard take(.totalPersistentSubscriptions, 1, tenant) else {
                task.exhausted = .totalPersistentSubscriptions
                return false
            }
            task.entries[position].isReserved = true
        }
        if isShared, settings.pointee.settings.totalSharedSubscriptions != 0 {
            guard take(.totalSharedSubscriptions, 1, tenant) else {
                task.exhausted = .totalSharedSubscriptions
                giveBackReservations(task, [position], tenant)
                return false
            }
            task.entries[position].isSharedReserved = true
        }
        return true
    }

    /// The inbox has answered, or nobody asked it: what was reserved is counted there, or is not.
    func giveBackReservations(_ task: SubscribeTask, _ positions: [Int], _ tenant: TenantSlot) {
        for position in positions {
            if task.entries[position].isReserved {
                task.entries[position].isReserved = false
                giveBack(.totalPersistentSubscriptions, 1, tenant)
            }
            if task.entries[position].isSharedReserved {
                task.entries[position].isSharedReserved = false
                giveBack(.totalSharedSubscriptions, 1, tenant)
            }
        }
    }
}
