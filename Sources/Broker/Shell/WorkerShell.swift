import Base
import EventLoops
import Policy
import WebSocket

/// A worker's loop as its Core sees it: hands events in, carries orders out, moves mail.
///
/// One per loop, confined to its thread. Holds no policy: what a connection may do is decided in
/// `Worker`. Here are the events; orders are in `WorkerShell+Port`, frames in
/// `WorkerShell+WebSocket`.
final class WorkerShell: LoopHandler, WorkerPort {
    /// What a listener adds to its connections.
    struct ListenerTraits: Sendable {
        var name: String
        var tenant: TenantName?
        /// Set on WebSocket listeners.
        var upgrade: UpgradeOptions?
        /// TLS is spoken: the client may have shown a certificate.
        var isSealed: Bool
        /// From accept to the end of CONNECT.
        var connectTimeout: Duration
        /// Shared by all loops.
        let gate: ListenerGate
        /// Addresses come from a PROXY header.
        var isRelayed: Bool

        init(_ listener: NodeOptions.Listener, seed: UInt64) {
            name = listener.name
            tenant = listener.tenant
            upgrade = listener.upgrade
            isSealed = listener.socket.tls != nil
            connectTimeout = listener.connectTimeout
            gate = ListenerGate(listener.limits, seed: seed)
            isRelayed = listener.socket.proxy != nil
        }
    }

    /// Owns this shell as its handler, and so outlives it.
    unowned(unsafe) let loop: EventLoop
    let listeners: [ListenerTraits]
    let access: AccessDoor
    let options: NodeOptions
    @exclusivity(unchecked)
    private(set) var worker: Worker<WorkerShell>!

    /// WebSocket stages by worker slot; -1 where the connection is plain.
    @exclusivity(unchecked)
    var stages = Slab<WebSocketStage>()
    @exclusivity(unchecked)
    var stageOfSlot: [Int32] = []
    /// Frames to this very place, handled in the next turn.
    @exclusivity(unchecked)
    private var selfMail: [UInt8] = []
    /// Those being handled, empty otherwise: the two change places.
    @exclusivity(unchecked)
    private var openMail: [UInt8] = []
    /// Bytes of either that are kept for the next turn.
    private static let keptMailMax = 65_536
    var selfMailBytes: Int { selfMail.capacity + openMail.capacity }
    @exclusivity(unchecked)
    private var deadlineTimer = TimerID.none
    @exclusivity(unchecked)
    private var armedDeadline = Instant.distantFuture
    private var hasDrained = false
    /// Listeners that found no descriptor, until a connection is accepted again.
    private var exhausted: Set<Int> = []
    @exclusivity(unchecked)
    var control = ByteWriter(capacity: 256)
    private var door = ConnectionDoor()
    private var nextTrim = Instant.zero

    /// The timer for the measurement of memory, on loop 0.
    private static let memoryToken: UInt64 = 1
    /// Token of the timer for the $SYS topics.
    private static let sysTimer: UInt64 = 2

    init(
        loop: EventLoop, listeners: [ListenerTraits], access: AccessDoor, options: NodeOptions
    ) {
        self.loop = loop
        self.listeners = listeners
        self.access = access
        self.options = options
    }

    // MARK: LoopHandler: connections and bytes

    func started(_ loop: EventLoop) {
        if loop.worker == WorkerIndex(0), options.sysPublisher != nil { armSysTimer() }
        worker = options.makeWorker(port: self, index: loop.worker, now: loop.now, loop.wallTime)
        if loop.worker.rawValue == 0 { measureMemory() }
    }

