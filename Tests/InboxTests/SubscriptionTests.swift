import Base
import Inbox
import KV
import Testing

@Suite("Subscriptions and their intents")
struct SubscriptionTests {
    let host = InboxHarness()

    func subscribe(
        _ client: TestClient, _ filters: [String], options: UInt8 = 1, max: UInt32 = 0
    ) -> SubscriptionResult? {
        SubscriptionResult.decode(
            host.apply(
                .subscribe(
                    SubscribeCommand(
                        session: client.session, ownerEpoch: client.epoch, filtersMax: max,
                        subscriptions: filters.map {
                            .init(filter: Array($0.utf8), options: options)
                        }))))
    }

    func unsubscribe(_ client: TestClient, _ filters: [String]) -> SubscriptionResult? {
        SubscriptionResult.decode(
            host.apply(
                .unsubscribe(
                    UnsubscribeCommand(
                        session: client.session, ownerEpoch: client.epoch,
                        filters: filters.map { Array($0.utf8) }))))
    }

    func complete(_ client: TestClient, _ intents: [(UInt64, String)]) -> CompleteIntentsResult? {
        CompleteIntentsResult.decode(
            host.apply(
                .completeIntents(
                    CompleteIntentsCommand(
                        session: client.session,
                        intents: intents.map { .init(number: $0.0, filter: Array($0.1.utf8)) }))))
    }

