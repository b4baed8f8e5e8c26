import Base

/// The usage of every tenant on this node, shared by all loops.
///
/// A loop asks once per tenant and keeps the account; what is counted in it takes no lock.
package final class TenantAccountTable: Sendable {
    private let accounts: Guarded<[TenantName: TenantAccount]>

    package init() { accounts = Guarded([:]) }

    /// The account of a tenant, made with the first call.
    package func account(of tenant: TenantName) -> TenantAccount {
        accounts.withLock { accounts in
            if let known = accounts[tenant] { return known }
            let account = TenantAccount()
            accounts[tenant] = account
            return account
        }
    }
}
