import Base
import CLinux
import EventLoops
import MQTT

/// The clients of one loop: opens them, lets them publish on time, checks what they receive.
///
/// ```
///  turn:  events -> received: check, acknowledge      timers: pings, lag, retries
///         turnEnding: open what is due -> mark what is due -> pump publishers -> tell counters
/// ```
/// Owned by and confined to its loop; the main thread speaks to it through `LoadExchange` alone.
/// Bounds: the plan's clients, streams and windows. It decides nothing about phases and figures:
/// `LoadRun` does. In other files: the life of a client, input, publishing, set-up.
final class LoadWorker: LoopHandler {
    let plan: LoadPlan
    let exchange: LoadExchange
    let number: Int
    unowned let loop: EventLoop
    let state: UnsafeMutablePointer<WorkerState>
    let groups: UnsafeMutablePointer<GroupState>
    let clients: UnsafeMutablePointer<LoadClient>
    let clientCount: Int
    let publishers: UnsafeMutablePointer<Publisher>
    let publisherCount: Int
    let trackers: UnsafeMutablePointer<StreamTracker>
    let trackerCount: Int
    /// Bytes of templates and of the payload that all messages share.
    let templates: UnsafeMutableRawPointer
    let filling: UnsafeMutableRawPointer
    let fillingCount: Int
    let tag: UInt8
    let tls: TLSContext?
    let usesFrames: Bool
    /// See `LoadPlan.payloadBytes`; 0 if sizes differ.
    let payloadBytes: Int
    let decodeOptions: DecodeOptions

    enum Timer {
        static let ping: UInt64 = 1 << 40
        static let tick: UInt64 = 2 << 40
    }

    static let tickTime = Duration.milliseconds(100)

    init(
        _ plan: LoadPlan, _ exchange: LoadExchange, tls: TLSContext?, on loop: EventLoop
    ) {
        self.plan = plan
        self.exchange = exchange
        self.tls = tls
        self.loop = loop
        number = Int(loop.worker.rawValue)
        tag = MessageStamp.tag(seed: plan.seed)
        usesFrames = plan.target.webSocketPath != nil
        payloadBytes = plan.payloadBytes ?? 0
        decodeOptions = .client(plan.target.version)
        state = .allocate(capacity: 1)
        state.initialize(
            to: WorkerState(seed: plan.seed &+ UInt64(number) &* 0x9E37_79B9))
        let layout = WorkerLayout(plan, loop: number)
        groups = layout.makeGroups()
        clientCount = layout.clientCount
        clients = layout.makeClients()
        trackerCount = layout.trackerCount
        trackers = layout.makeTrackers()
        publisherCount = layout.publisherCount
        (publishers, templates) = layout.makePublishers()
        let bytes = MessageStamp.filling(layout.payloadMax, seed: plan.seed)
        fillingCount = bytes.count
        filling = .allocate(byteCount: bytes.count, alignment: 16)
        bytes.withUnsafeBytes { filling.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }

    deinit {
        for index in 0..<clientCount { clients[index].receivedIDs.free() }
        for index in 0..<publisherCount { publishers[index].window.free() }
        for index in plan.groups.indices { groups[index].checks.lastSeen?.deallocate() }
        state.deinitialize(count: 1)
        state.deallocate()
        groups.deallocate()
        clients.deallocate()
        publishers.deallocate()
        trackers.deallocate()
        templates.deallocate()
        filling.deallocate()
    }

    var clock: UInt64 { apus_boot_clock() }

    // MARK: Turns

    func started(_ loop: EventLoop) {
        _ = loop.schedule(at: loop.now + Self.tickTime, token: Timer.tick)
        if plan.target.keepAlive > 0 {
            _ = loop.schedule(at: loop.now + .seconds(1), token: Timer.ping)
        }
    }

    func turnEnding() {
        let now = clock
        openDue(now)
        publishDue(now)
        if state.pointee.tells != 0 { tellLoops() }
        state.pointee.counters.publish(
            to: exchange.counters, at: number * LoadExchange.counterStride)
        if state.pointee.isFinishing { finishWhenClosed() }
    }

    func fired(_ token: UInt64) {
        switch token {
        case Timer.ping: pingSome()
        case Timer.tick:
            freeStuckLags()
            _ = loop.schedule(at: loop.now + Self.tickTime, token: Timer.tick)
        default: reopen(Int(token))
        }
    }

    // MARK: Mail

    /// From outside: there are new commands. From a loop: it received what our publishers sent.
    func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex) {
        guard worker == .outside else { return activateWaiting() }
        let seen = state.pointee.commandsSeen
        let new = exchange.commands.withLock { Array($0[seen...]) }
        state.pointee.commandsSeen += new.count
        for command in new { obey(command) }
    }

