import Base
import Inbox
import KV
import Testing

@Suite("Outboxes")
struct OutboxTests {
    let host = InboxHarness()

    func publish(
        _ client: TestClient, _ packetID: UInt16, _ text: String, _ host: InboxHarness? = nil
    ) -> OutboxPutResult.Item? {
        let result = (host ?? self.host).apply(
            .outboxPut(
                OutboxPutCommand(
                    tenant: InboxHarness.tenant,
                    items: [
                        .init(
                            clientID: client.clientID, ownerEpoch: client.epoch,
                            packetID: packetID, record: Array(text.utf8))
                    ])))
        return OutboxPutResult.decode(result)?.items.first
    }

    func done(_ client: TestClient, _ sequences: [UInt64], _ host: InboxHarness? = nil) {
        (host ?? self.host).apply(
            .outboxDone(
                OutboxDoneCommand(
                    tenant: InboxHarness.tenant,
                    items: [.init(clientID: client.clientID, sequences: sequences)])))
    }

    func pubrel(_ client: TestClient, _ packetIDs: [UInt16]) {
        host.apply(
            .pubrelReceived(
                PubrelReceivedCommand(
                    tenant: InboxHarness.tenant,
                    items: [
                        .init(
                            clientID: client.clientID, ownerEpoch: client.epoch,
                            packetIDs: packetIDs)
                    ])))
    }

    @Test("A QoS 2 publish is recorded once, until PUBREL frees its packet id")
    func once() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        #expect(publish(anna, 5, "m") == .init(status: .ok, sequence: 1))
        #expect(publish(anna, 5, "m") == .init(status: .duplicate, sequence: 1))
        let ready = host.takeOutbox()
        #expect(ready.count == 1 && ready.first?.source.sequence == 1)
        #expect(ready.first?.isWill == false && ready.first?.record == Array("m".utf8))
        done(anna, [1])
        #expect(publish(anna, 5, "m")?.status == .duplicate)
        pubrel(anna, [5])
        #expect(publish(anna, 5, "n") == .init(status: .ok, sequence: 2))
        anna.disconnect(host)
        try anna.connect(host)
        #expect(anna.attached.inboundPacketIDs == [5])
    }

    @Test("Entries are fanned out in order, a window at a time, and again after a retry's time")
    func windowAndRetry() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let count = InboxLimits.outboxWindow + 8
        for number in 1...count { _ = publish(anna, UInt16(number), "m\(number)") }
        var ready = host.takeOutbox().map(\.source.sequence)
        #expect(ready == (1...UInt64(InboxLimits.outboxWindow)).map { $0 })
        done(anna, [1, 2, 3])
        ready = host.takeOutbox().map(\.source.sequence)
        #expect(ready == (1...3).map { UInt64(InboxLimits.outboxWindow + $0) })
        host.pass(seconds: InboxLimits.retryMilliseconds / 1000)
        ready = host.takeOutbox().map(\.source.sequence)
        #expect(ready == (0..<InboxLimits.outboxWindow).map { UInt64($0 + 4) })
        done(anna, (4...UInt64(count)).map { $0 })
        host.pass(seconds: 100)
        #expect(host.takeOutbox().isEmpty && host.machine.metrics.unfinished == 0)
    }

    private enum SplitError: Error {
        case otherMachine
    }

    /// Cuts the range so that the client's session goes to the new half.
    private func split(_ host: InboxHarness, before client: TestClient) throws -> InboxHarness {
        let bucket = Array(InboxKeys.sessionPrefix(client.session).prefix(2))
        let key = try #require(host.machine.splitKey(near: bucket))
        let upper = host.machine.splitOff(at: key, output: host.output)
        guard let machine = upper as? InboxMachine else {
            throw SplitError.otherMachine
        }
        let right = InboxHarness(machine: machine, now: host.now)
        right.engine = host.engine
        right.index = host.index
        host.settle()
        return right
    }

    @Test("What an outbox has not sent when its range is cut is sent by the other half")
    func cutWithUnsent() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let count = InboxLimits.outboxWindow + 3
        for number in 1...count { _ = publish(anna, UInt16(number), "m\(number)") }
        #expect(host.takeOutbox().count == InboxLimits.outboxWindow)
        let right = try split(host, before: anna)
        done(anna, [1, 2, 3], right)
        let next = (1...3).map { UInt64(InboxLimits.outboxWindow + $0) }
        #expect(right.takeOutbox().map(\.source.sequence) == next)
    }

    @Test("What was accepted is fanned out by the next leader, with the same source")
    func leaderChange() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = publish(anna, 1, "one")
        _ = publish(anna, 2, "two")
        let before = host.takeOutbox()
        done(anna, [1])
        let other = host.rebuilt()
        other.lead()
        let after = other.takeOutbox()
        #expect(after.map(\.source) == [before[1].source])
        #expect(publish(anna, 3, "three", other)?.sequence == 3)
    }

    @Test("An outbox outlives its session")
    func outlives() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = publish(anna, 1, "one")
        anna.disconnect(host, expiry: 0)
        #expect(!host.store.isEmpty)
        try anna.connect(host)
        #expect(!anna.attached.isSessionPresent && anna.attached.inboundPacketIDs.isEmpty)
        #expect(publish(anna, 1, "two")?.sequence == 2)
        done(anna, [1, 2])
        anna.disconnect(host, expiry: 0)
        #expect(host.store.isEmpty)
    }

    @Test("A publish with a known idempotency key adds nothing, until the key is forgotten")
    func idempotency() throws {
        let api = SessionName(
            tenant: InboxHarness.tenant, clientID: InboxKeys.publisherID(Array("key".utf8)))
        func publish(_ key: String) -> OutboxPutResult.Item? {
            let result = host.apply(
                .outboxPublish(
                    OutboxPublishCommand(
                        publisher: api, idempotencyKey: Array(key.utf8), record: [1])))
            return OutboxPutResult.decode(result)?.items.first
        }
        #expect(publish("a")?.status == .ok)
        #expect(publish("a") == .init(status: .duplicate, sequence: 1))
        #expect(publish("b")?.sequence == 2)
        #expect(host.takeOutbox().count == 2)
        host.apply(
            .outboxDone(
                OutboxDoneCommand(
                    tenant: api.tenant, items: [.init(clientID: api.clientID, sequences: [1, 2])])))
        host.pass(seconds: InboxLimits.idempotencyMilliseconds / 1000 + 1)
        #expect(host.store.isEmpty)
        #expect(publish("a")?.status == .ok)
        let forged = OutboxPublishCommand(
            publisher: TestClient("anna").session, idempotencyKey: [], record: [])
        #expect(InboxResult.status(of: host.apply(.outboxPublish(forged))) == .malformed)
    }

    @Test("The owner of before can neither publish nor release")
    func fenced() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let old = anna
        anna.disconnect(host)
        try anna.connect(host)
        #expect(publish(old, 1, "x")?.status == .staleOwner)
        #expect(publish(TestClient("nobody"), 1, "x")?.status == .noSession)
    }

    @Test("An outbox is bounded")
    func bounded() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        for number in 1...InboxLimits.outboxEntriesMax {
            #expect(publish(anna, UInt16(number), "x")?.status == .ok)
        }
        #expect(publish(anna, 9999, "x")?.status == .quotaExceeded)
    }
}
