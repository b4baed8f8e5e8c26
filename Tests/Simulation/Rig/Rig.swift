import Base
import Broker
import KV
import Policy

/// What a rig is made of, and what goes wrong in it.
package struct RigOptions: Sendable {
    package var workers = 3
    package var rangesPerStore = 4
    /// Per cent of proposals, questions and answers that the range hosts lose, refuse or delay.
    package var hostFaultPercent = 0
    /// Ranges that are cut while the rig runs.
    package var splitsMax = 0
    /// Per cent of a turn's blocks that wait for a later turn; order between two places holds.
    package var lateMailPercent = 0
    /// Per cent of authentications that are answered in a later turn.
    package var lateAnswerPercent = 0
    package var tenants = TenantStore()
    /// Without one, everyone is let in under the name that they give.
    package var authenticator: (any Authenticator)?
    /// Without one, everything is allowed.
    package var authoriser: (any Authoriser)?
    /// Events are built and kept in `Rig.events`.
    package var keepsEvents = false
    package var limits = NodeLimitStore()
    package var load = NodeLoad()
    package var fanOut = FanOutLimits()
    /// Without one, the settings alone limit tenants.
    package var throttler: (any Throttler)?

    package init() {}
}

/// Several workers of one node on one thread: time, order of turns and of mail come from a seed.
///
/// The seed of the simulator. Every step is one turn of every worker in a random order: mail, then
/// input of its connections in a random order and cut at random places, then the end of the turn.
/// Frames between two places keep their order, as the shell's do.
package final class Rig {
    /// A connection by worker and key.
    package struct Link: Hashable, Sendable {
        package let worker: Int
        package let key: ConnectionKey
    }

    private struct Mail {
        var from: Place
        var bytes: [UInt8]
    }

    package private(set) var places: [RigWorker] = []
    package private(set) var now = Instant(nanoseconds: 1_000_000_000)
    package private(set) var wallTime = WallTime(milliseconds: 1_700_000_000_000)
    package var random: SeededRandom
    package let options: RigOptions
    /// What the tenants use.
    package let accounts: TenantAccountTable
    /// Mail on its way, by sender and receiver.
    private var mail: [[[Mail]]]
    private var nextKey: UInt64 = 1
    /// Something moved in this step, so the next one is a millisecond later.
    private var isMoving = false
    /// Blocks that were made to wait.
    package private(set) var lateBlocks = 0
    /// Workers whose mail, in both directions, waits: their ranges are out of reach.
    package var isolated: Set<Int> = []
    /// What the workers reported, where that is kept.
    package private(set) var events: [EventRecord] = []

    package init(seed: UInt64, _ options: RigOptions = RigOptions()) {
        random = SeededRandom(seed: seed)
        self.options = options
        mail = Array(
            repeating: Array(repeating: [], count: options.workers), count: options.workers)
        var node = NodeOptions()
        node.loops.workers = options.workers
        node.rangesPerStore = options.rangesPerStore
        node.seed = seed
        node.tenants = options.tenants
        if options.keepsEvents { node.sinks = [CountingEventSink()] }
        node.limits = options.limits
        node.load = options.load
        node.fanOut = options.fanOut
        if let throttler = options.throttler { node.throttler = throttler }
        accounts = node.accounts
        if options.hostFaultPercent > 0 {
            node.faults = (options.hostFaultPercent, options.splitsMax)
        }
        for index in 0..<options.workers {
            let port = RigPort(
                random: SeededRandom(seed: random.next()), options)
            places.append(
                RigWorker(
                    worker: node.makeWorker(
                        port: port, index: WorkerIndex(UInt16(index)), now: now, wallTime),
                    port: port))
        }
    }

    // MARK: Clients' side

    /// Opens a connection to a worker; nil if the worker does not take it.
    package func connect(to worker: Int) -> Link? {
        let place = places[worker]
        let key = ConnectionKey(nextKey)
        nextKey += 1
        place.port.open(key)
        place.worker.beginTurn(now: now, wallTime: wallTime)
        let slot = place.worker.accepted(
            key, listener: 0,
            peer: PeerName(
                address: .v4Loopback, port: UInt16(truncatingIfNeeded: key.rawValue),
                text: "127.0.0.1:\(key.rawValue)", listener: "rig", tenant: nil))
        guard slot >= 0 else {
            place.port.remove(key)
            return nil
        }
        place.port.update(key) { $0.slot = slot }
        isMoving = true
        return Link(worker: worker, key: key)
    }

    package func send(_ link: Link, _ bytes: [UInt8]) {
        places[link.worker].port.update(link.key) { $0.input += bytes }
        isMoving = true
    }

    package func take(_ link: Link) -> [UInt8] { places[link.worker].port.takeOutput(link.key) }

    /// From now on so many per cent of what ranges are asked is lost, refused or late.
    package func setHostFaults(percent: Int) {
        for place in places {
            place.worker.host.fault =
                percent == 0
                ? nil : FaultKnob(percent: percent, splitsMax: 0, seed: random.next())
        }
    }

    /// The client ends the connection, or loses it.
    package func cut(_ link: Link) {
        places[link.worker].port.update(link.key) { $0.isLost = true }
        isMoving = true
    }

    /// The connection breaks.
    package func fail(_ link: Link, _ cause: String) {
        places[link.worker].port.update(link.key) {
            $0.isLost = true
            $0.loss = .failed(cause)
        }
        isMoving = true
    }

    /// Still there, as far as the server is concerned.
    package func isOpen(_ link: Link) -> Bool {
        guard let connection = places[link.worker].port[link.key] else { return false }
        return !connection.isClosing && !connection.isLost
    }

    /// Closed, and everything it said has been taken.
    package func isGone(_ link: Link) -> Bool {
        guard let connection = places[link.worker].port[link.key] else { return true }
        return connection.isLost || connection.isClosing && connection.output.isEmpty
    }

    // MARK: Time

    /// One turn of every worker.
    package func step() {
        advance()
        var order = Array(places.indices)
        order.shuffle(using: &random)
        for index in order { turn(index) }
    }

    /// Steps until `condition` holds; false if it does not within `limit` steps.
    package func run(_ limit: Int = 2_000, until condition: () -> Bool) -> Bool {
        for _ in 0..<limit {
            if condition() { return true }
            step()
        }
        return condition()
    }

    package func skip(_ span: Duration) {
        now = now + span
        wallTime.milliseconds += UInt64(max(0, span.nanoseconds)) / 1_000_000
        isMoving = true
    }

    private func advance() {
        var next = now + .milliseconds(1)
        if !isMoving {
            let earliest = places.map(\.worker.nextDeadline).min() ?? next
            // In steps, so that what a test waits for does not lie far behind it.
            next = max(next, min(earliest, now + .milliseconds(250)))
        }
        wallTime.milliseconds += ((next - now).nanoseconds.magnitude + 999_999) / 1_000_000
        now = next
        isMoving = false
    }

    // MARK: A turn

    private func turn(_ index: Int) {
        let place = places[index]
        place.worker.beginTurn(now: now, wallTime: wallTime)
        deliverMail(index)
        for question in place.port.takeQuestions() {
            place.worker.completeAuthentication(token: question.token, question.result)
        }
        for answer in place.port.takeVerdicts() {
            place.worker.completeJudgement(token: answer.token, answer.verdict)
        }
        var keys = place.port.connections.keys.sorted { $0.rawValue < $1.rawValue }
        keys.shuffle(using: &random)
        for key in keys { handle(key, of: place) }
        if place.worker.endTurn() { isMoving = true }
        events += place.worker.events.flush()
        carry(index)
    }

    private func deliverMail(_ index: Int) {
        var senders = Array(places.indices)
        senders.shuffle(using: &random)
        for sender in senders where isolated.isDisjoint(with: [sender, index]) {
            while let first = mail[sender][index].first {
                if random.chance(percent: options.lateMailPercent) {
                    lateBlocks += 1
                    isMoving = true
                    break
                }
                mail[sender][index].removeFirst()
                first.bytes.withUnsafeBytes { places[index].worker.mail($0, from: first.from) }
            }
        }
    }

    private func handle(_ key: ConnectionKey, of place: RigWorker) {
        guard let connection = place.port[key] else { return }
        if connection.isLost {
            place.port.remove(key)
            place.worker.closed(connection.slot, connection.loss)
        } else if connection.isClosing {
            // Gone for the worker once the client has had what was written before.
            if connection.output.isEmpty {
                place.port.remove(key)
                place.worker.closed(connection.slot, .byUs)
            }
        } else {
            if connection.wasFull, connection.output.isEmpty {
                place.port.update(key) { $0.wasFull = false }
                place.worker.outputDrained(connection.slot)
            }
            hand(key, connection, to: place)
        }
    }

    /// Hands input over, often not all of it at once: packets come in pieces.
    private func hand(_ key: ConnectionKey, _ connection: RigPort.Connection, to place: RigWorker) {
        guard !connection.isPaused, !connection.input.isEmpty else { return }
        isMoving = true
        let isCut = random.chance(percent: 20)
        let count = isCut ? 1 + random.below(connection.input.count) : connection.input.count
        var piece = Array(connection.input[..<count])
        let consumed = piece.withUnsafeMutableBytes { place.worker.receive(connection.slot, $0) }
        place.port.update(key) {
            $0.input.removeFirst(min(consumed, $0.input.count))
            if count - consumed > $0.inputLimit { $0.isLost = true }
        }
    }

    private func carry(_ index: Int) {
        let worker = places[index].worker
        for block in worker.outbox.blocks where !block.bytes.isEmpty {
            mail[index][Int(block.place.worker.rawValue)].append(
                Mail(from: worker.place, bytes: block.bytes.array))
            block.bytes.removeAll()
            isMoving = true
        }
    }
}

/// One worker of a rig and its outside.
package struct RigWorker {
    package let worker: Worker<RigPort>
    package let port: RigPort
}
