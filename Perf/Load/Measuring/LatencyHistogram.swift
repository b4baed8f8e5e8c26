import Histogram

/// Latencies in nanoseconds, in HdrHistogram's buckets: three significant digits from 100 ns to an
/// hour, so a recorded value is off by a thousandth at most. Nothing is allocated by `record`.
package struct LatencyHistogram: Sendable {
    private var histogram: Histogram<UInt64>
    private static let nanosecondsMax: UInt64 = 3_600_000_000_000

    package init(_ digits: SignificantDigits = .three) {
        histogram = Histogram<UInt64>(
            lowestDiscernibleValue: 100, highestTrackableValue: Self.nanosecondsMax,
            numberOfSignificantValueDigits: digits)
    }

    package mutating func record(_ nanoseconds: UInt64) {
        _ = histogram.record(min(nanoseconds, Self.nanosecondsMax))
    }

    package mutating func add(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        histogram.add(other.histogram)
    }

    package mutating func reset() { histogram.reset() }

    package var count: Int { Int(histogram.totalCount) }
    /// Microseconds.
    package var mean: Double { count > 0 ? histogram.mean / 1_000 : 0 }
    package var max: Double { count > 0 ? Double(histogram.max) / 1_000 : 0 }

    /// Microseconds at a percentile of 0 to 100.
    package func value(at percentile: Double) -> Double {
        count > 0 ? Double(histogram.valueAtPercentile(percentile)) / 1_000 : 0
    }
}