    func accepted(
        _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
    ) {
        beginTurn()
        if !exhausted.isEmpty, exhausted.remove(listener) != nil {
            worker.report(.acceptResumed(listener: listeners[listener].name))
        }
        let traits = listeners[listener]
        var name = Self.name(of: peer, traits)
        if traits.isSealed {
            name.certificate = loop.peerCertificate(of: connection).map {
                Policy.PeerCertificate($0)
            }
        }
        let slot = worker.accepted(
            ConnectionKey(connection.rawValue), listener: UInt16(listener), peer: name,
            connectDeadline: loop.acceptTime + traits.connectTimeout,
            isTooFast: door.isTooFast(connection))
        loop.setSlot(connection, slot)
        guard slot >= 0 else {
            loop.close(connection, afterFlush: false)
            return
        }
        if let upgrade = traits.upgrade {
            addStage(slot, upgrade)
            // The worker set it before there was a stage.
            setInputLimit(
                ConnectionKey(connection.rawValue), worker.limits.bytesBeforeConnect)
        }
    }

    func arrived(_ connection: ConnectionID, listener: Int, peer: PeerAddress) -> Bool {
        beginTurn()
        let traits = listeners[listener]
        let refusal = door.enter(
            connection, traits.gate, peer.ip, worker.limits, options.load, now: loop.now)
        if let refusal {
            worker.turnedAway(Self.name(of: peer, traits), cause: refusal)
            return false
        }
        let pause = max(
            traits.gate.pauseAfterConnect(now: loop.now),
            options.load.pauseAfterConnect(worker.limits, now: loop.now))
        if pause > .zero { loop.pauseAccepting(listener, for: pause) }
        return true
    }

    func left(_ connection: ConnectionID, listener: Int) {
        door.leave(connection, listeners[listener].gate, options.load)
    }

    func acceptPaused(listener: Int, reason: AcceptPause) {
        switch reason {
        // Comes and goes many times a second: that is what the limit is for.
        case .asked: break
        case .exhausted(let errno):
            guard exhausted.insert(listener).inserted else { return }
            worker.report(
                .acceptPaused(
                    listener: listeners[listener].name, reason: "errno \(errno)"))
        }
    }

    func turnedAway(listener: Int, peer: PeerAddress, reason: CloseReason) {
        beginTurn()
        let cause =
            switch Self.end(of: reason) {
            case .peerClosed: "closed by the client in the handshake"
            case .failed(let text): text
            case .byUs, .inputLimit: "closed in the handshake"
            }
        worker.turnedAway(Self.name(of: peer, listeners[listener]), cause: cause)
    }

    static func name(of peer: PeerAddress, _ traits: ListenerTraits) -> PeerName {
        var name = PeerName(
            address: peer.ip, port: peer.port, text: peer.description, listener: traits.name,
            tenant: traits.tenant)
        name.isRelayed = traits.isRelayed
        return name
    }

    func received(
        _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        beginTurn()
        let slot = loop.slot(of: connection)
        guard slot >= 0 else { return bytes.count }
        let stage = stage(of: slot)
        if stage < 0 { return worker.receive(slot, bytes) }
        return receiveFrames(connection, slot, stages[pointer: stage], bytes)
    }

    func closed(_ connection: ConnectionID, reason: CloseReason) {
        beginTurn()
        let slot = loop.slot(of: connection)
        guard slot >= 0 else { return }
        let stage = stage(of: slot)
        if stage >= 0 {
            worker.settleOutput(slot)
            stages.remove(stage)
            stageOfSlot[Int(slot)] = -1
        }
        worker.closed(slot, Self.end(of: reason))
    }

    static func end(of reason: CloseReason) -> ConnectionEnd {
        switch reason {
        case .peerClosed: .peerClosed
        case .reset(let code): .failed("connection error \(code)")
        case .closedByUs: .byUs
        case .inputLimit: .inputLimit
        case .handshakeFailed(let text): .failed(text)
        case .timeout: .failed("timeout")
        }
    }

    func outputDrained(_ connection: ConnectionID) {
        beginTurn()
        let slot = loop.slot(of: connection)
        if slot >= 0 { worker.outputDrained(slot) }
    }

