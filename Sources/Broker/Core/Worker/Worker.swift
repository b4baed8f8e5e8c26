import Base
import Dist
import Inbox
import KV
import MQTT
import Policy
import Retain

/// One worker's whole broker: its connections and sessions, the routes it has learned, the range
/// replicas homed on it, and what it is waiting for.
///
/// ```
///   bytes of clients -> receive -> session machine -> publish --> plan --> deliver (own sessions)
///                                                                     \--> outbox (other places)
///   mail of other workers -> mail -> host (replicas) | client (answers) | routes | sessions
///   end of turn: host applies, client flushes its batches, the shell takes the outbox
/// ```
/// Confined to one loop (or to the simulator). Core: it reads no clock and no random source; time
/// comes with `beginTurn`, bytes with `receive` and `mail`, and what it wants done leaves through
/// `port` and `outbox`. Bounded by `WorkerLimits`, by the tenants' settings, and by what its parts
/// bound themselves. Fields that every message touches are not checked for exclusive access at run
/// time (DECISIONS 10): whoever holds a session's or a plan's address calls nothing that moves it.
package final class Worker<Port: WorkerPort> {
    /// The shell that owns this worker, and so outlives it.
    unowned(unsafe) let port: Port
    package let place: Place
    let epoch: LivenessEpoch
    let options: WorkerOptions

    // Time of the turn.
    @exclusivity(unchecked)
    private var isInTurn = false
    @exclusivity(unchecked)
    package private(set) var now: Instant
    @exclusivity(unchecked)
    package private(set) var wallTime: WallTime

    // Connections and sessions.
    @exclusivity(unchecked)
    var sessions = Slab<Session>()
    /// Generation of the session in each cell of the slab, 0 where the cell is free.
    @exclusivity(unchecked)
    var liveGenerations: [UInt32] = []
    private var nextGeneration: UInt32 = 1
    /// Bytes of client ids and principals, and sessions with rare state: see Worker+Memory.
    var nameBytes = 0
    var rareCount = 0
    @exclusivity(unchecked)
    var timers: TimerWheel
    let hash: TableHash
    var random: SeededRandom
    package internal(set) var isDraining = false
    /// Where the walk through the sessions of a stopping node goes on, and when.
    var drainCursor = 0
    var drainsAt = Instant.distantFuture

    // Limits of the node; see Worker+Overload.
    let limitStore: NodeLimitStore
    let nodeLoad: NodeLoad
    package internal(set) var limits: NodeLimits
    @exclusivity(unchecked)
    var limitsEpoch: UInt64
    /// Memory is short or the loop is late, so publishes are looked at. Almost always false.
    @exclusivity(unchecked)
    var isShedding = false
    var pressure = MemoryPressure.none
    /// The loop counts as late until then.
    var lateUntil = Instant.zero
    var isLate = false
    /// Publishers that are not read until the next look at the memory.
    var slowed: [SessionRef] = []
    var hasOverloadTimer = false

    // Delivery.
    @exclusivity(unchecked)
    var cursors = OutputCursors()
    @exclusivity(unchecked)
    var frames = FrameCache()
    /// The message being delivered has more than one receiver: frames are worth sharing.
    @exclusivity(unchecked)
    var isFanOut = false
    @exclusivity(unchecked)
    var merging = MergeTable()
    /// To be disconnected at the end of the turn.
    @exclusivity(unchecked)
    var slowConsumers: [SessionRef] = []
    /// Sessions whose queues have overflowed in this turn.
    var overflowing: [SessionRef] = []
    /// A tenant is being debugged: events of single messages are built.
    @exclusivity(unchecked)
    var isDebugging = false
    /// Connections that are gone and whose inbox does not know it yet, by token; at most the
    /// operations that wait.
    var departing: Set<UInt64> = []
    @exclusivity(unchecked)
    var scratch = ByteWriter(capacity: 4096)
    @exclusivity(unchecked)
    var publisherNames = PublisherNames()
    @exclusivity(unchecked)
    var run = PublishRun()
    /// Forwarded properties that did not stand together in their packet.
    @exclusivity(unchecked)
    var gathered = ByteWriter(capacity: 256)
    /// The topic that an alias stands for.
    @exclusivity(unchecked)
    var aliasTopic = ByteWriter(capacity: 256)
    /// Publishes whose groups of receivers have not all answered: each waits for an operation or
    /// for another worker, and holds its publisher or its place among those.
    @exclusivity(unchecked)
    var trackers = Slab<PublishTracker>()
    @exclusivity(unchecked)
    var nextTracker: UInt32 = 1
    @exclusivity(unchecked)
    var awaited = AwaitedDeliveries()
    /// Messages with many receivers, in slices; see Worker+FanOutSlices.
    @exclusivity(unchecked)
    var fanOuts = FanOutLanes()
    let fanOutLimits: FanOutLimits
    /// A message with more receivers is looked at: `receiversAtOnce`, or 0 while there are lanes.
    @exclusivity(unchecked)
    var sliceAbove: Int
    /// The last delivery of another worker that was deferred.
    var nextFanOut: UInt32 = 0
    /// Our deliveries that other workers acknowledge by number; each has a tracker.
    var deferred: [DeferredDelivery: TrackerRef] = [:]
    /// Filters that live transient sessions have left.
    var unsubscriptions: UInt64 = 0
    /// Deliveries that a connection's input may cause in one turn.
    @exclusivity(unchecked)
    var inputQuantum: UInt64
    /// `publishesOut` at the end of the last turn.
    @exclusivity(unchecked)
    var deliveredBefore: UInt64 = 0
    /// Connections that have had their part of this turn.
    @exclusivity(unchecked)
    var yielded: [SessionRef] = []
    /// The session whose packets are being read; -1 for none.
    @exclusivity(unchecked)
    var reading: Int32 = -1
    @exclusivity(unchecked)
    package var metrics = WorkerMetrics()

    // Policy.
    @exclusivity(unchecked)
    var tenants = TenantCache()
    @exclusivity(unchecked)
    var tenantNames: [[UInt8]] = []
    /// Epoch of the rules that sessions are, or are being, judged by.
    var accessEpoch: UInt64
    /// Sessions from `rejudgeNext` on have not been judged by the present rules yet.
    @exclusivity(unchecked)
    var isRejudging = false
    var rejudgeNext: Int32 = 0
    /// Open questions to the authoriser by their number, which begins with 1.
    var judgements: [UInt64: AccessJudgement] = [:]
    var nextJudgement: UInt64 = 0
    let tenantStore: TenantStore
    let accounts: TenantAccountTable
    /// Asked before a tenant uses something.
    let gate: ResourceGate
    var tenantChangesSeen: UInt64 = 0
    /// What the machines homed here count for their tenants.
    let usage: UsageLedger
    /// Memory of sessions that this turn has changed: by tenant, and those tenants.
    var memoryChanges: [Int] = []
    var changedMemory: [TenantSlot] = []
    /// The walk through the sessions of tenants whose settings have changed.
    var sweep = SettingsSweep()
    @exclusivity(unchecked)
    package var events: EventQueue

    // Ranges.
    package let outbox: Outbox
    package let client: RangeClient
    package let host: RangeHost
    let completions = CompletionList()
    @exclusivity(unchecked)
    var operations = Slab<Operation>()
    @exclusivity(unchecked)
    var acknowledging: [SessionRef] = []
    /// Memberships in shared groups with something to say to the group's inbox.
    @exclusivity(unchecked)
    var groupAcknowledging: [GroupMembership] = []
    /// Sessions that are members of shared groups.
    var memberSessions: Set<SessionRef> = []
    /// For groups' inboxes, when the timer of that kind fires; at most `groupRetriesMax`.
    var groupRetries: [GroupWork] = []
    var retryAcknowledging: [SessionRef] = []

    // Routes.
    @exclusivity(unchecked)
    var routes: RouteCache
    @exclusivity(unchecked)
    var filters: FilterTable
    /// Sources whose outboxes are fanned out here, by identity.
    var outboxLanes: [UInt64: OutboxLane] = [:]
    /// To be tried again when the timer of that kind fires.
    var outboxRetries: [OutboxTask] = []
    /// Publishers with a retained message under commitment, and what waits behind it.
    @exclusivity(unchecked)
    var retainLanes: [RetainLaneKey: RetainLane] = [:]
    /// Retained messages on their way to new subscriptions, by the session's generation. Not in
    /// `RareState`: every SUBSCRIBE comes by here, for a moment.
    var replays: [UInt32: SessionReplays] = [:]
    /// Open questions about topics, and who waits behind them.
    @exclusivity(unchecked)
    var matches: [QuestionID: MatchState] = [:]
    @exclusivity(unchecked)
    var parkedBytes = 0

    package init(port: Port, options: WorkerOptions, parts: WorkerParts) {
        self.port = port
        self.options = options
        place = options.place
        epoch = options.epoch
        now = parts.now
        wallTime = parts.wallTime
        timers = TimerWheel(now: parts.now)
        hash = TableHash(seed: options.seed)
        random = SeededRandom(seed: options.seed ^ 0x5EED)
        fanOutLimits = options.fanOut
        sliceAbove = options.fanOut.receiversAtOnce
        inputQuantum = UInt64(options.fanOut.turnDeliveries)
        tenantStore = options.tenants
        accounts = options.accounts
        gate = ResourceGate(options.throttler)
        accessEpoch = port.authoriserEpoch
        limitStore = options.limits
        nodeLoad = options.load
        limitsEpoch = options.limits.epoch
        limits = options.limits.current
        usage = parts.usage
        events = EventQueue(wanted: options.wantedEvents)
        outbox = parts.outbox
        client = parts.client
        host = parts.host
        routes = RouteCache(own: options.place, seed: options.seed)
        filters = FilterTable(seed: options.seed)
        // Slot 0 counts what happens before a tenant is known.
        _ = tenantSlot(.standard)
    }

    deinit {
        for (index, generation) in liveGenerations.enumerated() where generation != 0 {
            sessions.remove(Int32(index))
        }
    }

    // MARK: Turn

    /// The time of what follows, until the next call.
    package func beginTurn(now: Instant, wallTime: WallTime) {
        self.now = now
        self.wallTime = wallTime
        guard !isInTurn else { return }
        isInTurn = true
        noticeChangedRules()
    }

    /// Carries out what the turn has collected; the outbox is complete afterwards. True if there
    /// is more to do at once.
    package func endTurn() -> Bool {
        isInTurn = false
        refreshTenants()
        refreshLimits()
        let isJudging = refreshPermissions()
        let isSweeping = sweepSettings()
        fireTimers()
        drainSome()
        let isFanningOut = advanceFanOuts()
        refreshInputQuantum()
        let hasMore =
            host.turn(now: now, wallTime: wallTime) || isJudging || isSweeping || isFanningOut
        client.tick(now: now, completions: completions)
        drainCompletions()
        flushAcknowledgements()
        flushGroupAcknowledgements()
        sendDeliveryDone()
        reportOverflows()
        endSlowConsumers()
        routes.tellProgress(outbox)
        client.flush(outbox, now: now)
        if !retryAcknowledging.isEmpty {
            acknowledging += retryAcknowledging
            retryAcknowledging.removeAll()
        }
        publishUsage()
        settleOutputs()
        return hasMore
    }

    /// When `endTurn` is wanted although nothing happens.
    package var nextDeadline: Instant {
        min(
            timers.nextDeadline, client.nextDeadline, drainsAt,
            host.nextDeadline(now: now, wallTime: wallTime))
    }

    // MARK: Connections

    /// A connection was accepted. Returns its slot; -1 if it is to be closed at once.
    /// `connectDeadline`: by then it must be through with CONNECT. `isTooFast`: its address has
    /// connected more often than it may, which its CONNECT is told.
    package func accepted(
        _ key: ConnectionKey, listener: UInt16, peer: PeerName,
        connectDeadline: Instant? = nil, isTooFast: Bool = false
    ) -> Int32 {
        guard sessions.count < WorkerLimits.connectionsMax, !isDraining else { return -1 }
        let generation = nextGeneration
        nextGeneration = nextGeneration == .max ? 1 : nextGeneration + 1
        let index = sessions.insert(
            Session(connection: key, generation: generation, listener: listener, now: now))
        while liveGenerations.count <= Int(index) { liveGenerations.append(0) }
        liveGenerations[Int(index)] = generation
        let session = sessions[pointer: index]
        rareState(session).peer = peer
        session.pointee.peerAddress = peer.address
        session.pointee.peerPort = peer.port
        metrics.connectionsAccepted &+= 1
        if isTooFast { session.pointee.flags.insert(.tooFast) }
        armConnectTimer(
            session, index,
            at: connectDeadline ?? now + .seconds(WorkerLimits.connectTimeoutSeconds))
        port.setInputLimit(key, limits.bytesBeforeConnect)
        return index
    }

    /// A connection ended before it was handed over: its PROXY header or TLS handshake failed.
    package func turnedAway(_ peer: PeerName, cause: String) {
        let event = ChannelEvent.channelError(cause: cause)
        events.report(.channelError, TenantSlot(0)) {
            EventRecord(
                milliseconds: wallTime.milliseconds,
                tenant: (peer.tenant ?? .standard).text,
                subject: EventSubject(user: "", clientID: "", peer: peer.text),
                event: .channel(event))
        }
    }

    /// Output of a connection fell to the low watermark.
    package func outputDrained(_ index: Int32) {
        let session = sessions[pointer: index]
        guard session.pointee.flags.contains(.outputFull) else { return }
        session.pointee.flags.remove(.outputFull)
        guard session.pointee.phase == .live else { return }
        if session.pointee.flags.contains(.deaf) {
            session.pointee.flags.remove(.deaf)
            clearBusy(session)
        }
        resumeOutput(session, index)
    }

    // MARK: Mail

    /// One block of frames from another place, or from this one a turn ago.
    package func mail(_ bytes: UnsafeRawBufferPointer, from sender: Place) {
        let isWhole = Outbox.forEachFrame(in: bytes) { kind, body in
            handle(kind, body, from: sender)
        }
        if !isWhole { metrics.damagedFrames &+= 1 }
        drainCompletions()
    }

    private func handle(_ kind: MessageKind, _ body: RawSpan, from sender: Place) {
        switch kind {
        case .proposal, .query, .routePatchApplied, .inboxCredit, .ownerReleased, .inboxUnlogged,
            .ownerAnnounce, .ownersFenced, .groupCredit, .leaseRequest:
            host.receive(kind, body, from: sender, now: now)
        case .proposalAnswer, .queryAnswer:
            client.receive(kind, body, from: sender, now: now, completions: completions)
        case .rangeMap:
            host.receive(kind, body, from: sender, now: now)
            client.receive(kind, body, from: sender, now: now, completions: completions)
            regrantGroups(isTimer: false)
        case .routePatch: routes.applyPatch(body, from: sender)
        case .inboxPush: receivePush(body)
        case .outboxReady: receiveOutboxReady(body)
        case .intentReady: receiveIntentReady(body)
        case .ownerEvict: receiveEvict(body)
        case .inboxDropped: receiveDropped(body)
        case .groupPush: receiveGroupPush(body)
        case .delivery: receiveDelivery(body, from: sender)
        case .deliveryDone: receiveDeliveryDone(body, from: sender)
        case .deliveryReturned: receiveDeliveryReturned(body, from: sender)
        case .deliveryDeferred: receiveDeliveryDeferred(body, from: sender)
        case .deliveryFinished: receiveDeliveryFinished(body, from: sender)
        case .leaseGrant: break
        }
    }
}

