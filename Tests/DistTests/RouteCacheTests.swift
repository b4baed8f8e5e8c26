import Base
import Dist
import KV
import Testing

/// A worker's cache in conversation with two ranges, message by message.
final class CacheBench {
    enum Message {
        /// A patch, and the change that it tells of.
        case patch([UInt8], (inout NaiveRoutes) -> Void)
        case answer(QuestionID, part: Int, bytes: [UInt8])
    }

    struct Question {
        var id: QuestionID
        var part: Int
        var body: [UInt8]
    }

    /// Exact filters, filters with wildcards.
    var machines: [MachineBench]
    var cache: RouteCache
    var questions: [[Question]] = [[], []]
    var mail: [[Message]] = [[], []]
    /// What the worker has been told.
    var told = NaiveRoutes()
    let own = MachineBench.workers[0]

    init(seed: UInt64, limits: RouteCacheLimits = RouteCacheLimits(), pageBytes: Int = 64) {
        machines = (1...2).map { MachineBench(seed: seed, number: UInt64($0)) }
        for bench in machines {
            var options = bench.machine.options
            options.pageBytes = pageBytes
            options.pageVisits = 3
            bench.machine = DistMachine(options)
        }
        cache = RouteCache(own: own, seed: seed, limits: limits)
    }

    private static func isWild(_ filter: [UInt8]) -> Bool {
        filter.contains(UInt8(ascii: "+")) || filter.contains(UInt8(ascii: "#"))
    }

    func change(_ route: Route, isAddition: Bool) {
        let isWild = Self.isWild(route.filter)
        command(
            isWild ? 1 : 0,
            told: { naive in
                _ = isAddition ? naive.add(route) : naive.remove(route)
            }
        ) { isAddition ? $0.add(route) : $0.remove(route) }
    }

    func fence(_ node: NodeID) {
        for index in 0..<2 {
            command(
                index,
                told: { naive in
                    // Each range fences its own routes.
                    let fenced = naive.table.filter {
                        guard case .transient(let place, let epoch, _) = $0.value.receiver else {
                            return false
                        }
                        let isWild = Self.isWild($0.value.filter)
                        return place.node == node && epoch.rawValue <= 1 && isWild == (index == 1)
                    }
                    for key in fenced.keys { naive.table[key] = nil }
                }
            ) { $0.fence(node, through: LivenessEpoch(1)) }
        }
    }

    private func command(
        _ index: Int, told: @escaping (inout NaiveRoutes) -> Void,
        _ build: (inout RouteCommandEncoder) -> Void
    ) {
        machines[index].patches = [:]
        machines[index].apply(build)
        for body in machines[index].patches[own] ?? [] { mail[index].append(.patch(body, told)) }
    }

    func ask(_ id: QuestionID, part: Int) {
        var writer = ByteWriter()
        let mark = DistQuestion.beginMatch(&writer)
        cache.writeTopic(
            id, part: part, areas: part == 0 ? .exact : .wildcard, into: &writer)
        DistQuestion.endMatch(&writer, at: mark, count: 1)
        questions[part].append(Question(id: id, part: part, body: writer.array))
    }

    /// Lets a machine answer its oldest question.
    func answer(_ index: Int) {
        guard !questions[index].isEmpty else { return }
        let question = questions[index].removeFirst()
        let bytes = machines[index].ask { $0.append(question.body) }
        mail[index].append(.answer(question.id, part: question.part, bytes: bytes))
    }

    /// Gives the worker its oldest message from a machine.
    func deliver(_ index: Int) {
        guard !mail[index].isEmpty else { return }
        switch mail[index].removeFirst() {
        case .patch(let body, let change):
            body.withRawSpan {
                cache.applyPatch($0, from: Place(node: NodeID(1), worker: WorkerIndex(9)))
            }
            change(&told)
        case .answer(let id, let part, let bytes):
            let progress = bytes.withRawSpan { span -> QuestionProgress in
                guard var answer = MatchAnswer(span), let topic = answer.nextTopic(span) else {
                    return .failed
                }
                return cache.receiveAnswer(
                    id, part: part, stamp: answer.stamp, patchNumber: answer.patchNumber,
                    topic: topic, bytes: span)
            }
            switch progress {
            case .waiting, .done, .unknown: break
            case .more: ask(id, part: part)
            case .beginAgain:
                cache.restartQuestion(id, parts: 2)
                // Answers under way to what was asked before are answers to another question.
                for other in 0..<2 {
                    questions[other].removeAll { $0.id == id }
                    mail[other].removeAll {
                        if case .answer(let asked, _, _) = $0 { return asked == id }
                        return false
                    }
                }
                ask(id, part: 0)
                ask(id, part: 1)
            case .failed: cache.failQuestion(id)
            }
        }
    }

