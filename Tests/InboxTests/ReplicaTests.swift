import Base
import Inbox
import KV
import Testing

/// What a random history does next: the same bytes for every replica.
struct HistoryStep {
    var command: InboxCommand?
    /// Seconds that pass before.
    var seconds: UInt64 = 0
}

/// Random commands over a few clients, and what the world knows about them.
struct RandomHistory {
    var random: SeededRandom
    var epoch: UInt64 = 1 << 32
    var text = 0
    /// Epoch of each client's last attach, and its incarnation as told by the result.
    var epochs: [String: UInt64] = [:]
    var incarnations: [String: UInt64] = [:]
    let names: [String]

    init(seed: UInt64, clients: Int = 8) {
        random = SeededRandom(seed: seed)
        names = (0..<clients).map { "client-\($0)" }
    }

    private mutating func name() -> String { names[random.below(names.count)] }

    private func session(_ name: String) -> SessionName {
        SessionName(tenant: InboxHarness.tenant, clientID: Array(name.utf8))
    }

    private func ownerEpoch(_ name: String) -> OwnerEpoch { OwnerEpoch(epochs[name] ?? 1) }

    mutating func next() -> HistoryStep {
        var step = HistoryStep()
        if random.chance(percent: 15) { step.seconds = UInt64(random.below(20)) }
        let name = name()
        switch random.below(12) {
        case 0, 1: step.command = attach(name)
        case 2: step.command = detach(name)
        case 3: step.command = subscribe(name)
        case 4: step.command = outboxPut(name)
        case 5: step.command = finish(name)
        case 6, 7, 8: step.command = acknowledge(name)
        default: step.command = insert()
        }
        return step
    }

    private mutating func attach(_ name: String) -> InboxCommand {
        epoch += 1
        epochs[name] = epoch
        return .attach(
            AttachCommand(
                session: session(name), principal: Array("user".utf8),
                ownerEpoch: OwnerEpoch(epoch), place: InboxHarness.home, connectionToken: epoch,
                cleanStart: random.chance(percent: 20),
                expirySeconds: [0, 5, 30, .max][random.below(4)],
                limits: QueueLimits(
                    messagesMax: UInt32(3 + random.below(10)), bytesMax: 200,
                    policy: QueuePolicy.allCases[random.below(3)],
                    dropsOldestQoS0: random.chance(percent: 50)),
                sentThrough: UInt64(random.below(5)),
                will: random.chance(percent: 40)
                    ? StoredWill(delaySeconds: UInt32(random.below(10)), record: [1, 2, 3]) : nil))
    }

    private mutating func detach(_ name: String) -> InboxCommand {
        .detach(
            DetachCommand(
                session: session(name), ownerEpoch: ownerEpoch(name),
                reason: DetachReason.allCases[random.below(3)],
                expirySeconds: random.chance(percent: 20) ? UInt32(random.below(10)) : nil,
                sentThrough: UInt64(random.below(20))))
    }

    private mutating func subscribe(_ name: String) -> InboxCommand {
        let filter = Array("filter/\(random.below(5))".utf8)
        if random.chance(percent: 30) {
            return .unsubscribe(
                UnsubscribeCommand(
                    session: session(name), ownerEpoch: ownerEpoch(name), filters: [filter]))
        }
        return .subscribe(
            SubscribeCommand(
                session: session(name), ownerEpoch: ownerEpoch(name), filtersMax: 4,
                subscriptions: [.init(filter: filter, options: UInt8(random.below(3)))]))
    }

    private mutating func outboxPut(_ name: String) -> InboxCommand {
        .outboxPut(
            OutboxPutCommand(
                tenant: InboxHarness.tenant,
                items: [
                    .init(
                        clientID: Array(name.utf8), ownerEpoch: ownerEpoch(name),
                        packetID: UInt16(1 + random.below(6)), record: [9, 9])
                ]))
    }

    private mutating func finish(_ name: String) -> InboxCommand {
        switch random.below(3) {
        case 0:
            return .outboxDone(
                OutboxDoneCommand(
                    tenant: InboxHarness.tenant,
                    items: [
                        .init(
                            clientID: Array(name.utf8), sequences: [UInt64(1 + random.below(9))])
                    ]))
        case 1:
            return .pubrelReceived(
                PubrelReceivedCommand(
                    tenant: InboxHarness.tenant,
                    items: [
                        .init(
                            clientID: Array(name.utf8), ownerEpoch: ownerEpoch(name),
                            packetIDs: [UInt16(1 + random.below(6))])
                    ]))
        default:
            return .completeIntents(
                CompleteIntentsCommand(
                    session: session(name),
                    intents: (0..<4).map { _ in
                        .init(number: UInt64(1 + random.below(30)), filter: [0x66])
                    }))
        }
    }

    private mutating func acknowledge(_ name: String) -> InboxCommand {
        .acknowledge(
            AcknowledgeCommand(
                tenant: InboxHarness.tenant,
                items: [
                    .init(
                        clientID: Array(name.utf8), ownerEpoch: ownerEpoch(name),
                        entries: (0..<3).map { _ in
                            .init(
                                sequence: UInt64(1 + random.below(40)),
                                kind: random.chance(percent: 30) ? .pubrecReceived : .acknowledged)
                        })
                ]))
    }