    // MARK: LoopHandler: timers, mail and the turn

    func fired(_ token: UInt64) {
        if token == Self.sysTimer { return publishSysTopics() }
        if token == Self.memoryToken { return measureMemory() }
        deadlineTimer = .none
        armedDeadline = .distantFuture
    }

    func mail(_ bytes: UnsafeRawBufferPointer, from sender: WorkerIndex) {
        beginTurn()
        if sender == .outside {
            worker.receiveOutside(bytes)
        } else {
            worker.mail(bytes, from: Place(node: options.node, worker: sender))
        }
    }

    func draining() {
        beginTurn()
        worker.drain()
    }

    private func beginTurn() { worker.beginTurn(now: loop.now, wallTime: loop.wallTime) }

    func turnEnding() {
        beginTurn()
        takeLateAnswers()
        worker.noteTurn(.nanoseconds(Int64(loop.counters.turnLast)))
        if !selfMail.isEmpty {
            swap(&selfMail, &openMail)
            openMail.withUnsafeBytes { worker.mail($0, from: worker.place) }
            // What a burst has made large is given back.
            openMail.removeAll(keepingCapacity: openMail.capacity <= Self.keptMailMax)
        }
        let hasMore = worker.endTurn()
        moveMail()
        if hasMore || !selfMail.isEmpty { loop.requestTurn() }
        armDeadline()
        deliverEvents()
        options.beats?.beat(loop.worker)
        if worker.isDrained, !hasDrained {
            hasDrained = true
            options.gate?.pass()
        }
    }

    private func takeLateAnswers() {
        for (token, result) in access.results.take(loop.worker) {
            worker.completeAuthentication(token: token, result)
        }
        for (token, verdict) in access.verdicts.take(loop.worker) {
            worker.completeJudgement(token: token, verdict)
        }
    }

    /// Hands the turn's blocks to the other loops; a block for this place waits for the next turn.
    private func moveMail() {
        for block in worker.outbox.blocks where !block.bytes.isEmpty {
            if block.place == worker.place {
                selfMail.append(contentsOf: block.bytes.bytes)
            } else {
                loop.appendMail(block.bytes.bytes, to: block.place.worker)
            }
            block.bytes.removeAll()
        }
    }

    /// One timer of the loop stands for everything that the worker waits for.
    private func armDeadline() {
        let deadline = worker.nextDeadline
        guard deadline < armedDeadline || deadlineTimer == .none else { return }
        if deadlineTimer != .none { loop.cancel(deadlineTimer) }
        deadlineTimer = .none
        armedDeadline = .distantFuture
        guard deadline < .distantFuture else { return }
        deadlineTimer = loop.schedule(at: deadline, token: 0)
        armedDeadline = deadline
    }

    private func deliverEvents() {
        guard !worker.events.isEmpty else { return }
        let records = worker.events.flush()
        for sink in options.sinks { sink.receive(records) }
    }

    // MARK: Memory and $SYS topics

    /// Once a second; ten times where memory is short. What was freed is given back then, or the
    /// pressure would outlive its cause.
    private func measureMemory() {
        beginTurn()
        if options.load.pressure != .none, loop.now >= nextTrim {
            nextTrim = loop.now + .seconds(2)
            ProcessMemory.trim()
        }
        if let used = options.measureMemory() { worker.noteMemory(used) }
        let span =
            options.load.pressure == .none ? .seconds(1) : WorkerLimits.overloadInterval
        _ = loop.schedule(at: loop.now + span, token: Self.memoryToken)
    }

    private func armSysTimer() {
        guard let publisher = options.sysPublisher else { return }
        _ = loop.schedule(at: loop.now + publisher.pause, token: Self.sysTimer)
    }

    private func publishSysTopics() {
        if let publisher = options.sysPublisher, let door = options.door, !worker.isDraining {
            publisher.tick(door, now: loop.now)
        }
        armSysTimer()
    }
}