/// The parts of a worker that are made apart, so that tests and simulator can prepare them.
package struct WorkerParts {
    package var now: Instant
    package var wallTime: WallTime
    package var outbox: Outbox
    package var client: RangeClient
    package var host: RangeHost
    package var usage: UsageLedger

    package init(
        now: Instant, wallTime: WallTime, outbox: Outbox, client: RangeClient, host: RangeHost,
        usage: UsageLedger
    ) {
        self.now = now
        self.wallTime = wallTime
        self.outbox = outbox
        self.client = client
        self.host = host
        self.usage = usage
    }
}

/// What is the same for a worker's whole life.
package struct WorkerOptions: Sendable {
    package var place: Place
    package var epoch: LivenessEpoch
    /// Keys the tables in memory and feeds what needs chance.
    package var seed: UInt64
    package var tenants: TenantStore
    package var accounts: TenantAccountTable
    package var wantedEvents: EventMask
    package var limits: NodeLimitStore
    package var load: NodeLoad
    package var fanOut = FanOutLimits()
    package var throttler: any Throttler = OpenThrottler()

    package init(
        place: Place, epoch: LivenessEpoch, seed: UInt64, tenants: TenantStore,
        accounts: TenantAccountTable, wantedEvents: EventMask, limits: NodeLimitStore,
        load: NodeLoad
    ) {
        self.place = place
        self.epoch = epoch
        self.seed = seed
        self.tenants = tenants
        self.accounts = accounts
        self.wantedEvents = wantedEvents
        self.limits = limits
        self.load = load
    }
}

/// Where a connection comes from.
package struct PeerName: Equatable, Sendable {
    /// Address without port; empty for a Unix socket.
    package var host: String
    /// The same as a value; nil for a Unix socket.
    package var address: IPAddress?
    package var port: UInt16
    /// With port, for events.
    package var text: String
    /// Name of the listener.
    package var listener: String
    package var tenant: TenantName?
    /// Told by a PROXY header: the socket knows another one.
    package var isRelayed = false
    /// What the client has proved to own in the TLS handshake.
    package var certificate: PeerCertificate?

    package init(
        address: IPAddress?, port: UInt16, text: String, listener: String, tenant: TenantName?,
        certificate: PeerCertificate? = nil
    ) {
        self.address = address
        self.port = port
        host = address.map { $0.description } ?? ""
        self.text = text
        self.listener = listener
        self.tenant = tenant
        self.certificate = certificate
    }
}
