/// Which tenants there are and what holds for each: a value, changed on the control plane only.
///
/// Four layers, the later winning: built-in defaults, defaults of the configuration, the
/// configuration's tenant, what the API stored in `system`. Every change raises the epoch, by
/// which loops notice that what they copied is old (see `TenantStore`, `TenantCache`).
package struct TenantTable: Sendable {
    /// The most tenants with settings of their own: bounds the table.
    package static let maximumTenants = 100_000

    /// Rises with every change; 1 at the start.
    package private(set) var epoch: UInt64 = 1
    /// May a tenant connect that neither configuration nor API names?
    package var acceptsUnknown = true
    private var defaults = TenantOverrides()
    private var configured: [TenantName: TenantOverrides] = [:]
    private var stored: [TenantName: TenantOverrides] = [:]

    package init() {}

    package func settings(for tenant: TenantName) -> TenantSettings {
        let base = defaults.applied(to: .standard)
        let named = configured[tenant]?.applied(to: base) ?? base
        let settings = stored[tenant]?.applied(to: named) ?? named
        // Layers that are sound alone may contradict each other: then the lower one holds.
        return settings.contradictions.isEmpty ? settings : named
    }

    package func isKnown(_ tenant: TenantName) -> Bool {
        tenant == .standard || configured[tenant] != nil || stored[tenant] != nil
    }

    /// May a client of this tenant connect?
    package func admits(_ tenant: TenantName) -> Bool { acceptsUnknown || isKnown(tenant) }

    /// What the API set for a tenant.
    package func storedOverrides(of tenant: TenantName) -> TenantOverrides? { stored[tenant] }

    /// Every tenant that has settings of its own, by name.
    package var names: [TenantName] {
        Set(configured.keys).union(stored.keys).union([.standard]).sorted()
    }

    /// Takes over what a configuration says, in place of what the last one said.
    package mutating func configure(
        defaults: TenantOverrides, tenants: [TenantName: TenantOverrides], acceptsUnknown: Bool
    ) {
        self.defaults = defaults
        configured = tenants
        self.acceptsUnknown = acceptsUnknown
        epoch += 1
    }

    /// Sets or, with nil, forgets what the API says of a tenant.
    package mutating func store(
        _ overrides: TenantOverrides?, for tenant: TenantName
    ) throws(SettingError) {
        guard let overrides else {
            stored[tenant] = nil
            epoch += 1
            return
        }
        guard stored[tenant] != nil || stored.count < Self.maximumTenants else {
            throw .contradiction("there are \(stored.count) tenants already, which is the limit")
        }
        let base = configured[tenant].map { $0.applied(to: defaults.applied(to: .standard)) }
        let checked = overrides.check(over: base ?? defaults.applied(to: .standard))
        if let first = checked.errors.first { throw .contradiction(first) }
        stored[tenant] = overrides
        epoch += 1
    }
}
