import Base
import KV
import Testing

struct RangeMapTests {
    static let node = NodeID(1)

    func range(
        _ number: UInt64, _ start: [UInt8], _ end: [UInt8]?, version: UInt64 = 1
    ) -> RangeDescriptor {
        RangeDescriptor(
            id: RangeID(store: .inbox, number: number), bounds: KeyBounds(start: start, end: end),
            boundaryVersion: version,
            leader: Place(node: Self.node, worker: WorkerIndex(0)), voters: [Self.node])
    }

    @Test(
        "the ranges of a new store cover every key once and live on all workers in turn",
        arguments: StoreKind.allCases, [1, 2, 3, 8, 64])
    func initial(store: StoreKind, count: Int) {
        let list = RangeMap.initialRanges(store: store, count: count, node: Self.node, workers: 3)
        #expect(list.count == (store == .system ? 1 : count))
        #expect(list.first?.bounds.start == [] && list.last?.bounds.end == nil)
        for (left, right) in zip(list, list.dropFirst()) {
            #expect(left.bounds.end == right.bounds.start)
            #expect(!left.bounds.isEmpty)
        }
        let map = RangeMap(list)
        #expect(map[store] == list)
        #expect(map.tiling(store, .all) == list)
        for (index, descriptor) in list.enumerated() {
            #expect(descriptor.leader?.worker.rawValue == UInt16(index % 3))
        }
    }

    @Test("wildcard filters have a range of their own when dist has more than one")
    func wildcardRange() {
        let map = RangeMap(
            RangeMap.initialRanges(store: .dist, count: 4, node: Self.node, workers: 1))
        #expect(map.overlapping(.dist, KeyBounds(prefix: [KeySchema.distExactArea])).count == 3)
        #expect(map.overlapping(.dist, KeyBounds(prefix: [KeySchema.distWildcardArea])).count == 1)
    }

    @Test("late news of a range that was cut change nothing")
    func lateNews() {
        let whole = range(1, [], nil)
        let halves = [range(1, [], [5], version: 2), range(9, [5], nil, version: 2)]
        var map = RangeMap([whole])
        let changes = [map.insert(halves), map.insert([whole]), map.insert(halves)]
        #expect(changes == [true, false, false])
        #expect(map[.inbox] == halves)
    }

    @Test("news in any order lead to the same map", arguments: 1...20 as ClosedRange<UInt64>)
    func anyOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        // A history of cuts, each announced with both of its halves.
        var live = [range(1, [], nil)]
        var news = [live]
        for number in 2...12 {
            let index = random.below(live.count)
            let old = live[index]
            let cut = [UInt8(random.below(250) + 1), UInt8(random.below(250))]
            guard old.bounds.canBeCut(at: cut) else { continue }
            var lower = old
            var upper = old
            lower.bounds.end = cut
            upper.bounds.start = cut
            upper.id.number = UInt64(number)
            lower.boundaryVersion += 1
            upper.boundaryVersion += 1
            live[index] = lower
            live.append(upper)
            news.append([lower, upper])
        }
        live.sort { KeyOrder.compare($0.bounds.start, $1.bounds.start) < 0 }
        var map = RangeMap()
        for set in news.shuffled(using: &random) { map.insert(set) }
        #expect(map[.inbox] == live, "seed \(seed)")
        for descriptor in live {
            #expect(map.descriptor(.inbox, at: descriptor.bounds.start) == descriptor)
        }
    }

    @Test("a new leader is news, an older one is not")
    func leaders() {
        var map = RangeMap([range(1, [], nil)])
        var newer = range(1, [], nil)
        newer.leaderTerm = 3
        newer.leader = Place(node: NodeID(2), worker: WorkerIndex(1))
        let changes = [map.insert([newer]), map.insert([range(1, [], nil)])]
        #expect(changes == [true, false])
        #expect(map.descriptor(.inbox, at: [7])?.leader?.node == NodeID(2))
    }
}
