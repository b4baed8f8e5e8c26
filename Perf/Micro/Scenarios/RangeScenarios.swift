import Base
import KV

/// Ranges: a command's way through client and host, and the engine in memory.
enum RangeScenarios {
    static var all: [Scenario] {
        [
            Scenario(
                name: "range.command.100",
                what: "propose, send, apply, answer and complete; batches of 100 commands",
                run: { commands($0, batch: 100) }),
            Scenario(
                name: "range.command.1",
                what: "the same, one command to a batch", run: { commands($0, batch: 1) }),
            Scenario(
                name: "range.question",
                what: "ask, answer and complete; 100 questions to a turn", run: questions),
            Scenario(
                name: "engine.put", what: "a new key among 100,000, 40 bytes, value 100 bytes",
                run: { engine($0, .put) }),
            Scenario(
                name: "engine.get", what: "a value among 100,000, copied", run: { engine($0, .get) }
            ),
            Scenario(
                name: "engine.queue",
                what: "put at the end and delete at the front of 1,000 queues in turn",
                run: { engine($0, .queue) }),
        ]
    }

    /// Counts: the cheapest machine, so that what is measured is the way there and back.
    final class CountingMachine: RangeMachine {
        private var sum: UInt64 = 0

        func apply(_ command: RawSpan, at position: ApplyPosition, output: MachineOutput) {
            sum &+= UInt64(command.byteCount)
            output.result.append(bigEndian: UInt32(truncatingIfNeeded: sum))
        }

        func applyDue(at position: ApplyPosition, output: MachineOutput) {}
        var nextDue: WallTime { .distantFuture }

        func query(_ question: RawSpan, ticket: QueryTicket, output: MachineOutput) {
            output.answer(ticket) { $0.append(bigEndian: sum) }
        }

        func receive(
            _ kind: MessageKind, _ body: RawSpan, from place: Place, output: MachineOutput
        ) {}
        func completeRead(_ token: UInt64, values: [[UInt8]?], output: MachineOutput) {}
        func leadershipChanged(_ position: ApplyPosition?, output: MachineOutput) {}
        func load(key: RawSpan, value: RawSpan) {}
        func splitKey(near key: [UInt8]) -> [UInt8]? { nil }
        var middleKey: [UInt8]? { nil }
        func splitOff(at key: [UInt8], output: MachineOutput) -> any RangeMachine {
            CountingMachine()
        }
    }

    /// One worker that talks to itself.
    final class Loop {
        let place = Place(node: NodeID(1), worker: WorkerIndex(0))
        let outbox = Outbox()
        let client: RangeClient
        let host: RangeHost
        let completions = CompletionList()
        var now = Instant(nanoseconds: 1)
        var mail = ByteWriter(capacity: 1 << 16)

        init() {
            let list = RangeMap.initialRanges(store: .inbox, count: 8, node: place.node, workers: 1)
            client = RangeClient(
                place: place, epoch: LivenessEpoch(1), map: RangeMap(list), seed: 1)
            host = RangeHost(
                place: place, workers: 1, outbox: outbox, map: RangeMap(list), seed: 1)
            for descriptor in list { host.add(descriptor, machine: CountingMachine()) }
        }

        /// Sends what was collected, has it applied, and takes the answers; returns a checksum.
        func roundTrip() -> UInt64 {
            client.flush(outbox, now: now)
            carry()
            _ = host.turn(now: now, wallTime: WallTime(milliseconds: 1))
            carry()
            var sum: UInt64 = 0
            completions.forEach { sum &+= $0.token &+ UInt64($1.byteCount) }
            completions.removeAll()
            now = now + .microseconds(100)
            return sum
        }

        private func carry() {
            let block = outbox.block(to: place)
            mail.removeAll()
            mail.append(block.bytes.bytes)
            block.bytes.removeAll()
            _ = Outbox.forEachFrame(in: mail.bytes) { kind, body in
                if kind == .proposal || kind == .query {
                    host.receive(kind, body, from: place, now: now)
                } else {
                    client.receive(kind, body, from: place, now: now, completions: completions)
                }
            }
        }
    }

    static func key(_ number: Int, bucket: UInt16) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(bigEndian: bucket)
        writer.append(keyString: Array("tenant-a".utf8))
        writer.append(keyString: Array("device-0000-1111".utf8))
        writer.append(3)
        writer.append(bigEndian: UInt64(number))
        return writer.array
    }

    static func commands(_ count: Int, batch: Int) -> UInt64 {
        let loop = Loop()
        var sum: UInt64 = 0
        // All to one range, as one session's or one connection's commands are.
        let keys = (0..<64).map { key($0, bucket: 0x1234) }
        let command = [UInt8](repeating: 7, count: 64)
        var done = 0
        while done < count {
            for index in 0..<batch {
                let refusal = loop.client.propose(
                    .inbox, key: keys[index & 63], token: UInt64(done + index), now: loop.now
                ) { $0.append(command) }
                if refusal != nil { sum &+= 1 << 60 }
            }
            sum &+= loop.roundTrip()
            done += batch
        }
        return sum
    }

    @Sendable
    static func questions(_ count: Int) -> UInt64 {
        let loop = Loop()
        var sum: UInt64 = 0
        let keys = (0..<64).map { key($0, bucket: 0x1234) }
        let question = [UInt8](repeating: 7, count: 32)
        var done = 0
        while done < count {
            for index in 0..<100 {
                let refusal = loop.client.query(
                    .inbox, key: keys[index & 63], token: UInt64(done + index), now: loop.now
                ) { $0.append(question) }
                if refusal != nil { sum &+= 1 << 60 }
            }
            sum &+= loop.roundTrip()
            done += 100
        }
        return sum
    }

    private static func put(_ key: [UInt8], _ value: [UInt8], _ engine: MemoryEngine) {
        key.withRawSpan { key in value.withRawSpan { engine.put(key, $0) } }
    }

    enum EngineWork { case put, get, queue }

    /// Entries of 1,000 queues in turn.
    private static let keys: [[UInt8]] = {
        var random = SeededRandom(seed: 1)
        let buckets = (0..<1000).map { _ in UInt16(random.below(65_536)) }
        return (0..<100_000).map { key($0, bucket: buckets[$0 % 1000]) }
    }()

    private static let value = [UInt8](repeating: 9, count: 100)

    /// All keys with their values. Scenarios run one after the other, on one thread.
    private nonisolated(unsafe) static let full: MemoryEngine = {
        let engine = MemoryEngine()
        for key in keys { put(key, value, engine) }
        return engine
    }()

    static func engine(_ count: Int, _ work: EngineWork) -> UInt64 {
        let size = keys.count
        var random = SeededRandom(seed: 1)
        let engine = work == .get ? full : MemoryEngine()
        var sum: UInt64 = 0
        switch work {
        case .put:
            for index in 0..<count {
                // Every hundred thousand the engine starts anew, half full on average.
                if index % size == 0 { engine.deleteRange(.all) }
                put(keys[index % size], value, engine)
            }
        case .get:
            for _ in 0..<count {
                let found = keys[random.below(size)].withRawSpan { engine.get($0) }
                sum &+= UInt64(found?.count ?? 0)
            }
        case .queue:
            var batch = WriteBatch()
            for index in 0..<count {
                batch.removeAll()
                batch.put(key: keys[index % size], value: value)
                if index >= 20_000 { batch.delete(key: keys[(index - 20_000) % size]) }
                engine.apply(batch)
            }
        }
        return sum &+ UInt64(engine.count)
    }
}
