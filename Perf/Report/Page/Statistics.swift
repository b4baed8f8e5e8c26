import Foundation

/// The little arithmetic that reports and comparisons need.
package enum Statistics {
    /// The middle value, or the mean of the two in the middle; nil of nothing.
    package static func median(_ values: [Double]) -> Double? {
        let sorted = values.filter(\.isFinite).sorted()
        guard !sorted.isEmpty else { return nil }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// A straight line through points by least squares.
    package struct Line: Sendable, Equatable {
        package var slope: Double
        package var intercept: Double

        package func value(at x: Double) -> Double { intercept + slope * x }
    }

    /// Nil unless there are two different abscissae.
    package static func line(through points: [(x: Double, y: Double)]) -> Line? {
        let points = points.filter { $0.x.isFinite && $0.y.isFinite }
        let count = Double(points.count)
        guard count > 1 else { return nil }
        let meanX = points.reduce(0) { $0 + $1.x } / count
        let meanY = points.reduce(0) { $0 + $1.y } / count
        let spread = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
        guard spread > 0 else { return nil }
        let slope = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) } / spread
        return Line(slope: slope, intercept: meanY - slope * meanX)
    }

    /// How likely a split at least this uneven is if both outcomes are equally likely: the
    /// two-sided sign test. Pairs that are equal are left out by the caller.
    package static func signTest(above: Int, below: Int) -> Double {
        let count = above + below
        guard count > 0 else { return 1 }
        var tail = 0.0
        for index in 0...min(above, below) {
            tail += exp(
                lgamma(Double(count + 1)) - lgamma(Double(index + 1))
                    - lgamma(Double(count - index + 1)) - Double(count) * log(2))
        }
        return min(1, 2 * tail)
    }
}
