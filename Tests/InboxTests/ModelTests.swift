import Base
import Inbox
import KV
import Testing

/// A stored session as a child would write it down.
private struct PlainSession {
    struct Entry {
        var sequence: UInt64
        var text: String
        var qos: UInt8
        var owesPubrel = false
        var expiresAt: UInt64?
    }

    var isAttached = false
    var expiry: UInt32 = 0
    var endsAt: UInt64?
    var next: UInt64 = 1
    var limit = 5
    var policy = QueuePolicy.dropOldest
    var entries: [Entry] = []
    var filters: Set<String> = []

    mutating func insert(_ entry: Entry) {
        let waiting = entries.filter { !$0.owesPubrel }
        if waiting.count >= limit {
            guard policy == .dropOldest else { return }
            entries.removeAll { $0.sequence == waiting[0].sequence }
        }
        var entry = entry
        entry.sequence = next
        next += 1
        entries.append(entry)
    }
}

@Suite("Stored sessions against a plain model")
struct ModelTests {
    @Test(
        "Whatever clients do, each finds the session that plain bookkeeping says",
        arguments: 1...20 as ClosedRange<UInt64>)
    func random(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let host = InboxHarness()
        var clients = (0..<5).map { TestClient("client-\($0)") }
        var model: [PlainSession?] = Array(repeating: nil, count: 5)
        for step in 0..<400 {
            let at = random.below(5)
            switch random.below(9) {
            case 0, 1: try connect(host, &clients[at], &model[at], &random)
            case 2: disconnect(host, clients[at], &model[at], &random)
            case 3: acknowledge(host, clients[at], &model[at], &random)
            case 4: try subscribe(host, clients[at], &model[at], &random)
            case 5: pass(host, &model, seconds: UInt64(1 + random.below(8)))
            default: insert(host, clients, &model, "text-\(step)", &random)
            }
            for at in clients.indices {
                check(host, clients[at], model[at], "seed \(seed) step \(step)")
            }
        }
    }

    private func check(
        _ host: InboxHarness, _ client: TestClient, _ model: PlainSession?, _ where_: String
    ) {
        let summary = host.show(client) ?? SessionSummary()
        #expect(summary.isStored == (model != nil), "\(where_) \(client.name)")
        guard let model else { return }
        #expect(summary.isAttached == model.isAttached, "\(where_)")
        #expect(Int(summary.subscriptionCount) == model.filters.count, "\(where_)")
        let waiting = model.entries.filter { !$0.owesPubrel }
        #expect(Int(summary.queuedMessages) == waiting.count, "\(where_)")
        #expect(Int(summary.pubrelsOwed) == model.entries.filter(\.owesPubrel).count, "\(where_)")
    }

    private func connect(
        _ host: InboxHarness, _ client: inout TestClient, _ model: inout PlainSession?,
        _ random: inout SeededRandom
    ) throws {
        if let known = model, known.isAttached {
            client.release(host)
            // Everything was pushed to it, and what may have been sent expires no more.
            for at in known.entries.indices { model?.entries[at].expiresAt = nil }
        }
        // The log still knows the old owner, who releases when asked.
        let old = client
        client.token += 1
        let ticket = host.ask(client.claim())
        if host.answers[ticket] == nil { old.release(host) }
        let cleanStart = random.chance(percent: 20)
        let expiry: UInt32 = [0, 10, .max][random.below(3)]
        let policy = random.chance(percent: 50) ? QueuePolicy.dropOldest : .dropNewest
        try client.connect(
            host, cleanStart: cleanStart, expiry: expiry,
            limits: .init(messagesMax: 5, bytesMax: 0, policy: policy))
        let isPresent = model != nil && !cleanStart
        #expect(client.attached.isSessionPresent == isPresent)
        if !isPresent { model = expiry > 0 ? PlainSession() : nil }
        if !isPresent { model?.next = client.attached.nextSequence }
        model?.isAttached = true
        model?.expiry = expiry
        model?.endsAt = nil
        model?.policy = policy
        client.credit(host)
        let pushed = text(host.takePushes())
        let expected = model?.entries ?? []
        #expect(pushed == expected.map { $0.owesPubrel ? "pubrel" : $0.text })
        if model == nil { client.release(host) }
    }

