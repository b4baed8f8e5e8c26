import CMallocCount
import Testing
import apus_bench

@Suite("What a benchmark counts")
struct MeasurementTests {
    private final class Box {
        var number = 0
        init(_ number: Int) { self.number = number }
    }

    @Test(
        "an operation that allocates is counted with its bytes",
        .enabled(if: CMallocCount_countsAllocations()))
    func countsAllocations() {
        let cost = Measurement.counts(
            { count in
                var sum: UInt64 = 0
                for index in 0..<count {
                    let memory = UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 8)
                    memory.storeBytes(of: UInt8(truncatingIfNeeded: index), as: UInt8.self)
                    sum &+= UInt64(memory.load(as: UInt8.self))
                    memory.deallocate()
                }
                return sum
            }, 100)
        #expect(cost.mallocs == 1)
        #expect(cost.bytes == 100)
    }

    @Test(
        "what a run allocates once is no operation's",
        .enabled(if: CMallocCount_countsAllocations()))
    func leavesPreparationOut() {
        let cost = Measurement.counts(
            { count in
                let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: 64)
                defer { memory.deallocate() }
                memory.initialize(repeating: 1, count: 64)
                var sum: UInt64 = 0
                for index in 0..<count { sum &+= memory[index & 63] }
                return sum
            }, 100)
        #expect(cost.mallocs == 0)
        #expect(cost.bytes == 0)
    }

    @Test("references taken and given back are counted")
    func countsReferences() {
        let box = Unmanaged.passRetained(Box(3))
        defer { box.release() }
        let cost = Measurement.counts(
            { count in
                // Apart, or the optimiser takes both away.
                for _ in 0..<count { _ = box.retain() }
                for _ in 0..<count { box.release() }
                return UInt64(count)
            }, 100)
        // At least: without optimisation there may be more.
        #expect(cost.retains >= 1)
        #expect(cost.releases >= 1)
        #expect(cost.retains == cost.releases)
    }

    @Test("an operation on plain memory costs neither")
    func countsNothing() {
        let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        word.initialize(to: 1)
        defer { word.deallocate() }
        let cost = Measurement.counts(
            { count in
                var left = count
                while left > 0 {
                    word.pointee = word.pointee &* 3 &+ 1
                    left &-= 1
                }
                return word.pointee
            }, 100)
        #expect(cost.mallocs == 0)
        #expect(cost.retains == 0)
        #expect(cost.releases == 0)
    }

    @Test("nothing is counted once a measurement has ended")
    func endsCounting() {
        _ = Measurement.counts({ UInt64($0) }, 10)
        #expect(CMallocCount_countReferences(false) == false)
    }

    @Test("the mark and the total of a dump of callgrind are found")
    func readsDump() throws {
        let dump = """
            # callgrind format
            version: 1
            desc: Trigger: Client Request: ring double
            events: Ir
            summary: 61

            totals: 123456
            """
        let found = try #require(Callgrind.parse(dump))
        #expect(found.mark == "ring double")
        #expect(found.total == 123_456)
        #expect(Callgrind.parse("desc: Trigger: Program termination\ntotals: 5") == nil)
    }
}