    func draining() {}

    private func obey(_ command: LoadCommand) {
        switch command {
        case .open(let group, let perSecond, let start, let forgets):
            groups[group].forgets = forgets
            groups[group].openNext = 0
            groups[group].openStart = start.nanoseconds
            groups[group].openStep = perSecond > 0 ? 1e9 / perSecond : 0
        case .publish(let group, let round): begin(round, group)
        case .pause(let group): groups[group].isPublishing = false
        case .measure(let from, let until):
            state.pointee.measureFrom = from.nanoseconds
            state.pointee.measureUntil = until.nanoseconds
        case .sample:
            exchange.samples.withLock {
                $0.latency.add(state.pointee.interval)
                $0.loops += 1
            }
            state.pointee.interval.reset()
        case .close(let group, let isAbrupt): closeGroup(group, isAbrupt: isAbrupt)
        case .finish: finish()
        }
        loop.requestTurn()
    }

    private func finish() {
        for group in plan.groups.indices {
            groups[group].isPublishing = false
            groups[group].openNext = groups[group].clientCount
            closeGroup(group, isAbrupt: false)
        }
        let result = makeResult()
        exchange.results.withLock { $0.append(result) }
        state.pointee.isFinishing = true
        state.pointee.finishBy = loop.now + .seconds(3)
        // A tick comes every tenth of a second, so the deadline is seen.
    }

    private func finishWhenClosed() {
        if loop.connectionCount == 0 || loop.now >= state.pointee.finishBy { loop.stop() }
    }

    private func makeResult() -> LoopResult {
        var result = LoopResult()
        result.counters = state.pointee.counters
        result.latency = state.pointee.latency
        result.acknowledgement = state.pointee.acknowledgement
        result.sendDelay = state.pointee.sendDelay
        result.opening = state.pointee.opening
        result.connack = state.pointee.connack
        result.suback = state.pointee.suback
        let counters = loop.counters
        result.loopCounters = (counters.turns, counters.reads, counters.sends)
        for index in 0..<publisherCount {
            let publisher = publishers[index]
            result.sent.append(
                (Int(publisher.stream), publisher.sequence &- publisher.uncounted))
        }
        for group in plan.groups.indices { appendTrackers(of: groups[group], to: &result) }
        return result
    }

    private func appendTrackers(of group: GroupState, to result: inout LoopResult) {
        if group.checks.sharedBase >= 0 {
            for stream in 0..<Int(group.checks.streams) {
                result.trackers.append(
                    TrackedStream(
                        stream: Int(group.checks.first) + stream, isShared: true,
                        tracker: trackers[Int(group.checks.sharedBase) + stream]))
            }
        }
        for place in group.clientBase..<group.clientBase + group.clientCount {
            let client = clients[Int(place)]
            let index = Int(client.index)
            for position in 0..<group.checks.trackerCount(index: index) {
                result.trackers.append(
                    TrackedStream(
                        stream: group.checks.stream(position: position, index: index),
                        isShared: false, tracker: trackers[Int(client.tracker) + position]))
            }
        }
    }

    // MARK: Between loops

    private func tellLoops() {
        for other in 0..<plan.loops where state.pointee.tells >> UInt64(other) & 1 == 1 {
            withUnsafeBytes(of: UInt8(1)) {
                loop.appendMail($0, to: WorkerIndex(UInt16(other)))
            }
        }
        state.pointee.tells = 0
    }
}
