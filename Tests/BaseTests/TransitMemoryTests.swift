import Base
import Testing

@Suite("Blocks and rings")
struct TransitMemoryTests {
    @Test("a block is at least as large as asked and its capacity alone tells its class")
    func capacities() {
        var pool = BlockPool()
        for count in [1, 512, 513, 4096, 4097, 70_000, 262_144, 262_145, 5_000_000] {
            let block = pool.take(atLeast: count)
            #expect(block.count >= count)
            #expect(block.count == BlockPool.capacity(holding: count))
            #expect(BlockPool.capacity(holding: block.count) == block.count)
            let inUse = pool.bytesInUse
            #expect(inUse == block.count)
            pool.give(block.baseAddress!, capacity: block.count)
            let left = pool.bytesInUse
            #expect(left == 0)
        }
    }

    @Test("a pool keeps up to its limit and reuses the last block given")
    func keepsUpToLimit() {
        var pool = BlockPool(keepMax: 8192)
        let blocks = (0..<4).map { _ in pool.take(atLeast: 4096) }
        for block in blocks { pool.give(block.baseAddress!, capacity: block.count) }
        let kept = pool.bytesKept
        #expect(kept == 8192)
        let again = pool.take(atLeast: 4000)
        #expect(again.baseAddress == blocks[1].baseAddress)
        pool.give(blocks[1].baseAddress!, capacity: 4096)
    }

    @Test("a ring gives back every word in order and refuses when full")
    func ringInOrder() {
        let ring = SPSCRing.allocate(capacity: 4)
        defer { ring.free() }
        var next: UInt64 = 0
        var expected: UInt64 = 0
        for round in 0..<100 {
            while ring.push(next) { next += 1 }
            #expect(next - expected == 4)
            for _ in 0...(round % 4) {
                #expect(ring.pop() == expected)
                expected += 1
            }
        }
        while let word = ring.pop() {
            #expect(word == expected)
            expected += 1
        }
        #expect(ring.isEmpty && expected == next)
    }

    @Test("two threads pass a million words through a small ring without loss or disorder")
    func ringAcrossThreads() async {
        let ring = SPSCRing.allocate(capacity: 64)
        let count: UInt64 = 1_000_000
        let producer = Task.detached {
            var word: UInt64 = 0
            while word < count { if ring.push(word) { word += 1 } else { await Task.yield() } }
        }
        var expected: UInt64 = 0
        while expected < count {
            guard let word = ring.pop() else {
                await Task.yield()
                continue
            }
            if word != expected { break }
            expected += 1
        }
        #expect(expected == count)
        await producer.value
        ring.free()
    }

    @Test("a shared block lives until its last holder lets go")
    func sharedBlock() {
        let block = [UInt8](1...100).withUnsafeBytes { SharedBlock.copy(of: $0) }
        #expect(block.count == 100 && block.bytes[99] == 100)
        block.retain(2)
        #expect(block.references == 3)
        let travelled = SharedBlock(address: block.address)
        travelled.release()
        block.release()
        #expect(block.references == 1)
        block.release()
    }
}
