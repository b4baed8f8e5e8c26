import Base
import EventLoops
import KV
import MQTT
import Policy
import WebSocket

/// A worker's loop as its Core sees it: hands events in, carries orders out, moves mail.
///
/// One per loop, confined to its thread. Holds no policy: what a connection may do is decided in
/// `Worker`.
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
    private unowned(unsafe) let loop: EventLoop
    private let listeners: [ListenerTraits]
    private let access: AccessDoor
    private let options: NodeOptions
    @exclusivity(unchecked)
    private(set) var worker: Worker<WorkerShell>!

    /// WebSocket stages by worker slot; -1 where the connection is plain.
    @exclusivity(unchecked)
    private var stages = Slab<WebSocketStage>()
    @exclusivity(unchecked)
    private var stageOfSlot: [Int32] = []
    /// Frames to this very place, handled in the next turn.
    @exclusivity(unchecked)
    private var selfMail: [UInt8] = []
    @exclusivity(unchecked)
    private var deadlineTimer = TimerID.none
    @exclusivity(unchecked)
    private var armedDeadline = Instant.distantFuture
    private var hasDrained = false
    /// Listeners that found no descriptor, until a connection is accepted again.
    private var exhausted: Set<Int> = []
    @exclusivity(unchecked)
    private var control = ByteWriter(capacity: 256)
    private var door = ConnectionDoor()
    private var nextTrim = Instant.zero
    /// The timer for the measurement of memory, on loop 0.
    private static let memoryToken: UInt64 = 1

    init(
        loop: EventLoop, listeners: [ListenerTraits], access: AccessDoor, options: NodeOptions
    ) {
        self.loop = loop
        self.listeners = listeners
        self.access = access
        self.options = options
    }

    // MARK: LoopHandler

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

    private static func name(of peer: PeerAddress, _ traits: ListenerTraits) -> PeerName {
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
            stages.remove(stage)
            stageOfSlot[Int(slot)] = -1
        }
        worker.closed(slot, Self.end(of: reason))
    }

    private static func end(of reason: CloseReason) -> ConnectionEnd {
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

    func turnEnding() {
        beginTurn()
        takeLateAnswers()
        worker.noteTurn(.nanoseconds(Int64(loop.counters.turnLast)))
        if !selfMail.isEmpty {
            let mail = selfMail
            selfMail.removeAll(keepingCapacity: true)
            mail.withUnsafeBytes { worker.mail($0, from: worker.place) }
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

    // MARK: $SYS topics

    /// Token of the timer for the $SYS topics.
    private static let sysTimer: UInt64 = 2

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

    private func deliverEvents() {
        guard !worker.events.isEmpty else { return }
        let records = worker.events.flush()
        for sink in options.sinks { sink.receive(records) }
    }

    private func beginTurn() { worker.beginTurn(now: loop.now, wallTime: loop.wallTime) }

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

    // MARK: WorkerPort

    @inline(__always)
    private func id(_ connection: ConnectionKey) -> ConnectionID {
        ConnectionID(rawValue: connection.rawValue)
    }

    func reserveOutput(_ connection: ConnectionKey, _ count: Int) -> UnsafeMutableRawPointer {
        let stage = stageOf(connection)
        if stage < 0 { return loop.reserveOutput(id(connection), count) }
        // Room for a frame header in front of the packet; moved up if it turns out shorter.
        return loop.reserveOutput(id(connection), count + FrameEncoder.headerBytesMax)
            + FrameEncoder.headerBytesMax
    }

    func commitOutput(_ connection: ConnectionKey, _ count: Int, sharedCount: Int) {
        guard stageOf(connection) >= 0 else {
            loop.commitOutput(id(connection), count)
            return
        }
        // The same memory again: nothing was committed since.
        let start = loop.reserveOutput(id(connection), count + FrameEncoder.headerBytesMax)
        let header = FrameEncoder.headerCount(count + sharedCount)
        if header < FrameEncoder.headerBytesMax {
            // The ranges overlap, which copyMemory allows.
            (start + header).copyMemory(
                from: start + FrameEncoder.headerBytesMax, byteCount: count)
        }
        FrameEncoder.writeHeader(payloadCount: count + sharedCount, at: start)
        loop.commitOutput(id(connection), header + count)
    }

    func appendShared(_ connection: ConnectionKey, _ block: SharedBlock, _ part: Range<Int>) {
        loop.appendShared(id(connection), block, part)
    }

    func backlog(to place: Place) -> Int { loop.mailBacklog(to: place.worker) }

    func permissions(for client: ClientIdentity) -> Permissions {
        access.permissions(for: client)
    }

    var authoriserEpoch: UInt64 { access.authoriserEpoch }

    func judge(
        _ action: AccessAction, of client: ClientIdentity, token: UInt64
    ) -> AccessVerdict? {
        access.judge(action, of: client, worker: loop.worker, token: token)
    }

    func outputCount(_ connection: ConnectionKey) -> Int { loop.outputCount(id(connection)) }

    func close(_ connection: ConnectionKey, afterFlush: Bool) {
        let stage = stageOf(connection)
        if stage >= 0, stages[pointer: stage].pointee.isOpen {
            stages[pointer: stage].pointee.isOpen = false
            // Not by `control`, which may hold answers to frames that are being handled.
            var close = ByteWriter(capacity: 8)
            FrameEncoder.appendClose(.normal, to: &close)
            loop.append(id(connection), close.bytes)
        }
        loop.close(id(connection), afterFlush: afterFlush)
    }

    func pauseInput(_ connection: ConnectionKey) { loop.pauseReading(id(connection)) }
    func resumeInput(_ connection: ConnectionKey) { loop.resumeReading(id(connection)) }

    func setInputLimit(_ connection: ConnectionKey, _ byteCount: Int) {
        // A WebSocket keeps frame headers between the pieces of a packet (a quarter at most).
        let room = stageOf(connection) < 0 ? 0 : byteCount / 4 + FrameDecoder.rawBytesMax
        loop.setInputLimit(id(connection), byteCount + room + FixedHeader.sizeMax)
    }

    func describe(_ connection: ConnectionKey, listener: UInt16) -> OutsideView {
        OutsideView(
            peer: loop.peerAddress(of: id(connection))?.description ?? "",
            listener: Int(listener) < listeners.count ? listeners[Int(listener)].name : "",
            isWebSocket: stageOf(connection) >= 0)
    }

    func answerDoor(_ ticket: UInt64, _ answer: [UInt8]) {
        options.door?.complete(ticket, answer)
    }

    func fill(_ figures: inout WorkerFigures) {
        let counters = loop.counters
        figures[.turns] = counters.turns
        figures[.turnNanosecondsAverage] = counters.turnAverage
        figures[.turnNanosecondsLongest] = counters.turnLongest
        figures[.bytesIn] = counters.bytesIn
        figures[.bytesOut] = counters.bytesOut
        figures[.reads] = counters.reads
        figures[.sends] = counters.sends
        figures[.wakes] = counters.wakes
        figures[.mailDeferred] = counters.mailDeferred
        figures[.acceptPauses] = counters.acceptPauses
        figures[.connectionsRefused] = counters.refused
        figures[.bufferShortages] = counters.bufferShortages
        figures[.poolBytesInUse] = UInt64(clamping: counters.poolInUse)
        figures[.poolBytesKept] = UInt64(clamping: counters.poolKept)
    }

    func authenticate(_ request: AuthenticationRequest, token: UInt64) -> AuthenticationResult? {
        access.authenticate(request, worker: loop.worker, token: token)
    }

    func continueAuthentication(
        _ exchange: any AuthenticationExchange, _ data: [UInt8], token: UInt64
    ) -> AuthenticationResult? {
        access.continueAuthentication(exchange, data, worker: loop.worker, token: token)
    }

    // MARK: WebSocket

    private func stage(of slot: Int32) -> Int32 {
        // A connection that the worker is just taking over has no slot yet.
        stageOfSlot.indices.contains(Int(slot)) ? stageOfSlot[Int(slot)] : -1
    }

    @inline(__always)
    private func stageOf(_ connection: ConnectionKey) -> Int32 {
        stages.count == 0 ? -1 : stage(of: loop.slot(of: id(connection)))
    }

    private func addStage(_ slot: Int32, _ upgrade: UpgradeOptions) {
        while stageOfSlot.count <= Int(slot) { stageOfSlot.append(-1) }
        stageOfSlot[Int(slot)] = stages.insert(WebSocketStage(options: upgrade))
    }

    private func receiveFrames(
        _ connection: ConnectionID, _ slot: Int32,
        _ stage: UnsafeMutablePointer<WebSocketStage>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        control.removeAll()
        defer { if !control.isEmpty { loop.append(connection, control.bytes) } }
        guard stage.pointee.isUpgraded else {
            return upgrade(connection, slot, stage, bytes)
        }
        if let code = stage.pointee.pendingClose {
            return closeFrames(connection, slot, stage, code, bytes)
        }
        while true {
            switch stage.pointee.decoder.decode(bytes, FrameLimits()) {
            case .exhausted:
                return handOver(slot, stage, bytes)
            case .ping(let payload):
                let range = Int(payload.offset)..<payload.end
                FrameEncoder.appendPong(
                    UnsafeRawBufferPointer(rebasing: bytes[range]), to: &control)
                if stage.pointee.countControl() { continue }
                FrameEncoder.appendClose(.policyViolation, to: &control)
                return endFrames(connection, stage, bytes)
            case .close(let code): return closeFrames(connection, slot, stage, code, bytes)
            case .fault(let code):
                _ = handOver(slot, stage, bytes)
                FrameEncoder.appendClose(code, to: &control)
                return endFrames(connection, stage, bytes)
            }
        }
    }

    /// Answers the client's close, once the worker has had the packets before it.
    private func closeFrames(
        _ connection: ConnectionID, _ slot: Int32,
        _ stage: UnsafeMutablePointer<WebSocketStage>, _ code: CloseCode,
        _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let consumed = handOver(slot, stage, bytes)
        if stage.pointee.decoder.plainCount > 0, worker.isHeld(slot) {
            stage.pointee.pendingClose = code
            return consumed
        }
        FrameEncoder.appendClose(code, to: &control)
        return endFrames(connection, stage, bytes)
    }

    /// Gives the plain bytes to the worker and drops what it took.
    private func handOver(
        _ slot: Int32, _ stage: UnsafeMutablePointer<WebSocketStage>,
        _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let plain = stage.pointee.decoder.plainCount
        let consumed =
            plain == 0
            ? 0
            : worker.receive(slot, UnsafeMutableRawBufferPointer(rebasing: bytes[..<plain]))
        stage.pointee.resetControl(consumed)
        return stage.pointee.decoder.settle(bytes, consumed: consumed)
    }

    private func endFrames(
        _ connection: ConnectionID, _ stage: UnsafeMutablePointer<WebSocketStage>,
        _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        stage.pointee.isOpen = false
        loop.append(connection, control.bytes)
        control.removeAll()
        loop.close(connection, afterFlush: true)
        return bytes.count
    }

    private func upgrade(
        _ connection: ConnectionID, _ slot: Int32,
        _ stage: UnsafeMutablePointer<WebSocketStage>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let span = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes))
        switch stage.pointee.upgrade.decode(span, stage.pointee.options) {
        case .needMore: return 0
        case .complete(let request):
            UpgradeEncoder.appendAccept(request, to: &control)
            stage.pointee.isUpgraded = true
            stage.pointee.isOpen = true
            return request.consumed
        case .refused(let refusal):
            UpgradeEncoder.appendRefusal(refusal, to: &control)
            loop.append(connection, control.bytes)
            control.removeAll()
            loop.close(connection, afterFlush: true)
            return bytes.count
        }
    }
}
