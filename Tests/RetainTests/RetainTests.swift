import Base
import KV
import Retain
import TestKit
import Testing

/// A retain machine with a store of its keys.
final class RetainBench {
    var machine = RetainMachine()
    var output = MachineOutput(outbox: Outbox())
    var pairs: [[UInt8]: [UInt8]] = [:]
    var time: WallTime = WallTime(milliseconds: 1_000_000)
    var index: UInt64 = 0

    var position: ApplyPosition {
        ApplyPosition(index: index, time: time, term: 1, isLeader: true)
    }

    @discardableResult
    func apply(_ build: (inout RetainCommandEncoder) -> Void) -> [RetainResult] {
        var command = RetainCommandEncoder()
        build(&command)
        index += 1
        command.writer.withSpan { machine.apply($0, at: position, output: output) }
        let results = output.result.withSpan { RetainResultDecoder.results($0) } ?? []
        settle()
        return results
    }

    func applyDue() {
        index += 1
        machine.applyDue(at: position, output: output)
        settle()
    }

    func settle() {
        output.writes.forEach(
            put: { self.pairs[$0.array] = $1.array }, delete: { self.pairs[$0.array] = nil })
        output.removeAll()
    }

    /// One answer; reads that it needs are served from the pairs.
    func ask(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var question = ByteWriter()
        write(&question)
        question.withSpan { machine.query($0, ticket: QueryTicket(1), output: output) }
        for read in output.reads {
            let values = read.keys.map { pairs[$0] }
            machine.completeRead(read.token, values: values, output: output)
        }
        let answer = [UInt8](output.answerBytes.bytes)
        output.removeAll()
        return answer
    }

    /// All pages: record by record.
    func match(
        _ tenant: [UInt8], _ filter: [UInt8], messagesMax: UInt32 = 1_000,
        bytesMax: UInt32 = 1 << 20
    ) -> (records: [[UInt8]: UInt64], pages: Int, isOrdered: Bool) {
        var records: [[UInt8]: UInt64] = [:]
        var cursor: [UInt8] = []
        var pages = 0
        var twice = false
        while true {
            let answer = ask {
                RetainQuestion.writeMatch(
                    tenant: tenant, filter: filter, cursor: cursor, messagesMax: messagesMax,
                    bytesMax: bytesMax, into: &$0)
            }
            pages += 1
            let page = answer.withRawSpan { span -> RetainAnswer? in
                guard let page = RetainAnswer(span) else { return nil }
                for item in page.items {
                    let old = records.updateValue(item.version, forKey: span.array(item.record))
                    if old != nil { twice = true }
                }
                return page
            }
            guard let page, page.hasMore else { return (records, pages, !twice) }
            cursor = page.cursor
        }
    }

    func reloaded() -> RetainBench {
        let other = RetainBench()
        for (key, value) in pairs.sorted(by: { KeyOrder.compare($0.key, $1.key) < 0 }) {
            key.withRawSpan { key in value.withRawSpan { other.machine.load(key: key, value: $0) } }
        }
        other.pairs = pairs
        other.time = time
        return other
    }
}

@Suite("retained messages of a range")
struct RetainTests {
    static let names = ["a", "b", "c", "", "$s", "a!", "ab", "zz"]

    func topic(_ random: inout SeededRandom) -> [UInt8] {
        let levels = (0...random.below(4)).map { _ in Self.names[random.below(8)] }
        let topic = levels.joined(separator: "/")
        return Array((topic.isEmpty ? "a" : topic).utf8)
    }

    func filter(_ random: inout SeededRandom) -> [UInt8] {
        var levels = (0...random.below(4)).map { _ in
            random.chance(percent: 40) ? "+" : Self.names[random.below(8)]
        }
        if random.chance(percent: 30) { levels.append("#") }
        if random.chance(percent: 5) { levels = ["#"] }
        let filter = levels.joined(separator: "/")
        return Array((filter.isEmpty ? "a" : filter).utf8)
    }

