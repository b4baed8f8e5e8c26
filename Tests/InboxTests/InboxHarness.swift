import Base
import Inbox
import KV
import Testing

/// One replica with an engine of its own: carries out what the machine asks for.
final class InboxHarness {
    let machine: InboxMachine
    var engine = StoredPairs()
    /// The stored pairs.
    var store: [[UInt8]: [UInt8]] { engine.pairs }
    let output = MachineOutput(outbox: Outbox())
    var index: UInt64 = 0
    var now: UInt64
    var term: UInt64 = 1
    var isLeader = true
    var lastTicket: UInt64 = 0
    /// Answers by ticket.
    var answers: [UInt64: [UInt8]] = [:]
    /// What was sent, in order, and not taken yet.
    var sent: [(kind: MessageKind, place: Place, body: [UInt8])] = []
    /// Reads that wait; answered at once unless `holdsReads`.
    var reads: [(token: UInt64, keys: [[UInt8]])] = []
    var holdsReads = false

    static let home = Place(node: NodeID(1), worker: WorkerIndex(0))
    static let tenant: [UInt8] = Array("acme".utf8)

    init(machine: InboxMachine? = nil, now: UInt64 = 1_000_000, leads: Bool = true) {
        self.now = now
        isLeader = leads
        self.machine =
            machine ?? InboxMachine(options: .init(home: Self.home, hashSeed: 7))
        if machine == nil, leads { lead() }
    }

    var position: ApplyPosition {
        ApplyPosition(
            index: index, time: WallTime(milliseconds: now), term: term, isLeader: isLeader)
    }

    func lead() {
        isLeader = true
        machine.leadershipChanged(position, output: output)
        settle()
    }

    /// Carries out what the machine wants, until it wants no more.
    func settle() {
        while true {
            output.writes.forEach(
                put: { key, value in engine.pairs[key.array] = value.array },
                delete: { key in engine.pairs[key.array] = nil })
            for answer in output.answers {
                let bytes = Array(output.answerBytes.bytes[answer.bytes.range])
                #expect(answers[answer.ticket.rawValue] == nil, "a ticket is answered twice")
                answers[answer.ticket.rawValue] = bytes
            }
            reads += output.reads
            for block in output.outbox.blocks {
                let isWhole = Outbox.forEachFrame(in: block.bytes.bytes) { kind, body in
                    sent.append((kind, block.place, body.array))
                }
                #expect(isWhole)
                block.bytes.removeAll()
            }
            output.removeAll()
            if holdsReads || reads.isEmpty { return }
            answerRead()
        }
    }

    func answerRead() {
        let read = reads.removeFirst()
        machine.completeRead(read.token, values: read.keys.map { store[$0] }, output: output)
    }

    @discardableResult
    func apply(_ command: InboxCommand) -> [UInt8] { apply(bytes: command.encoded) }

    @discardableResult
    func apply(bytes: [UInt8]) -> [UInt8] {
        index += 1
        machine.apply(bytes.span.bytes, at: position, output: output)
        let result = output.result.array
        #expect(result.count <= RangeLimits.resultBytesMax)
        settle()
        return result
    }

    /// Applies commands that travelled in one batch: one entry, places in it from 0.
    func applyEntry(_ commands: [InboxCommand]) {
        index += 1
        for (ordinal, command) in commands.enumerated() {
            var position = position
            position.ordinal = UInt32(ordinal)
            machine.apply(command.encoded.span.bytes, at: position, output: output)
            output.result.removeAll()
        }
        settle()
    }

    /// Lets time pass and carries out what became due.
    func pass(seconds: UInt64) {
        now += seconds * 1000
        var rounds = 0
        while machine.nextDue.milliseconds <= now, rounds < 10_000 {
            index += 1
            machine.applyDue(at: position, output: output)
            settle()
            rounds += 1
        }
        #expect(rounds < 10_000, "due work never ends")
    }

    @discardableResult
    func ask(_ question: InboxQuestion) -> UInt64 {
        lastTicket += 1
        machine.query(
            question.encoded.span.bytes, ticket: QueryTicket(lastTicket), output: output)
        settle()
        return lastTicket
    }

    func send(
        _ kind: MessageKind, from place: Place = InboxHarness.home,
        _ body: (inout ByteWriter) -> Void
    ) {
        var writer = ByteWriter()
        body(&writer)
        machine.receive(kind, writer.array.span.bytes, from: place, output: output)
        settle()
    }

    /// Messages of a kind since the last call, oldest first.
    func take(_ kind: MessageKind) -> [(place: Place, body: [UInt8])] {
        let found = sent.filter { $0.kind == kind }.map { ($0.place, $0.body) }
        sent.removeAll { $0.kind == kind }
        return found
    }

    func takePushes() -> [PushMessage.Entry] {
        take(.inboxPush).flatMap { message in
            message.body.withUnsafeBytes { PushMessage.decode($0)?.entries ?? [] }
        }
    }

    func takeOutbox() -> [OutboxReadyMessage] {
        take(.outboxReady).compactMap { message in
            message.body.withUnsafeBytes { OutboxReadyMessage.decode($0) }
        }
    }

    func takeIntents() -> [IntentReadyMessage] {
        take(.intentReady).compactMap { message in
            message.body.withUnsafeBytes { IntentReadyMessage.decode($0) }
        }
    }

    func takeEvictions() -> [OwnerEvictMessage] {
        take(.ownerEvict).compactMap { message in
            message.body.withUnsafeBytes { OwnerEvictMessage.decode($0) }
        }
    }

