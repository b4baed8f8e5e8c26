import Base
import Dist
import Testing

@Suite("filter table of a worker")
struct FilterTableTests {
    /// What is subscribed: filter to session to subscriber.
    struct Naive {
        var filters: [[UInt8]: [Int32: Subscriber]] = [:]
        var tokens: [[UInt8]: FilterToken] = [:]
    }

    @Test(
        "subscribers of every token are as in a plain dictionary", arguments: [1, 2, 3] as [UInt64])
    func likeNaive(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var table = FilterTable(seed: seed)
        var naive = Naive()
        var stale: [FilterToken] = []
        for step in 0..<20_000 {
            let filter = Array("f/\(random.below(random.chance(percent: 30) ? 3 : 60))".utf8)
            let session = Int32(random.below(400))
            let subscriber = Subscriber(
                session: session, options: UInt8(random.below(16)),
                subscriptionID: UInt32(random.below(3)) * 0x0FFF_FFF0)
            filter.withUnsafeBytes { bytes in
                if random.chance(percent: 60) {
                    let change = table.subscribe(
                        tenant: 1, filter: bytes, subscriber: subscriber)
                    let before = naive.filters[filter] ?? [:]
                    #expect(change.isFirst == before.isEmpty)
                    #expect(change.wasReplaced == (before[session] != nil))
                    if !before.isEmpty { #expect(naive.tokens[filter] == change.token) }
                    naive.filters[filter, default: [:]][session] = subscriber
                    naive.tokens[filter] = change.token
                } else {
                    let isThere = naive.filters[filter]?[session] != nil
                    let removal = table.unsubscribe(
                        tenant: 1, filter: bytes, session: session, isMember: false)
                    naive.filters[filter]?[session] = nil
                    let rest = naive.filters[filter]?.count ?? 0
                    switch removal {
                    case .notSubscribed: #expect(!isThere)
                    case .left(let slot):
                        #expect(isThere && rest > 0 && slot == naive.tokens[filter]?.slot)
                    case .last(let vacated):
                        #expect(isThere && rest == 0 && vacated.filter == filter)
                        #expect(vacated.token == naive.tokens[filter])
                        stale.append(vacated.token)
                        naive.filters[filter] = nil
                    }
                }
            }
            if step % 50 == 0 { check(table, naive, filter, "seed \(seed) step \(step)") }
        }
        for filter in naive.filters.keys { check(table, naive, filter, "seed \(seed)") }
        for token in stale.suffix(200) where !naive.tokens.values.contains(token) {
            #expect(table.subscribers(token).isEmpty)
        }
        #expect(table.filterCount == naive.filters.count)
        for (filter, sessions) in naive.filters {
            let slot = naive.tokens[filter]?.slot ?? 0
            for session in sessions.keys { _ = table.remove(session: session, slot: slot) }
        }
        #expect(table.filterCount == 0 && table.subscriptionCount == 0)
        #expect(table.liveBytes == 0)
    }

    private func check(
        _ table: borrowing FilterTable, _ naive: Naive, _ filter: [UInt8], _ comment: Comment
    ) {
        guard let token = naive.tokens[filter], let sessions = naive.filters[filter] else { return }
        let found = table.subscribers(token)
        #expect(found.count == sessions.count, comment)
        for subscriber in found { #expect(sessions[subscriber.session] == subscriber, comment) }
        if let session = sessions.keys.first {
            #expect(
                table.subscriber(session: session, slot: token.slot) == sessions[session])
        }
    }

    @Test("each member of a group has a token of its own, and no plain subscriber shares it")
    func members() {
        var table = FilterTable(seed: 1)
        Array("$share/g/a/+".utf8).withUnsafeBytes { filter in
            let first = table.subscribeMember(
                tenant: 1, filter: filter,
                subscriber: Subscriber(session: 1, options: 1, subscriptionID: 0))
            let second = table.subscribeMember(
                tenant: 1, filter: filter,
                subscriber: Subscriber(session: 2, options: 1, subscriptionID: 0))
            #expect(first.isFirst && second.isFirst && first.token != second.token)
            #expect(table.subscribers(second.token).map(\.session) == [2])
            let again = table.subscribeMember(
                tenant: 1, filter: filter,
                subscriber: Subscriber(session: 1, options: 2, subscriptionID: 9))
            #expect(again.wasReplaced && again.token == first.token)
            #expect(table.subscribers(first.token).map(\.subscriptionID) == [9])
            guard case .last(let vacated) = table.remove(session: 1, slot: first.token.slot)
            else {
                Issue.record("the member's entry stayed")
                return
            }
            #expect(vacated.isMember && vacated.filter == Array(filter))
            #expect(table.subscribers(second.token).count == 1)
        }
    }
}
