import Base
import EventLoops

/// What loops are made of: rings, mail, timers, blocks.
enum LoopScenarios {
    static let all: [Scenario] = [
        Scenario(name: "ring", what: "a word pushed and popped, 32 at a time", make: { ring() }),
        Scenario(
            name: "mail-100", what: "mail of 200 bytes to another loop, 100 to a turn",
            make: { mail(perTurn: 100) }),
        Scenario(
            name: "mail-1", what: "the same, one to a turn: two turns of loops", count: 4_000,
            make: { mail(perTurn: 1) }),
        Scenario(
            name: "timer-cancel", what: "a timer set and cancelled among 10,000",
            make: { timers(fires: false) }),
        Scenario(
            name: "timer-fire", what: "a timer set and fired among 10,000",
            make: { timers(fires: true) }),
        Scenario(
            name: "block-pool", what: "a block of 4 KiB taken and given back", make: { pool() }),
        Scenario(
            name: "slab", what: "an element of 64 bytes put in and taken out", make: { slab() }),
    ]

    private static func ring() -> (Int) -> UInt64 {
        let ring = SPSCRing.allocate(capacity: 64)
        return { count in
            var sum: UInt64 = 0
            for start in stride(from: 0, to: count, by: 32) {
                for index in 0..<32 { sum &+= ring.push(UInt64(start + index)) ? 1 : 0 }
                while let word = ring.pop() { sum &+= word }
            }
            return sum
        }
    }

    /// Adds up what comes.
    private final class MailHandler: LoopHandler {
        var sum: UInt64 = 0

        func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex) {
            sum &+= UInt64(bytes.count) &+ UInt64(bytes[bytes.count - 1])
        }

        func started(_ loop: EventLoop) {}
        func accepted(
            _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
        ) {}
        func received(
            _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
        ) -> Int { bytes.count }
        func closed(_ connection: ConnectionID, reason: CloseReason) {}
        func outputDrained(_ connection: ConnectionID) {}
        func fired(_ token: UInt64) {}
        func turnEnding() {}
        func draining() {}
    }

    private static func mail(perTurn: Int) -> (Int) -> UInt64 {
        var options = LoopOptions(poller: .epoll, workers: 2)
        options.pinsThreads = false
        do {
            let fabric = try MailFabric(workers: 2, ringCapacity: 64)
            let loops = try (0..<2).map {
                try EventLoop(
                    worker: WorkerIndex(UInt16($0)), fabric: fabric, options: options,
                    poller: .epoll, listeners: [])
            }
            let handler = MailHandler()
            for loop in loops { loop.attach(handler) }
            let letter = [UInt8](repeating: 7, count: 200)
            return { count in
                for _ in 0..<(count / perTurn) {
                    letter.withUnsafeBytes { letter in
                        for _ in 0..<perTurn { loops[0].appendMail(letter, to: loops[1].worker) }
                    }
                    for loop in loops { loop.turn(waitingAtMost: .zero) }
                }
                return handler.sum
            }
        } catch {
            Output.fail("no loops: \(error)")
        }
    }

    private final class TimerHolder {
        @exclusivity(unchecked)
        var wheel = TimerWheel(now: Instant(nanoseconds: 0))
        var now = Instant(nanoseconds: 0)
    }

    /// Deadlines lie up to a minute away, as those of keep-alives and retries do.
    private static func timers(fires: Bool) -> (Int) -> UInt64 {
        let holder = TimerHolder()
        var random = SeededRandom(seed: 5)
        let spans = (0..<1_024).map { _ in
            Duration.milliseconds(Int64(10 + random.below(60_000)))
        }
        for index in 0..<10_000 {
            _ = holder.wheel.schedule(at: holder.now + spans[index & 1_023], token: UInt64(index))
        }
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let id = holder.wheel.schedule(
                    at: holder.now + spans[index & 1_023], token: UInt64(index))
                if !fires {
                    sum &+= holder.wheel.cancel(id) ? 1 : 0
                    continue
                }
                // As many fall due as are set: 10,000 over a minute.
                holder.now = holder.now + .microseconds(3_000)
                holder.wheel.advance(to: holder.now)
                while let due = holder.wheel.popDue() { sum &+= due.token }
            }
            return sum
        }
    }

    private final class PoolHolder {
        @exclusivity(unchecked)
        var pool = BlockPool()
        @exclusivity(unchecked)
        var slab = Slab<(UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)>()
    }

    private static func pool() -> (Int) -> UInt64 {
        let holder = PoolHolder()
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<count {
                let block = holder.pool.take(atLeast: 4_096)
                sum &+= UInt64(block.count)
                if let base = block.baseAddress {
                    holder.pool.give(base, capacity: block.count)
                }
            }
            return sum
        }
    }

    private static func slab() -> (Int) -> UInt64 {
        let holder = PoolHolder()
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let word = UInt64(index)
                let place = holder.slab.insert((word, 1, 2, 3, 4, 5, 6, 7))
                sum &+= holder.slab.remove(place).0
            }
            return sum
        }
    }
}
