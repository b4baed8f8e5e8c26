import Base
import Dist
import KV
import TestKit
import Testing

/// Routes as a plain table: what a range must answer.
struct NaiveRoutes {
    struct Key: Hashable {
        var tenant: [UInt8]
        var filter: [UInt8]
        var group: RouteGroup?
        var client: [UInt8]?
        var place: Place?
        var epoch: LivenessEpoch?
        var token: UInt64?

        init(_ route: Route) {
            tenant = route.tenant
            filter = route.filter
            group = route.group
            switch route.receiver {
            case .transient(let place, let epoch, let token):
                self.place = place
                self.epoch = epoch
                self.token = route.group == nil ? nil : token
            case .stored(let client, _, _, _): self.client = client
            }
        }
    }

    var table: [Key: Route] = [:]
    var fences: [NodeID: LivenessEpoch] = [:]

    var count: Int { table.count }
    private func isFenced(_ route: Route) -> Bool {
        guard case .transient(let place, let epoch, _) = route.receiver,
            let fence = fences[place.node]
        else { return false }
        return epoch <= fence
    }

    mutating func add(_ route: Route, membersMax: Int = .max) -> RouteCode {
        if isFenced(route) { return .epochVoid }
        if let known = table.updateValue(route, forKey: Key(route)) {
            return known == route ? .unchanged : .replaced
        }
        if route.group != nil {
            let members = table.values.lazy.filter {
                $0.tenant == route.tenant && $0.filter == route.filter && $0.group == route.group
            }
            if members.count > membersMax {
                table[Key(route)] = nil
                return .groupFull
            }
        }
        return .added
    }

    mutating func remove(_ route: Route) -> RouteCode {
        guard let known = table[Key(route)] else { return .absent }
        switch (known.receiver, route.receiver) {
        case (.transient(_, _, let token), .transient(_, _, let other)):
            if token != other { return .absent }
        case (.stored(_, let incarnation, _, _), .stored(_, let other, _, _)):
            if incarnation != other { return .absent }
        default: return .absent
        }
        table[Key(route)] = nil
        return .removed
    }

    mutating func fence(_ node: NodeID, _ epoch: LivenessEpoch) {
        fences[node] = max(fences[node] ?? epoch, epoch)
        let left = table.filter { !isFenced($0.value) }
        table = left
    }

    func plan(_ tenant: [UInt8], _ topic: [UInt8]) -> PlanContent {
        var matches: [[UInt8]: Bool] = [:]
        return PlanContent(
            table.values.filter { route in
                guard route.tenant == tenant else { return false }
                if let known = matches[route.filter] { return known }
                let isMatch = naiveMatches(route.filter, topic)
                matches[route.filter] = isMatch
                return isMatch
            })
    }
}

/// What a plan says, in whatever order, for comparison.
struct PlanContent: Equatable {
    struct Line: Hashable {
        var group: RouteGroup?
        /// Of a group.
        var filter: [UInt8]?
        /// Of a stored session outside of groups.
        var filterID: UInt64 = 0
        var receiver: RouteReceiver
    }

    var lines: [Line: Int] = [:]
    var count: Int { lines.values.reduce(0, +) }

    init(_ routes: [Route]) {
        for route in routes {
            var line = Line(
                group: route.group, filter: route.group == nil ? nil : route.filter,
                receiver: route.receiver)
            switch route.receiver {
            case .transient(let place, _, let token): line.receiver = Self.transient(place, token)
            case .stored: line.filterID = route.group == nil ? BucketHash.hash(route.filter) : 0
            }
            lines[line, default: 0] += 1
        }
    }

