import Base
import Dist
import KV
import MQTT
import Testing

@Suite("routes of a range")
struct RouteTableTests {
    @Test(
        "a range answers like a plain list of routes, whatever is added, removed or fenced",
        arguments: [1, 2, 3] as [UInt64])
    func likeNaive(seed: UInt64) {
        var dice = RouteDice(seed: seed)
        let bench = MachineBench(seed: seed)
        var naive = NaiveRoutes()
        var known: [Route] = []
        for step in 0..<1_200 {
            let route = dice.route()
            let membersMax = dice.random.chance(percent: 10) ? 2 : 1_000
            if step % 500 == 499 {
                let node = NodeID(UInt64(1 + dice.random.below(2)))
                bench.apply { $0.fence(node, through: LivenessEpoch(1)) }
                naive.fence(node, LivenessEpoch(1))
            } else if dice.random.chance(percent: 60) {
                let codes = bench.apply { $0.add(route, membersMax: UInt32(membersMax)) }.codes
                #expect(codes == [naive.add(route, membersMax: membersMax)], "seed \(seed)")
                known.append(route)
            } else {
                let member = known.randomElement(using: &dice.random)
                let victim = dice.random.chance(percent: 80) ? member ?? route : route
                let codes = bench.apply { $0.remove(victim) }.codes
                #expect(codes == [naive.remove(victim)], "seed \(seed) step \(step)")
            }
            if dice.random.chance(percent: 20) { bench.applyDue() }
            if step % 3 != 0 { continue }
            let tenant = dice.tenant()
            let topic = dice.topic()
            #expect(
                bench.match(tenant, topic).content == naive.plan(tenant, topic),
                "seed \(seed) step \(step) topic \(String(decoding: topic, as: UTF8.self))")
        }
        while bench.machine.nextDue == .zero { bench.applyDue() }
        #expect(bench.machine.routeCount == naive.count)
        let again = bench.reloaded(seed: seed + 100)
        #expect(again.machine.routeCount == naive.count)
        for _ in 0..<50 {
            let tenant = dice.tenant()
            let topic = dice.topic()
            #expect(again.match(tenant, topic).content == naive.plan(tenant, topic))
        }
        for route in naive.table.values { bench.apply { $0.remove(route) } }
        #expect(bench.machine.routeCount == 0)
        #expect(bench.machine.filterCount == 0)
        #expect(bench.machine.liveBytes == 0, "memory is given back")
        #expect(bench.pairs.allSatisfy { $0.value.first == DistKeys.fenceValue })
    }

    @Test(
        "pages of any size add up to the whole answer, also when routes change between them",
        arguments: [1, 2, 3] as [UInt64])
    func pages(seed: UInt64) {
        var dice = RouteDice(seed: seed)
        dice.tenants = ["t"]
        dice.names = ["a", "b"]
        dice.clients = 200
        let bench = MachineBench(seed: seed)
        var steady = NaiveRoutes()
        for _ in 0..<300 {
            let route = dice.route()
            bench.apply { $0.add(route) }
            _ = steady.add(route)
        }
        for step in 0..<25 {
            let topic = dice.topic()
            var touched = NaiveRoutes()
            var draft = PlanDraft()
            var cursor: [UInt8] = []
            bench.setPage(bytes: 1 + dice.random.below(200), visits: 1 + dice.random.below(8))
            while bench.page(Array("t".utf8), topic, cursor: &cursor, draft: &draft) {
                // Routes that come and go between two pages say nothing about the others.
                let route = dice.route()
                if dice.random.chance(percent: 50) {
                    if steady.table[NaiveRoutes.Key(route)] == nil {
                        bench.apply { $0.add(route) }
                        _ = touched.add(route)
                    }
                } else if let victim = touched.table.values.first {
                    bench.apply { $0.remove(victim) }
                    _ = touched.remove(victim)
                }
            }
            let expected = steady.plan(Array("t".utf8), topic).lines
            let lines = PlanContent(draft).lines
            let hasAll = expected.allSatisfy { (lines[$0.key] ?? 0) >= $0.value }
            #expect(hasAll, "seed \(seed) step \(step)")
            let tooMany = expected.contains { (lines[$0.key] ?? 0) > $0.value }
            #expect(!tooMany || !touched.table.isEmpty, "twice: seed \(seed) step \(step)")
            for route in touched.table.values { bench.apply { $0.remove(route) } }
        }
    }

    @Test("a group takes as many members as the limit says", arguments: [true, false])
    func groupLimit(isStored: Bool) {
        let bench = MachineBench(seed: 1)
        let codes = (1...3).map { number -> [RouteCode] in
            let receiver: RouteReceiver =
                isStored
                ? .stored(
                    clientID: Array("client-\(number)".utf8), incarnation: 1, options: 1,
                    subscriptionID: 0)
                : .transient(
                    place: MachineBench.workers[0], epoch: LivenessEpoch(1),
                    token: UInt64(number))
            let route = Route(
                tenant: Array("t1".utf8), filter: Array("a/+".utf8),
                group: RouteGroup(kind: .unordered, name: Array("g".utf8)), receiver: receiver)
            return bench.apply { $0.add(route, membersMax: 2) }.codes
        }
        #expect(codes == [[.added], [.added], [.groupFull]])
    }

    @Test("an answer begins again when its receivers were laid out anew between two pages")
    func beginsAgain() {
        let bench = MachineBench(seed: 4)
        let tenant = Array("t".utf8)
        let routes = (0..<400).map { number in
            Route(
                tenant: tenant, filter: Array("a".utf8),
                receiver: .stored(
                    clientID: Array("client\(number)".utf8), incarnation: 1, options: 1,
                    subscriptionID: 0))
        }
        bench.apply { for route in routes { $0.add(route) } }
        bench.setPage(bytes: 500, visits: 8)
        var cursor: [UInt8] = []
        var draft = PlanDraft()
        let hasMore = bench.page(tenant, Array("a".utf8), cursor: &cursor, draft: &draft)
        #expect(hasMore && !cursor.isEmpty && !draft.stored.isEmpty)
        bench.apply { for route in routes.dropFirst(5) { $0.remove(route) } }
        let goesOn = bench.page(tenant, Array("a".utf8), cursor: &cursor, draft: &draft)
        #expect(goesOn && cursor.isEmpty && draft.stored.isEmpty, "what was told is void")
        while bench.page(tenant, Array("a".utf8), cursor: &cursor, draft: &draft) {}
        #expect(PlanContent(draft) == PlanContent(Array(routes.prefix(5))))
    }

    @Test("fifty thousand stored sessions on one filter are answered in bounded pages")
    func largeFanOut() {
        let bench = MachineBench(seed: 9)
        let filter = Array("alarm/all".utf8)
        let tenant = Array("t".utf8)
        for block in 0..<50 {
            let codes = bench.apply { command in
                for number in 0..<1_000 {
                    command.add(
                        Route(
                            tenant: tenant, filter: filter,
                            receiver: .stored(
                                clientID: Array("client-\(block * 1_000 + number)".utf8),
                                incarnation: 1, options: 1, subscriptionID: 0)))
                }
            }.codes
            #expect(codes.allSatisfy { $0 == .added })
        }
        let (content, pages) = bench.match(tenant, filter)
        #expect(content.count == 50_000)
        #expect(pages > 20 && pages < 100, "\(pages) pages")
    }

    @Test(
        "[MQTT-4.7.2-1] wildcards at the beginning do not match topics that begin with $",
        arguments: [
            ("#", "$SYS/uptime", false), ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true), ("$SYS/+", "$SYS/uptime", true),
            ("$SYS/uptime", "$SYS/uptime", true), ("a/#", "a", true), ("a/+", "a", false),
            ("a/+", "a/", true), ("+/+", "/", true), ("#", "a/$b", true),
            ("a/#", "ab", false), ("+/b/#", "a/b", true), ("+/b/c", "a/b", false),
        ])
    func dollar(filter: String, topic: String, matches: Bool) {
        let bench = MachineBench(seed: 1)
        let tenant = Array("t".utf8)
        let receiver = RouteReceiver.stored(
            clientID: [65], incarnation: 1, options: 0, subscriptionID: 0)
        bench.apply {
            $0.add(Route(tenant: tenant, filter: Array(filter.utf8), receiver: receiver))
        }
        let found = bench.match(tenant, Array(topic.utf8)).content.count
        #expect(found == (matches ? 1 : 0))
        Array(filter.utf8).withUnsafeBytes { filter in
            Array(topic.utf8).withUnsafeBytes {
                #expect(TopicMatch.matches(filter: filter, topic: $0) == matches)
            }
        }
    }

    @Test("filters with misplaced wildcards and damaged commands are refused, never trapped on")
    func malformed() {
        let bench = MachineBench(seed: 1)
        let receiver = RouteReceiver.stored(
            clientID: [65], incarnation: 1, options: 0, subscriptionID: 0)
        for filter in ["a/#/b", "a+", "#a", "", "a/b#"] {
            let codes = bench.apply {
                $0.add(Route(tenant: [1], filter: Array(filter.utf8), receiver: receiver))
            }.codes
            #expect(codes == [.malformed])
        }
        var random = SeededRandom(seed: 5)
        var dice = RouteDice(seed: 6)
        for _ in 0..<500 {
            var command = RouteCommandEncoder()
            for _ in 0..<3 { command.add(dice.route()) }
            var bytes = [UInt8](command.writer.bytes)
            bytes[random.below(bytes.count)] = UInt8(random.below(256))
            if random.chance(percent: 30) { bytes.removeLast(random.below(bytes.count)) }
            bytes.withRawSpan {
                bench.machine.apply($0, at: bench.position, output: bench.output)
                bench.output.removeAll()
                bench.machine.query($0, ticket: QueryTicket(1), output: bench.output)
                bench.machine.receive(
                    .routePatchApplied, $0, from: MachineBench.workers[0],
                    output: bench.output)
            }
            bench.settle()
        }
    }

    @Test(
        "a range cut anywhere answers as before from its two halves",
        arguments: [1, 2, 3] as [UInt64])
    func split(seed: UInt64) {
        var dice = RouteDice(seed: seed)
        let left = MachineBench(seed: seed)
        var naive = NaiveRoutes()
        for _ in 0..<300 {
            let route = dice.route()
            left.apply { $0.add(route) }
            _ = naive.add(route)
        }
        left.apply { $0.fence(NodeID(2), through: LivenessEpoch(1)) }
        naive.fence(NodeID(2), LivenessEpoch(1))
        let keys = left.pairs.keys.sorted { KeyOrder.compare($0, $1) < 0 }
        let wished =
            seed == 1 ? left.machine.middleKey : keys[dice.random.below(keys.count)]
        guard let wished, let key = left.machine.splitKey(near: wished) else {
            Issue.record("no key to cut at")
            return
        }
        #expect(KeyOrder.compare(wished, key) <= 0)
        let right = MachineBench(seed: seed, startKey: key, number: 2)
        if let half = left.machine.splitOff(at: key, output: left.output) as? DistMachine {
            right.machine = half
        }
        left.settle()
        for (pair, value) in left.pairs where KeyOrder.compare(pair, key) >= 0 {
            left.pairs[pair] = nil
            right.pairs[pair] = value
        }
        #expect(right.pairs.values.contains { $0.first == DistKeys.fenceValue })
        for _ in 0..<80 {
            let tenant = dice.tenant()
            let topic = dice.topic()
            let lines = left.match(tenant, topic).content.lines
                .merging(right.match(tenant, topic).content.lines, uniquingKeysWith: +)
            #expect(lines == naive.plan(tenant, topic).lines, "seed \(seed)")
            // Where the helpers say the answer lies, it lies.
            let exact = DistKeys.exactKey(tenant: tenant, topic: topic)
            let holder = KeyOrder.compare(exact, key) < 0 ? left : right
            let other = holder === left ? right : left
            #expect(other.match(tenant, topic, areas: .exact).content.lines.isEmpty)
        }
        for bench in [left, right] {
            while bench.machine.nextDue == .zero { bench.applyDue() }
            let again = bench.reloaded(seed: 77)
            #expect(again.machine.routeCount == bench.machine.routeCount)
        }
        #expect(
            left.machine.routeCount + right.machine.routeCount == naive.count)
    }

    @Test("an answer is held until every worker of the node has the patch in force")
    func held() {
        let bench = MachineBench(seed: 1)
        let route = Route(
            tenant: [1], filter: Array("a/+".utf8),
            receiver: .stored(clientID: [65], incarnation: 1, options: 0, subscriptionID: 0))
        let first = bench.apply {
            $0.add(route)
            $0.add(Route(tenant: [1], filter: Array("b".utf8), receiver: route.receiver))
        }
        #expect(first.hold == 2)
        acknowledge(bench, 0, 2)
        #expect(bench.released == 0)
        #expect(bench.apply { $0.add(route) }.hold == 2, "a repeat waits like the first")
        acknowledge(bench, 1, 1)
        #expect(bench.released == 1)
        acknowledge(bench, 1, 9)
        #expect(bench.released == 1, "nobody can be ahead")
        acknowledge(bench, 1, 2)
        #expect(bench.released == 2)
        #expect(bench.apply { $0.add(route) }.hold == nil, "everybody has it")
    }

    @Test("after a cut the new half holds answers as the whole did, until every worker is as far")
    func heldAfterCut() throws {
        let bench = MachineBench(seed: 1)
        func route(_ filter: String) -> Route {
            Route(
                tenant: [1], filter: Array(filter.utf8),
                receiver: .stored(clientID: [65], incarnation: 1, options: 0, subscriptionID: 0))
        }
        for number in 0..<40 { bench.apply { $0.add(route("filter/\(number)")) } }
        for worker in 0..<2 { acknowledge(bench, worker, 39) }
        let wished = try #require(bench.machine.middleKey)
        let key = try #require(bench.machine.splitKey(near: wished))
        let half = MachineBench(seed: 1, startKey: key, number: 2)
        half.machine = try #require(
            bench.machine.splitOff(at: key, output: bench.output) as? DistMachine)
        half.machine.rangeChanged(
            RangeDescriptor(
                id: RangeID(store: .dist, number: 2), bounds: KeyBounds(start: key, end: nil),
                boundaryVersion: 2, leader: MachineBench.workers[0], voters: []))
        bench.settle()
        #expect(half.machine.nextDue == .zero)
        half.applyDue()
        var cache = RouteCache(own: MachineBench.workers[0], seed: 1)
        for worker in MachineBench.workers {
            let asked = try #require(half.patches[worker]?.first)
            #expect(half.patches[worker]?.count == 1)
            asked.withRawSpan { cache.applyPatch($0, from: MachineBench.workers[1]) }
        }
        #expect(cache.metrics.clears == 0 && cache.metrics.patches == 0)
        #expect(half.machine.nextDue == .distantFuture)
        let last = try #require(
            (0..<40).map({ "filter/\($0)" }).last {
                let exact = DistKeys.exactKey(tenant: [1], topic: Array($0.utf8))
                return KeyOrder.compare(exact, key) >= 0
            })
        #expect(half.apply { $0.add(route(last)) }.hold == 40, "the whole's patch is awaited")
        #expect(half.apply { $0.remove(route(last)) }.hold == 41)
        acknowledge(half, 0, 41)
        acknowledge(half, 1, 40)
        #expect(half.released == 40)
        acknowledge(half, 1, 41)
        #expect(half.released == 41)
    }

    private func acknowledge(_ bench: MachineBench, _ worker: Int, _ number: UInt64) {
        var writer = ByteWriter()
        bench.machine.options.stamp.encode(into: &writer)
        writer.append(bigEndian: number)
        writer.withSpan {
            bench.machine.receive(
                .routePatchApplied, $0, from: MachineBench.workers[worker],
                output: bench.output)
        }
        bench.settle()
    }
}
