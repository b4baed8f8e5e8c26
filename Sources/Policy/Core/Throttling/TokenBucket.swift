import Base

/// How many tokens per second, and how many at once after a pause.
@usableFromInline
package struct TokenRate: Equatable, Sendable {
    /// 0 is no limit.
    @usableFromInline package var perSecond: Int
    /// At least 1 where `perSecond` is not 0.
    @usableFromInline package var burst: Int

    /// `burst` is one second's worth unless said otherwise.
    @inlinable
    package init(perSecond: Int, burst: Int? = nil) {
        self.perSecond = max(0, perSecond)
        self.burst = max(1, burst ?? perSecond)
    }

    package static let unlimited = TokenRate(perSecond: 0)

    @inlinable
    package var isUnlimited: Bool { perSecond == 0 }

    /// The time in which `count` tokens accrue, in nanoseconds; saturates.
    @inlinable
    package func nanoseconds(for count: Int) -> UInt64 {
        let product = UInt64(max(0, count)).multipliedFullWidth(by: 1_000_000_000)
        let divisor = UInt64(max(1, perSecond))
        if product.high >= divisor { return .max }
        return divisor.dividingFullWidth(product).quotient
    }
}

/// A token bucket in eight bytes: the instant at which it will be full again.
///
/// ```
///   fullAt - now = time that the missing tokens need;   missing <= burst   or the request fails
/// ```
/// The rate comes with each call, so a changed setting holds at once and millions of buckets can
/// share one. Rejected: a level and its time stamp (16 bytes, and a changed rate needs a rebase).
@usableFromInline
package struct TokenBucket: Sendable {
    /// Before `now` if the bucket is full.
    @usableFromInline var fullAt: UInt64

    /// A full bucket.
    @inlinable
    package init() { fullAt = 0 }

    /// Nothing was ever taken.
    package var isUntouched: Bool { fullAt == 0 }

    /// Takes tokens if they are there. A request above the burst passes only from a full bucket,
    /// and is paid for afterwards: a large packet must not be impossible.
    @inlinable
    package mutating func take(_ count: Int, _ rate: TokenRate, now: Instant) -> Bool {
        if rate.isUnlimited { return true }
        let start = max(fullAt, now.nanoseconds)
        let missing = start &- now.nanoseconds
        let cost = rate.nanoseconds(for: count)
        let allowance = rate.nanoseconds(for: rate.burst)
        guard missing == 0 || missing.saturatingSum(cost) <= allowance else { return false }
        fullAt = start.saturatingSum(cost)
        return true
    }

    /// Takes tokens whether they are there or not: for what has happened already, as bytes read.
    @inlinable
    package mutating func force(_ count: Int, _ rate: TokenRate, now: Instant) {
        if rate.isUnlimited { return }
        fullAt = max(fullAt, now.nanoseconds).saturatingSum(rate.nanoseconds(for: count))
    }

    /// How long until `count` tokens are there: zero if they are.
    @inlinable
    package func delay(for count: Int, _ rate: TokenRate, now: Instant) -> Duration {
        if rate.isUnlimited || fullAt <= now.nanoseconds { return .zero }
        let missing = fullAt &- now.nanoseconds
        let needed = missing.saturatingSum(rate.nanoseconds(for: min(count, rate.burst)))
        let allowance = rate.nanoseconds(for: rate.burst)
        return needed <= allowance ? .zero : .nanoseconds(Int64(clamping: needed &- allowance))
    }

    /// True if nothing would be lost by forgetting the bucket.
    @inlinable
    package func isFull(now: Instant) -> Bool { fullAt <= now.nanoseconds }
}

extension UInt64 {
    @inlinable
    func saturatingSum(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
