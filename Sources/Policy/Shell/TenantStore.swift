import Base

/// The process's tenant table, shared by all loops.
///
/// Loops compare one atomic number per turn and take the lock only after a change or for a tenant
/// that is new to them; never for a message. Writers are the configuration and the API.
package final class TenantStore: Sendable {
    private let table: Guarded<TenantTable>
    private let published = AtomicCells(count: 1)

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
        table.withLock { table in
            table = change(table)
            published.publish(0, table.epoch)
        }
    }

    /// Changes the table and publishes its epoch.
    package func update<R: Sendable>(
        _ change: (inout TenantTable) throws(SettingError) -> R
    ) throws(SettingError) -> R {
        let outcome = table.withLock { table in
            let outcome = Result { () throws(SettingError) -> R in try change(&table) }
            published.publish(0, table.epoch)
            return outcome
        }
        return try outcome.get()
    }
}