    /// Looks a topic up, asks if it is a miss, and returns the plan if it is a hit.
    func lookup(_ tenant: [UInt8], _ topic: [UInt8]) -> PlanContent? {
        let number = UInt32(tenant[tenant.count - 1])
        return topic.withUnsafeBytes { bytes in
            switch cache.lookup(tenant: number, topic: bytes) {
            case .hit(let plan): return PlanContent(PlanDraft(plan, own: own))
            case .pending: return nil
            case .miss:
                if let id = cache.beginQuestion(
                    tenant: number, tenantName: tenant, topic: bytes, parts: 2)
                {
                    ask(id, part: 0)
                    ask(id, part: 1)
                }
                return nil
            }
        }
    }
}

@Suite("route cache of a worker")
struct RouteCacheTests {
    @Test(
        "a plan is what a new match would say, however questions, answers and patches interleave",
        arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func likeNaive(seed: UInt64) {
        var dice = RouteDice(seed: seed)
        dice.depth = 3
        dice.tenants = ["t1"]
        dice.names = ["a", "b", ""]
        dice.clients = 8
        var limits = RouteCacheLimits()
        if seed % 2 == 0 { limits.entriesMax = 24 }
        if seed % 3 == 0 { limits.patchedPlanBytesMax = 0 }
        let bench = CacheBench(seed: seed, limits: limits)
        var routes: [Route] = []
        var hits = 0
        for step in 0..<6_000 {
            switch dice.random.below(20) {
            case 0, 1:
                let route = dice.route()
                routes.append(route)
                bench.change(route, isAddition: true)
            case 2, 3:
                if let route = routes.randomElement(using: &dice.random) {
                    bench.change(route, isAddition: false)
                }
            case 4, 5, 6:
                bench.answer(0)
                bench.answer(1)
            case 7, 8, 9, 10, 11, 12, 13: bench.deliver(dice.random.below(2))
            default:
                let tenant = dice.tenant()
                let topic = dice.topic()
                guard let plan = bench.lookup(tenant, topic) else { continue }
                hits += 1
                let expected = bench.told.plan(tenant, topic)
                if plan != expected {
                    Issue.record(
                        """
                        seed \(seed) step \(step) topic \(String(decoding: topic, as: UTF8.self)): \
                        too much \(plan.lines.filter { expected.lines[$0.key] != $0.value }), \
                        missing \(expected.lines.filter { plan.lines[$0.key] != $0.value })
                        """)
                    return
                }
            }
            if step % 1_500 == 1_499 { bench.fence(NodeID(2)) }
        }
        #expect(hits > 20, "\(hits) hits, seed \(seed)")
        #expect(bench.cache.metrics.unreadableMessages == 0)
    }

    @Test("a topic that nobody subscribed to is remembered, until somebody does")
    func negative() {
        let bench = CacheBench(seed: 1)
        let tenant = Array("t1".utf8)
        let topic = Array("a/b".utf8)
        #expect(bench.lookup(tenant, topic) == nil)
        settle(bench)
        #expect(bench.lookup(tenant, topic)?.count == 0)
        let route = Route(
            tenant: tenant, filter: Array("a/+".utf8),
            receiver: .transient(place: bench.own, epoch: LivenessEpoch(1), token: 7))
        bench.change(route, isAddition: true)
        #expect(bench.lookup(tenant, topic)?.count == 0, "not told yet")
        settle(bench)
        #expect(bench.lookup(tenant, topic)?.count == 1)
        #expect(bench.cache.metrics.questions == 1, "the plan was patched, not asked for again")
    }

    @Test("a patch that never came makes every plan a question again")
    func lostPatch() {
        let bench = CacheBench(seed: 1)
        let tenant = Array("t1".utf8)
        let topic = Array("a/b".utf8)
        func add(_ filter: String, _ token: UInt64) {
            bench.change(
                Route(
                    tenant: tenant, filter: Array(filter.utf8),
                    receiver: .transient(
                        place: bench.own, epoch: LivenessEpoch(1), token: token)),
                isAddition: true)
        }
        add("x/+", 1)
        settle(bench)
        _ = bench.lookup(tenant, topic)
        settle(bench)
        #expect(bench.lookup(tenant, topic)?.count == 0)
        add("a/+", 2)
        bench.mail[1].removeAll()
        add("y/+", 3)
        settle(bench)
        #expect(bench.lookup(tenant, topic) == nil, "what was lost may have been for it")
        settle(bench)
        #expect(bench.lookup(tenant, topic)?.count == 1)
    }

    @Test("more wildcard patches than the ring holds make a topic a miss, never a wrong plan")
    func ringOverflow() {
        let bench = CacheBench(seed: 1)
        let tenant = Array("t1".utf8)
        let topic = Array("a/b".utf8)
        _ = bench.lookup(tenant, topic)
        settle(bench)
        for number in 0..<300 {
            bench.change(
                Route(
                    tenant: tenant, filter: Array("a/+/\(number)".utf8),
                    receiver: .transient(
                        place: bench.own, epoch: LivenessEpoch(1), token: UInt64(number))),
                isAddition: true)
        }
        settle(bench)
        #expect(bench.lookup(tenant, topic) == nil)
        settle(bench)
        #expect(bench.lookup(tenant, topic)?.count == 0)
    }

    @Test("places are told once how far their patches are in force, with the message's head")
    func progress() {
        let bench = CacheBench(seed: 1)
        for filter in ["a", "b", "c"] {
            bench.change(
                Route(
                    tenant: [1], filter: Array(filter.utf8),
                    receiver: .transient(
                        place: bench.own, epoch: LivenessEpoch(1), token: 1)),
                isAddition: true)
        }
        settle(bench)
        let outbox = Outbox()
        bench.cache.tellProgress(outbox)
        bench.cache.tellProgress(outbox)
        let home = Place(node: NodeID(1), worker: WorkerIndex(9))
        var bodies: [[UInt8]] = []
        _ = Outbox.forEachFrame(in: outbox.block(to: home).bytes.bytes) { kind, body in
            #expect(kind == .routePatchApplied)
            bodies.append(body.array)
        }
        #expect(bodies.count == 1)
        for body in bodies {
            body.withRawSpan { span in
                var reader = ByteReader(span)
                let head = try? MachineMessage(span, reader: &reader)
                #expect(head?.range == RangeID(store: .dist, number: 1))
                bench.machines[0].machine.receive(
                    .routePatchApplied, span.extracting(reader.offset..<span.byteCount),
                    from: bench.own, output: bench.machines[0].output)
            }
        }
    }

    @Test("plans sort members of a group by nearness and keep an ordered publisher with one member")
    func groups() {
        let bench = CacheBench(seed: 1)
        let tenant = Array("t1".utf8)
        let group = RouteGroup(kind: .ordered, name: Array("g".utf8))
        let places = [
            Place(node: NodeID(2), worker: WorkerIndex(0)), MachineBench.workers[1], bench.own,
        ]
        for (index, place) in places.enumerated() {
            bench.change(
                Route(
                    tenant: tenant, filter: Array("a/#".utf8), group: group,
                    receiver: .transient(
                        place: place, epoch: LivenessEpoch(1), token: UInt64(index))),
                isAddition: true)
        }
        bench.change(
            Route(
                tenant: tenant, filter: Array("a/#".utf8), group: group,
                receiver: .stored(
                    clientID: [65], incarnation: 1, options: 1, subscriptionID: 0)),
            isAddition: true)
        _ = bench.lookup(tenant, Array("a".utf8))
        settle(bench)
        Array("a".utf8).withUnsafeBytes { topic in
            guard
                case .hit(let plan) = bench.cache.lookup(
                    tenant: UInt32(tenant[1]), topic: topic), plan.groups.count == 1
            else {
                Issue.record("no plan with one group")
                return
            }
            let group = plan.groups[0]
            #expect(group.ownCount == 1 && group.nodeCount == 2 && group.transientCount == 3)
            #expect(group.memberCount == 4)
            #expect(plan.members[0].place == bench.own)
            #expect(plan.members[3].isStored)
            #expect(plan.string(group.name).elementsEqual("g".utf8))
            var chosen: Set<Int> = []
            for publisher in 0..<64 {
                let first = plan.orderedMember(of: group, publisherHash: UInt64(publisher))
                #expect(
                    plan.orderedMember(of: group, publisherHash: UInt64(publisher)) == first)
                chosen.insert(first)
            }
            #expect(chosen.count == 4, "publishers spread over the members")
        }
    }

    private func settle(_ bench: CacheBench) {
        for _ in 0..<1_000 {
            for index in 0..<2 {
                bench.answer(index)
                bench.deliver(index)
            }
        }
    }
}