    @Test(
        "a range answers every filter like a plain list, in pages of any size, whatever was set",
        arguments: [1, 2, 3, 4] as [UInt64])
    func likeNaive(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let bench = RetainBench()
        var naive: [[UInt8]: [[UInt8]: (record: [UInt8], expiry: WallTime, version: UInt64)]] = [:]
        var last: UInt64 = 0
        for step in 0..<3_000 {
            let tenant = [UInt8(random.below(2))]
            let topic = topic(&random)
            if random.chance(percent: 60) {
                let seconds = random.chance(percent: 30) ? UInt32(random.below(30)) : .max
                let record = Array("\(step)".utf8)
                let result = bench.apply {
                    $0.set(
                        tenant: tenant, topic: topic, record: record.span.bytes,
                        expirySeconds: seconds)
                }
                let known = naive[tenant]?[topic]
                #expect(result.count == 1 && result[0].version > last, "seed \(seed)")
                last = result[0].version
                if let known, known.expiry > bench.time { #expect(result[0].code == .replaced) }
                let expiry =
                    seconds == .max
                    ? WallTime.distantFuture
                    : bench.time.advanced(bySeconds: UInt64(seconds))
                naive[tenant, default: [:]][topic] = (record, expiry, last)
            } else {
                let result = bench.apply { $0.clear(tenant: tenant, topic: topic) }
                last = result[0].version
                naive[tenant]?[topic] = nil
            }
            if random.chance(percent: 20) {
                bench.time.milliseconds += UInt64(random.below(3_000))
                if bench.machine.nextDue <= bench.time { bench.applyDue() }
            }
            guard step % 4 == 0 else { continue }
            let filter = filter(&random)
            let found = bench.match(
                tenant, filter, messagesMax: UInt32(1 + random.below(6)),
                bytesMax: UInt32(random.below(40)))
            var expected: [[UInt8]: UInt64] = [:]
            for (topic, value) in naive[tenant] ?? [:]
            where value.expiry > bench.machine.time && naiveMatches(filter, topic) {
                expected[value.record] = value.version
            }
            #expect(found.records == expected, "seed \(seed) step \(step)")
            #expect(found.isOrdered)
        }
        let again = bench.reloaded()
        for tenant in [[0], [1]] as [[UInt8]] {
            let hash = Array("#".utf8)
            #expect(again.match(tenant, hash).records == bench.match(tenant, hash).records)
        }
        // Versions of cleared topics are forgotten: a restart takes longer than a millisecond.
        again.time.milliseconds += 1
        #expect(again.apply { $0.clear(tenant: [0], topic: [65]) }[0].version > last)
        bench.time.milliseconds += 100_000_000
        while bench.machine.nextDue <= bench.time { bench.applyDue() }
        #expect(bench.machine.expiringCount == 0)
        for tenant in [[0], [1]] as [[UInt8]] {
            while bench.apply({ $0.expireTenant(tenant) })[0].version > 0 {}
        }
        #expect(bench.pairs.isEmpty && bench.machine.topicCount == 0)
        #expect(bench.machine.liveBytes == 0, "memory is given back")
    }

    @Test("limits of topics and bytes refuse what is new and let go what gets smaller")
    func limits() {
        let bench = RetainBench()
        func set(_ topic: String, _ size: Int) -> RetainCode {
            bench.apply {
                $0.set(
                    tenant: [1], topic: Array(topic.utf8),
                    record: [UInt8](repeating: 7, count: size).span.bytes, topicsMax: 2,
                    bytesMax: 100)
            }[0].code
        }
        #expect(set("a", 60) == .stored)
        #expect(set("b", 50) == .bytesFull)
        #expect(set("b", 40) == .stored)
        #expect(set("c", 0) == .topicsFull)
        #expect(set("a", 61) == .bytesFull)
        #expect(set("a", 60) == .replaced)
        #expect(set("a", 10) == .replaced)
        #expect(set("a", 55) == .replaced, "what a record replaces does not count twice")
        let answer = bench.ask { RetainQuestion.writeCount(tenant: [1], into: &$0) }
        let count = answer.withRawSpan { RetainAnswer($0) }
        #expect(count?.topics == 2 && count?.bytes == 95)
        #expect(set("", 1) == .malformed)
    }

    @Test("versions rise over a restart, also where time does not")
    func versionsRise() {
        let bench = RetainBench()
        let tenant = Array("t1".utf8)
        func set(_ bench: RetainBench, _ topic: String) -> UInt64 {
            bench.apply { command in
                Array("record".utf8).withRawSpan {
                    command.set(
                        tenant: tenant, topic: Array(topic.utf8), record: $0,
                        expirySeconds: RetainCommandEncoder.never, topicsMax: .max, bytesMax: .max)
                }
            }.first?.version ?? 0
        }
        let versions = ["a", "b", "a"].map { set(bench, $0) }
        #expect(versions == versions.sorted() && Set(versions).count == 3)
        let after = bench.reloaded()
        #expect(set(after, "c") > versions[2])
    }

    @Test("a list names topics and sizes without reading a record")
    func list() {
        let bench = RetainBench()
        for number in 0..<10 {
            let record = [UInt8](repeating: 1, count: number)
            bench.apply {
                $0.set(
                    tenant: [1], topic: Array("a/\(number)".utf8), record: record.span.bytes)
            }
        }
        bench.pairs = [:]
        let answer = bench.ask {
            RetainQuestion.writeList(
                tenant: [1], filter: Array("a/+".utf8), messagesMax: 4, into: &$0)
        }
        answer.withRawSpan { span in
            let page = RetainAnswer(span)
            #expect(page?.items.map { span.string($0.topic) } == ["a/0", "a/1", "a/2", "a/3"])
            #expect(page?.items.map(\.recordBytes) == [0, 1, 2, 3])
            #expect(page?.hasMore == true)
        }
    }

    @Test(
        "a range cut anywhere answers as before from its two halves", arguments: [1, 2] as [UInt64])
    func split(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let left = RetainBench()
        for step in 0..<500 {
            let topic = topic(&random)
            left.apply {
                $0.set(
                    tenant: [1], topic: topic, record: Array("\(step)".utf8).span.bytes,
                    expirySeconds: random.chance(percent: 50) ? 50 : .max)
            }
        }
        let filters = (0..<50).map { _ in filter(&random) }
        let before = filters.map { left.match([1], $0).records }
        guard let key = left.machine.middleKey.flatMap({ left.machine.splitKey(near: $0) }),
            let half = left.machine.splitOff(at: key, output: left.output) as? RetainMachine
        else {
            Issue.record("no key to cut at")
            return
        }
        let right = RetainBench()
        right.machine = half
        for (pair, value) in left.pairs where KeyOrder.compare(pair, key) >= 0 {
            left.pairs[pair] = nil
            right.pairs[pair] = value
        }
        #expect(left.machine.topicCount == left.pairs.count && left.pairs.count > 50)
        #expect(right.machine.topicCount == right.pairs.count && right.pairs.count > 50)
        for (filter, expected) in zip(filters, before) {
            let both = left.match([1], filter).records
                .merging(right.match([1], filter).records) { first, _ in first }
            #expect(both == expected, "seed \(seed)")
        }
        for bench in [left, right] {
            bench.time.milliseconds += 60_000
            bench.applyDue()
            #expect(bench.machine.topicCount == bench.pairs.count)
        }
    }

    @Test("damaged commands and questions are refused, never trapped on")
    func damaged() {
        let bench = RetainBench()
        var random = SeededRandom(seed: 3)
        for _ in 0..<2_000 {
            var command = RetainCommandEncoder()
            command.set(
                tenant: [1], topic: topic(&random), record: ([1, 2] as [UInt8]).span.bytes,
                expirySeconds: 1)
            command.clear(tenant: [1], topic: topic(&random))
            var question = ByteWriter()
            RetainQuestion.writeMatch(tenant: [1], filter: filter(&random), into: &question)
            for var bytes in [[UInt8](command.writer.bytes), [UInt8](question.bytes)] {
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
                if random.chance(percent: 30) { bytes.removeLast(random.below(bytes.count)) }
                bytes.withRawSpan {
                    bench.machine.apply($0, at: bench.position, output: bench.output)
                    bench.settle()
                    bench.machine.query($0, ticket: QueryTicket(1), output: bench.output)
                    bench.settle()
                }
            }
        }
    }

    @Test("keys and values have the bytes of the format")
    func golden() {
        let bench = RetainBench()
        bench.time = WallTime(milliseconds: 1)
        bench.apply {
            $0.set(
                tenant: Array("t".utf8), topic: Array("a/b".utf8),
                record: ([9] as [UInt8]).span.bytes,
                expirySeconds: 1)
        }
        let bucket = KeySchema.bucket(tenant: Array("t".utf8), id: Array("a/b".utf8))
        let key = [UInt8(bucket >> 8), UInt8(bucket & 0xFF)] + Array("t\0a/b\0".utf8)
        #expect(bench.pairs[key] == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0xE9, 9])
    }
}
