import Testing
import fuzz

@Suite("Fuzz targets, a slice")
struct FuzzSliceTests {
    @Test(
        "a short slice of the fuzz targets finds nothing", arguments: ["websocket", "proxy"])
    func slice(name: String) throws {
        let target = try #require(FuzzTable.all.first { $0.name == name })
        #expect(target.feed(seed: 1, first: 0, count: 400)?.failure == nil)
    }
}
