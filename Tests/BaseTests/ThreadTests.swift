import Base
import Glibc
import Testing

@Suite("Threads")
struct ThreadTests {
    @Test("a pool runs every job that it took")
    func runsAll() {
        let done = AtomicCounter()
        let pool = BlockingPool(threadCount: 2, queueLimit: 1_000)
        var taken = 0
        for _ in 0..<500 where pool.submit({ done.cells.add(0, 1) }) { taken += 1 }
        waitUntil { done.cells.load(0) == UInt64(taken) }
        pool.stop()
        #expect(taken == 500)
        #expect(done.cells.load(0) == 500)
    }

    @Test("a full queue refuses, and a stopped pool does")
    func refuses() {
        let gate = BlockingGate()
        let pool = BlockingPool(threadCount: 1, queueLimit: 2)
        #expect(pool.submit { gate.waitUntilOpen() })
        waitUntil { pool.waitingCount == 0 }
        #expect(pool.submit {})
        #expect(pool.submit {})
        #expect(!pool.submit {})
        gate.open()
        pool.stop()
        #expect(!pool.submit {})
    }

    @Test("a guarded value loses no change of two threads")
    func guarded() {
        let value = Guarded(0)
        let done = AtomicCounter()
        let pool = BlockingPool(threadCount: 4, queueLimit: 100)
        for _ in 0..<4 {
            _ = pool.submit {
                for _ in 0..<10_000 { value.withLock { $0 += 1 } }
                done.cells.add(0, 1)
            }
        }
        waitUntil { done.cells.load(0) == 4 }
        pool.stop()
        #expect(value.withLock { $0 } == 40_000)
    }

    @Test("an exchange stores only over the value it expected")
    func exchange() {
        let cells = AtomicCells(count: 1)
        var expected: UInt64 = 1
        #expect(!cells.exchange(0, expected: &expected, desired: 9))
        #expect(expected == 0)
        #expect(cells.exchange(0, expected: &expected, desired: 9))
        #expect(cells.load(0) == 9)
    }
}

/// A cell that closures can hold.
private final class AtomicCounter: Sendable {
    let cells = AtomicCells(count: 1)
}

private final class BlockingGate: Sendable {
    private let cells = AtomicCells(count: 1)
    func open() { cells.publish(0, 1) }
    func waitUntilOpen() { waitUntil { cells.acquire(0) == 1 } }
}

/// Gives the processor away until something is true; the test's own time limit bounds it.
private func waitUntil(_ isTrue: () -> Bool) {
    while !isTrue() { sched_yield() }
}