    init(_ draft: PlanDraft) {
        func add(_ list: [PlanDraft.Transient], _ group: PlanDraft.Group?) {
            for item in list {
                let receiver = Self.transient(item.place, item.token)
                lines[
                    Line(group: group?.group, filter: group?.filter, receiver: receiver),
                    default: 0] += 1
            }
        }
        func add(_ list: [PlanDraft.Stored], _ group: PlanDraft.Group?) {
            for item in list {
                let receiver = RouteReceiver.stored(
                    clientID: item.clientID, incarnation: item.incarnation,
                    options: item.options, subscriptionID: item.subscriptionID)
                lines[
                    Line(
                        group: group?.group, filter: group?.filter, filterID: item.filterID,
                        receiver: receiver), default: 0] += 1
            }
        }
        add(draft.transients, nil)
        add(draft.stored, nil)
        for group in draft.groups {
            add(group.transients, group)
            add(group.stored, group)
        }
    }

    private static func transient(_ place: Place, _ token: UInt64) -> RouteReceiver {
        .transient(place: place, epoch: LivenessEpoch(0), token: token)
    }
}

/// Random routes and topics over a small alphabet, so that they meet.
struct RouteDice {
    var random: SeededRandom
    var tenants = ["t1", "t2"]
    var depth = 4
    var names = ["a", "b", "c", "", "$s", "device7"]
    var clients = 40

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func tenant() -> [UInt8] { Array(tenants[random.below(tenants.count)].utf8) }

    mutating func topic() -> [UInt8] {
        let levels = (0...random.below(depth)).map { _ in names[random.below(names.count)] }
        let topic = levels.joined(separator: "/")
        return Array((topic.isEmpty ? "a" : topic).utf8)
    }

    mutating func filter() -> [UInt8] {
        var levels = (0...random.below(depth)).map { _ in
            random.chance(percent: 25) ? "+" : names[random.below(names.count)]
        }
        if random.chance(percent: 20) { levels.append("#") }
        if random.chance(percent: 3) { levels = ["#"] }
        let filter = levels.joined(separator: "/")
        return Array((filter.isEmpty ? "a" : filter).utf8)
    }

    mutating func receiver() -> RouteReceiver {
        if random.chance(percent: 50) {
            return .transient(
                place: Place(
                    node: NodeID(UInt64(1 + random.below(2))),
                    worker: WorkerIndex(UInt16(random.below(3)))),
                epoch: LivenessEpoch(UInt64(1 + random.below(2))),
                token: UInt64(random.below(3) + 1))
        }
        return .stored(
            clientID: Array("client\(random.below(clients))".utf8),
            incarnation: UInt64(1 + random.below(2)), options: UInt8(random.below(3)),
            subscriptionID: UInt32(random.below(2)))
    }

    mutating func group() -> RouteGroup? {
        guard random.chance(percent: 25) else { return nil }
        return RouteGroup(
            kind: random.chance(percent: 70) ? .unordered : .ordered,
            name: Array("g\(random.below(3))".utf8))
    }

    mutating func route() -> Route {
        var route = Route(
            tenant: tenant(), filter: filter(), group: group(), receiver: receiver())
        if case .transient(let place, let epoch, let token) = route.receiver {
            // A token belongs to one filter in one life of its node.
            let life = BucketHash.hash(route.filter + (route.group?.name ?? [])) &+ epoch.rawValue
            route.receiver = .transient(place: place, epoch: epoch, token: life &* 8 &+ token)
        }
        return route
    }
}

/// A machine with a store of its keys, and the worker's side of the conversation.
final class MachineBench {
    var machine: DistMachine
    var outbox = Outbox()
    var output: MachineOutput
    var pairs: [[UInt8]: [UInt8]] = [:]
    var index: UInt64 = 0
    /// Bodies of `routePatch` messages to each worker, in order.
    var patches: [Place: [[UInt8]]] = [:]
    var released: UInt64 = 0

    static let workers = (0..<2).map {
        Place(node: NodeID(1), worker: WorkerIndex(UInt16($0)))
    }

    init(seed: UInt64, startKey: [UInt8] = [], number: UInt64 = 1) {
        machine = DistMachine(
            DistMachineOptions(
                stamp: DistRangeStamp(
                    range: RangeID(store: .dist, number: number), boundaryVersion: 1),
                startKey: startKey, workers: Self.workers, seed: seed))
        output = MachineOutput(outbox: outbox)
    }

