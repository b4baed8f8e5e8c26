import Base
import Inbox
import KV
import Testing

@Suite("Queues of stored sessions")
struct QueueTests {
    let host = InboxHarness()

    @Test("What was queued while Anna was away is pushed in order when she returns")
    func offlineThenOnline() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        #expect(!anna.attached.isSessionPresent && anna.attached.isStored)
        anna.disconnect(host)
        for text in ["one", "two", "three"] {
            #expect(host.insert(text, to: [anna.receiver()]) == [.stored])
        }
        try anna.connect(host)
        #expect(anna.attached.isSessionPresent && anna.attached.queuedMessages == 3)
        anna.credit(host)
        let pushes = host.takePushes()
        #expect(text(pushes) == ["one", "two", "three"])
        #expect(pushes.map(\.sequence) == [1, 2, 3])
        #expect(pushes.map(\.packetID) == [1, 2, 3])
        #expect(!pushes.contains { $0.flags.isRedelivery })
    }

    @Test("An owner that is caught up gets the message at apply, without a read")
    func straightPush() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.credit(host)
        host.holdsReads = true
        host.insert("now", to: [anna.receiver(qos: 2, ids: [7, 9])])
        let pushes = host.takePushes()
        #expect(text(pushes) == ["now"] && host.reads.isEmpty)
        #expect(pushes.first?.subscriptionIDs == [7, 9])
        #expect(pushes.first?.flags.qos == 2)
    }

    @Test("Nothing is pushed beyond the credit, and the rest follows with new credit")
    func creditBounds() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.credit(host, messages: 2)
        for text in ["one", "two", "three", "four"] { host.insert(text, to: [anna.receiver()]) }
        #expect(text(host.takePushes()) == ["one", "two"])
        anna.credit(host, messages: 3, restarts: false)
        #expect(text(host.takePushes()) == ["three"])
        anna.credit(host, messages: 100, restarts: false)
        #expect(text(host.takePushes()) == ["four"])
        host.insert("five", to: [anna.receiver()])
        #expect(text(host.takePushes()) == ["five"])
    }

    @Test("A message for several sessions stores its body once, until the last has it")
    func sharedBody() throws {
        var clients = ["anna", "bert", "carl"].map { TestClient($0) }
        for at in clients.indices { try clients[at].connect(host) }
        let bodies = { host.store.keys.filter { $0[2] == 2 }.count }
        host.insert("shared", to: clients.map { $0.receiver() })
        #expect(bodies() == 1)
        clients[0].acknowledge(host, [1])
        clients[1].credit(host)
        #expect(text(host.takePushes()) == ["shared"])
        clients[1].acknowledge(host, [1])
        #expect(bodies() == 1)
        clients[2].disconnect(host, expiry: 0)
        #expect(bodies() == 0)
    }

    @Test("A resumed session gets DUP for what was sent, and PUBREL for what was received")
    func resume() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.credit(host)
        for text in ["one", "two", "three"] { host.insert(text, to: [anna.receiver(qos: 2)]) }
        #expect(host.takePushes().count == 3)
        anna.acknowledge(host, [1], .pubrecReceived)
        anna.disconnect(host, sentThrough: 2)
        try anna.connect(host)
        #expect(anna.attached.sentThrough == 2)
        anna.credit(host)
        let pushes = host.takePushes()
        #expect(text(pushes) == ["pubrel", "two", "three"])
        #expect(pushes.map(\.flags.isRedelivery) == [true, true, false])
        #expect(anna.acknowledge(host, [1, 2, 3]) == [.ok])
        #expect(host.show(anna)?.queuedMessages == 0)
    }

    @Test("After a crash of the owner everything that was pushed may have been sent")
    func crashOfOwner() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.credit(host, messages: 2)
        for text in ["one", "two", "three"] { host.insert(text, to: [anna.receiver()]) }
        _ = host.takePushes()
        // The worker no longer knows the connection and releases it; nobody detached.
        anna.release(host)
        anna.token = 2
        let ticket = host.ask(anna.claim())
        #expect(host.answers[ticket] == nil)
        let evicted = try #require(host.takeEvictions().first)
        #expect(evicted.connectionToken == 1)
        anna.release(host)
        let answer = try #require(host.answers[ticket].flatMap { ClaimAnswer.decode($0) })
        #expect(answer.sentThrough == 2)
    }

    @Test(
        "A full queue drops by its policy",
        arguments: [
            (QueuePolicy.dropOldest, InsertOutcome.storedDroppingOldest, ["two", "three"]),
            (.dropNewest, .droppedFullMessages, ["one", "two"]),
            (.reject, .rejected, ["one", "two"]),
        ])
    func policies(policy: QueuePolicy, outcome: InsertOutcome, left: [String]) throws {
        var anna = TestClient("anna")
        try anna.connect(host, limits: .init(messagesMax: 2, bytesMax: 0, policy: policy))
        host.insert("one", to: [anna.receiver()])
        host.insert("two", to: [anna.receiver()])
        #expect(host.insert("three", to: [anna.receiver()]) == [outcome])
        anna.credit(host)
        #expect(text(host.takePushes()) == left)
    }

    @Test("The limit in bytes holds too, and what never fits is not made room for")
    func bytesLimit() throws {
        var anna = TestClient("anna")
        try anna.connect(host, limits: .init(messagesMax: 0, bytesMax: 10, policy: .dropOldest))
        #expect(host.insert("12345", to: [anna.receiver()]) == [.stored])
        #expect(host.insert("123456", to: [anna.receiver()]) == [.storedDroppingOldest])
        #expect(host.insert("12345678901", to: [anna.receiver()]) == [.droppedFullBytes])
        #expect(host.show(anna)?.queuedBytes == 6)
    }

    @Test("A route of another incarnation, or of nobody, is stale")
    func staleRoutes() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        var old = anna.receiver()
        old.incarnation -= 1
        let nobody = TestClient("nobody").receiver()
        #expect(
            host.insert("x", to: [old, nobody, anna.receiver()]) == [
                .noSession, .noSession, .stored,
            ])
    }

    @Test("A queue is filled to its last byte, and takes none beyond it")
    func lastByte() throws {
        var anna = TestClient("anna")
        try anna.connect(host, limits: .init(messagesMax: 0, bytesMax: 10, policy: .dropNewest))
        #expect(host.insert("123456", to: [anna.receiver()]) == [.stored])
        #expect(host.insert("12345", to: [anna.receiver()]) == [.droppedFullBytes])
        #expect(host.insert("1234", to: [anna.receiver()]) == [.stored])
        #expect(host.insert("1", to: [anna.receiver()]) == [.droppedFullBytes])
    }

    @Test("Acknowledgements of an owner that was superseded are refused")
    func staleAcknowledgement() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        host.insert("one", to: [anna.receiver()])
        let old = anna
        anna.disconnect(host)
        try anna.connect(host)
        #expect(old.acknowledge(host, [1]) == [.staleOwner])
        #expect(host.show(anna)?.queuedMessages == 1)
        #expect(anna.acknowledge(host, [1]) == [.ok])
    }

    @Test("QoS 0 reaches an owner with credit only; stored only if asked for")
    func qos0() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        #expect(host.insert("lost", to: [anna.receiver(qos: 0)]) == [.qos0NotQueued])
        #expect(host.takeDrops().map(\.reason) == [.qos0Offline])
        #expect(host.insert("kept", to: [anna.receiver(qos: 0, queuesQoS0: true)]) == [.stored])
        anna.credit(host)
        #expect(text(host.takePushes()) == ["kept"])
        let command = InboxCommand.insert(
            InsertCommand(
                tenant: InboxHarness.tenant,
                messages: [.init(record: Array("live".utf8), receivers: [anna.receiver(qos: 0)])]))
        host.send(.inboxUnlogged) { command.encode(into: &$0) }
        let pushes = host.takePushes()
        #expect(text(pushes) == ["live"] && pushes.first?.sequence == 0)
    }

    @Test("Expired messages of a session that is away are removed by the range's time, counted")
    func messageExpiry() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.disconnect(host)
        anna.release(host)
        host.insert("brief", to: [anna.receiver()], expiry: 10)
        host.insert("long", to: [anna.receiver()], expiry: 1000)
        host.insert("always", to: [anna.receiver()])
        #expect(host.insert("late", to: [anna.receiver()], expiry: 0) == [.expired])
        host.pass(seconds: 12)
        #expect(host.show(anna)?.queuedMessages == 2)
        let drops = host.takeDrops()
        #expect(drops.map(\.reason) == [.messageExpired] && drops.first?.count == 1)
        try anna.connect(host)
        anna.credit(host)
        #expect(text(host.takePushes()) == ["long", "always"])
    }

    @Test("A message that was sent does not expire, before and after a reconnect")
    func sentMessageStays() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.credit(host)
        host.insert("sent", to: [anna.receiver(qos: 2)], expiry: 10)
        #expect(text(host.takePushes()) == ["sent"])
        host.pass(seconds: 12)
        #expect(host.show(anna)?.queuedMessages == 1)
        anna.disconnect(host, sentThrough: 1)
        anna.release(host)
        host.insert("not sent", to: [anna.receiver(qos: 2)], expiry: 10)
        host.pass(seconds: 12)
        #expect(host.show(anna)?.queuedMessages == 1)
        try anna.connect(host)
        anna.credit(host)
        #expect(text(host.takePushes()) == ["sent"])
    }

    @Test("Entries of one outbox are taken in any order, each once")
    func sourcesOutOfOrder() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let order: [UInt64] = [3, 1, 2, 30, 5, 29, 4, 61, 31, 60, 200, 199, 201]
        for sequence in order {
            let source = OutboxSource(identity: 9, origin: 1, sequence: sequence)
            #expect(host.insert("m", to: [anna.receiver(qos: 2)], source: source) == [.stored])
            for again in order.prefix(while: { $0 != sequence }) + [sequence] {
                let source = OutboxSource(identity: 9, origin: 1, sequence: again)
                let outcome = host.insert("m", to: [anna.receiver(qos: 2)], source: source)
                #expect(outcome == [.duplicate], "\(again) behind \(sequence)")
            }
        }
    }

    @Test("Repeats out of one outbox are dropped, whatever comes between")
    func sources() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        func source(_ sequence: UInt64, origin: UInt64 = 1) -> OutboxSource {
            OutboxSource(identity: 5, origin: origin, sequence: sequence)
        }
        #expect(host.insert("a", to: [anna.receiver(qos: 2)], source: source(1)) == [.stored])
        #expect(host.insert("a", to: [anna.receiver(qos: 2)], source: source(1)) == [.duplicate])
        #expect(host.insert("b", to: [anna.receiver(qos: 2)], source: source(2)) == [.stored])
        #expect(host.insert("a", to: [anna.receiver(qos: 2)], source: source(1)) == [.duplicate])
        anna.acknowledge(host, [1, 2])
        #expect(host.insert("b", to: [anna.receiver(qos: 2)], source: source(2)) == [.duplicate])
        #expect(
            host.insert("c", to: [anna.receiver(qos: 2)], source: source(1, origin: 2))
                == [.stored])
    }

    @Test("The window of unacknowledged entries never repeats a packet id")
    func packetIDWindow() throws {
        var anna = TestClient("anna")
        try anna.connect(host, limits: .init(messagesMax: 0, bytesMax: 0, policy: .dropNewest))
        anna.credit(host, messages: 1 << 40)
        for _ in 0..<66 {
            var encoder = InsertEncoder(tenant: InboxHarness.tenant)
            for _ in 0..<1000 {
                [1].withUnsafeBytes { encoder.beginMessage(record: $0) }
                anna.clientID.withUnsafeBytes {
                    encoder.addReceiver(
                        clientID: $0, incarnation: anna.incarnation,
                        options: DeliveryOptions(qos: 1))
                }
            }
            encoder.finish()
            host.apply(bytes: encoder.array)
        }
        var pushed = host.takePushes()
        #expect(pushed.count == Int(InboxLimits.packetIDWindow))
        #expect(Set(pushed.map(\.packetID)).count == pushed.count)
        anna.acknowledge(host, [1])
        pushed = host.takePushes()
        #expect(pushed.map(\.sequence) == [InboxLimits.packetIDWindow + 1])
    }
}
