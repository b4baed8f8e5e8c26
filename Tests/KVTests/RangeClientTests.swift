import Base
import KV
import Testing

/// The proposer's promises, one story each: bounds, time limits, order, messages.
struct RangeClientTests {
    static let here = Place(node: NodeID(7), worker: WorkerIndex(0))

    /// A client whose frames go nowhere unless a test answers them.
    final class Lonely {
        let client: RangeClient
        let outbox = Outbox()
        let completions = CompletionList()
        var now = Instant(nanoseconds: 1_000_000_000)

        init(map: RangeMap? = nil) {
            let list = RangeMap.initialRanges(
                store: .inbox, count: 1, node: NodeID(7), workers: 1)
            client = RangeClient(
                place: here, epoch: LivenessEpoch(1), map: map ?? RangeMap(list), seed: 3)
        }

        func propose(_ token: UInt64, size: Int = 8) -> ProposalRefusal? {
            client.propose(.inbox, key: [1, 2], token: token, now: now) { writer in
                writer.append([UInt8](repeating: 1, count: size))
            }
        }

        /// Numbers of the proposals sent since the last call.
        func sent() -> [UInt64] {
            var numbers: [UInt64] = []
            client.flush(outbox, now: now)
            for block in outbox.blocks {
                _ = Outbox.forEachFrame(in: block.bytes.bytes) { kind, body in
                    var reader = ByteReader(body)
                    guard kind == .proposal,
                        let head = try? CommandEnvelope(body, reader: &reader)
                    else { return }
                    numbers.append(head.number)
                }
                block.bytes.removeAll()
            }
            return numbers
        }

        func answer(_ number: UInt64, _ status: ProposalStatus, results: Int = 1) {
            let envelope = CommandEnvelope(
                range: RangeID(store: .inbox, number: 1), boundaryVersion: 1,
                lane: LaneID(
                    node: NodeID(7), epoch: LivenessEpoch(1), worker: WorkerIndex(0)),
                number: number, time: .zero, count: results)
            var writer = ByteWriter()
            ProposalAnswer(status, to: envelope, nextNumber: number + 1).encode(into: &writer)
            if status == .applied {
                writer.append(bigEndian: UInt32(results))
                for _ in 0..<results { writer.append(lengthPrefixed32: [UInt8(9)].span.bytes) }
            }
            if status == .notLeader { writer.append(0) }
            writer.withSpan { body in
                client.receive(
                    .proposalAnswer, body, from: here, now: now, completions: completions)
            }
        }

        func tick() { client.tick(now: now, completions: completions) }

        func taken() -> [String] {
            var list: [String] = []
            completions.forEach { completion, _ in
                list.append("\(completion.token) \(completion.status)")
            }
            completions.removeAll()
            return list
        }
    }

