import Base
import PerfReport

/// Finds the highest rate at which latency stays below a bound and nothing is lost.
///
/// ```
///  start, x2, x2 ... until a rate fails (or all pass) | halve the span between the last that held
///  and the first that failed, until they are within the precision
/// ```
/// Each rate is a run of its own and is told to the observer, so that a report shows latency
/// against offered load. A pure decision: `next` says which rate to try, `note` what came of it.
package struct RateSearch: Sendable {
    package let latencyMax: Duration
    /// Of the percentile that is bounded, 0 to 100.
    package let percentile: Double
    /// The search ends when the span is this part of the rate.
    package let precision: Double
    package private(set) var highestHeld: Double?
    package private(set) var lowestFailed: Double?
    private let start: Double
    private let rateMax: Double
    package private(set) var runs = 0
    static let runsMax = 40

    package init(
        start: Double, rateMax: Double, latencyMax: Duration, percentile: Double = 99,
        precision: Double = 0.05
    ) {
        self.start = start
        self.rateMax = rateMax
        self.latencyMax = latencyMax
        self.percentile = percentile
        self.precision = precision
    }

    /// The next rate to try; nil when the search is over.
    package var next: Double? {
        guard runs < Self.runsMax else { return nil }
        switch (highestHeld, lowestFailed) {
        case (nil, nil): return min(start, rateMax)
        case (let held?, nil): return held >= rateMax ? nil : min(held * 2, rateMax)
        case (nil, let failed?): return failed < 2 ? nil : failed / 2
        case (let held?, let failed?):
            return failed - held <= held * precision ? nil : (held + failed) / 2
        }
    }

    /// What came of a rate.
    package mutating func note(_ rate: Double, holds: Bool) {
        runs += 1
        if holds {
            highestHeld = max(highestHeld ?? 0, rate)
        } else {
            lowestFailed = min(lowestFailed ?? .infinity, rate)
        }
    }

    /// A rate holds if latency is within the bound, nothing was lost, and the rate was reached.
    package func holds(_ end: RunEnd, rate: Double, copies: Int) -> Bool {
        guard let latency = end.latency?.value(at: percentile), end.lost == 0 else {
            return false
        }
        return latency <= Double(latencyMax.nanoseconds) / 1000
            && end.receivedPerSecond >= rate * Double(copies) * 0.98
    }

    /// Runs a shape at one rate after the other. The last run that held, if any did.
    package mutating func run(
        _ shape: TrafficShape, _ options: LoadOptions, _ observer: any RunObserver
    ) throws -> RunEnd? {
        var best: RunEnd?
        while let rate = next {
            var options = options
            options.perSecond = rate
            let copies = shape.groups(options).compactMap { $0.publishing?.copies }.max() ?? 1
            observer.began("offering \(Int(rate)) messages a second")
            let end = try Throughput(shape, options).run(observer)
            let isHeld = holds(end, rate: rate, copies: copies)
            note(rate, holds: isHeld)
            observer.began(isHeld ? "\(Int(rate)) holds" : "\(Int(rate)) does not hold")
            if isHeld { best = end }
        }
        return best
    }
}
