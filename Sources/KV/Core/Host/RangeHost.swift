import Base

/// Hosts the replicas that are homed on one worker: takes proposals and questions, applies what is
/// committed, sends what follows from it.
///
/// Decides whether an entry is applied (lane and boundary version), when an answer leaves, and
/// what a split does. Owned by one worker for its whole life; pure: time comes as an argument,
/// frames leave by the outbox. Nothing is answered in the call that received it. In a turn:
/// `receive` for each frame, then `turn` once.
/// ```
///  Arrivals -> queue of the range -> turn -> Log (commands, splits, fences)  -> Answers
///                                         -> Questions (and messages)        -> Answers
/// ```
///
/// The log of a range is here one replica long and lives in memory: what `turn` finds in a queue
/// is committed. `commit` is the only way in, and the only place that knows.
/// Bounded by `hostQueueBytesMax` for each range, `openQuestionsMax`, `appliedPerTurn`.
package final class RangeHost {
    package let place: Place
    /// What this host knows of all ranges, its own included.
    @exclusivity(unchecked)
    package internal(set) var map: RangeMap
    /// Workers of this node: each hears of new boundaries.
    let workers: Int
    let outbox: Outbox
    let output: MachineOutput
    /// By raw value of the store.
    @exclusivity(unchecked)
    private var engines: [any Engine] = []
    @exclusivity(unchecked)
    var replicas: [RangeReplica] = []
    /// Those with something to do, in the order in which it came: a turn visits no others.
    @exclusivity(unchecked)
    private var active: [RangeReplica] = []
    /// No machine has anything due before this; corrected when it is reached.
    @exclusivity(unchecked)
    var earliestDue = WallTime.distantFuture
    @exclusivity(unchecked)
    var replicaByID: [RangeID: RangeReplica] = [:]
    @exclusivity(unchecked)
    var tickets = TicketTable()
    /// Results of the batch that is being applied.
    @exclusivity(unchecked)
    var results = ByteWriter(capacity: 4096)
    @exclusivity(unchecked)
    var wallTime = WallTime.zero
    @exclusivity(unchecked)
    var turnNumber: UInt64 = 0
    @exclusivity(unchecked)
    var random: SeededRandom
    /// Nil outside tests.
    @exclusivity(unchecked)
    package var fault: FaultKnob?
    @exclusivity(unchecked)
    var delayed = DelayedFrames()

    /// Frames that could not be understood, and messages whose range was not found.
    @exclusivity(unchecked)
    package internal(set) var damagedFrames: UInt64 = 0
    @exclusivity(unchecked)
    package internal(set) var droppedMessages: UInt64 = 0
    /// Entries applied, repeats answered, batches refused, ranges cut.
    @exclusivity(unchecked)
    package internal(set) var metrics = RangeHostMetrics()

    /// `seed` names new ranges. `fault` is nil outside tests.
    package init(
        place: Place, workers: Int, outbox: Outbox, map: RangeMap, seed: UInt64,
        fault: FaultKnob? = nil
    ) {
        self.place = place
        self.workers = workers
        self.outbox = outbox
        self.map = map
        self.fault = fault
        output = MachineOutput(outbox: outbox)
        random = SeededRandom(seed: seed)
        let highest = StoreKind.allCases.map(\.rawValue).max() ?? 0
        for raw in 0...highest {
            // Dist holds all its state in memory: see VolatileEngine.
            engines.append(
                raw == StoreKind.dist.rawValue ? VolatileEngine() : MemoryEngine())
        }
    }

    package func engine(of store: StoreKind) -> any Engine { engines[Int(store.rawValue)] }

    /// Ranges homed here.
    package var ranges: [RangeDescriptor] { replicas.map(\.descriptor) }

    /// The machines of the ranges homed here, for figures.
    package func forEachMachine(_ body: (RangeDescriptor, any RangeMachine) -> Void) {
        for replica in replicas { body(replica.descriptor, replica.machine) }
    }

    /// Takes a range in: loads its machine from the engine and lets it lead.
    package func add(_ descriptor: RangeDescriptor, machine: any RangeMachine) {
        let engine = engine(of: descriptor.id.store)
        engine.scan(descriptor.bounds) { key, value in
            machine.load(key: key, value: value)
            return true
        }
        let replica = RangeReplica(descriptor: descriptor, machine: machine, engine: engine)
        take(replica)
        map.insert([descriptor])
        machine.rangeChanged(descriptor)
        machine.leadershipChanged(replica.position, output: output)
        carryOut(replica)
    }

    func take(_ replica: RangeReplica) {
        invariant(
            replicaByID[replica.descriptor.id] == nil, "\(replica.descriptor.id) is here twice")
        replicas.append(replica)
        replicaByID[replica.descriptor.id] = replica
    }

    // MARK: Turn

    /// Applies what arrived before this call, at most `RangeLimits.appliedPerTurn` commands.
    /// Returns whether there is more to do at once.
    package func turn(now: Instant, wallTime: WallTime) -> Bool {
        turnNumber += 1
        self.wallTime = wallTime
        delayed.send(through: turnNumber, outbox)
        cutByFault()
        var budget = RangeLimits.appliedPerTurn
        let work = active
        active.removeAll(keepingCapacity: true)
        for replica in work {
            replica.isActive = false
            completeReads(of: replica)
            replica.queue.beginTurn()
            while budget > 0, let item = replica.queue.next() {
                budget -= process(item, of: replica)
            }
            if replica.hasWork { activate(replica) }
        }
        if earliestDue <= wallTime { proposeDue() }
        return !delayed.isEmpty || !active.isEmpty
    }

    /// When `turn` is wanted although nothing arrives; may be too early, never too late.
    package func nextDeadline(now: Instant, wallTime: WallTime) -> Instant {
        if !delayed.isEmpty || !active.isEmpty { return now }
        if earliestDue == .distantFuture { return .distantFuture }
        let wait =
            earliestDue > wallTime ? earliestDue.milliseconds - wallTime.milliseconds : 0
        return now + .milliseconds(Int64(clamping: wait))
    }

    private func proposeDue() {
        earliestDue = .distantFuture
        for index in replicas.indices { proposeDue(of: replicas[index]) }
    }

    private func proposeDue(of replica: RangeReplica) {
        if replica.isDueProposed { return }
        guard replica.nextDue <= wallTime else {
            earliestDue = min(earliestDue, replica.nextDue)
            return
        }
        replica.isDueProposed = true
        enqueue(.due, from: place, replica) { $0.reserve(0) }
    }

    func activate(_ replica: RangeReplica) {
        if replica.isActive { return }
        replica.isActive = true
        active.append(replica)
    }

    /// Deals with one item; returns what it counts against the turn's budget.
    private func process(_ item: HostQueue.Item, of replica: RangeReplica) -> Int {
        switch item.kind {
        case .commands, .due, .split, .fence: return commit(item, to: replica)
        case .question: ask(item, replica)
        case .message: deliver(item, replica)
        }
        return 1
    }
}

/// What a host has done since its start.
package struct RangeHostMetrics: Sendable {
    /// Entries committed, of any kind.
    package var entries: UInt64 = 0
    /// Commands applied.
    package var commands: UInt64 = 0
    /// Batches that had been applied before.
    package var repeats: UInt64 = 0
    /// Batches and questions that were refused.
    package var refusals: UInt64 = 0
    /// Questions put to machines.
    package var questions: UInt64 = 0
    /// Ranges cut in two.
    package var splits: UInt64 = 0
}