    @Test("commands of one turn travel in one batch, and end each with its own token")
    func oneBatch() {
        let lonely = Lonely()
        for token in 1...3 as ClosedRange<UInt64> { #expect(lonely.propose(token) == nil) }
        #expect(lonely.sent() == [1])
        lonely.answer(1, .applied, results: 3)
        #expect(lonely.taken() == ["1 done", "2 done", "3 done"])
        lonely.now = lonely.client.nextDeadline
        lonely.tick()
        #expect(lonely.client.nextDeadline == .distantFuture)
    }

    @Test("sixteen batches are under way at most; the next waits for the oldest, not for any")
    func window() {
        let lonely = Lonely()
        var sent: [UInt64] = []
        for token in 1...20 as ClosedRange<UInt64> {
            #expect(lonely.propose(token) == nil)
            sent += lonely.sent()
        }
        #expect(sent == Array(1...16))
        lonely.answer(2, .applied)
        #expect(lonely.sent() == [])
        lonely.answer(1, .applied)
        // What waited meanwhile has become one batch.
        #expect(lonely.sent() == [17])
        #expect(lonely.taken() == ["2 done", "1 done"])
    }

    @Test(
        "a refused lane stops, and goes on from its oldest number",
        arguments: [ProposalStatus.busy, .gap, .notLeader])
    func stops(status: ProposalStatus) {
        let lonely = Lonely()
        #expect(lonely.propose(1) == nil)
        #expect(lonely.sent() == [1])
        #expect(lonely.propose(2) == nil)
        #expect(lonely.sent() == [2])
        lonely.answer(1, status)
        #expect(lonely.propose(3) == nil)
        #expect(lonely.sent() == [], "3 must not overtake 1")
        #expect(lonely.client.nextDeadline < lonely.now + .milliseconds(10))
        lonely.now = lonely.now + .milliseconds(10)
        lonely.tick()
        #expect(lonely.sent() == [1, 2])
        lonely.answer(1, .applied)
        #expect(lonely.sent() == [3])
        #expect(lonely.taken() == ["1 done"])
    }

    @Test("a lost answer is asked for again, ever more slowly")
    func repeats() {
        let lonely = Lonely()
        #expect(lonely.propose(1) == nil)
        #expect(lonely.sent() == [1])
        var gaps: [Duration] = []
        for _ in 0..<6 {
            let deadline = lonely.client.nextDeadline
            gaps.append(deadline - lonely.now)
            lonely.now = deadline
            lonely.tick()
            #expect(lonely.sent() == [1])
        }
        #expect(gaps[0] >= .milliseconds(375) && gaps[0] <= .milliseconds(625))
        for gap in gaps { #expect(gap <= .milliseconds(6250)) }
        #expect(gaps[5] >= .milliseconds(3750))
        lonely.answer(1, .applied)
        lonely.answer(1, .applied)
        #expect(lonely.taken() == ["1 done"])
    }

    @Test("what was never proposed ends without effect, what was ends as unknown, and stays")
    func timeLimits() {
        let lonely = Lonely()
        #expect(lonely.propose(1) == nil)
        #expect(lonely.sent() == [1])
        lonely.answer(1, .busy)
        #expect(lonely.propose(2) == nil)
        #expect(lonely.sent() == [])
        lonely.now = lonely.now + RangeLimits.unproposedTimeMax
        lonely.tick()
        #expect(lonely.taken() == ["2 unavailable"])
        lonely.now = lonely.now + RangeLimits.outcomeTimeMax
        lonely.tick()
        #expect(lonely.taken() == ["1 unknown"])
        // The lane still needs the answer: nothing may overtake number 1.
        #expect(lonely.propose(3) == nil)
        #expect(lonely.sent() == [1])
        lonely.answer(1, .applied)
        #expect(lonely.taken() == [])
        #expect(lonely.sent() == [2])
        lonely.answer(2, .applied)
        #expect(lonely.taken() == ["3 done"])
    }

    @Test("what may wait for a range is bounded, in commands and in bytes")
    func bounds() {
        let lonely = Lonely()
        for token in 1...UInt64(RangeLimits.waitingCommandsMax) {
            if lonely.propose(token) != nil { Issue.record("refused at \(token)") }
        }
        #expect(lonely.propose(0) == .tooManyWaiting)
        _ = lonely.sent()
        // The window took sixteen full batches.
        #expect(lonely.propose(0) == nil)

        let large = Lonely()
        #expect(large.propose(1, size: RangeLimits.waitingBytesMax) == nil)
        #expect(large.propose(2) == .tooManyWaiting)
        #expect(large.sent() == [1])
        #expect(large.propose(3) == nil)
        #expect(large.sent() == [2])
    }

    @Test("a key without a range, or too long, is refused at once")
    func refusals() {
        let lost = Lonely(map: RangeMap())
        #expect(lost.propose(1) == .noRange)
        #expect(lost.client.query(.inbox, key: [1], token: 1, now: lost.now) { _ in } == .noRange)
        let key = [UInt8](repeating: 1, count: RangeLimits.keyBytesMax + 1)
        let lonely = Lonely()
        #expect(
            lonely.client.propose(.inbox, key: key, token: 1, now: lonely.now) { _ in }
                == .tooLarge)
    }

    @Test("when the epoch is fenced everything ends, and nothing is taken any more")
    func fenced() {
        let lonely = Lonely()
        #expect(lonely.propose(1) == nil)
        #expect(lonely.sent() == [1])
        #expect(lonely.propose(2) == nil)
        lonely.answer(1, .fenced)
        #expect(lonely.taken() == ["1 unknown", "2 unavailable"])
        #expect(lonely.client.isFenced && lonely.propose(3) == .fenced)
        #expect(lonely.sent() == [])
        lonely.now = lonely.client.nextDeadline
        lonely.tick()
        #expect(lonely.client.nextDeadline == .distantFuture)
    }

    @Test("a question without an answer ends after its time; a late answer is nobody's")
    func unanswered() {
        let lonely = Lonely()
        #expect(
            lonely.client.query(.inbox, key: [1], token: 4, now: lonely.now) { $0.append(1) } == nil
        )
        _ = lonely.sent()
        let start = lonely.now
        for _ in 0..<20 where lonely.completions.isEmpty {
            lonely.now = lonely.client.nextDeadline
            lonely.tick()
            _ = lonely.sent()
        }
        #expect(lonely.taken() == ["4 unavailable"])
        #expect(lonely.now - start >= RangeLimits.questionTimeMax)
        var writer = ByteWriter()
        QuestionAnswer(
            .answered,
            to: Question(
                range: RangeID(store: .inbox, number: 1), boundaryVersion: 1,
                epoch: LivenessEpoch(1), request: 0)
        ).encode(into: &writer)
        writer.withSpan {
            lonely.client.receive(
                .queryAnswer, $0, from: Self.here, now: lonely.now,
                completions: lonely.completions)
        }
        #expect(lonely.taken() == [])
    }

