import Base
import Testing

@Suite("Timer wheel")
struct TimerWheelTests {
    /// The naive model: a list, searched every time.
    struct Model {
        var timers: [(tick: UInt64, order: Int, token: UInt64)] = []

        mutating func due(at tick: UInt64) -> [UInt64] {
            let due = timers.filter { $0.tick <= tick }
                .sorted { ($0.tick, $0.order) < ($1.tick, $1.order) }
            timers.removeAll { $0.tick <= tick }
            return due.map(\.token)
        }
    }

    static let tick: UInt64 = 1 << 20

    @Test("random scheduling, cancelling and advancing fires what a plain list would fire")
    func agreesWithModel() {
        for seed in UInt64(1)...30 {
            var random = SeededRandom(seed: seed)
            var time = random.next() >> 20
            var wheel = TimerWheel(now: Instant(nanoseconds: time))
            var model = Model()
            var ids: [(id: TimerID, token: UInt64)] = []
            var firedEarlier: [TimerID] = []
            for step in 0..<2_000 {
                switch random.below(10) {
                case 0..<5:
                    // Spans of every size, to reach every level.
                    let span = random.next() >> UInt64(20 + random.below(44))
                    let tick = (time + span + Self.tick - 1) / Self.tick
                    let id = wheel.schedule(
                        at: Instant(nanoseconds: time + span), token: UInt64(step))
                    // A deadline at or before now is due in order of scheduling.
                    let place = max(tick, time / Self.tick)
                    model.timers.append((place, step, UInt64(step)))
                    ids.append((id, UInt64(step)))
                case 5..<7:
                    guard !ids.isEmpty else { continue }
                    let (id, token) = ids.remove(at: random.below(ids.count))
                    let isPending = model.timers.contains { $0.token == token }
                    let wasPending = wheel.cancel(id)
                    #expect(wasPending == isPending, "seed \(seed)")
                    model.timers.removeAll { $0.token == token }
                    firedEarlier.append(id)
                default:
                    time += random.next() >> UInt64(24 + random.below(40))
                    let now = Instant(nanoseconds: time)
                    wheel.advance(to: now)
                    var fired: [UInt64] = []
                    while let due = wheel.popDue() { fired.append(due.token) }
                    #expect(fired == model.due(at: time / Self.tick), "seed \(seed)")
                }
                let count = wheel.count
                #expect(count == model.timers.count, "seed \(seed)")
            }
            for id in firedEarlier {
                let wasPending = wheel.cancel(id)
                #expect(!wasPending, "seed \(seed)")
            }
        }
    }

    @Test("a timer never fires early and the next deadline is never late")
    func isNeverEarly() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<500 {
            let start = random.next() >> 24
            var wheel = TimerWheel(now: Instant(nanoseconds: start))
            let deadline = start + random.next() >> UInt64(24 + random.below(30))
            _ = wheel.schedule(at: Instant(nanoseconds: deadline), token: 1)
            var wakes = 0
            while true {
                let next = wheel.nextDeadline
                wheel.advance(to: next)
                wakes += 1
                if wheel.popDue() != nil {
                    #expect(next.nanoseconds >= deadline / Self.tick * Self.tick)
                    #expect(next.nanoseconds < deadline + 2 * Self.tick)
                    break
                }
                #expect(wakes <= 8)
            }
            let none = wheel.nextDeadline
            #expect(none == .distantFuture)
        }
    }

    @Test("timers of one tick fire in the order in which they were scheduled")
    func keepsOrder() {
        var wheel = TimerWheel(now: .zero)
        for token in UInt64(0)..<100 {
            _ = wheel.schedule(at: Instant(nanoseconds: 5_000_000_000), token: token, kind: 3)
        }
        wheel.advance(to: Instant(nanoseconds: 4_900_000_000))
        let isDue = wheel.hasDue
        #expect(!isDue)
        wheel.advance(to: Instant(nanoseconds: 5_100_000_000))
        for token in UInt64(0)..<100 {
            let due = wheel.popDue()
            #expect(due?.token == token && due?.kind == 3)
        }
        let last = wheel.popDue()
        #expect(last == nil)
    }
}
