import Base
import Inbox
import KV
import Testing

@Suite("Wills")
struct WillTests {
    let host = InboxHarness()

    func will(_ delay: UInt32) -> StoredWill {
        StoredWill(delaySeconds: delay, record: Array("gone".utf8))
    }

    /// Texts of wills that the leader wanted fanned out; each is finished at once.
    func published() -> [String] {
        let ready = host.takeOutbox()
        for one in ready {
            #expect(one.isWill)
            host.apply(
                .outboxDone(
                    OutboxDoneCommand(
                        tenant: one.publisher.tenant,
                        items: [
                            .init(
                                clientID: one.publisher.clientID,
                                sequences: [one.source.sequence])
                        ])))
        }
        return ready.map { String(decoding: $0.record, as: UTF8.self) }
    }

    struct Detach: Sendable, CustomTestStringConvertible {
        var reason: DetachReason
        var delay: UInt32
        var expiry: UInt32
        var outcome: WillOutcome
        /// Seconds until the will is out, nil for never.
        var after: UInt64?
        var testDescription: String { "\(reason), delay \(delay), expiry \(expiry)" }
    }

    @Test(
        "A connection that ends does this to its will",
        arguments: [
            Detach(reason: .discardWill, delay: 0, expiry: 60, outcome: .discarded),
            Detach(reason: .discardWill, delay: 5, expiry: 0, outcome: .discarded),
            Detach(reason: .connectionLost, delay: 0, expiry: 60, outcome: .published, after: 0),
            Detach(reason: .connectionLost, delay: 5, expiry: 60, outcome: .delayed, after: 5),
            Detach(reason: .connectionLost, delay: 90, expiry: 60, outcome: .delayed, after: 60),
            Detach(reason: .connectionLost, delay: 5, expiry: 0, outcome: .published, after: 0),
            Detach(reason: .willNow, delay: 5, expiry: 60, outcome: .published, after: 0),
        ])
    func detach(row: Detach) throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: row.expiry, will: will(row.delay))
        let result = try #require(anna.disconnect(host, row.reason))
        #expect(result.will == row.outcome && result.hasEnded == (row.expiry == 0))
        if let after = row.after, after > 0 {
            host.pass(seconds: after - 1)
            #expect(published().isEmpty)
            host.pass(seconds: 1)
        }
        #expect(published() == (row.after == nil ? [] : ["gone"]))
        host.pass(seconds: 1000)
        #expect(published().isEmpty)
        #expect(host.store.isEmpty)
    }

    struct Takeover: Sendable, CustomTestStringConvertible {
        var delay: UInt32
        var cleanStart: Bool
        var isDetachedBefore: Bool
        var isPublished: Bool
        var testDescription: String {
            "delay \(delay), clean start \(cleanStart), detached \(isDetachedBefore)"
        }
    }

    @Test(
        "A connection that takes over does this to the will before it",
        arguments: [
            Takeover(delay: 0, cleanStart: false, isDetachedBefore: false, isPublished: true),
            Takeover(delay: 5, cleanStart: false, isDetachedBefore: false, isPublished: false),
            Takeover(delay: 0, cleanStart: true, isDetachedBefore: false, isPublished: true),
            Takeover(delay: 5, cleanStart: true, isDetachedBefore: false, isPublished: true),
            Takeover(delay: 5, cleanStart: false, isDetachedBefore: true, isPublished: false),
            Takeover(delay: 5, cleanStart: true, isDetachedBefore: true, isPublished: true),
        ])
    func takeover(row: Takeover) throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: 60, will: will(row.delay))
        if row.isDetachedBefore { anna.disconnect(host) } else { anna.release(host) }
        anna.token = 2
        let old = anna
        // A new leader would know the old connection from the log: it is released already.
        let ticket = host.ask(anna.claim())
        old.release(host)
        let granted = try #require(host.answers[ticket].flatMap { ClaimAnswer.decode($0) })
        #expect(granted.hasRecord)
        try anna.connect(host, cleanStart: row.cleanStart, expiry: 60)
        #expect(published() == (row.isPublished ? ["gone"] : []))
        host.pass(seconds: 30)
        #expect(published().isEmpty)
    }

    @Test("A transient session's will is kept while it is owned, and nothing after it")
    func transient() throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: 0, will: will(10))
        #expect(!anna.attached.isStored && !anna.attached.isSessionPresent)
        #expect(!host.store.isEmpty)
        #expect(host.insert("x", to: [anna.receiver()]) == [.noSession])
        anna.disconnect(host)
        #expect(published() == ["gone"])
        #expect(host.store.isEmpty && host.machine.metrics.sessions == 0)
    }

    @Test("A transient connection without a will leaves no record")
    func nothingKept() throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: 0)
        #expect(!anna.attached.isStored && host.store.isEmpty)
    }

    @Test("A will that is due survives the leader: the next one publishes it, once")
    func survives() throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: 60, will: will(5))
        anna.disconnect(host)
        let other = host.rebuilt(isLeader: true)
        other.lead()
        other.pass(seconds: 5)
        #expect(other.takeOutbox().map(\.isWill) == [true])
        let third = other.rebuilt()
        third.lead()
        #expect(third.takeOutbox().map(\.source.sequence) == [1])
    }

    @Test("A session that expires takes its rows with it, and its routes by intents")
    func sessionExpiry() throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: 60)
        host.apply(
            .subscribe(
                SubscribeCommand(
                    session: anna.session, ownerEpoch: anna.epoch,
                    subscriptions: [.init(filter: Array("a/b".utf8), options: 1)])))
        host.insert("x", to: [anna.receiver()])
        anna.disconnect(host)
        host.pass(seconds: 59)
        #expect(host.show(anna)?.isStored == true)
        _ = host.takeIntents()
        host.pass(seconds: 1)
        #expect(host.takeDrops().map(\.reason) == [.sessionExpired])
        let intents = host.takeIntents().flatMap(\.intents)
        #expect(intents.map(\.isAddition) == [false])
        host.apply(
            .completeIntents(
                CompleteIntentsCommand(
                    session: anna.session,
                    intents: [1, 2].map { .init(number: $0, filter: Array("a/b".utf8)) })))
        #expect(host.store.isEmpty && host.machine.metrics.sessions == 0)
    }

    @Test("DISCONNECT may change the expiry interval, down to the end at once")
    func expiryOverride() throws {
        var anna = TestClient("anna")
        try anna.connect(host, expiry: 60)
        #expect(anna.disconnect(host, .discardWill, expiry: 0)?.hasEnded == true)
        #expect(host.store.isEmpty)
        try anna.connect(host, expiry: .max)
        anna.disconnect(host)
        host.pass(seconds: 1_000_000_000)
        #expect(host.show(anna)?.isStored == true)
    }
}
