import Foundation

/// One axis of a plot: which values it spans and where its ticks are.
struct PlotAxis: Sendable {
    enum Scale: Sendable {
        case linear
        case log
    }

    struct Tick: Sendable {
        var value: Double
        var label: String
    }

    var title: String
    var scale = Scale.linear
    var low: Double
    var high: Double
    var ticks: [Tick] = []

    /// 0 at the low end, 1 at the high end; beyond them at the nearer end.
    func place(_ value: Double) -> Double {
        let part =
            switch scale {
            case .linear: (value - low) / (high - low)
            case .log: Foundation.log(Swift.max(value, low) / low) / Foundation.log(high / low)
            }
        return min(max(part, 0), 1)
    }
}

extension PlotAxis {
    /// From zero (or below it, if values are) to a round number above the largest.
    static func linear(
        _ title: String, values: [Double], ticksMax: Int = 6, label: (Double) -> String
    ) -> PlotAxis {
        let finite = values.filter(\.isFinite)
        let low = min(finite.min() ?? 0, 0)
        let high = max(finite.max() ?? 1, 0)
        let span = high > low ? high - low : 1
        let step = roundStep(span / Double(ticksMax))
        let first = (low / step).rounded(.down)
        let last = max((high / step - 1e-9).rounded(.up), first + 1)
        return PlotAxis(
            title: title, low: first * step, high: last * step,
            ticks: stride(from: first, through: last, by: 1).map {
                Tick(value: $0 * step, label: label($0 * step))
            })
    }

    /// Whole decades, or between them 1, 2 and 5 if there are few. Zero and below lie at the low
    /// end.
    static func log(
        _ title: String, values: [Double], label: (Double) -> String
    ) -> PlotAxis {
        let positive = values.filter { $0.isFinite && $0 > 0 }
        var low = roundDown(positive.min() ?? 1)
        var high = roundUp(positive.max() ?? 10)
        if high < low * 9.99 { high = roundUp(low * 9.99) }
        let isWide = log10(high / low) > 3.5
        if isWide {
            low = pow(10, (log10(low) + 1e-9).rounded(.down))
            high = pow(10, (log10(high) - 1e-9).rounded(.up))
        }
        let decades = log10(high / low)
        let kept: [Double] = isWide ? [1] : [1, 2, 5]
        // Of many decades every second, third… is labelled.
        let stride = Swift.max(1, Int((decades / 8).rounded(.up)))
        var ticks: [Tick] = []
        for exponent in Int(log10(low).rounded(.down))...Int(log10(high).rounded(.up))
        where exponent % stride == 0 {
            for factor in kept {
                let value = factor * pow(10, Double(exponent))
                guard value >= low * 0.999, value <= high * 1.001 else { continue }
                ticks.append(Tick(value: value, label: label(value)))
            }
        }
        return PlotAxis(title: title, scale: .log, low: low, high: high, ticks: ticks)
    }

    /// Seconds, with ticks where a clock has them.
    static func time(_ title: String, values: [Double]) -> PlotAxis {
        let finite = values.filter(\.isFinite)
        let low = min(finite.min() ?? 0, 0)
        // A second that ended a little early, or late, ended on time.
        let high = max(((finite.max() ?? 1) - 0.1).rounded(.up), low + 1)
        let steps: [Double] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200,
        ]
        let span = high - low
        let step = steps.first { span / $0 <= 12 } ?? roundStep(span / 12)
        let first = (low / step).rounded(.up)
        let last = (high / step + 1e-9).rounded(.down)
        return PlotAxis(
            title: title, low: low, high: high,
            ticks: stride(from: first, through: last, by: 1).map {
                Tick(value: $0 * step, label: FigureText.time($0 * step))
            })
    }

    /// Percentiles by their number of nines: 90, 99 and 99.9 are as far from each other as 0 and
    /// 90. Values are from `nines`.
    static func percentiles(_ title: String, ninesMax: Double) -> PlotAxis {
        let high = min(max(ninesMax, 2), 9)
        // Long labels need room: of many nines every second is named.
        let step = high > 7 ? 2 : 1
        let percentiles =
            (step == 1 ? [0, 50] : [0])
            + stride(from: 1, through: Int(high), by: step).map { 100 - 100 / pow(10, Double($0)) }
        return PlotAxis(
            title: title, low: 0, high: high,
            ticks: percentiles.map {
                Tick(value: nines($0), label: $0 == 0 ? "0%" : FigureText.percentile($0))
            })
    }

    /// log10(1 / (1 - p)); infinite at 100.
    static func nines(_ percentile: Double) -> Double { -log10(1 - percentile / 100) }

    /// 1, 2, 2.5 or 5 times a power of ten, at least this.
    private static func roundStep(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return 1 }
        let decade = pow(10, log10(value).rounded(.down))
        let factor = [1, 2, 2.5, 5, 10].first { $0 * decade >= value * 0.999_999 } ?? 10
        return factor * decade
    }

    private static func roundDown(_ value: Double) -> Double {
        let decade = pow(10, log10(value).rounded(.down))
        let factor = [5, 2, 1].first { $0 * decade <= value * 1.000_001 } ?? 1
        return factor * decade
    }

    private static func roundUp(_ value: Double) -> Double {
        let decade = pow(10, log10(value).rounded(.down))
        let factor = [1, 2, 5, 10].first { $0 * decade >= value * 0.999_999 } ?? 10
        return factor * decade
    }
}