    private mutating func insert() -> InboxCommand {
        let messages = (0...random.below(2)).map { _ in
            text += 1
            return InsertCommand.Message(
                record: Array("text-\(text)".utf8),
                expirySeconds: random.chance(percent: 30) ? UInt32(random.below(15)) : nil,
                source: random.chance(percent: 30)
                    ? OutboxSource(
                        identity: UInt64(random.below(2)), origin: 1,
                        sequence: UInt64(random.below(60))) : nil,
                receivers: receivers())
        }
        return .insert(InsertCommand(tenant: InboxHarness.tenant, messages: messages))
    }

    private mutating func receivers() -> [InsertCommand.Receiver] {
        (0...random.below(4)).map { _ in
            let name = name()
            return .init(
                clientID: Array(name.utf8), incarnation: incarnations[name] ?? 3,
                options: DeliveryOptions(
                    qos: UInt8(random.below(3)), retain: random.chance(percent: 20),
                    queuesQoS0: random.chance(percent: 50)),
                subscriptionIDs: random.chance(percent: 20) ? [4, 5] : [])
        }
    }

    /// Learns from the result of a step what later steps need.
    mutating func learn(_ command: InboxCommand, _ result: [UInt8]) {
        if case .attach(let attach) = command, let result = AttachResult.decode(result),
            result.isStored
        {
            incarnations[String(decoding: attach.session.clientID, as: UTF8.self)] =
                result.incarnation
        }
    }
}

@Suite("Replicas")
struct ReplicaTests {
    /// Lets time pass in all, at the same log positions.
    func pass(_ seconds: UInt64, _ hosts: [InboxHarness]) {
        for host in hosts { host.now += seconds * 1000 }
        while hosts[0].machine.nextDue.milliseconds <= hosts[0].now {
            for host in hosts {
                host.index += 1
                host.machine.applyDue(at: host.position, output: host.output)
                host.settle()
            }
        }
    }

    @Test(
        "A follower, and one rebuilt from its rows, answer and store what the leader does",
        arguments: 1...12 as ClosedRange<UInt64>)
    func lockStep(seed: UInt64) {
        var history = RandomHistory(seed: seed)
        let leader = InboxHarness()
        var follower = InboxHarness(leads: false)
        for step in 0..<600 {
            let next = history.next()
            if next.seconds > 0 { pass(next.seconds, [leader, follower]) }
            guard let command = next.command else { continue }
            let result = leader.apply(command)
            #expect(InboxResult.status(of: result) != .malformed)
            let same = follower.apply(command)
            guard result == same, leader.store == follower.store else {
                let keys = Set(leader.store.keys).union(follower.store.keys)
                let different = keys.filter { leader.store[$0] != follower.store[$0] }
                Issue.record("seed \(seed), step \(step): \(command), \(different)")
                return
            }
            history.learn(command, result)
            if step % 50 == 49 { follower = follower.rebuilt() }
        }
        #expect(follower.sent.isEmpty, "a follower said something")
        pass(1_000_000, [leader, follower])
        #expect(leader.store == follower.store)
    }

    /// Everything that can be seen of a session: its summary and what a new owner would get.
    func view(_ host: InboxHarness, _ name: String) -> String {
        var client = TestClient(name)
        guard let state = host.machine.describe(client.session) else { return "" }
        client.epoch = host.show(client)?.ownerEpoch ?? .none
        client.credit(host)
        return ([state] + host.takePushes().map { "\($0)" }).joined(separator: "\n")
    }

    /// The part of a command that is for one half; nil if none is.
    func part(_ command: InboxCommand, _ isHere: (String) -> Bool) -> InboxCommand? {
        func has(_ id: [UInt8]) -> Bool { isHere(String(decoding: id, as: UTF8.self)) }
        switch command {
        case .insert(var insert):
            for at in insert.messages.indices {
                insert.messages[at].receivers.removeAll { !has($0.clientID) }
            }
            return .insert(insert)
        case .attach(let one): return has(one.session.clientID) ? command : nil
        case .detach(let one): return has(one.session.clientID) ? command : nil
        case .subscribe(let one): return has(one.session.clientID) ? command : nil
        case .unsubscribe(let one): return has(one.session.clientID) ? command : nil
        case .completeIntents(let one): return has(one.session.clientID) ? command : nil
        case .limits(let one): return has(one.session.clientID) ? command : nil
        case .acknowledge(let one): return has(one.items[0].clientID) ? command : nil
        case .outboxPut(let one): return has(one.items[0].clientID) ? command : nil
        case .outboxDone(let one): return has(one.items[0].clientID) ? command : nil
        case .pubrelReceived(let one): return has(one.items[0].clientID) ? command : nil
        case .outboxPublish, .terminate, .expireTenant, .groupJoin, .groupLeave, .groupTake:
            return command
        }
    }