    var position: ApplyPosition {
        ApplyPosition(index: index, time: .zero, term: 1, isLeader: true)
    }

    /// Applies a command; returns codes and how long the answer is held.
    @discardableResult
    func apply(
        _ build: (inout RouteCommandEncoder) -> Void
    ) -> (codes: [RouteCode], hold: UInt64?) {
        var command = RouteCommandEncoder()
        build(&command)
        index += 1
        command.writer.withSpan { machine.apply($0, at: position, output: output) }
        let codes = output.result.withSpan { RouteResultDecoder.codes($0) } ?? []
        let hold = output.holdAnswerUntil
        settle()
        return (codes, hold)
    }

    func applyDue() {
        index += 1
        machine.applyDue(at: position, output: output)
        settle()
    }

    func settle() {
        output.writes.forEach(
            put: { self.pairs[$0.array] = $1.array }, delete: { self.pairs[$0.array] = nil })
        if let through = output.releasedThrough { released = through }
        output.removeAll()
        for worker in Self.workers {
            let block = outbox.block(to: worker)
            _ = Outbox.forEachFrame(in: block.bytes.bytes) { kind, body in
                if kind == .routePatch { self.patches[worker, default: []].append(body.array) }
            }
            block.bytes.removeAll()
        }
    }

    func ask(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var question = ByteWriter()
        write(&question)
        question.withSpan { machine.query($0, ticket: QueryTicket(1), output: output) }
        let answer = [UInt8](output.answerBytes.bytes)
        output.removeAll()
        return answer
    }

    /// The whole answer about one topic, page by page.
    func match(
        _ tenant: [UInt8], _ topic: [UInt8], areas: MatchAreas = .both
    ) -> (content: PlanContent, pages: Int) {
        var draft = PlanDraft()
        var cursor: [UInt8] = []
        var pages = 0
        while true {
            pages += 1
            if !page(tenant, topic, areas: areas, cursor: &cursor, draft: &draft) {
                return (PlanContent(draft), pages)
            }
        }
    }

    /// The next page of an answer, merged into `draft`; true if it goes on at `cursor`. An answer
    /// that must begin again has an empty one.
    func page(
        _ tenant: [UInt8], _ topic: [UInt8], areas: MatchAreas = .both, cursor: inout [UInt8],
        draft: inout PlanDraft
    ) -> Bool {
        let answer = ask { writer in
            let mark = DistQuestion.beginMatch(&writer)
            topic.withUnsafeBytes {
                DistQuestion.appendTopic(
                    tenant: tenant, topic: $0, areas: areas, cursor: cursor, into: &writer)
            }
            DistQuestion.endMatch(&writer, at: mark, count: 1)
        }
        return answer.withRawSpan { bytes -> Bool in
            guard var head = MatchAnswer(bytes), let part = head.nextTopic(bytes) else {
                return false
            }
            if part.mustBeginAgain {
                draft = PlanDraft()
                cursor = []
                return true
            }
            let isWhole = draft.merge(bytes, part.receivers)
            #expect(isWhole)
            cursor = bytes.array(part.cursor)
            return part.hasMore
        }
    }

    /// Begins a new machine from the stored pairs, whose pages have other limits.
    func setPage(bytes: Int, visits: Int) {
        var options = machine.options
        options.pageBytes = bytes
        options.pageVisits = visits
        machine = DistMachine(options)
        load(into: machine)
    }

    /// A new machine with the stored pairs of this one.
    func reloaded(seed: UInt64) -> MachineBench {
        let other = MachineBench(seed: seed, startKey: machine.options.startKey)
        load(into: other.machine)
        other.pairs = pairs
        return other
    }

    private func load(into machine: DistMachine) {
        for (key, value) in pairs.sorted(by: { KeyOrder.compare($0.key, $1.key) < 0 }) {
            key.withRawSpan { key in
                value.withRawSpan { machine.load(key: key, value: $0) }
            }
        }
    }
}
