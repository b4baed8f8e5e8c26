import Base
import CLinux

/// One loop: a thread's connections, timers and mail, and the order of things in a turn.
///
/// ```
///  turn:  sleep or look -> clocks -> wishes, mail -> drained output -> events -> kept-back reads
///         -> timers -> ended connections -> turnEnding -> push mail -> flush dirty sockets
/// ```
/// Owned by and confined to one thread, on which it was made; the handler is called there only.
/// It decides when bytes are read, presented and sent, and nothing about what they mean. Bounds:
/// those of `LoopOptions`. In other files: input, output, accepting and ending of connections, the
/// pipeline between sockets and handler, the pollers.
package final class EventLoop {
    /// Up to this many bytes, a kept tail is copied in front of the next read.
    static let smallTailMax = 16 * 1024

    /// The kinds of timers in the wheel.
    enum TimerKind: UInt32 {
        case handler = 0
        /// A connection's own deadline; the token is its id.
        case connection = 1
        /// Accepting goes on; the token is the listener's number.
        case accept = 2
    }

    /// A listener of this loop.
    struct Listener {
        var descriptor: Int32
        var address: PeerAddress
        var isPaused: Bool
        /// io_uring: a multishot accept is in flight, which may be one that is being cancelled.
        var isArmed = false
        /// See `ListenerOptions.handshakeTime`.
        var handshakeTime: Duration?
        var proxy: ProxyOptions?
        var tls: TLSContextStore?

        /// The stage in which its connections begin.
        var firstStage: PipelineStage { proxy != nil ? .proxy : tls != nil ? .handshake : .open }
    }

    package let worker: WorkerIndex
    package let options: LoopOptions
    package let handle: LoopHandle
    let fabric: MailFabric
    let poller: Poller
    let tls: TLSEngine
    /// The loop's own read buffer (epoll).
    let readBuffer: UnsafeMutableRawPointer
    /// Everything that changes. Behind a pointer, because the run-time checks that guard stored
    /// properties of classes cost more than the work: 55 ns an append with them, 10 without.
    let state: UnsafeMutablePointer<LoopState>

    /// On the thread that runs it. Its copies of the `listeners` become the loop's own.
    package init(
        worker: WorkerIndex, fabric: MailFabric, options: LoopOptions, poller kind: PollerKind,
        listeners bound: [BoundListener]
    ) throws(LoopError) {
        options.check()
        self.worker = worker
        self.options = options
        self.fabric = fabric
        handle = fabric.handles[Int(worker.rawValue)]
        let own = bound.map { $0.listener(forCopy: Int(worker.rawValue)) }
        tls = TLSEngine(options.tls)
        switch kind {
        case .epoll, .automatic:
            poller = .epoll(try EpollPoller(eventsPerTurn: options.eventsPerTurn))
        case .uring: poller = .uring(try UringPoller(options: options))
        }
        readBuffer = .allocate(byteCount: options.readSize, alignment: 16)
        state = .allocate(capacity: 1)
        state.initialize(
            to: LoopState(
                connectionsMax: options.connectionsMax,
                desk: MailDesk(fabric: fabric, worker: worker),
                listeners: own))
        poller.watchWake(handle.wakeDescriptor)
        for number in listeners.indices { watchListener(number) }
    }

    deinit {
        readBuffer.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    package var pollerKind: PollerKind { poller.kind }
    /// Connections that the loop holds, those that are still closing included.
    package var connectionCount: Int { table.count }
    /// Bytes of the pooled blocks that connections and mail hold now.
    package var blockBytes: Int { pool.bytesInUse }
    /// Parts of output that are queued, and the size of a connection's record.
    package var outputSegmentCount: Int { segments.count }
    package static var recordSize: Int { MemoryLayout<ConnectionRecord>.stride }
    /// Whether the loop would sleep now: nothing is left over from this turn.
    package var isIdle: Bool { !hasWork }

    /// The loop does not sleep before the next turn.
    package func requestTurn() { wantsTurn = true }

    /// The loop sleeps until then at most, to the precision of the kernel's clock where a timer is
    /// about a millisecond late. Holds for the next sleep only; the earliest request counts.
    package func requestTurn(by deadline: Instant) {
        state.pointee.turnDeadline = min(state.pointee.turnDeadline, deadline)
    }

    /// The loop ends after this turn; every connection is closed and reported.
    package func stop() { isStopping = true }

    // MARK: Turns

    /// Gives the loop its handler, and tells it so.
    package func attach(_ handler: any LoopHandler) {
        self.handler = handler
        handler.started(self)
    }

    /// Turns until `stop`, then ends all connections.
    func run() {
        while !isStopping { turn(waitingAtMost: nil) }
        shutDown()
    }

    /// One turn. Waits for something to do, at most `limit` (nil: as long as it takes).
    package func turn(waitingAtMost limit: Duration?) {
        wait(limit)
        now = System.now
        wallTime = System.wallTime
        counters.turns += 1
        wantsTurn = false
        state.pointee.turnDeadline = .distantFuture
        takeWishes()
        drainMail()
        reportDrained()
        handleEvents()
        handleReady()
        fireTimers()
        reportDoomed()
        handler?.turnEnding()
        pushMail()
        flushDirty()
        freeOutgrown()
        measureTurn()
    }

    /// Whether the next turn has something to do already.
    private var hasWork: Bool {
        wantsTurn || isStopping || !ready.isEmpty || !dirty.isEmpty || !drained.isEmpty
            || !doomed.isEmpty || timers.hasDue || desk.draftCount > 0 && !desk.isBlocked
    }

    private func wait(_ limit: Duration?) {
        guard !hasWork else { return poller.wait(0) }
        handle.prepareToSleep()
        if handle.hasWishes || desk.hasArrivals {
            poller.wait(0)
        } else {
            poller.wait(sleepTime(limit))
        }
        handle.endSleep()
    }

    /// Nanoseconds until the next timer, or for ever (-1).
    private func sleepTime(_ limit: Duration?) -> Int64 {
        var time = Int64.max
        // A full ring frees itself without telling: look again soon.
        if desk.isBlocked { time = 1_000_000 }
        if let limit { time = min(time, limit.nanoseconds) }
        let deadline = min(timers.nextDeadline, state.pointee.turnDeadline)
        if deadline != .distantFuture { time = min(time, (deadline - System.now).nanoseconds) }
        return time == .max ? -1 : time
    }

    private func takeWishes() {
        let wishes = handle.takeWishes()
        if wishes.isEmpty { return }
        if wishes.contains(.mail) {
            for mail in handle.takeMail() {
                counters.mailBlocksIn += 1
                mail.withUnsafeBytes { handler?.mail($0, from: .outside) }
            }
        }
        if wishes.contains(.drain), !isDraining {
            isDraining = true
            closeListeners()
            handler?.draining()
        }
        if wishes.contains(.stop) { isStopping = true }
    }

    private func handleEvents() {
        var budget = options.eventsPerTurn
        while budget > 0, let event = poller.next() {
            handle(event)
            budget -= 1
        }
        // What is left was reported by the kernel already: it must not sleep on it.
        if budget == 0 { wantsTurn = true }
    }

    private func handle(_ event: PollEvent) {
        switch event {
        case .ready(let id, let read, let write, let ended):
            handleReadiness(id, read: read, write: write, ended: ended)
        case .acceptable(let listener): acceptAll(listener)
        case .accepted(let listener, let result, let isLast):
            completeAccept(listener, result: result, isLast: isLast)
        case .received(let id, let count, let buffer, let isLast):
            completeReceive(id, count: count, buffer: buffer, isLast: isLast)
        case .receiveEnded(let id, let result): endReceive(id, result: result)
        case .sent(let id, let result): completeSend(id, result: result)
        case .cancelEnded(let id): completeCancel(id)
        case .connecting(let id): completeConnect(id)
        case .woken: counters.wakes += 1
        case .nothing: break
        }
    }

    private func fireTimers() {
        timers.advance(to: now)
        var budget = options.timersPerTurn
        while budget > 0, let due = timers.popDue() {
            budget -= 1
            counters.timersFired += 1
            switch TimerKind(rawValue: due.kind) {
            case .handler: handler?.fired(due.token)
            case .connection: connectionDeadline(ConnectionID(rawValue: due.token))
            case .accept: resumeAccepting(Int(due.token))
            case nil: invariant(false, "timer of unknown kind \(due.kind)")
            }
        }
    }

    private func measureTurn() {
        let spent = (System.now - now).nanoseconds.magnitude
        counters.turnLast = UInt64(spent)
        counters.turnLongest = max(counters.turnLongest, spent)
        let eighth = spent / 8
        counters.turnAverage = counters.turnAverage - counters.turnAverage / 8 + eighth
        counters.poolInUse = pool.bytesInUse
        counters.poolKept = pool.bytesKept
    }

    // MARK: Timers of the handler

    /// `fired(token)` is called once the time has come: not before, and about a millisecond late
    /// at most on an idle loop.
    package func schedule(at deadline: Instant, token: UInt64) -> TimerID {
        timers.schedule(at: deadline, token: token, kind: TimerKind.handler.rawValue)
    }

    package func cancel(_ timer: TimerID) { timers.cancel(timer) }

    // MARK: Mail

    /// Room for `count` bytes in this turn's block of mail to `worker`; followed by `commitMail`.
    package func reserveMail(_ count: Int, to worker: WorkerIndex) -> UnsafeMutableRawPointer {
        desk.reserve(count, to: worker, pool: &pool)
    }

    /// The first `count` bytes reserved are part of the block.
    package func commitMail(_ count: Int, to worker: WorkerIndex) {
        desk.commit(count, to: worker)
    }

    /// Adds bytes to this turn's block of mail to `worker`, which may be this loop itself.
    package func appendMail(_ bytes: UnsafeRawBufferPointer, to worker: WorkerIndex) {
        guard let start = bytes.baseAddress else { return }
        reserveMail(bytes.count, to: worker).copyMemory(from: start, byteCount: bytes.count)
        commitMail(bytes.count, to: worker)
    }

    /// Bytes that a full ring keeps here: who asks `worker` for more should refuse instead.
    package func mailBacklog(to worker: WorkerIndex) -> Int { desk.backlog(to: worker) }

    private func drainMail() {
        for sender in 0..<desk.workers {
            // At most what a full ring holds: a busy sender cannot keep the loop here.
            var budget = options.mailRingCapacity
            while budget > 0, let block = desk.pop(from: sender) {
                budget -= 1
                counters.mailBlocksIn += 1
                handler?.mail(block.bytes, from: WorkerIndex(UInt16(sender)))
                pool.give(block.base, capacity: block.capacity)
            }
        }
    }

    private func pushMail() {
        let own = Int(worker.rawValue)
        let handles = fabric.handles
        var woken: UInt64 = 0
        desk.push(&counters) { target in
            if target != own, handles[target].wake() { woken += 1 }
        }
        counters.wakesSent += woken
    }
}