    private func disconnect(
        _ host: InboxHarness, _ client: TestClient, _ model: inout PlainSession?,
        _ random: inout SeededRandom
    ) {
        guard model?.isAttached == true else { return }
        client.disconnect(host)
        model?.isAttached = false
        if model?.expiry == 0 { model = nil }
        if let expiry = model?.expiry, expiry != .max {
            model?.endsAt = host.now + UInt64(expiry) * 1000
        }
    }

    private func acknowledge(
        _ host: InboxHarness, _ client: TestClient, _ model: inout PlainSession?,
        _ random: inout SeededRandom
    ) {
        guard model?.isAttached == true, let entries = model?.entries, !entries.isEmpty else {
            return
        }
        let entry = entries[random.below(entries.count)]
        if entry.qos == 2, !entry.owesPubrel {
            client.acknowledge(host, [entry.sequence], .pubrecReceived)
            let at = entries.firstIndex { $0.sequence == entry.sequence }
            if let at {
                model?.entries[at].owesPubrel = true
                model?.entries[at].expiresAt = nil
            }
        } else {
            client.acknowledge(host, [entry.sequence])
            model?.entries.removeAll { $0.sequence == entry.sequence }
        }
    }

    private func subscribe(
        _ host: InboxHarness, _ client: TestClient, _ model: inout PlainSession?,
        _ random: inout SeededRandom
    ) throws {
        guard let known = model, known.isAttached else { return }
        let filter = "f/\(random.below(4))"
        if random.chance(percent: 50) {
            let result = try #require(
                SubscriptionResult.decode(
                    host.apply(
                        .subscribe(
                            SubscribeCommand(
                                session: client.session, ownerEpoch: client.epoch,
                                subscriptions: [.init(filter: Array(filter.utf8), options: 1)])))))
            #expect((result.items[0].outcome == .changed) == !known.filters.contains(filter))
            model?.filters.insert(filter)
        } else {
            host.apply(
                .unsubscribe(
                    UnsubscribeCommand(
                        session: client.session, ownerEpoch: client.epoch,
                        filters: [Array(filter.utf8)])))
            model?.filters.remove(filter)
        }
    }

    private func pass(_ host: InboxHarness, _ model: inout [PlainSession?], seconds: UInt64) {
        host.pass(seconds: seconds)
        for at in model.indices {
            if let ends = model[at]?.endsAt, ends <= host.now { model[at] = nil }
            let now = host.now
            // An attached session's entries are its owner's to drop.
            guard model[at]?.isAttached == false else { continue }
            model[at]?.entries.removeAll {
                $0.expiresAt.map { $0 <= now } ?? false
            }
        }
    }

    private func insert(
        _ host: InboxHarness, _ clients: [TestClient], _ model: inout [PlainSession?],
        _ words: String, _ random: inout SeededRandom
    ) {
        let chosen = clients.indices.filter { _ in random.chance(percent: 50) }
        let qos = UInt8(1 + random.below(2))
        let expiry = random.chance(percent: 30) ? UInt32(1 + random.below(10)) : nil
        let outcomes = host.insert(
            words, to: chosen.map { clients[$0].receiver(qos: qos) }, expiry: expiry)
        _ = host.takePushes()
        for (at, outcome) in zip(chosen, outcomes) {
            #expect((outcome == .noSession) == (model[at] == nil))
            model[at]?.insert(
                .init(
                    sequence: 0, text: words, qos: qos,
                    expiresAt: expiry.map { host.now + UInt64($0) * 1000 }))
        }
    }
}
