import Base

/// A token bucket that all loops take from, without a lock.
package final class SharedBucket: Sendable {
    /// The instant at which it will be full again; see `TokenBucket`.
    private let cells = AtomicCells(count: 1)

    package init() {}

    /// Takes tokens if they are there.
    package func take(_ count: Int, _ rate: TokenRate, now: Instant) -> Bool {
        if rate.isUnlimited { return true }
        return change { $0.take(count, rate, now: now) }
    }

    /// Takes tokens whether they are there or not, and says how long until there is one again.
    package func force(_ count: Int, _ rate: TokenRate, now: Instant) -> Duration {
        if rate.isUnlimited { return .zero }
        return change {
            $0.force(count, rate, now: now)
            return $0.delay(for: 1, rate, now: now)
        }
    }

    private func change<R>(_ body: (inout TokenBucket) -> R) -> R {
        var seen = cells.load(0)
        while true {
            var bucket = TokenBucket()
            bucket.fullAt = seen
            let result = body(&bucket)
            if bucket.fullAt == seen { return result }
            if cells.exchange(0, expected: &seen, desired: bucket.fullAt) { return result }
        }
    }
}
