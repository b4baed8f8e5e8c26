import TestKit
import Testing
import fuzz

/// A slice of each fuzz target in every test run; `swift run -c release fuzz` does the rest.
@Suite("Fuzz slice")
struct FuzzSliceTests {
    @Test(
        "a slice of mutated input breaks nothing", arguments: ["mqtt-decoder", "topic-filter"],
        Seed.series(3))
    func slice(target: String, seed: Seed) throws {
        let target = try #require(FuzzTable.all.first { $0.name == target })
        let found = target.feed(seed: seed.value, first: 0, count: 1_500)
        #expect(found == nil, "\(found?.failure ?? "")")
    }
}
