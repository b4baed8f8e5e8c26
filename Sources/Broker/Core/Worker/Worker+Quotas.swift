import Base
import KV
import MQTT
import Policy

/// What a tenant may use in all: totals that are taken and given back, and rates.
///
/// Connections, memory and subscriptions of transient sessions are counted here, as they come and
/// go. What is stored is counted by the machines of its ranges (`UsageLedger`) and published here
/// once per turn; a command that would add to it reserves its part until the answer comes, so that
/// commands under way cannot pass the limit together.
extension Worker {
    // MARK: Connections

    /// A connection within the tenant's quotas. Returns what is used up, nil if there was room.
    func takeConnectionQuota(_ session: UnsafeMutablePointer<Session>) -> ResourceType? {
        let tenant = session.pointee.tenant
        guard take(.totalConnectPerSecond, 1, tenant) else { return .totalConnectPerSecond }
        guard take(.totalConnections, 1, tenant) else { return .totalConnections }
        guard take(.totalSessionMemoryBytes, sessionBytes(session), tenant) else {
            tenants[tenant].pointee.account.giveBack(.totalConnections, 1)
            return .totalSessionMemoryBytes
        }
        session.pointee.flags.insert(.tenantCounted)
        return nil
    }

    func giveBackQuotas(_ session: UnsafeMutablePointer<Session>) {
        giveBackReservedSession(session)
        guard session.pointee.flags.contains(.tenantCounted) else { return }
        session.pointee.flags.remove(.tenantCounted)
        tenants[session.pointee.tenant].pointee.account.giveBack(.totalConnections, 1)
        countMemory(
            -sessionBytes(session) - session.pointee.machine.queue.byteCount,
            session.pointee.tenant)
    }

    /// Memory of a session beside its queue; the same from CONNECT to its end.
    private func sessionBytes(_ session: UnsafeMutablePointer<Session>) -> Int {
        MemoryLayout<Session>.stride + session.pointee.names.clientID.count
            + session.pointee.names.principal.count
    }

    /// Collected, and published at the end of the turn.
    func countMemory(_ amount: Int, _ tenant: TenantSlot) {
        let index = Int(tenant.index)
        while memoryChanges.count <= index { memoryChanges.append(0) }
        if memoryChanges[index] == 0 { changedMemory.append(tenant) }
        memoryChanges[index] += amount
    }

    // MARK: Taking

    /// Takes some of a tenant's resource, if its settings leave any.
    func take(_ resource: ResourceType, _ amount: Int, _ tenant: TenantSlot) -> Bool {
        gate.take(resource, amount, tenants[tenant], now: now)
    }

    func giveBack(_ resource: ResourceType, _ amount: Int, _ tenant: TenantSlot) {
        if amount > 0 { tenants[tenant].pointee.account.giveBack(resource, amount) }
    }

    /// Whether a total is used up, without taking of it.
    func isUsedUp(_ resource: ResourceType, _ tenant: TenantSlot) -> Bool {
        let record = tenants[tenant]
        let limit = resource.limit(record.pointee.settings)
        return limit > 0 && record.pointee.account.used(resource) >= limit
    }

    /// Tells of a refusal for want of a resource; the packet's answer is the caller's.
    func reportExhausted(
        _ resource: ResourceType, _ session: UnsafeMutablePointer<Session>
    ) {
        report(.outOfTenantResource, session) {
            .session(.outOfTenantResource(resource: resource))
        }
    }

    // MARK: Stored sessions

    /// Whether one more stored session may come into being; a reservation for it is made. If not,
    /// only a session that is there already can be taken up.
    func reserveStoredSession(_ session: UnsafeMutablePointer<Session>) -> Bool {
        let tenant = session.pointee.tenant
        let settings = tenants[tenant]
        guard let rare = session.pointee.rare, rare.expirySeconds > 0 else { return true }
        if isUsedUp(.totalPersistentSessionSpaceBytes, tenant) {
            rare.exhausted = .totalPersistentSessionSpaceBytes
            return false
        }
        if settings.pointee.settings.totalPersistentSessions == 0 { return true }
        guard take(.totalPersistentSessions, 1, tenant) else {
            rare.exhausted = .totalPersistentSessions
            return false
        }
        rare.hasReservedSession = true
        return true
    }

    /// The answer has come: the session is counted by its range, or is not there.
    func giveBackReservedSession(_ session: UnsafeMutablePointer<Session>) {
        guard let rare = session.pointee.rare, rare.hasReservedSession else { return }
        rare.hasReservedSession = false
        giveBack(.totalPersistentSessions, 1, session.pointee.tenant)
    }

    // MARK: End of turn

    /// Makes what this turn has changed known to the other loops.
    func publishUsage() {
        for tenant in changedMemory {
            let amount = memoryChanges[Int(tenant.index)]
            memoryChanges[Int(tenant.index)] = 0
            tenants[tenant].pointee.account.adjust(.totalSessionMemoryBytes, by: amount)
        }
        changedMemory.removeAll(keepingCapacity: true)
        guard !usage.isUnchanged else { return }
        usage.drain { name, changes in
            guard let name = name.withRawSpan({ TenantName(bytes: $0) }) else { return }
            let account = accounts.account(of: name)
            account.adjust(.totalPersistentSessions, by: changes.storedSessions)
            account.adjust(.totalPersistentSessionSpaceBytes, by: changes.storedBytes)
            account.adjust(.totalPersistentSubscriptions, by: changes.subscriptions)
            account.adjust(.totalSharedSubscriptions, by: changes.sharedSubscriptions)
            account.adjust(.totalRetainTopics, by: changes.retainedTopics)
            account.adjust(.totalRetainMessageSpaceBytes, by: changes.retainedBytes)
        }
    }
}
