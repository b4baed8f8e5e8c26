import Base
import KV

/// Workers of one node, each with a client and a host, joined by their outboxes: frames sent in
/// one turn arrive in the next. One thread, virtual time of one millisecond a turn.
final class RangeNet {
    final class Worker {
        let place: Place
        let outbox = Outbox()
        let client: RangeClient
        let host: RangeHost
        let completions = CompletionList()
        var inbox: [(from: Place, bytes: [UInt8])] = []

        init(
            place: Place, workers: Int, map: RangeMap, epoch: UInt64, seed: UInt64,
            fault: FaultKnob?
        ) {
            self.place = place
            client = RangeClient(
                place: place, epoch: LivenessEpoch(epoch), map: map, seed: seed)
            host = RangeHost(
                place: place, workers: workers, outbox: outbox, map: map, seed: seed &+ 1,
                fault: fault)
        }
    }

    var workers: [Worker] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    var wallTime = WallTime(milliseconds: 1_000_000)
    /// Nothing is on its way and no host has more to do.
    private var isIdle = false

    init(
        workers count: Int, ranges: Int, store: StoreKind = .inbox, seed: UInt64 = 1,
        faultPercent: Int = 0, splitsMax: Int = 0
    ) {
        let node = NodeID(7)
        let list = RangeMap.initialRanges(
            store: store, count: ranges, node: node, workers: count)
        for index in 0..<count {
            let salt = seed &* 1000 &+ UInt64(index)
            let fault =
                faultPercent == 0
                ? nil : FaultKnob(percent: faultPercent, splitsMax: splitsMax, seed: salt)
            workers.append(
                Worker(
                    place: Place(node: node, worker: WorkerIndex(UInt16(index))), workers: count,
                    map: RangeMap(list), epoch: 1, seed: salt, fault: fault))
        }
        for descriptor in list {
            guard let leader = descriptor.leader else { continue }
            workers[Int(leader.worker.rawValue)].host.add(
                descriptor, machine: JournalMachine())
        }
    }

    /// One turn of every worker. Completions stay in each worker's list.
    func turn() {
        advance()
        for worker in workers { receive(worker) }
        for worker in workers {
            if worker.client.nextDeadline <= now {
                worker.client.tick(now: now, completions: worker.completions)
            }
            if worker.host.turn(now: now, wallTime: wallTime) { isIdle = false }
            worker.client.flush(worker.outbox, now: now)
        }
        for worker in workers { carry(worker) }
    }

    /// One millisecond on, or to the next deadline if nothing is under way.
    private func advance() {
        var next = now + .milliseconds(1)
        if isIdle {
            let deadlines = workers.map {
                min($0.client.nextDeadline, $0.host.nextDeadline(now: now, wallTime: wallTime))
            }
            let earliest = deadlines.min() ?? next
            if earliest != .distantFuture { next = max(next, earliest) }
        }
        let step = next.nanoseconds - now.nanoseconds
        wallTime.milliseconds += (step + 999_999) / 1_000_000
        now = next
        isIdle = true
    }

    private func receive(_ worker: Worker) {
        let mail = worker.inbox
        worker.inbox = []
        for (from, bytes) in mail {
            bytes.withUnsafeBytes { block in
                let isWhole = Outbox.forEachFrame(in: block) { kind, body in
                    // News of the map goes to both: hosts pass messages on by it.
                    if kind == .proposalAnswer || kind == .queryAnswer || kind == .rangeMap {
                        worker.client.receive(
                            kind, body, from: from, now: now, completions: worker.completions)
                    }
                    if kind != .proposalAnswer, kind != .queryAnswer {
                        worker.host.receive(kind, body, from: from, now: now)
                    }
                }
                precondition(isWhole, "a damaged block")
            }
        }
    }

    private func carry(_ worker: Worker) {
        for block in worker.outbox.blocks where !block.bytes.isEmpty {
            workers[Int(block.place.worker.rawValue)].inbox.append(
                (worker.place, block.bytes.array))
            isIdle = false
            block.bytes.removeAll()
        }
    }

    /// Turns until `condition` holds; false if it does not within `limit`.
    func run(_ limit: Int = 10_000, until condition: () -> Bool) -> Bool {
        for _ in 0..<limit {
            if condition() { return true }
            turn()
        }
        return condition()
    }

    /// Takes the completions of a worker: token, status, bytes.
    func take(_ worker: Int) -> [(token: UInt64, status: CompletionStatus, bytes: [UInt8])] {
        var taken: [(UInt64, CompletionStatus, [UInt8])] = []
        let list = workers[worker].completions
        list.forEach { taken.append(($0.token, $0.status, $1.array)) }
        list.removeAll()
        return taken
    }

    /// Every list, as the engines hold them.
    var stored: [[UInt8]: [UInt64]] {
        var all: [[UInt8]: [UInt64]] = [:]
        for worker in workers {
            worker.host.engine(of: .inbox).scan(.all) { key, value in
                var reader = ByteReader(value)
                while let number = try? reader.readUInt64(value) {
                    all[key.array, default: []].append(number)
                }
                return true
            }
        }
        return all
    }

    func key(_ tenant: String, _ id: String) -> [UInt8] {
        var writer = ByteWriter()
        let bucket = KeySchema.bucket(tenant: Array(tenant.utf8), id: Array(id.utf8))
        writer.append(bigEndian: bucket)
        writer.append(keyString: Array(tenant.utf8))
        writer.append(keyString: Array(id.utf8))
        return writer.array
    }
}
