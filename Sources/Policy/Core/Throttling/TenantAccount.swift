import Base

/// What one tenant uses of this node: gauges and token buckets, shared by all loops.
///
/// Atomic numbers, no lock: a loop adds and takes back, and the limits come with each call from
/// the settings that the loop holds. Not exact across nodes: totals count per node.
package final class TenantAccount: Sendable {
    /// Gauges and instants, one cell per resource type.
    private let cells = AtomicCells(count: ResourceType.allCases.count)

    package init() {}

    /// Takes `amount` of a resource if the limit admits it; 0 is no limit, which still counts
    /// totals, so that a limit set later knows them.
    package func take(
        _ resource: ResourceType, _ amount: Int, limit: Int, now: Instant
    ) -> Bool {
        resource.isRate
            ? takeRate(resource, amount, limit: limit, now: now)
            : takeTotal(resource, amount, limit: limit)
    }

    /// Gives back of a total. Rates refill by themselves.
    package func giveBack(_ resource: ResourceType, _ amount: Int) {
        if resource.isRate { return }
        let before = cells.subtract(Int(resource.rawValue), UInt64(amount))
        invariant(before >= UInt64(amount), "\(resource.name): gave back \(amount) of \(before)")
    }

    /// Changes a total that is counted elsewhere and only made known here.
    package func adjust(_ resource: ResourceType, by amount: Int) {
        if amount > 0 { cells.add(Int(resource.rawValue), UInt64(amount)) }
        if amount < 0 { giveBack(resource, -amount) }
    }

    /// Takes of a rate what has been used already, and says how long it then takes until there is
    /// some again.
    package func force(
        _ resource: ResourceType, _ amount: Int, limit: Int, now: Instant
    ) -> Duration {
        if limit == 0 { return .zero }
        let rate = TokenRate(perSecond: limit)
        var seen = cells.load(Int(resource.rawValue))
        while true {
            var bucket = TokenBucket()
            bucket.fullAt = seen
            bucket.force(amount, rate, now: now)
            if amount == 0
                || cells.exchange(
                    Int(resource.rawValue), expected: &seen, desired: bucket.fullAt)
            {
                return bucket.delay(for: 1, rate, now: now)
            }
        }
    }

    /// What is used of a total.
    package func used(_ resource: ResourceType) -> Int {
        resource.isRate ? 0 : Int(clamping: cells.load(Int(resource.rawValue)))
    }

    private func takeTotal(_ resource: ResourceType, _ amount: Int, limit: Int) -> Bool {
        let before = cells.add(Int(resource.rawValue), UInt64(amount))
        guard limit > 0, before + UInt64(amount) > UInt64(limit) else { return true }
        cells.subtract(Int(resource.rawValue), UInt64(amount))
        return false
    }

    private func takeRate(
        _ resource: ResourceType, _ amount: Int, limit: Int, now: Instant
    ) -> Bool {
        if limit == 0 { return true }
        let rate = TokenRate(perSecond: limit)
        var seen = cells.load(Int(resource.rawValue))
        while true {
            var bucket = TokenBucket()
            bucket.fullAt = seen
            guard bucket.take(amount, rate, now: now) else { return false }
            if cells.exchange(Int(resource.rawValue), expected: &seen, desired: bucket.fullAt) {
                return true
            }
        }
    }
}
