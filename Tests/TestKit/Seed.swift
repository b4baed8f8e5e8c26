import Base
import Foundation

/// The seed of a random test, which says how to run the same again.
///
/// Give a test a series of them as its argument: a failure then prints the description, and with it
/// the command. `APUS_SEED` in the environment puts one seed in the place of every series, and
/// `APUS_SEED_COUNT` makes series longer (or shorter) than the tests ask for.
///
///     @Test("…", arguments: Seed.series(20))
///     func survives(seed: Seed) { var random = seed.random() … }
package struct Seed: Hashable, Sendable, CustomStringConvertible {
    package let value: UInt64
    private let test: String

    package init(_ value: UInt64, test: String = #fileID) {
        self.value = value
        self.test = test
    }

    /// `count` seeds, the same in every run, different in every file.
    package static func series(_ count: Int, test: String = #fileID) -> [Seed] {
        if let only = number("APUS_SEED") { return [Seed(only, test: test)] }
        let length = number("APUS_SEED_COUNT").map { Int(clamping: $0) } ?? count
        var random = SeededRandom(seed: BucketHash.hash(Array(test.utf8)))
        return (0..<max(length, 1)).map { _ in Seed(random.next() >> 16, test: test) }
    }

    /// A source of randomness that begins at this seed.
    package func random() -> SeededRandom { SeededRandom(seed: value) }

    package var description: String {
        let module = test.split(separator: "/").first ?? ""
        return "seed \(value) (APUS_SEED=\(value) swift test --filter \(module))"
    }

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }
}
