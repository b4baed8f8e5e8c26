import Base
import TestKit
import Testing
import PerfLoad

@Suite("What a subscriber has of a stream")
struct TrackerTests {
    /// The same by a set: slow and obvious.
    struct NaiveTracker {
        var seen: Set<UInt32> = []
        var next: UInt32 = 0

        mutating func note(_ sequence: UInt32) -> StreamTracker.Arrival {
            if !seen.insert(sequence).inserted { return .duplicate }
            defer { next = max(next, sequence + 1) }
            return sequence >= next ? .inOrder : .late
        }
    }

    @Test("it finds what a set finds, whatever comes in whatever order", arguments: Seed.series(20))
    func model(seed: Seed) {
        var random = seed.random()
        var tracker = StreamTracker()
        defer { tracker.free() }
        var naive = NaiveTracker()
        var front: UInt32 = 0
        for step in 0..<3000 {
            var sequence = front
            switch random.below(20) {
            case 0: sequence += UInt32(random.below(300))
            case 1...3: sequence = UInt32(random.below(Int(front) + 1))
            default: break
            }
            front = max(front, sequence + 1)
            #expect(tracker.note(sequence) == naive.note(sequence), "step \(step)")
        }
        #expect(tracker.distinctCount == naive.seen.count)
        #expect(tracker.missingCount == Int(naive.next) - naive.seen.count)
    }

    @Test("of two members of a group, what both have seen is counted", arguments: Seed.series(10))
    func overlap(seed: Seed) {
        var random = seed.random()
        var trackers = [StreamTracker(), StreamTracker()]
        var sets: [Set<UInt32>] = [[], []]
        for sequence in 0..<1000 as Range<UInt32> {
            for member in 0...1 where random.chance(percent: 55) {
                _ = trackers[member].note(sequence)
                sets[member].insert(sequence)
            }
        }
        #expect(
            trackers[0].overlap(with: trackers[1]) == sets[0].intersection(sets[1]).count)
        for tracker in trackers { tracker.free() }
    }

    @Test("a jump beyond reason is no loss but a broken message, and takes no memory")
    func jump() {
        var tracker = StreamTracker()
        #expect(tracker.note(.max) == .impossible)
        #expect(tracker.note(StreamTracker.gapMax + 1) == .impossible)
        #expect(tracker.note(0) == .inOrder)
        #expect(tracker.missingCount == 0)
    }

    @Test("each expectation knows its streams, and gives each a tracker of its own")
    func expectations() {
        let cases: [(StreamExpectation, index: Int, streams: [Int])] = [
            (.anything, 3, []),
            (.own(first: 5), 3, [8]),
            (.every(first: 2, streams: 3), 7, [2, 3, 4]),
            (.dealt(first: 10, streams: 7, among: 3), 1, [11, 14]),
            (.dealt(first: 0, streams: 7, among: 3), 0, [0, 3, 6]),
            (.dealt(first: 0, streams: 2, among: 5), 4, []),
        ]
        for (expectation, index, streams) in cases {
            var group = ClientGroup(name: "g", count: 10, clientID: TextPattern("c"))
            group.expectation = expectation
            let check = StreamCheck(group)
            #expect(check.trackerCount(index: index) == streams.count, "\(expectation)")
            for stream in 0..<30 {
                let position = check.position(UInt32(stream), index: UInt32(index))
                #expect(position.map(Int.init) == streams.firstIndex(of: stream), "\(stream)")
                if let position {
                    #expect(check.stream(position: Int(position), index: index) == stream)
                }
            }
        }
    }
}

@Suite("Packet ids")
struct PacketIDTests {
    @Test("a window opens and closes with its ids, and knows what each was for")
    func window() {
        var window = PacketIDWindow()
        defer { window.free() }
        window.reset(capacity: 3)
        let ids = [100, 200, 300].map { window.take(intended: $0) }
        #expect(Set(ids) == [1, 2, 3])
        #expect(!window.isOpen)
        guard case .done(let intended) = window.finish(ids[1], wasReleased: false) else {
            Issue.record("not done")
            return
        }
        #expect(intended == 200)
        #expect(window.freeCount == 1)
        for id in [ids[1], 0, 4, .max] {
            guard case .unknown = window.finish(id, wasReleased: false) else {
                Issue.record("\(id) was not in flight")
                return
            }
        }
        window.reset(capacity: 2)
        #expect(window.freeCount == 2)
    }

    @Test("QoS 2 passes through both of its steps, in order")
    func exactlyOnce() {
        var window = PacketIDWindow()
        defer { window.free() }
        window.reset(capacity: 65_535)
        let id = window.take(intended: 50)
        guard case .unknown = window.finish(id, wasReleased: true) else {
            Issue.record("PUBCOMP before PUBREC")
            return
        }
        for _ in 0..<2 {
            guard case .released = window.release(id) else {
                Issue.record("PUBREC, and again")
                return
            }
        }
        guard case .done(let intended) = window.finish(id, wasReleased: true) else {
            Issue.record("PUBCOMP")
            return
        }
        #expect(intended & ~1 == 50)
    }

    @Test("received ids are remembered until they are released", arguments: Seed.series(5))
    func received(seed: Seed) {
        var random = seed.random()
        var bits = PacketIDBits()
        defer { bits.free() }
        var model: Set<UInt16> = []
        for _ in 0..<5000 {
            let id = UInt16(random.below(65_536))
            if random.chance(percent: 60) {
                #expect(bits.insert(id) == model.insert(id).inserted)
            } else {
                bits.remove(id)
                model.remove(id)
            }
        }
        #expect(bits.insert(65_535) == model.insert(65_535).inserted)
    }
}
