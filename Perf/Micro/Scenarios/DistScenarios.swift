import Base
import Dist
import KV
import MQTT

/// Who receives a topic: the worker's cache, the range's tables, and changes of routes.
enum DistScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "match-cache-hit-1k", what: "look-up of one of 1,000 topics that are cached",
            make: { hits(topics: 1_000) }),
        Scenario(
            name: "match-cache-hit-100k", what: "the same of 100,000", isHeavy: true,
            make: { hits(topics: 100_000) }),
        Scenario(
            name: "match-1k", what: "a range answers one topic: 1,000 filters, 7 in 10 exact",
            make: { matches(filters: 1_000) }),
        Scenario(
            name: "match-100k", what: "the same with 100,000 filters",
            make: { matches(filters: 100_000) }),
        Scenario(
            name: "match-1m", what: "the same with a million filters", count: 5_000, isHeavy: true,
            make: { matches(filters: 1_000_000) }),
        Scenario(
            name: "match-cache-miss-1k",
            what: "a topic never seen: question, answer of 1,000 filters, plan", count: 2_000,
            make: { misses(filters: 1_000) }),
        Scenario(
            name: "match-cache-miss-100k", what: "the same with 100,000 filters", count: 2_000,
            make: { misses(filters: 100_000) }),
        Scenario(
            name: "match-cache-miss-1m", what: "the same with a million filters", count: 2_000,
            isHeavy: true,
            make: { misses(filters: 1_000_000) }),
        Scenario(
            name: "route-change-1k",
            what: "a route is added and removed among 1,000, two workers are told", count: 2_000,
            make: { changes(filters: 1_000) }),
        Scenario(
            name: "route-change-100k", what: "the same among 100,000", count: 2_000,
            make: { changes(filters: 100_000) }),
    ]

    /// Machines are built once for all scenarios, which run one after the other on one thread.
    private nonisolated(unsafe) static var stages: [Int: DistStage] = [:]

    private static func stage(filters: Int) -> DistStage {
        if let stage = stages[filters] { return stage }
        let stage = DistStage(filters: filters)
        stages[filters] = stage
        return stage
    }

    private static func hits(topics: Int) -> (Int) -> UInt64 {
        let stage = stage(filters: 1_000)
        var cache = RouteCache(own: DistStage.workers[0], seed: 7)
        for number in 0..<topics {
            DistStage.topic(number).withUnsafeBytes { _ = stage.resolve($0, &cache) }
        }
        var random = SeededRandom(seed: 3)
        let asked = ByteList((0..<1_024).map { _ in DistStage.topic(random.below(topics)) })
        let holder = CacheHolder(cache)
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                if case .hit(let plan) = holder.cache.lookup(tenant: 1, topic: asked[index]) {
                    sum &+= UInt64(plan.ownTokens.count) &+ 1
                }
            }
            return sum
        }
    }

    private static func matches(filters: Int) -> (Int) -> UInt64 {
        let stage = stage(filters: filters)
        var random = SeededRandom(seed: 3)
        let questions = ByteList(
            (0..<1_024).map { _ in stage.question(DistStage.topic(random.below(filters))) })
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                stage.answer(questions[index]) { sum &+= UInt64($0.byteCount) }
            }
            return sum
        }
    }

    private static func misses(filters: Int) -> (Int) -> UInt64 {
        let stage = stage(filters: filters)
        let holder = CacheHolder(RouteCache(own: DistStage.workers[0], seed: 7))
        var random = SeededRandom(seed: 3)
        // Topics of filters, and eight letters behind them that make each a new one.
        let topics = ByteList(
            (0..<1_024).map { _ in
                DistStage.topic(random.below(filters)) + Array("/abcdefgh".utf8)
            })
        var next: UInt64 = 0
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                next += 1
                let topic = topics[index]
                topics.replaceEnd(of: topic, next)
                sum &+= stage.resolve(topic, &holder.cache)
            }
            return sum
        }
    }

    private static func changes(filters: Int) -> (Int) -> UInt64 {
        let stage = stage(filters: filters)
        let routes = (0..<256).map { stage.route(filters + $0) }
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let route = routes[index & 255]
                sum &+= stage.apply { $0.add(route) }
                sum &+= stage.apply { $0.remove(route) }
            }
            return sum
        }
    }
}

/// A cache that closures can share.
private final class CacheHolder {
    @exclusivity(unchecked)
    var cache: RouteCache
    init(_ cache: consuming RouteCache) { self.cache = cache }
}

/// 1,024 byte strings in one block, for loops that shall not touch a reference count.
private final class ByteList {
    private let bytes: UnsafeMutableRawBufferPointer
    private let parts: UnsafeMutablePointer<UnsafeRawBufferPointer>

