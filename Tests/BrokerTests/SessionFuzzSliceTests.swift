import TestKit
import Testing
import fuzz

@Suite("Fuzz slice of whole sessions")
struct SessionFuzzSliceTests {
    @Test("what a client sends breaks no worker and leaves nothing", arguments: Seed.series(3))
    func slice(seed: Seed) throws {
        let target = try #require(FuzzTable.all.first { $0.name == "session" })
        let found = target.feed(seed: seed.value, first: 0, count: 60)
        #expect(found == nil, "\(found?.failure ?? "")")
    }
}
