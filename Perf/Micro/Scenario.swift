/// One thing to measure. A scenario is a row of `ScenarioTable`.
///
/// It says only what is done; what it may cost stands in `Perf/Baselines`.
package struct Scenario: Sendable {
    package var name: String
    package var what: String
    /// Operations of a counted run: enough that what a run does once disappears among them, and
    /// no more than callgrind counts in about a second.
    package var count: Int
    /// Its preparation takes too long under callgrind: instructions are not held.
    package var isHeavy = false
    /// Prepares the input and returns what does the operation so many times. It gives something
    /// that depends on all of them, so that nothing can be left out. Counts begin after it.
    package var make: @Sendable () -> (Int) -> UInt64

    package init(
        name: String, what: String, count: Int = 10_000, isHeavy: Bool = false,
        make: @escaping @Sendable () -> (Int) -> UInt64
    ) {
        self.name = name
        self.what = what
        self.count = count
        self.isHeavy = isHeavy
        self.make = make
    }

    /// A scenario whose runs prepare their own input.
    init(name: String, what: String, count: Int = 10_000, run: @escaping @Sendable (Int) -> UInt64)
    {
        self.init(name: name, what: what, count: count) { run }
    }
}
