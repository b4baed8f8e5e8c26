/// A point on this machine's boot clock, in nanoseconds.
///
/// The boot clock never steps and counts suspended time. Instants of different machines, or of
/// different boots, cannot be compared; what crosses a node is remaining time.
@usableFromInline
package struct Instant: Comparable, Hashable, Sendable, CustomStringConvertible {
    /// Nanoseconds since boot.
    @usableFromInline
    package var nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @usableFromInline
    package static let zero = Instant(nanoseconds: 0)
    /// Later than every instant that a clock can give: "never".
    @usableFromInline
    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable
    package static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Saturates at `distantFuture` and at zero.
    @inlinable
    package static func + (instant: Instant, span: Duration) -> Instant {
        let step = span.nanoseconds
        if step < 0 {
            let back = step.magnitude
            return Instant(
                nanoseconds: back > instant.nanoseconds ? 0 : instant.nanoseconds - back)
        }
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(UInt64(step))
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// The span from `right` to `left`, zero if `right` is later.
    @inlinable
    package static func - (left: Instant, right: Instant) -> Duration {
        left <= right
            ? .zero : .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds))
    }

    @usableFromInline
    package var description: String { "\(nanoseconds / 1_000_000) ms" }
}

extension Duration {
    /// The whole span in nanoseconds, clamped to 64 bits (292 years).
    @inlinable
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }
}

/// Wall-clock time in milliseconds since 1970, as a value that was read by someone who may.
///
/// Carried in commands (a range's time) and in message records. No Core reads a clock.
@usableFromInline
package struct WallTime: Comparable, Hashable, Sendable {
    @usableFromInline
    package var milliseconds: UInt64

    @inlinable
    package init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    @usableFromInline
    package static let zero = WallTime(milliseconds: 0)
    @usableFromInline
    package static let distantFuture = WallTime(milliseconds: .max)

    @inlinable
    package static func < (left: WallTime, right: WallTime) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// Saturates at `distantFuture`.
    @inlinable
    package func advanced(bySeconds seconds: UInt64) -> WallTime {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        let (sum, carried) = milliseconds.addingReportingOverflow(product)
        return WallTime(milliseconds: overflow || carried ? .max : sum)
    }
}
