import Base

/// Hosts the replicas that are homed on one worker: takes proposals and questions, applies what is
/// committed, sends what follows from it.
///
/// Decides whether an entry is applied (lane and boundary version), when an answer leaves, and
/// what a split does. Owned by one worker for its whole life; pure: time comes as an argument,
/// frames leave by the outbox. Nothing is answered in the call that received it. In a turn:
/// `receive` for each frame, then `turn` once.
///
/// The log of a range is here one replica long and lives in memory: what `turn` finds in a queue
/// is committed. `commit` is the only way in, and the only place that knows.
/// Bounded by `hostQueueBytesMax` for each range, `openQuestionsMax`, `appliedPerTurn`.
package final class RangeHost {
    package let place: Place
    /// What this host knows of all ranges, its own included.
    @exclusivity(unchecked)
    package private(set) var map: RangeMap
    /// Workers of this node: each hears of new boundaries.
    private let workers: Int
    private let outbox: Outbox
    private let output: MachineOutput
    /// By raw value of the store.
    @exclusivity(unchecked)
    private var engines: [any Engine] = []
    @exclusivity(unchecked)
    private var replicas: [RangeReplica] = []
    /// Those with something to do, in the order in which it came: a turn visits no others.
    @exclusivity(unchecked)
    private var active: [RangeReplica] = []
    /// No machine has anything due before this; corrected when it is reached.
    @exclusivity(unchecked)
    private var earliestDue = WallTime.distantFuture
    @exclusivity(unchecked)
    private var replicaByID: [RangeID: RangeReplica] = [:]
    @exclusivity(unchecked)
    private var tickets = TicketTable()
    /// Results of the batch that is being applied.
    @exclusivity(unchecked)
    private var results = ByteWriter(capacity: 4096)
    @exclusivity(unchecked)
    private var wallTime = WallTime.zero
    @exclusivity(unchecked)
    private var turnNumber: UInt64 = 0
    @exclusivity(unchecked)
    private var random: SeededRandom
    @exclusivity(unchecked)
    /// Nil outside tests.
    package var fault: FaultKnob?
    @exclusivity(unchecked)
    private var delayed = DelayedFrames()

    /// Frames that could not be understood, and messages whose range was not found.
    @exclusivity(unchecked)
    package private(set) var damagedFrames: UInt64 = 0
    @exclusivity(unchecked)
    package private(set) var droppedMessages: UInt64 = 0
    /// Entries applied, repeats answered, batches refused, ranges cut.
    @exclusivity(unchecked)
    package private(set) var metrics = RangeHostMetrics()

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

    private func take(_ replica: RangeReplica) {
        invariant(
            replicaByID[replica.descriptor.id] == nil, "\(replica.descriptor.id) is here twice")
        replicas.append(replica)
        replicaByID[replica.descriptor.id] = replica
    }

    // MARK: What arrives

    /// Takes a frame. Nothing is applied or answered yet, refusals apart.
    package func receive(
        _ kind: MessageKind, _ body: RawSpan, from sender: Place, now: Instant
    ) {
        do throws(ByteShortage) {
            if kind == .proposal {
                try receiveProposal(body, from: sender)
            } else if kind == .query {
                try receiveQuestion(body, from: sender)
            } else if kind == .rangeMap {
                map.insert(try RangeMapMessage.decode(body))
            } else {
                try receiveMessage(kind, body, from: sender)
            }
        } catch {
            damagedFrames += 1
        }
    }

    // Not inlined: the compiler (6.3.1) fails on it inside loops.
    @inline(never)
    private func enqueue(
        _ kind: EntryKind, from sender: Place, _ replica: RangeReplica,
        _ write: (inout ByteWriter) -> Void
    ) {
        replica.queue.append(kind, from: sender, write)
        activate(replica)
    }

    private func activate(_ replica: RangeReplica) {
        if replica.isActive { return }
        replica.isActive = true
        active.append(replica)
    }

    private func receiveProposal(_ body: RawSpan, from sender: Place) throws(ByteShortage) {
        var reader = ByteReader(body)
        let envelope = try CommandEnvelope(body, reader: &reader)
        guard envelope.isWhole(body, reader: reader), envelope.number > 0 else {
            throw ByteShortage()
        }
        guard let replica = replicaByID[envelope.range] else {
            refuse(envelope, .notLeader, to: sender)
            return
        }
        switch replica.queue.isFull ? .busy : fault?.arrival() ?? .taken {
        case .taken: enqueue(.commands, from: sender, replica) { $0.append(body) }
        case .lost: break
        case .busy: refuse(envelope, .busy, to: sender)
        case .notLeader: refuse(envelope, .notLeader, to: sender)
        case .staleBoundary: refuse(envelope, .staleBoundary, to: sender)
        }
    }

    private func receiveQuestion(_ body: RawSpan, from sender: Place) throws(ByteShortage) {
        var reader = ByteReader(body)
        let question = try Question(body, reader: &reader)
        guard let replica = replicaByID[question.range] else {
            refuse(question, .notLeader, to: sender)
            return
        }
        switch replica.queue.isFull ? .busy : fault?.arrival() ?? .taken {
        case .taken: enqueue(.question, from: sender, replica) { $0.append(body) }
        case .lost: break
        case .busy: refuse(question, .busy, to: sender)
        case .notLeader: refuse(question, .notLeader, to: sender)
        case .staleBoundary: refuse(question, .staleBoundary, to: sender)
        }
    }

    private func receiveMessage(
        _ kind: MessageKind, _ body: RawSpan, from sender: Place
    ) throws(ByteShortage) {
        var reader = ByteReader(body)
        let message = try MachineMessage(body, reader: &reader)
        guard let replica = replicaByID[message.range], !replica.queue.isFull else {
            passOn(kind, message, body, from: sender)
            return
        }
        enqueue(.message, from: sender, replica) { writer in
            writer.append(kind.rawValue)
            writer.append(body)
        }
    }

    /// Sends a message after the range that has its key now.
    private func passOn(
        _ kind: MessageKind, _ message: MachineMessage, _ body: RawSpan, from sender: Place
    ) {
        let key = body.array(message.key)
        guard message.hops < RangeLimits.messageHopsMax,
            let heir = map.descriptor(message.range.store, at: key), let leader = heir.leader
        else {
            droppedMessages += 1
            return
        }
        if let replica = replicaByID[heir.id] {
            guard !replica.queue.isFull else {
                droppedMessages += 1
                return
            }
            // The sender stays the one who wrote it; another host sees the one who passed it on.
            enqueue(.message, from: sender, replica) { writer in
                writer.append(kind.rawValue)
                Self.write(message, body, to: heir, into: &writer)
            }
        } else {
            outbox.send(kind, to: leader) { Self.write(message, body, to: heir, into: &$0) }
        }
    }

    private static func write(
        _ message: MachineMessage, _ body: RawSpan, to heir: RangeDescriptor,
        into writer: inout ByteWriter
    ) {
        MachineMessage.encodeHead(
            hops: message.hops + 1, range: heir.id, boundaryVersion: heir.boundaryVersion,
            key: body.extracting(message.key.range), into: &writer)
        writer.append(body.extracting(message.key.end..<body.byteCount))
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

    /// Deals with one item; returns what it counts against the turn's budget.
    private func process(_ item: HostQueue.Item, of replica: RangeReplica) -> Int {
        switch item.kind {
        case .commands, .due, .split, .fence: return commit(item, to: replica)
        case .question: ask(item, replica)
        case .message: deliver(item, replica)
        }
        return 1
    }

    // MARK: The log

    /// Where Raft comes in. Here the one replica is its own majority: the entry gets the leader's
    /// time and the next index, and is committed. What follows is the same on every replica and
    /// in this order: apply, write to the engine with the index, and only then send. No effect
    /// leaves before the entry is committed.
    private func commit(_ item: HostQueue.Item, to replica: RangeReplica) -> Int {
        replica.time = max(replica.time, wallTime)
        replica.appliedIndex += 1
        metrics.entries += 1
        if item.kind == .commands { replica.queue.setTime(replica.time, of: item) }
        let bytes = RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(
                rebasing: replica.queue.bytes[item.payload.range]))
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            switch item.kind {
            case .commands: return try applyCommands(bytes, &reader, from: item.from, replica)
            case .due: applyDue(replica)
            case .split: try applySplit(bytes, &reader, replica)
            case .fence:
                let node = NodeID(try reader.readUInt64(bytes))
                replica.lanes.fence(node, through: LivenessEpoch(try reader.readUInt64(bytes)))
            case .question, .message: break
            }
            return 1
        } catch {
            invariantFailed("an entry of kind \(item.kind) in \(replica.descriptor.id) is damaged")
        }
    }

    private func applyCommands(
        _ bytes: RawSpan, _ reader: inout ByteReader, from sender: Place, _ replica: RangeReplica
    ) throws(ByteShortage) -> Int {
        let envelope = try CommandEnvelope(bytes, reader: &reader)
        let isStale = envelope.boundaryVersion != replica.descriptor.boundaryVersion
        switch replica.lanes.verdict(on: envelope.number, of: envelope.lane) {
        case .fenced: refuse(envelope, .fenced, to: sender)
        case .full: refuse(envelope, .busy, to: sender)
        case .repeated:
            metrics.repeats += 1
            answerRepeat(envelope, to: sender, replica)
        case .gap: refuse(envelope, isStale ? .staleBoundary : .gap, to: sender, replica)
        case .accept where isStale: refuse(envelope, .staleBoundary, to: sender, replica)
        case .accept: try applyAll(envelope, bytes, &reader, from: sender, replica)
        }
        return max(envelope.count, 1)
    }

    private func applyAll(
        _ envelope: CommandEnvelope, _ bytes: RawSpan, _ reader: inout ByteReader,
        from sender: Place, _ replica: RangeReplica
    ) throws(ByteShortage) {
        var position = replica.position
        var hold: UInt64 = 0
        if results.count > RangeLimits.keptBytesMax { results = ByteWriter(capacity: 4096) }
        results.removeAll()
        results.append(bigEndian: UInt32(truncatingIfNeeded: envelope.count))
        for ordinal in 0..<envelope.count {
            position.ordinal = UInt32(truncatingIfNeeded: ordinal)
            _ = try reader.takeLengthPrefixed32(bytes)
            let command = try reader.takeLengthPrefixed32(bytes)
            replica.machine.apply(
                bytes.extracting(command.range), at: position, output: output)
            let size = output.result.count
            invariant(size <= RangeLimits.resultBytesMax, "a result of \(size) bytes")
            results.append(bigEndian: UInt32(truncatingIfNeeded: size))
            results.append(output.result.bytes)
            hold = max(hold, output.holdAnswerUntil ?? 0)
            output.result.removeAll()
            output.holdAnswerUntil = nil
        }
        metrics.commands += UInt64(envelope.count)
        replica.lanes.record(
            envelope.number, of: envelope.lane, result: results.bytes, hold: hold)
        if hold > replica.releasedThrough {
            replica.hold(envelope, until: hold, for: sender)
            carryOut(replica)
        } else {
            carryOut(replica)
            respond(.proposalAnswer, to: sender) { writer in
                ProposalAnswer(.applied, to: envelope, nextNumber: envelope.number + 1)
                    .encode(into: &writer)
                writer.append(results.bytes)
            }
        }
    }

    private func answerRepeat(
        _ envelope: CommandEnvelope, to sender: Place, _ replica: RangeReplica
    ) {
        let next = replica.lanes.next(of: envelope.lane)
        replica.lanes.withResult(of: envelope.lane, number: envelope.number) { result, hold in
            if hold > replica.releasedThrough {
                replica.hold(envelope, until: hold, for: sender)
                return
            }
            respond(.proposalAnswer, to: sender) { writer in
                ProposalAnswer(.applied, to: envelope, nextNumber: next).encode(into: &writer)
                writer.append(result)
            }
        }
    }

    private func applyDue(_ replica: RangeReplica) {
        replica.isDueProposed = false
        replica.machine.applyDue(at: replica.position, output: output)
        carryOut(replica)
    }

    // MARK: Questions and messages

    private func ask(_ item: HostQueue.Item, _ replica: RangeReplica) {
        let bytes = RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(
                rebasing: replica.queue.bytes[item.payload.range]))
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            let question = try Question(bytes, reader: &reader)
            if question.boundaryVersion != replica.descriptor.boundaryVersion {
                refuse(question, .staleBoundary, to: item.from, replica)
            } else if tickets.isFull {
                refuse(question, .busy, to: item.from, replica)
            } else {
                metrics.questions += 1
                let ticket = tickets.insert(question, from: item.from)
                replica.machine.query(
                    bytes.extracting(reader.offset..<reader.end), ticket: ticket, output: output)
                carryOut(replica)
            }
        } catch {
            damagedFrames += 1
        }
    }

    private func deliver(_ item: HostQueue.Item, _ replica: RangeReplica) {
        let bytes = RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(
                rebasing: replica.queue.bytes[item.payload.range]))
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            guard let kind = MessageKind(rawValue: try reader.readUInt8(bytes)) else {
                throw ByteShortage()
            }
            let whole = bytes.extracting(reader.offset..<reader.end)
            var inner = ByteReader(whole)
            let message = try MachineMessage(whole, reader: &inner)
            // An empty key means this very range, whatever its boundaries are now.
            let isForRange =
                message.key.isEmpty
                || replica.descriptor.bounds.contains(whole.extracting(message.key.range))
            guard isForRange else {
                passOn(kind, message, whole, from: item.from)
                return
            }
            replica.machine.receive(
                kind, whole.extracting(inner.offset..<inner.end), from: item.from, output: output)
            carryOut(replica)
        } catch {
            damagedFrames += 1
        }
    }

    private func completeReads(of replica: RangeReplica) {
        guard !replica.reads.isEmpty else { return }
        let reads = replica.reads
        replica.reads = []
        for read in reads {
            let values = read.keys.map { key in key.withRawSpan { replica.engine.get($0) } }
            replica.machine.completeRead(read.token, values: values, output: output)
            carryOut(replica)
        }
    }

    // MARK: What leaves

    /// Carries out what one call of the machine wanted: stored first, then sent. Messages lie in
    /// the outbox already, which leaves at the end of the turn.
    private func carryOut(_ replica: RangeReplica) {
        if output.writes.count > 0 { replica.engine.apply(output.writes) }
        for answer in output.answers { give(answer.ticket, answer.bytes, replica) }
        if !output.reads.isEmpty {
            replica.reads += output.reads
            activate(replica)
        }
        if let released = output.releasedThrough, released > replica.releasedThrough {
            replica.releasedThrough = released
            release(replica)
        }
        output.removeAll()
        replica.nextDue = replica.machine.nextDue
        if !replica.isDueProposed { earliestDue = min(earliestDue, replica.nextDue) }
    }

    private func give(_ ticket: QueryTicket, _ part: ByteRange, _ replica: RangeReplica) {
        guard let open = tickets.remove(ticket) else { return }
        // Cut while the machine was at it: the answer may lack what went to the other half.
        guard open.question.boundaryVersion == replica.descriptor.boundaryVersion else {
            refuse(open.question, .staleBoundary, to: open.place, replica)
            return
        }
        respond(.queryAnswer, to: open.place) { writer in
            QuestionAnswer(.answered, to: open.question).encode(into: &writer)
            writer.append(UnsafeRawBufferPointer(rebasing: output.answerBytes.bytes[part.range]))
        }
    }

    private func release(_ replica: RangeReplica) {
        let released = replica.held.filter { $0.until <= replica.releasedThrough }
        if released.isEmpty { return }
        replica.held.removeAll { $0.until <= replica.releasedThrough }
        for answer in released { answerRepeat(answer.envelope, to: answer.place, replica) }
    }

    private func refuse(
        _ envelope: CommandEnvelope, _ status: ProposalStatus, to sender: Place,
        _ replica: RangeReplica? = nil
    ) {
        metrics.refusals += 1
        // Without the replica this is said before the log has been asked: no number is known.
        let next = replica?.lanes.next(of: envelope.lane) ?? 0
        respond(.proposalAnswer, to: sender) { writer in
            ProposalAnswer(status, to: envelope, nextNumber: next).encode(into: &writer)
            if status == .staleBoundary { encodeNews(of: envelope.range, into: &writer) }
            if status == .notLeader { writer.append(hint: map.descriptor(envelope.range)?.leader) }
        }
    }

    private func refuse(
        _ question: Question, _ status: QuestionStatus, to sender: Place,
        _ replica: RangeReplica? = nil
    ) {
        metrics.refusals += 1
        respond(.queryAnswer, to: sender) { writer in
            QuestionAnswer(status, to: question).encode(into: &writer)
            if status == .staleBoundary { encodeNews(of: question.range, into: &writer) }
            if status == .notLeader { writer.append(hint: map.descriptor(question.range)?.leader) }
        }
    }

    /// The range as it is now and what follows it: the other parts of what it was.
    private func encodeNews(of range: RangeID, into writer: inout ByteWriter) {
        guard let own = map.descriptor(range) else {
            RangeDescriptor.encode([], into: &writer)
            return
        }
        let near = map.overlapping(
            range.store, KeyBounds(start: own.bounds.start, end: nil))
        RangeDescriptor.encode(
            Array(near.prefix(RangeLimits.descriptorsPerAnswer)), into: &writer)
    }

    /// Sends an answer, unless the knob has other plans.
    private func respond(
        _ kind: MessageKind, to receiver: Place, _ write: (inout ByteWriter) -> Void
    ) {
        switch fault?.departure() ?? .sent {
        case .sent: outbox.send(kind, to: receiver, write)
        case .lost: break
        case .delayed(let turns):
            var frame = ByteWriter()
            write(&frame)
            delayed.append(turn: turnNumber + turns, kind, to: receiver, frame.array)
        }
    }

    // MARK: Splits and fences

    /// Proposes to cut a range near a key. False if the range is not here or cannot be cut there.
    package func split(_ range: RangeID, near key: [UInt8]) -> Bool {
        guard let replica = replicaByID[range], let cut = replica.machine.splitKey(near: key)
        else { return false }
        return propose(cut: cut, of: replica)
    }

    /// Proposes to cut a range in the middle of its machine's load.
    package func splitInMiddle(_ range: RangeID) -> Bool {
        guard let replica = replicaByID[range], let cut = replica.machine.middleKey else {
            return false
        }
        return propose(cut: cut, of: replica)
    }

    private func propose(cut key: [UInt8], of replica: RangeReplica) -> Bool {
        guard replica.descriptor.bounds.canBeCut(at: key), !replica.queue.isFull else {
            return false
        }
        // Ranges of the beginning have small numbers; these have the upper bit and 63 of chance.
        let number = random.next() | 1 << 63
        enqueue(.split, from: place, replica) { writer in
            writer.append(bigEndian: number)
            writer.append(lengthPrefixed32: key.span.bytes)
        }
        return true
    }

    private func cutByFault() {
        guard let index = fault?.split(of: replicas.count) else { return }
        if splitInMiddle(replicas[index].descriptor.id) { fault?.splitsMax -= 1 }
    }

    private func applySplit(
        _ bytes: RawSpan, _ reader: inout ByteReader, _ replica: RangeReplica
    ) throws(ByteShortage) {
        let number = try reader.readUInt64(bytes)
        let key = bytes.array(try reader.takeLengthPrefixed32(bytes))
        let id = RangeID(store: replica.descriptor.id.store, number: number)
        // An earlier entry may have cut it elsewhere.
        guard replica.descriptor.bounds.canBeCut(at: key), map.descriptor(id) == nil else { return }
        // What was read for the whole is handed over before there are two halves.
        while !replica.reads.isEmpty { completeReads(of: replica) }
        let machine = replica.machine.splitOff(at: key, output: output)
        var upper = replica.descriptor
        upper.id = id
        upper.bounds.start = key
        upper.boundaryVersion += 1
        replica.descriptor.bounds.end = key
        replica.descriptor.boundaryVersion += 1
        let half = RangeReplica(
            descriptor: upper, machine: machine, engine: replica.engine, lanes: replica.lanes,
            appliedIndex: replica.appliedIndex, time: replica.time)
        half.releasedThrough = replica.releasedThrough
        take(half)
        replica.machine.rangeChanged(replica.descriptor)
        half.machine.rangeChanged(upper)
        metrics.splits += 1
        announce([replica.descriptor, upper])
        carryOut(replica)
        carryOut(half)
    }

    /// Tells every worker of the node.
    private func announce(_ descriptors: [RangeDescriptor]) {
        map.insert(descriptors)
        for worker in 0..<workers {
            let place = Place(node: place.node, worker: WorkerIndex(UInt16(worker)))
            outbox.send(.rangeMap, to: place) {
                RangeMapMessage.encode(descriptors, into: &$0)
            }
        }
    }

    /// Ends a node's lives up to `epoch` in every range here: their lanes are freed, and whatever
    /// of theirs is still under way will be refused.
    package func fence(_ node: NodeID, through epoch: LivenessEpoch) {
        for replica in replicas {
            enqueue(.fence, from: place, replica) { writer in
                writer.append(bigEndian: node.rawValue)
                writer.append(bigEndian: epoch.rawValue)
            }
        }
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