    @Test(
        "A range that is cut at random goes on as if it had not been, also when rebuilt",
        arguments: 1...12 as ClosedRange<UInt64>)
    func split(seed: UInt64) throws {
        var history = RandomHistory(seed: seed &* 977)
        let whole = InboxHarness()
        var halves: [(host: InboxHarness, start: [UInt8])] = [(InboxHarness(), [])]
        for step in 0..<500 {
            if step % 120 == 60 { cut(&halves, &history.random) }
            let next = history.next()
            if next.seconds > 0 {
                pass(next.seconds, [whole])
                for half in halves { pass(next.seconds, [half.host]) }
            }
            guard let command = next.command else { continue }
            let index = UInt64(step + 1) * 1000
            whole.index = index
            let result = whole.apply(command)
            history.learn(command, result)
            for at in halves.indices {
                let mine = part(command) { self.owner(of: $0, halves) == at }
                guard let mine else { continue }
                halves[at].host.index = index
                let partial = halves[at].host.apply(mine)
                if case .insert = mine { continue }
                #expect(partial == result, "seed \(seed), step \(step)")
            }
        }
        for name in history.names {
            let at = owner(of: name, halves)
            let expected = view(whole, name)
            #expect(view(halves[at].host, name) == expected, "seed \(seed) \(name)")
            let end = at + 1 < halves.count ? halves[at + 1].start : nil
            let rebuilt = halves[at].host.rebuilt(
                bounds: KeyBounds(start: halves[at].start, end: end))
            rebuilt.lead()
            #expect(view(rebuilt, name) == expected, "seed \(seed) \(name)")
        }
        let sum = halves.reduce(0) { $0 + $1.host.machine.metrics.sessions }
        #expect(sum == whole.machine.metrics.sessions)
    }

    func owner(of name: String, _ halves: [(host: InboxHarness, start: [UInt8])]) -> Int {
        let key = InboxKeys.sessionPrefix(TestClient(name).session)
        return halves.lastIndex { KeyOrder.compare($0.start, key) <= 0 } ?? 0
    }

    func cut(
        _ halves: inout [(host: InboxHarness, start: [UInt8])], _ random: inout SeededRandom
    ) {
        let at = random.below(halves.count)
        let left = halves[at].host
        guard let key = left.machine.middleKey else { return }
        #expect(left.machine.splitKey(near: key) == key)
        guard let machine = left.machine.splitOff(at: key, output: left.output) as? InboxMachine
        else { return }
        let right = InboxHarness(machine: machine, now: left.now)
        right.engine = left.engine
        right.index = left.index
        left.settle()
        halves.insert((right, key), at: at + 1)
    }

    @Test("Cuts fall between buckets only")
    func splitKeys() {
        let machine = InboxHarness().machine
        #expect(machine.splitKey(near: [1, 2]) == [1, 2])
        #expect(machine.splitKey(near: [1, 2, 0]) == [1, 3])
        #expect(machine.splitKey(near: [1]) == [1, 0])
        #expect(machine.splitKey(near: []) == nil)
        #expect(machine.splitKey(near: [0xFF, 0xFF, 1]) == nil)
        #expect(machine.middleKey == nil)
    }

    @Test("Owners and their credit go along with a split")
    func splitOwners() throws {
        let host = InboxHarness()
        var clients = (0..<20).map { TestClient("client-\($0)", token: UInt64($0)) }
        for at in clients.indices {
            try clients[at].connect(host)
            clients[at].credit(host)
        }
        let key = try #require(host.machine.middleKey)
        let half = host.machine.splitOff(at: key, output: host.output)
        let right = InboxHarness(machine: try #require(half as? InboxMachine), now: host.now)
        right.engine = host.engine
        host.settle()
        #expect(host.machine.metrics.owners + right.machine.metrics.owners == 20)
        for client in clients {
            let here = right.show(client) == nil ? host : right
            here.insert("x", to: [client.receiver()])
            #expect(text(here.takePushes()) == ["x"])
            let again = here.ask(client.claim())
            #expect(
                here.answers[again].flatMap { ClaimAnswer.decode($0) }?.ownerEpoch == client.epoch)
        }
    }

    @Test("Damaged commands, questions and messages change nothing and stop nobody")
    func damaged() throws {
        var history = RandomHistory(seed: 5)
        var random = SeededRandom(seed: 6)
        let host = InboxHarness()
        for _ in 0..<1500 {
            guard let command = history.next().command else { continue }
            var bytes = command.encoded
            switch random.below(3) {
            case 0: bytes.removeLast(1 + random.below(bytes.count))
            case 1: bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
            default: bytes = bytes.map { _ in UInt8(truncatingIfNeeded: random.next()) }
            }
            let result = host.apply(bytes: bytes)
            #expect(InboxResult.status(of: result) != nil)
            host.lastTicket += 1
            host.machine.query(
                bytes.span.bytes, ticket: QueryTicket(host.lastTicket), output: host.output)
            host.settle()
            for kind in MessageKind.allCases {
                host.send(kind) { $0.append(bytes) }
            }
            if random.chance(percent: 50) { history.learn(command, host.apply(command)) }
        }
        #expect(host.rebuilt().machine.metrics.sessions == host.machine.metrics.sessions)
    }
}