    func takeDrops() -> [InboxDroppedMessage] {
        take(.inboxDropped).compactMap { message in
            message.body.withUnsafeBytes { InboxDroppedMessage.decode($0) }
        }
    }

    /// A machine rebuilt from what is stored, in key order.
    func rebuilt(isLeader: Bool = false, bounds: KeyBounds = .all) -> InboxHarness {
        let machine = InboxMachine(options: .init(home: Self.home, hashSeed: 99))
        for key in store.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            if bounds.contains(key), let value = store[key] {
                machine.load(key: key.span.bytes, value: value.span.bytes)
            }
        }
        let other = InboxHarness(machine: machine, now: now)
        other.engine.pairs = store
        other.index = index
        other.term = term
        other.isLeader = isLeader
        return other
    }
}

/// A client with the habits of a Broker: claims, attaches, gives credit.
struct TestClient {
    var name: String
    var place = InboxHarness.home
    var token: UInt64 = 1
    var epoch = OwnerEpoch.none
    var incarnation: UInt64 = 0
    var attached = AttachResult()

    init(_ name: String, token: UInt64 = 1) {
        self.name = name
        self.token = token
    }

    var session: SessionName {
        SessionName(tenant: InboxHarness.tenant, clientID: Array(name.utf8))
    }
    var clientID: [UInt8] { Array(name.utf8) }

    func claim(principal: String = "user", binds: Bool = true) -> InboxQuestion {
        .claim(
            ClaimQuestion(
                session: session, principal: Array(principal.utf8), place: place,
                connectionToken: token, bindsPrincipal: binds))
    }

    /// The whole CONNECT of a client whose id is free.
    mutating func connect(
        _ host: InboxHarness, cleanStart: Bool = false, expiry: UInt32 = 3600,
        limits: QueueLimits = QueueLimits(messagesMax: 100, bytesMax: 0, policy: .dropNewest),
        will: StoredWill? = nil
    ) throws {
        let ticket = host.ask(claim())
        let answer = try #require(host.answers[ticket].flatMap { ClaimAnswer.decode($0) })
        #expect(answer.status == .ok)
        epoch = answer.ownerEpoch
        let result = host.apply(
            .attach(
                AttachCommand(
                    session: session, principal: Array("user".utf8), ownerEpoch: epoch,
                    place: place, connectionToken: token, cleanStart: cleanStart,
                    expirySeconds: expiry, limits: limits, sentThrough: answer.sentThrough,
                    will: will)))
        attached = try #require(AttachResult.decode(result))
        incarnation = attached.incarnation
    }

    func credit(_ host: InboxHarness, messages: UInt64 = 1000, restarts: Bool = true) {
        host.send(.inboxCredit, from: place) {
            CreditMessage(
                session: session, ownerEpoch: epoch, cursor: 0, restarts: restarts,
                messagesTotal: messages, bytesTotal: 1 << 30
            ).encode(into: &$0)
        }
    }

    @discardableResult
    func disconnect(
        _ host: InboxHarness, _ reason: DetachReason = .connectionLost, expiry: UInt32? = nil,
        sentThrough: UInt64 = 0
    ) -> DetachResult? {
        let result = host.apply(
            .detach(
                DetachCommand(
                    session: session, ownerEpoch: epoch, reason: reason, expirySeconds: expiry,
                    sentThrough: sentThrough)))
        release(host)
        return DetachResult.decode(result)
    }

    func release(_ host: InboxHarness) {
        host.send(.ownerReleased, from: place) {
            OwnerReleasedMessage(session: session, ownerEpoch: epoch).encode(into: &$0)
        }
    }

    @discardableResult
    func acknowledge(
        _ host: InboxHarness, _ sequences: [UInt64], _ kind: AcknowledgementKind = .acknowledged
    ) -> [InboxStatus] {
        let result = host.apply(
            .acknowledge(
                AcknowledgeCommand(
                    tenant: InboxHarness.tenant,
                    items: [
                        .init(
                            clientID: clientID, ownerEpoch: epoch,
                            entries: sequences.map { .init(sequence: $0, kind: kind) })
                    ])))
        return BatchResult.decode(result)?.statuses ?? []
    }

    func receiver(qos: UInt8 = 1, ids: [UInt32] = [], queuesQoS0: Bool = false)
        -> InsertCommand.Receiver
    {
        .init(
            clientID: clientID, incarnation: incarnation,
            options: DeliveryOptions(qos: qos, queuesQoS0: queuesQoS0), subscriptionIDs: ids)
    }
}

extension InboxHarness {
    @discardableResult
    func insert(
        _ text: String, to receivers: [InsertCommand.Receiver], expiry: UInt32? = nil,
        source: OutboxSource? = nil
    ) -> [InsertOutcome] {
        let result = apply(
            .insert(
                InsertCommand(
                    tenant: Self.tenant,
                    messages: [
                        .init(
                            record: Array(text.utf8), expirySeconds: expiry, source: source,
                            receivers: receivers)
                    ])))
        return InsertResult.decode(result)?.outcomes ?? []
    }

    func show(_ client: TestClient) -> SessionSummary? {
        answers[ask(.show(client.session))].flatMap { SessionSummary.decode($0) }
    }
}

func text(_ entries: [PushMessage.Entry]) -> [String] {
    entries.map { $0.flags.owesPubrel ? "pubrel" : String(decoding: $0.record, as: UTF8.self) }
}

/// Stored pairs; the halves of a split share them, as they share a node's engine.
final class StoredPairs {
    var pairs: [[UInt8]: [UInt8]] = [:]
}
