import Base

/// The process's tenant table, shared by all loops.
///
/// Loops compare one atomic number per turn and take the lock only after a change or for a tenant
/// that is new to them; never for a message. Writers are the configuration and the API.
package final class TenantStore: Sendable {
    private let table: Guarded<TenantTable>
    /// The epoch, and the number of changes that were noted.
    private let published = AtomicCells(count: 2)
    private let changes = Guarded<[TenantChange]>([])

    package init(_ table: TenantTable = TenantTable()) {
        published.publish(0, table.epoch)
        self.table = Guarded(table)
    }

    /// Rises with every change.
    package var epoch: UInt64 { published.acquire(0) }

    package func settings(for tenant: TenantName) -> TenantSettings {
        table.withLock { $0.settings(for: tenant) }
    }

    package func admits(_ tenant: TenantName) -> Bool { table.withLock { $0.admits(tenant) } }

    /// A copy of the whole table.
    package var snapshot: TenantTable { table.withLock { $0 } }

    /// Puts a new table in the place of the old one, made from it.
    package func replace(_ change: (TenantTable) -> TenantTable) {
        let (before, after) = table.withLock { table in
            let before = table
            table = change(table)
            published.publish(0, table.epoch)
            return (before, table)
        }
        note(before, after)
    }

    /// Changes the table and publishes its epoch.
    package func update<R: Sendable>(
        _ change: (inout TenantTable) throws(SettingError) -> R
    ) throws(SettingError) -> R {
        let (before, after, outcome) = table.withLock { table in
            let before = table
            let outcome = Result { () throws(SettingError) -> R in try change(&table) }
            published.publish(0, table.epoch)
            return (before, table, outcome)
        }
        note(before, after)
        return try outcome.get()
    }

    /// Compares outside the lock: a table may have very many tenants.
    private func note(_ before: TenantTable, _ after: TenantTable) {
        guard before.epoch != after.epoch else { return }
        let found = Set(before.names).union(after.names).sorted().lazy.compactMap { name in
            TenantChange(name, before.settings(for: name), after.settings(for: name))
        }
        let most = Array(found.prefix(TenantChange.keptMax))
        guard !most.isEmpty else { return }
        changes.withLock { changes in
            changes.append(contentsOf: most.prefix(TenantChange.keptMax - changes.count))
        }
        published.add(1, 1)
    }

    /// What was changed since the last call, for whoever tells of it: at most `keptMax` tenants.
    package func takeChanges(since seen: inout UInt64) -> [TenantChange] {
        let count = published.acquire(1)
        guard count != seen else { return [] }
        seen = count
        return changes.withLock { changes in
            defer { changes = [] }
            return changes
        }
    }
}

/// Which settings of a tenant were changed.
package struct TenantChange: Equatable, Sendable {
    /// Changes kept until somebody asks for them; of more, nothing is told.
    static let keptMax = 1_000

    package let tenant: TenantName
    /// Names of the settings.
    package let settings: [String]

    init?(_ tenant: TenantName, _ before: TenantSettings, _ after: TenantSettings) {
        guard before != after else { return nil }
        self.tenant = tenant
        settings = SettingTable.rows.filter { $0.read(before) != $0.read(after) }.map(\.name)
    }
}
