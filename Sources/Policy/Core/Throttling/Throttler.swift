import Base

/// A second opinion on whether a tenant still has a resource, beside the limits of its settings.
///
/// Called on loops, for packets too: it must answer from memory, in well under a microsecond.
public protocol Throttler: Sendable {
    func hasResource(_ resource: ResourceType, amount: Int, tenant: TenantName) -> Bool
}

/// Lets everything pass: what holds unless an embedding program brings its own.
public struct OpenThrottler: Throttler {
    public init() {}

    public func hasResource(_ resource: ResourceType, amount: Int, tenant: TenantName) -> Bool {
        true
    }
}

/// Where a loop asks before a tenant uses something: the limits of the settings first, then the
/// throttler. What is refused takes nothing.
package struct ResourceGate: Sendable {
    /// Nil for `OpenThrottler`: no call through a protocol per packet for nothing.
    private let throttler: (any Throttler)?

    package init(_ throttler: any Throttler) {
        self.throttler = throttler is OpenThrottler ? nil : throttler
    }

    /// There is a throttler to be asked.
    package var isGuarded: Bool { throttler != nil }

    /// The throttler's opinion alone, of what has been used already.
    package func refuses(
        _ resource: ResourceType, _ amount: Int, _ tenant: UnsafeMutablePointer<TenantRecord>
    ) -> Bool {
        guard let throttler else { return false }
        return !throttler.hasResource(resource, amount: amount, tenant: tenant.pointee.name)
    }

    /// Takes `amount` if the tenant may have it. Totals are given back with `giveBack`.
    package func take(
        _ resource: ResourceType, _ amount: Int, _ tenant: UnsafeMutablePointer<TenantRecord>,
        now: Instant
    ) -> Bool {
        let account = tenant.pointee.account
        let limit = resource.limit(tenant.pointee.settings)
        guard account.take(resource, amount, limit: limit, now: now) else { return false }
        guard let throttler else { return true }
        if throttler.hasResource(resource, amount: amount, tenant: tenant.pointee.name) {
            return true
        }
        account.giveBack(resource, amount)
        return false
    }

    /// Gives back of a total; nothing happens for rates.
    package func giveBack(
        _ resource: ResourceType, _ amount: Int, _ tenant: UnsafeMutablePointer<TenantRecord>
    ) {
        tenant.pointee.account.giveBack(resource, amount)
    }
}
