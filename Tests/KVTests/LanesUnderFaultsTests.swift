import Base
import KV
import Testing

/// Random traffic through clients and hosts, with and without faults; the checker stands outside.
struct LanesUnderFaultsTests {
    /// One run: what was proposed, and what became of it.
    final class Story {
        let net: RangeNet
        var random: SeededRandom
        var nextToken: UInt64 = 1
        /// Key and proposer of each token.
        var proposed: [UInt64: (key: [UInt8], worker: Int)] = [:]
        var done: [UInt64: UInt32] = [:]
        var unavailable: Set<UInt64> = []
        var unknown: Set<UInt64> = []
        /// Open questions for all keys: least count by key, and the answers so far.
        var asked: [UInt64: (least: [[UInt8]: Int], found: [[UInt8]: Int])] = [:]
        /// Questions of which a part ended without an answer.
        var failed: Set<UInt64> = []
        var answered = 0
        var faults: [String] = []

        init(_ net: RangeNet, seed: UInt64) {
            self.net = net
            random = SeededRandom(seed: seed)
        }

        func propose(_ worker: Int, keys: Int) {
            let key = net.key("acme", "client-\(random.below(keys))")
            let token = nextToken
            nextToken += 1
            let refusal = net.workers[worker].client.propose(
                .inbox, key: key, token: token, now: net.now
            ) { JournalMachine.append(key, token, into: &$0) }
            if refusal == nil { proposed[token] = (key, worker) }
        }

        func ask(_ worker: Int) {
            let token = nextToken
            nextToken += 1
            var least: [[UInt8]: Int] = [:]
            for token in done.keys { least[proposed[token]!.key, default: 0] += 1 }
            let refusal = net.workers[worker].client.queryOverlapping(
                .inbox, .all, token: token, now: net.now
            ) { $0.append(1) }
            if refusal == nil { asked[token] = (least, [:]) }
        }

        func drain() {
            for worker in net.workers {
                worker.completions.forEach { completion, bytes in
                    take(completion, bytes)
                }
                worker.completions.removeAll()
            }
        }

        private func take(_ completion: Completion, _ bytes: RawSpan) {
            let token = completion.token
            if asked[token] != nil {
                takeAnswer(completion, bytes)
                return
            }
            guard proposed[token] != nil else { return faults.append("unknown token \(token)") }
            if done[token] != nil || unavailable.contains(token) || unknown.contains(token) {
                faults.append("token \(token) ended twice")
            }
            var reader = ByteReader(bytes)
            switch completion.status {
            case .done: done[token] = (try? reader.readUInt32(bytes)) ?? .max
            case .unavailable: unavailable.insert(token)
            case .unknown: unknown.insert(token)
            }
        }

        private func takeAnswer(_ completion: Completion, _ bytes: RawSpan) {
            if completion.status != .done { failed.insert(completion.token) }
            var reader = ByteReader(bytes)
            while let part = try? reader.takeLengthPrefixed16(bytes),
                let count = try? reader.readUInt32(bytes)
            {
                let key = bytes.array(part)
                let found = asked[completion.token]!.found[key] ?? 0
                asked[completion.token]!.found[key] = max(found, Int(count))
            }
            guard completion.outstanding == 0 else { return }
            let (least, found) = asked[completion.token]!
            let isWhole = !failed.contains(completion.token)
            for (key, count) in least where isWhole && (found[key] ?? 0) < count {
                faults.append("a question missed \(count - (found[key] ?? 0)) of \(key)")
            }
            asked[completion.token] = nil
            if isWhole { answered += 1 }
        }

        /// The checker: what the engines hold against what was promised.
        func check() {
            var seen: Set<UInt64> = []
            for (key, list) in net.stored {
                var last = Array(repeating: UInt64(0), count: net.workers.count)
                for (place, token) in list.enumerated() {
                    guard let origin = proposed[token], origin.key == key else {
                        faults.append("\(token) stands under a foreign key")
                        continue
                    }
                    if !seen.insert(token).inserted { faults.append("\(token) applied twice") }
                    if let result = done[token], result != UInt32(place) {
                        faults.append("\(token) at \(place), answered \(result)")
                    }
                    if unavailable.contains(token) { faults.append("\(token) was unavailable") }
                    if last[origin.worker] > token { faults.append("\(token) was overtaken") }
                    last[origin.worker] = token
                }
            }
            for token in done.keys where !seen.contains(token) {
                faults.append("\(token) was acknowledged and is not there")
            }
        }
    }

    @Test(
        "every acknowledged command is applied once and in order, whatever answers are lost",
        arguments: [0, 10, 50], 1...4 as ClosedRange<UInt64>)
    func exactlyOnce(percent: Int, seed: UInt64) {
        let net = RangeNet(
            workers: 3, ranges: 4, seed: seed, faultPercent: percent, splitsMax: 4)
        let story = Story(net, seed: seed)
        for _ in 0..<200 {
            for worker in 0..<3 {
                for _ in 0..<story.random.below(12) { story.propose(worker, keys: 60) }
            }
            if story.random.chance(percent: 5) { story.ask(story.random.below(3)) }
            if story.random.chance(percent: 4) {
                let worker = net.workers[story.random.below(3)]
                if let range = worker.host.ranges.first { _ = worker.host.splitInMiddle(range.id) }
            }
            net.turn()
            story.drain()
        }
        let isQuiet = net.run(400_000) {
            story.drain()
            let ended = story.done.count + story.unavailable.count + story.unknown.count
            return ended == story.proposed.count && story.asked.isEmpty
        }
        story.check()
        let splits = net.workers.reduce(0) { $0 + $1.host.metrics.splits }
        let repeats = net.workers.reduce(0) { $0 + $1.host.metrics.repeats }
        #expect(isQuiet, "seed \(seed), \(percent) per cent: not everything has ended")
        #expect(
            story.faults.isEmpty, "seed \(seed), \(percent) per cent: \(story.faults.prefix(5))")
        let damaged = net.workers.reduce(0) { $0 + $1.client.damagedFrames }
        #expect(damaged == 0, "seed \(seed): answers did not fit what was asked")
        #expect(percent > 10 || story.unknown.isEmpty, "seed \(seed): unknown outcomes")
        #expect(splits > 0, "seed \(seed): nothing was cut")
        #expect(story.answered > 0 || percent > 10, "seed \(seed): nothing was asked")
        #expect(percent == 0 || repeats > 0, "seed \(seed): nothing was repeated")
        #expect(story.done.count > story.proposed.count / 2, "seed \(seed): little was done")
    }
}