    init(_ list: [[UInt8]]) {
        bytes = .allocate(byteCount: list.reduce(0) { $0 + $1.count }, alignment: 16)
        parts = .allocate(capacity: list.count)
        var offset = 0
        for (index, item) in list.enumerated() {
            let part = bytes[offset..<offset + item.count]
            UnsafeMutableRawBufferPointer(rebasing: part).copyBytes(from: item)
            parts[index] = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + item.count])
            offset += item.count
        }
    }

    deinit {
        bytes.deallocate()
        parts.deallocate()
    }

    subscript(index: Int) -> UnsafeRawBufferPointer { parts[index & 1_023] }

    /// Writes a number as the eight letters at a part's end.
    func replaceEnd(of part: UnsafeRawBufferPointer, _ number: UInt64) {
        let place = UnsafeMutableRawBufferPointer(mutating: part)
        for position in 0..<8 {
            place[part.count - 1 - position] = 0x61 &+ UInt8(number >> (position * 4) & 15)
        }
    }
}

/// A range's machine with routes, and a worker's questions to it.
///
/// Of ten filters seven are exact, two have `+`, one has `#`; a topic of the mixture has one to
/// three receivers. A thousand filters share their first two levels.
final class DistStage {
    static let workers = (0..<2).map { Place(node: NodeID(1), worker: WorkerIndex(UInt16($0))) }
    static let tenant = Array("tenant-a".utf8)

    private let machine: DistMachine
    private let outbox = Outbox()
    private let output: MachineOutput
    private var question = ByteWriter(capacity: 256)
    private var index: UInt64 = 0

    init(filters: Int) {
        machine = DistMachine(
            DistMachineOptions(
                stamp: DistRangeStamp(
                    range: RangeID(store: .dist, number: 1), boundaryVersion: 1), startKey: [],
                workers: Self.workers, seed: 1))
        output = MachineOutput(outbox: outbox)
        for start in stride(from: 0, to: filters, by: 100) {
            _ = apply { command in
                for number in start..<min(filters, start + 100) { command.add(route(number)) }
            }
        }
    }

    static func topic(_ number: Int) -> [UInt8] {
        Array("site/\(number / 1_000)/line/\(number % 1_000)/temperature".utf8)
    }

    private static func filter(_ number: Int) -> [UInt8] {
        switch number % 10 {
        case 0: Array("site/\(number / 1_000)/line/\(number % 1_000)/#".utf8)
        case 1, 2: Array("site/\(number / 1_000)/+/\(number % 1_000)/temperature".utf8)
        default: topic(number)
        }
    }

    func route(_ number: Int) -> Route {
        Route(
            tenant: Self.tenant, filter: Self.filter(number),
            receiver: .transient(
                place: Self.workers[number % 2], epoch: LivenessEpoch(1),
                token: UInt64(number) + 1))
    }

    /// Applies one command; returns a checksum.
    func apply(_ build: (inout RouteCommandEncoder) -> Void) -> UInt64 {
        var command = RouteCommandEncoder()
        build(&command)
        index += 1
        let position = ApplyPosition(index: index, time: .zero, term: 1, isLeader: true)
        command.writer.withSpan { machine.apply($0, at: position, output: output) }
        defer {
            output.removeAll()
            for block in outbox.blocks { block.bytes.removeAll() }
        }
        return UInt64(output.result.count)
    }

    func question(_ topic: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        let mark = DistQuestion.beginMatch(&writer)
        topic.withUnsafeBytes {
            DistQuestion.appendTopic(tenant: Self.tenant, topic: $0, into: &writer)
        }
        DistQuestion.endMatch(&writer, at: mark, count: 1)
        return writer.array
    }

    func answer(_ question: UnsafeRawBufferPointer, _ body: (RawSpan) -> Void) {
        machine.query(
            RawSpan(_unsafeBytes: question), ticket: QueryTicket(1), output: output)
        output.answerBytes.withSpan { body($0) }
        output.removeAll()
    }

    /// Takes a topic that the cache does not know into it; returns its receivers here.
    func resolve(_ topic: UnsafeRawBufferPointer, _ cache: inout RouteCache) -> UInt64 {
        guard case .miss = cache.lookup(tenant: 1, topic: topic),
            let id = cache.beginQuestion(
                tenant: 1, tenantName: Self.tenant, topic: topic, parts: 1)
        else { return 0 }
        question.removeAll()
        let mark = DistQuestion.beginMatch(&question)
        cache.writeTopic(id, part: 0, areas: .both, into: &question)
        DistQuestion.endMatch(&question, at: mark, count: 1)
        question.withSpan { machine.query($0, ticket: QueryTicket(1), output: output) }
        output.answerBytes.withSpan { answer in
            guard var head = MatchAnswer(answer), let part = head.nextTopic(answer) else { return }
            _ = cache.receiveAnswer(
                id, part: 0, stamp: head.stamp, patchNumber: head.patchNumber, topic: part,
                bytes: answer)
        }
        output.removeAll()
        guard case .hit(let plan) = cache.lookup(tenant: 1, topic: topic) else { return 0 }
        return UInt64(plan.ownTokens.count) &+ 1
    }
}