    @Test("random answers never trap a client", arguments: 1...4 as ClosedRange<UInt64>)
    func randomAnswers(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let lonely = Lonely()
        for token in 0..<3000 as Range<UInt64> {
            _ = lonely.propose(token)
            _ = lonely.client.query(.inbox, key: [1], token: token, now: lonely.now) { _ in }
            _ = lonely.sent()
            var frame = ByteWriter()
            let kind: MessageKind = [.proposalAnswer, .queryAnswer, .rangeMap][random.below(3)]
            frame.append([1, UInt8(random.below(6)), 2])
            for value in [1, 1, 1, token, 1 + token] {
                frame.append(bigEndian: random.chance(percent: 5) ? random.next() : value)
            }
            for _ in 0..<random.below(12) { frame.append(UInt8(random.below(3))) }
            frame.withSpan {
                lonely.client.receive(
                    kind, $0, from: Self.here, now: lonely.now, completions: lonely.completions)
            }
            lonely.completions.removeAll()
            lonely.now = lonely.now + .milliseconds(Int64(random.below(100)))
            lonely.tick()
        }
    }

    @Test("due work, messages and questions cross a net of hosts, also while ranges are cut")
    func wholeNet() {
        let net = RangeNet(workers: 2, ranges: 2, seed: 5)
        let client = net.workers[0].client
        let keys = (0..<12).map { net.key("acme", "c\($0)") }
        for (index, key) in keys.enumerated() {
            let at = net.wallTime.milliseconds + 50
            let refusal = client.propose(
                .inbox, key: key, token: UInt64(index), now: net.now
            ) { JournalMachine.append(key, 100 + UInt64(index), at: at, into: &$0) }
            #expect(refusal == nil)
        }
        #expect(net.run { net.stored.count == 12 }, "not everything was due")
        for worker in net.workers {
            for range in worker.host.ranges { _ = worker.host.splitInMiddle(range.id) }
        }
        // Sent by the old map in the very turn of the cut: passed on to the heir.
        let sent = keys.filter { key in
            key.withRawSpan { key in
                client.send(.inboxCredit, .inbox, key: key, outbox: net.workers[0].outbox) {
                    $0.append(bigEndian: UInt64(0))
                }
            }
        }
        #expect(sent.count == 12)
        for _ in 0..<20 { net.turn() }
        #expect(net.workers.allSatisfy { $0.host.droppedMessages == 0 })
        #expect(net.workers.reduce(0) { $0 + $1.host.metrics.splits } == 2)
        _ = net.take(0)
        for (index, key) in keys.enumerated() {
            let refusal = client.query(.inbox, key: key, token: UInt64(index), now: net.now) {
                $0.append(2)
                $0.append(lengthPrefixed16: key)
            }
            #expect(refusal == nil)
        }
        #expect(net.run { net.workers[0].completions.count == 12 })
        for answer in net.take(0) {
            #expect(answer.bytes == [0, 0, 0, 0, 0, 0, 0, UInt8(100 + answer.token)])
        }
    }
}
