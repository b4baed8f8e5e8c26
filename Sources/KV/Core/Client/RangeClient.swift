import Base

/// Why something was not taken. Nothing has happened, and nothing will.
package enum ProposalRefusal: UInt8, Sendable, CaseIterable {
    /// As much as may wait for this range is waiting already.
    case tooManyWaiting
    /// The command, or its key, is larger than a command may be.
    case tooLarge
    /// No range is known that holds the key.
    case noRange
    /// This node's liveness epoch is fenced.
    case fenced
}

/// A worker's way to the ranges: proposes commands in lanes and asks questions, until each has
/// ended or its time is over.
///
/// Decides what travels in which batch under which number, when it is sent again and how it is cut
/// when a range is. Owned by one worker for its whole life; pure: time comes as an argument, frames
/// leave by the outbox, ends are handed out in a `CompletionList`. In a turn: `receive` and `tick`
/// in any order, `propose` and `query`, then `flush` once, last.
///
/// Bounded by `waitingCommandsMax` and `waitingBytesMax` per range, the lane's window, and
/// `openQuestionsMax`. Commands to one range are applied in the order of `propose`, exactly once
/// if they end as `done`, not at all if as `unavailable`, and at most once if as `unknown`.
/// Questions leave in the order of asking, behind what was proposed before; repeated ones may be
/// answered later than younger ones.
package final class RangeClient {
    package let place: Place
    /// The life of this node that the lanes belong to.
    package let epoch: LivenessEpoch
    /// What is known of the ranges. Routes may lag behind it; see `ClientRoute`.
    package internal(set) var map = RangeMap()
    /// The node's epoch was fenced: nothing is proposed any more.
    package internal(set) var isFenced = false
    /// By raw value of the store, in key order.
    @exclusivity(unchecked)
    var routes: [[ClientRoute]]
    @exclusivity(unchecked)
    var routeByRange: [RangeID: ClientRoute] = [:]
    @exclusivity(unchecked)
    private var dirty: [ClientRoute] = []
    /// No route has a deadline before this; corrected when it is reached.
    @exclusivity(unchecked)
    private var wakeAt = Instant.distantFuture
    @exclusivity(unchecked)
    var questions = QuestionTable()
    /// Batches to use again.
    @exclusivity(unchecked)
    private var pool: [CommandBatch] = []
    @exclusivity(unchecked)
    private var random: SeededRandom
    /// Frames that could not be understood.
    package internal(set) var damagedFrames: UInt64 = 0

    package init(place: Place, epoch: LivenessEpoch, map: RangeMap, seed: UInt64) {
        self.place = place
        self.epoch = epoch
        random = SeededRandom(seed: seed)
        let highest = StoreKind.allCases.map(\.rawValue).max() ?? 0
        routes = Array(repeating: [], count: Int(highest) + 1)
        learn(map.all)
    }

    var lane: LaneID { LaneID(node: place.node, epoch: epoch, worker: place.worker) }

    // MARK: Commands

    /// Takes a command for the range of `key`; its end comes with `token`.
    ///
    /// `write` must only append. Returns nil if the command was taken.
    package func propose(
        _ store: StoreKind, key: RawSpan, token: UInt64, now: Instant,
        _ write: (inout ByteWriter) -> Void
    ) -> ProposalRefusal? {
        if isFenced { return .fenced }
        if key.byteCount > RangeLimits.keyBytesMax { return .tooLarge }
        guard let route = route(store, key) else { return .noRange }
        guard route.waitingCommands < RangeLimits.waitingCommandsMax,
            route.waitingBytes < RangeLimits.waitingBytesMax
        else { return .tooManyWaiting }
        let batch = openBatch(of: route, now: now)
        let start = batch.bytes.count
        batch.bytes.append(lengthPrefixed32: key)
        let lengthOffset = batch.bytes.count
        batch.bytes.append(bigEndian: UInt32(0))
        write(&batch.bytes)
        let size = batch.bytes.count - lengthOffset - 4
        guard size <= RangeLimits.commandBytesMax else {
            batch.bytes.truncate(to: start)
            if batch.tokens.isEmpty { recycle(route.waiting.removeLast()) }
            return .tooLarge
        }
        batch.bytes.patch(bigEndian: UInt32(truncatingIfNeeded: size), at: lengthOffset)
        batch.tokens.append(token)
        route.waitingCommands += 1
        route.waitingBytes += batch.bytes.count - start
        markDirty(route)
        return nil
    }

    package func propose(
        _ store: StoreKind, key: [UInt8], token: UInt64, now: Instant,
        _ write: (inout ByteWriter) -> Void
    ) -> ProposalRefusal? {
        key.withRawSpan { propose(store, key: $0, token: token, now: now, write) }
    }

    private func openBatch(of route: ClientRoute, now: Instant) -> CommandBatch {
        if let last = route.waiting.last, !last.isFull { return last }
        let batch = pool.popLast() ?? CommandBatch()
        batch.start(at: now)
        route.waiting.append(batch)
        wakeAt = min(wakeAt, now + RangeLimits.unproposedTimeMax)
        return batch
    }

    func recycle(_ batch: CommandBatch) {
        // A batch that has grown large gives its memory back.
        if pool.count < 64, batch.bytes.count <= RangeLimits.batchBytesMax { pool.append(batch) }
    }

    /// Sends a message to the machine that leads the range of `key`, at once and unconfirmed: it
    /// may be lost. False if no leader is known.
    package func send(
        _ kind: MessageKind, _ store: StoreKind, key: RawSpan, outbox: Outbox,
        _ write: (inout ByteWriter) -> Void
    ) -> Bool {
        guard let descriptor = route(store, key)?.descriptor, let leader = descriptor.leader
        else { return false }
        outbox.send(kind, to: leader) { writer in
            MachineMessage.encodeHead(
                range: descriptor.id, boundaryVersion: descriptor.boundaryVersion, key: key,
                into: &writer)
            write(&writer)
        }
        return true
    }

    // MARK: Turn

    /// Sends what this turn has collected and what must be sent again.
    package func flush(_ outbox: Outbox, now: Instant) {
        guard !dirty.isEmpty else { return }
        let work = dirty
        dirty.removeAll(keepingCapacity: true)
        for route in work {
            route.isDirty = false
            guard let leader = route.descriptor.leader else {
                retry(route, by: min(route.retryAt, now + backoff(route.attempts, refused: true)))
                route.attempts += 1
                continue
            }
            sendBatches(of: route, to: leader, outbox, now)
            sendQuestions(of: route, to: leader, outbox)
        }
    }

    private func sendBatches(
        of route: ClientRoute, to leader: Place, _ outbox: Outbox, _ now: Instant
    ) {
        if route.mustResend {
            route.mustResend = false
            for batch in route.inFlight { send(batch, to: leader, outbox) }
            retry(
                route,
                by: route.inFlight.isEmpty
                    ? .distantFuture : now + backoff(route.attempts, refused: false))
            route.attempts += 1
        }
        guard !route.isStopped, !route.waiting.isEmpty else { return }
        if route.inFlight.isEmpty { retry(route, by: now + backoff(0, refused: false)) }
        var sealed = 0
        while sealed < route.waiting.count, route.hasWindow {
            let batch = route.waiting[sealed]
            batch.seal(
                number: route.nextNumber, lane: lane, descriptor: route.descriptor, now: now)
            route.nextNumber += 1
            route.waitingCommands -= batch.tokens.count
            route.waitingBytes -= batch.bytes.count - CommandEnvelope.headBytes
            route.inFlight.append(batch)
            send(batch, to: leader, outbox)
            sealed += 1
        }
        route.waiting.removeFirst(sealed)
    }

    func send(_ batch: CommandBatch, to leader: Place, _ outbox: Outbox) {
        batch.writeHead(lane: lane)
        outbox.send(.proposal, to: leader) { $0.append(batch.bytes.bytes) }
    }

    func markDirty(_ route: ClientRoute) {
        if route.isDirty { return }
        route.isDirty = true
        dirty.append(route)
    }

    /// When `tick` is wanted; may be too early, never too late.
    package var nextDeadline: Instant { min(questions.retryAt, wakeAt) }

    /// Repeats what was not answered and ends what has taken too long.
    package func tick(now: Instant, completions: CompletionList) {
        if wakeAt <= now {
            wakeAt = .distantFuture
            for store in routes {
                for route in store {
                    if route.deadline <= now { tick(route, now, completions) }
                    wakeAt = min(wakeAt, route.deadline)
                }
            }
        }
        for request in questions.takeDue(at: now) { retry(request, now, completions) }
    }

    private func tick(_ route: ClientRoute, _ now: Instant, _ completions: CompletionList) {
        if route.retryAt <= now {
            route.retryAt = .distantFuture
            route.mustResend = true
            markDirty(route)
        }
        while let first = route.waiting.first,
            first.createdAt + RangeLimits.unproposedTimeMax <= now
        {
            for token in first.tokens { completions.append(token: token, .unavailable) }
            route.waitingCommands -= first.tokens.count
            route.waitingBytes -= first.bytes.count - CommandEnvelope.headBytes
            recycle(route.waiting.removeFirst())
        }
        for batch in route.inFlight
        where !batch.isAbandoned && batch.proposedAt + RangeLimits.outcomeTimeMax <= now {
            for token in batch.tokens { completions.append(token: token, .unknown) }
            batch.isAbandoned = true
        }
    }

    func retry(_ route: ClientRoute, by moment: Instant) {
        route.retryAt = moment
        wakeAt = min(wakeAt, moment)
    }

    /// Doubles with every attempt, with a quarter of jitter either way.
    func backoff(_ attempts: Int, refused: Bool) -> Duration {
        let first = refused ? RangeLimits.refusedRetryAfter : RangeLimits.retryAfter
        let longest = RangeLimits.retryAfterMax.nanoseconds
        let span = min(first.nanoseconds << Int64(min(attempts, 12)), longest)
        return .nanoseconds(span * 3 / 4 + Int64(random.below(Int(span / 2) + 1)))
    }
}
