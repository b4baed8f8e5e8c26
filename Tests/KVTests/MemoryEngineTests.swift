import Base
import KV
import Testing

struct MemoryEngineTests {
    static func pairs(_ engine: any Engine, _ bounds: KeyBounds) -> [[UInt8]] {
        var found: [[UInt8]] = []
        engine.scan(bounds) { key, value in
            found.append(key.array)
            found.append(value.array)
            return true
        }
        return found
    }

    @Test(
        "the engine holds what a sorted dictionary holds", arguments: 1...6 as ClosedRange<UInt64>)
    func againstModel(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let engine = MemoryEngine()
        var model: [[UInt8]: [UInt8]] = [:]
        func randomKey() -> [UInt8] {
            let shared: [UInt8] = random.chance(percent: 50) ? Array(repeating: 7, count: 12) : []
            return shared + (0..<random.below(4)).map { _ in UInt8(random.below(12)) }
        }
        for step in 0..<6000 {
            let key = randomKey()
            let action = random.below(100)
            if action < 60 {
                let value = [UInt8](repeating: UInt8(step & 0xFF), count: random.below(40))
                var batch = WriteBatch()
                batch.put(key: key, value: value)
                engine.apply(batch)
                model[key] = value
            } else if action < 95 {
                engine.delete(key.span.bytes)
                model[key] = nil
            } else if action < 97 {
                let bounds = KeyBounds(
                    start: key, end: random.chance(percent: 5) ? nil : randomKey())
                engine.deleteRange(bounds)
                model = model.filter { !bounds.contains($0.key) || bounds.isEmpty }
            } else {
                let bounds = KeyBounds(start: key, end: randomKey())
                let expected = model.filter { bounds.contains($0.key) }
                    .sorted { KeyOrder.compare($0.key, $1.key) < 0 }.flatMap { [$0.key, $0.value] }
                #expect(Self.pairs(engine, bounds) == expected, "seed \(seed), step \(step)")
            }
            #expect(engine.count == model.count, "seed \(seed), step \(step)")
            let probe = randomKey()
            #expect(engine.get(probe.span.bytes) == model[probe], "seed \(seed), step \(step)")
        }
        let all = model.sorted { KeyOrder.compare($0.key, $1.key) < 0 }
        #expect(Self.pairs(engine, .all) == all.flatMap { [$0.key, $0.value] }, "seed \(seed)")
    }

    @Test("a batch is carried out in order: the last word on a key holds")
    func batchOrder() {
        let engine = MemoryEngine()
        var batch = WriteBatch()
        batch.put(key: [1], value: [10])
        batch.delete(key: [1])
        batch.put(key: [1], value: [11])
        batch.put(key: [2], value: [])
        batch.delete(key: [3])
        engine.apply(batch)
        #expect(engine.get([UInt8]([1]).span.bytes) == [11])
        #expect(engine.get([UInt8]([2]).span.bytes) == [])
        #expect(engine.get([UInt8]([3]).span.bytes) == nil)
    }

    @Test("an engine that keeps nothing says so")
    func volatile() {
        let engine = VolatileEngine()
        var batch = WriteBatch()
        batch.put(key: [1], value: [10])
        engine.apply(batch)
        #expect(engine.get([UInt8]([1]).span.bytes) == nil && engine.count == 0)
        #expect(Self.pairs(engine, .all).isEmpty)
    }
}