    @Test("Subscriptions of an owner that was superseded are refused")
    func staleOwner() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        var old = anna
        old.epoch = OwnerEpoch(anna.epoch.rawValue - 1)
        #expect(subscribe(old, ["a"]) == nil)
        #expect(subscribe(anna, ["a"])?.items == [.init(outcome: .changed, intent: 1)])
        #expect(unsubscribe(old, ["a"]) == nil)
        #expect(unsubscribe(anna, ["a"])?.items.map(\.outcome) == [.changed])
    }

    @Test("Each filter is new, replaced or beyond the limit, and the session resumes with them")
    func outcomes() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let first = try #require(subscribe(anna, ["b", "a"], max: 2))
        #expect(
            first.items == [
                .init(outcome: .changed, intent: 1), .init(outcome: .changed, intent: 2),
            ])
        #expect(first.incarnation == anna.incarnation)
        #expect(complete(anna, [(1, "b"), (2, "a")])?.items.allSatisfy { $0.wasOpen } == true)
        let again = try #require(subscribe(anna, ["a", "c"], max: 2))
        #expect(
            again.items == [
                .init(outcome: .replaced, intent: 0), .init(outcome: .quotaExceeded, intent: 0),
            ])
        #expect(subscribe(anna, ["a"], options: 2)?.items == [.init(outcome: .replaced, intent: 3)])
        anna.disconnect(host)
        try anna.connect(host)
        #expect(
            anna.attached.subscriptions.map { String(decoding: $0.filter, as: UTF8.self) } == [
                "a", "b",
            ])
        #expect(anna.attached.subscriptions.map(\.options) == [2, 1])
    }

    @Test("Unsubscribing what is not there changes nothing")
    func absent() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = subscribe(anna, ["a"])
        #expect(
            unsubscribe(anna, ["x", "a"])?.items == [
                .init(outcome: .absent, intent: 0), .init(outcome: .changed, intent: 2),
            ])
        #expect(host.show(anna)?.subscriptionCount == 0)
    }

    @Test("Open intents go to the home worker when leadership changes, in order")
    func leaderChange() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = subscribe(anna, ["a"])
        _ = unsubscribe(anna, ["a"])
        #expect(host.takeIntents().isEmpty)
        let other = host.rebuilt()
        other.lead()
        let intents = other.takeIntents().flatMap(\.intents)
        #expect(intents.map(\.number) == [1, 2])
        #expect(intents.map(\.isAddition) == [true, false])
        #expect(intents.allSatisfy { $0.incarnation == anna.incarnation })
    }

    @Test("An intent that nobody completes is sent to the home worker after a while")
    func retry() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = subscribe(anna, ["a"])
        host.pass(seconds: 9)
        #expect(host.takeIntents().isEmpty)
        host.pass(seconds: 1)
        #expect(host.takeIntents().flatMap(\.intents).map(\.number) == [1])
        _ = complete(anna, [(1, "a")])
        host.pass(seconds: 60)
        #expect(host.takeIntents().isEmpty)
    }

    @Test("Who completes an intent too late learns what is wanted now")
    func lateWorker() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = subscribe(anna, ["a"])
        _ = complete(anna, [(1, "a")])
        _ = unsubscribe(anna, ["a"])
        #expect(complete(anna, [(1, "a")])?.items == [.init(wasOpen: false, isWanted: false)])
        #expect(complete(TestClient("nobody"), [(1, "a")])?.items.first?.isWanted == false)
    }

    @Test("A clean start removes the routes of the incarnation before, by intents")
    func cleanStart() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        _ = subscribe(anna, ["a", "b"])
        let old = anna
        anna.disconnect(host)
        try anna.connect(host, cleanStart: true)
        #expect(!anna.attached.isSessionPresent && anna.attached.discardedSubscriptions == 2)
        #expect(anna.attached.subscriptions.isEmpty && anna.incarnation > old.incarnation)
        let intents = host.takeIntents().flatMap(\.intents)
        #expect(intents.map(\.isAddition) == [false, false])
        #expect(intents.allSatisfy { $0.incarnation == old.incarnation })
    }

    @Test("More subscriptions than a result holds are asked for by page")
    func pages() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let filters = (0..<200).map { "\($0)/" + String(repeating: "x", count: 500) }
        _ = subscribe(anna, filters)
        anna.disconnect(host)
        try anna.connect(host)
        #expect(anna.attached.hasMoreSubscriptions)
        var all = anna.attached.subscriptions
        while true {
            let ticket = host.ask(.subscriptions(anna.session, skip: UInt32(all.count)))
            let page = try #require(host.answers[ticket].flatMap { SubscriptionsAnswer.decode($0) })
            all += page.subscriptions
            if !page.hasMore { break }
        }
        #expect(Set(all.map(\.filter)).count == 200)
    }

    @Test("Sessions of a tenant are counted, bounded, listed, ended and expired")
    func administration() throws {
        var clients = (0..<5).map { TestClient("client-\($0)") }
        for at in clients.indices { try clients[at].connect(host) }
        let refused = host.apply(
            .attach(
                AttachCommand(
                    session: TestClient("one-more").session, principal: [],
                    ownerEpoch: OwnerEpoch(1 << 40), place: InboxHarness.home, connectionToken: 1,
                    cleanStart: false, expirySeconds: 60,
                    limits: .init(messagesMax: 1, bytesMax: 1, policy: .reject),
                    tenantSessionsMax: 5)))
        #expect(InboxResult.status(of: refused) == .quotaExceeded)
        _ = host.takeEvictions()
        let gone = host.apply(
            .terminate(TerminateCommand(session: clients[0].session, publishesWill: false)))
        #expect(InboxResult.status(of: gone) == .ok)
        #expect(host.takeEvictions().map(\.reason) == [.terminated])
        clients[1].disconnect(host)
        let changed = host.apply(
            .expireTenant(ExpireTenantCommand(tenant: InboxHarness.tenant, seconds: 10)))
        #expect(NumberResult.decode(changed)?.number == 1)
        host.pass(seconds: 10)
        var names: [String] = []
        var cursor: [UInt8] = []
        repeat {
            let ticket = host.ask(
                .list(ListQuestion(tenant: InboxHarness.tenant, cursor: cursor, limit: 1)))
            let answer = try #require(host.answers[ticket].flatMap { ListAnswer.decode($0) })
            names += answer.sessions.map { String(decoding: $0.clientID, as: UTF8.self) }
            cursor = answer.cursor
        } while !cursor.isEmpty
        #expect(names.sorted() == ["client-2", "client-3", "client-4"])
        let ticket = host.ask(.counts(tenant: InboxHarness.tenant))
        let counts = try #require(host.answers[ticket].flatMap { CountsAnswer.decode($0) })
        #expect(counts.storedSessions == 3 && counts.attachedSessions == 3)
    }
}
