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
    package private(set) var map = RangeMap()
    /// The node's epoch was fenced: nothing is proposed any more.
    package private(set) var isFenced = false

    /// By raw value of the store, in key order.
    @exclusivity(unchecked)
    private var routes: [[ClientRoute]]
    @exclusivity(unchecked)
    private var routeByRange: [RangeID: ClientRoute] = [:]
    @exclusivity(unchecked)
    private var dirty: [ClientRoute] = []
    /// No route has a deadline before this; corrected when it is reached.
    @exclusivity(unchecked)
    private var wakeAt = Instant.distantFuture
    @exclusivity(unchecked)
    private var questions = QuestionTable()
    /// Batches to use again.
    @exclusivity(unchecked)
    private var pool: [CommandBatch] = []
    @exclusivity(unchecked)
    private var random: SeededRandom
    /// Frames that could not be understood.
    package private(set) var damagedFrames: UInt64 = 0

    package init(place: Place, epoch: LivenessEpoch, map: RangeMap, seed: UInt64) {
        self.place = place
        self.epoch = epoch
        random = SeededRandom(seed: seed)
        let highest = StoreKind.allCases.map(\.rawValue).max() ?? 0
        routes = Array(repeating: [], count: Int(highest) + 1)
        learn(map.all)
    }

    private var lane: LaneID { LaneID(node: place.node, epoch: epoch, worker: place.worker) }

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

    private func recycle(_ batch: CommandBatch) {
        // A batch that has grown large gives its memory back.
        if pool.count < 64, batch.bytes.count <= RangeLimits.batchBytesMax { pool.append(batch) }
    }

    // MARK: Questions and messages

    /// Asks the range of `key`. The answer comes with `token` in one completion.
    package func query(
        _ store: StoreKind, key: RawSpan, token: UInt64, now: Instant,
        _ write: (inout ByteWriter) -> Void
    ) -> ProposalRefusal? {
        guard !questions.isFull else { return .tooManyWaiting }
        guard let route = route(store, key) else { return .noRange }
        let question = OpenQuestion(
            token: token, store: store, bounds: KeyBounds(start: key.array, end: nil), group: nil,
            bytes: Self.written(write), askedAt: now, retryAt: now + RangeLimits.retryAfter)
        route.questions.append(questions.insert(question))
        markDirty(route)
        return nil
    }

    package func query(
        _ store: StoreKind, key: [UInt8], token: UInt64, now: Instant,
        _ write: (inout ByteWriter) -> Void
    ) -> ProposalRefusal? {
        key.withRawSpan { query(store, key: $0, token: token, now: now, write) }
    }

    /// Asks every range that shares keys with `bounds`: one completion for each, the last one with
    /// `outstanding` zero.
    package func queryOverlapping(
        _ store: StoreKind, _ bounds: KeyBounds, token: UInt64, now: Instant,
        _ write: (inout ByteWriter) -> Void
    ) -> ProposalRefusal? {
        let targets = overlapping(store, bounds)
        guard !targets.isEmpty else { return .noRange }
        guard questions.count + targets.count <= RangeLimits.openQuestionsMax else {
            return .tooManyWaiting
        }
        let bytes = Self.written(write)
        let group = questions.newGroup()
        for route in targets {
            let question = OpenQuestion(
                token: token, store: store,
                bounds: bounds.intersection(route.descriptor.bounds), group: group, bytes: bytes,
                askedAt: now, retryAt: now + RangeLimits.retryAfter)
            route.questions.append(questions.insert(question))
            markDirty(route)
        }
        return nil
    }

    private static func written(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        write(&writer)
        return writer.array
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

    private func send(_ batch: CommandBatch, to leader: Place, _ outbox: Outbox) {
        batch.writeHead(lane: lane)
        outbox.send(.proposal, to: leader) { $0.append(batch.bytes.bytes) }
    }

    private func sendQuestions(of route: ClientRoute, to leader: Place, _ outbox: Outbox) {
        for request in route.questions {
            guard let question = questions.question(request) else { continue }
            outbox.send(.query, to: leader) { writer in
                Question(
                    range: route.descriptor.id,
                    boundaryVersion: route.descriptor.boundaryVersion, epoch: epoch,
                    request: request
                ).encode(into: &writer)
                writer.append(question.bytes)
            }
        }
        route.questions.removeAll(keepingCapacity: true)
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

    private func retry(_ route: ClientRoute, by moment: Instant) {
        route.retryAt = moment
        wakeAt = min(wakeAt, moment)
    }

    private func retry(_ request: UInt64, _ now: Instant, _ completions: CompletionList) {
        guard let question = questions.question(request) else { return }
        if question.askedAt + RangeLimits.questionTimeMax <= now {
            guard let closed = questions.remove(request) else { return }
            completions.append(
                token: closed.question.token, .unavailable, outstanding: closed.outstanding)
            return
        }
        questions.update(request) {
            $0.attempts += 1
            $0.retryAt = now + backoff($0.attempts, refused: false)
        }
        place(request)
    }

    /// Doubles with every attempt, with a quarter of jitter either way.
    private func backoff(_ attempts: Int, refused: Bool) -> Duration {
        let first = refused ? RangeLimits.refusedRetryAfter : RangeLimits.retryAfter
        let longest = RangeLimits.retryAfterMax.nanoseconds
        let span = min(first.nanoseconds << Int64(min(attempts, 12)), longest)
        return .nanoseconds(span * 3 / 4 + Int64(random.below(Int(span / 2) + 1)))
    }

    // MARK: Routes

    private func markDirty(_ route: ClientRoute) {
        if route.isDirty { return }
        route.isDirty = true
        dirty.append(route)
    }

    private func route(_ store: StoreKind, _ key: [UInt8]) -> ClientRoute? {
        key.withRawSpan { route(store, $0) }
    }

    private func route(_ store: StoreKind, _ key: RawSpan) -> ClientRoute? {
        let index = key.withUnsafeBytes { bytes in
            lastRoute(store, atOrBefore: bytes)
        }
        guard index >= 0 else { return nil }
        let route = routes[Int(store.rawValue)][index]
        guard let end = route.descriptor.bounds.end else { return route }
        return KeyOrder.compare(end, key) > 0 ? route : nil
    }

    /// Index of the last route that starts at or before the key; -1 if there is none.
    private func lastRoute(_ store: StoreKind, atOrBefore key: UnsafeRawBufferPointer) -> Int {
        let list = routes[Int(store.rawValue)]
        let prefix = KeyOrder.prefix(key)
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            let starts = list[middle].prefix
            let isBefore =
                starts != prefix
                ? starts < prefix
                : list[middle].descriptor.bounds.start.withUnsafeBytes {
                    KeyOrder.compare($0, key) <= 0
                }
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }

    private func overlapping(_ store: StoreKind, _ bounds: KeyBounds) -> [ClientRoute] {
        routes[Int(store.rawValue)].filter { $0.descriptor.bounds.overlaps(bounds) }
    }

    /// Takes newer descriptors and lets every route follow that may.
    private func learn(_ descriptors: [RangeDescriptor]) {
        guard map.insert(descriptors) else { return }
        for store in Set(descriptors.map(\.id.store)) {
            for descriptor in map[store] where overlapping(store, descriptor.bounds).isEmpty {
                // Nothing was ever proposed to this part: its lane starts at 1.
                replace([], with: [ClientRoute(descriptor: descriptor, nextNumber: 1)], in: store)
            }
            for route in routes[Int(store.rawValue)] { follow(route) }
        }
    }

    private func follow(_ route: ClientRoute) {
        let store = route.descriptor.id.store
        if let known = map.descriptor(route.descriptor.id),
            known.boundaryVersion == route.descriptor.boundaryVersion,
            known.isNewer(than: route.descriptor)
        {
            route.descriptor = known
        }
        guard route.inFlight.isEmpty, let tiles = newerTiles(of: route) else { return }
        replace([route], with: route.cut(into: tiles, next: route.nextNumber), in: store)
    }

    private func newerTiles(of route: ClientRoute) -> [RangeDescriptor]? {
        guard let tiles = map.tiling(route.descriptor.id.store, route.descriptor.bounds),
            tiles.allSatisfy({ $0.boundaryVersion > route.descriptor.boundaryVersion })
        else { return nil }
        return tiles
    }

    private func replace(_ old: [ClientRoute], with new: [ClientRoute], in store: StoreKind) {
        let index = Int(store.rawValue)
        for route in old {
            routes[index].removeAll { $0 === route }
            routeByRange[route.descriptor.id] = new.first
        }
        for route in new {
            let start = route.descriptor.bounds.start
            let position = start.withUnsafeBytes { lastRoute(store, atOrBefore: $0) } + 1
            routes[index].insert(route, at: position)
            routeByRange[route.descriptor.id] = route
            if route.mustResend || !route.waiting.isEmpty { markDirty(route) }
        }
        for route in old {
            for request in route.questions { place(request) }
            route.retire()
        }
    }

    /// Puts an open question on the route, or the routes, that its keys have now.
    private func place(_ request: UInt64) {
        guard let question = questions.question(request) else { return }
        guard let group = question.group else {
            let route = route(question.store, question.bounds.start)
            route?.questions.append(request)
            if let route { markDirty(route) }
            return
        }
        var isFirst = true
        for route in overlapping(question.store, question.bounds) {
            let part = question.bounds.intersection(route.descriptor.bounds)
            if isFirst {
                questions.update(request) { $0.bounds = part }
                route.questions.append(request)
                isFirst = false
            } else {
                var other = question
                other.bounds = part
                other.group = group
                route.questions.append(questions.insert(other))
            }
            markDirty(route)
        }
    }

    // MARK: Answers

    /// Takes an answer or news. Kinds that are not for a client are not its business.
    package func receive(
        _ kind: MessageKind, _ body: RawSpan, from sender: Place, now: Instant,
        completions: CompletionList
    ) {
        do throws(ByteShortage) {
            var reader = ByteReader(body)
            if kind == .proposalAnswer {
                let answer = try ProposalAnswer(body, reader: &reader)
                try receive(answer, body, &reader, now, completions)
            } else if kind == .queryAnswer {
                let answer = try QuestionAnswer(body, reader: &reader)
                try receive(answer, body, &reader, now, completions)
            } else if kind == .rangeMap {
                learn(try RangeMapMessage.decode(body))
            }
        } catch {
            damagedFrames += 1
        }
    }

    private func receive(
        _ answer: ProposalAnswer, _ body: RawSpan, _ reader: inout ByteReader, _ now: Instant,
        _ completions: CompletionList
    ) throws(ByteShortage) {
        guard answer.epoch == epoch, let route = routeByRange[answer.range],
            let index = route.inFlight.firstIndex(where: {
                $0.number == answer.number && $0.boundaryVersion == answer.boundaryVersion
                    && $0.range == answer.range
            })
        else { return }
        switch answer.status {
        case .applied:
            try complete(route.inFlight[index], body, &reader, completions)
            progressed(route, index, now)
        case .staleBoundary:
            learn(try RangeDescriptor.decodeList(body, reader: &reader))
            let isCurrent = answer.boundaryVersion == route.descriptor.boundaryVersion
            if isCurrent, answer.nextNumber > 0, let tiles = newerTiles(of: route) {
                let heirs = route.cut(into: tiles, next: answer.nextNumber)
                replace([route], with: heirs, in: answer.range.store)
            } else {
                refused(route, now)
            }
        case .notLeader:
            if let leader = try reader.readHint(body) { route.descriptor.leader = leader }
            refused(route, now)
        case .busy, .gap:
            refused(route, now)
        case .fenced:
            fence(completions)
        }
    }

    /// Hands out the results of a batch, copied once for all its commands.
    private func complete(
        _ batch: CommandBatch, _ body: RawSpan, _ reader: inout ByteReader,
        _ completions: CompletionList
    ) throws(ByteShortage) {
        guard Int(try reader.readUInt32(body)) == batch.tokens.count else { throw ByteShortage() }
        if batch.isAbandoned { return }
        var check = reader
        for _ in 0..<batch.tokens.count { _ = try check.takeLengthPrefixed32(body) }
        let shift = completions.take(body.extracting(reader.offset..<check.end)) - reader.offset
        for token in batch.tokens {
            let result = try reader.takeLengthPrefixed32(body)
            completions.append(
                token: token, .done,
                bytes: ByteRange(offset: Int(result.offset) + shift, count: Int(result.count)))
        }
    }

    private func progressed(_ route: ClientRoute, _ index: Int, _ now: Instant) {
        recycle(route.inFlight.remove(at: index))
        route.attempts = 0
        route.isStopped = false
        if route.inFlight.isEmpty {
            route.retryAt = .distantFuture
            follow(route)
        } else if index == 0 {
            retry(route, by: now + backoff(0, refused: false))
        }
        if !route.waiting.isEmpty { markDirty(route) }
    }

    /// Stops the lane and tries again soon, from its oldest number.
    private func refused(_ route: ClientRoute, _ now: Instant) {
        route.isStopped = true
        retry(route, by: min(route.retryAt, now + backoff(route.attempts, refused: true)))
    }

    /// Ends everything: what was proposed may have been applied, the rest was not.
    private func fence(_ completions: CompletionList) {
        isFenced = true
        for store in routes {
            for route in store {
                for batch in route.inFlight where !batch.isAbandoned {
                    for token in batch.tokens { completions.append(token: token, .unknown) }
                }
                for batch in route.waiting {
                    for token in batch.tokens { completions.append(token: token, .unavailable) }
                }
                route.inFlight = []
                route.waiting = []
                route.waitingCommands = 0
                route.waitingBytes = 0
                route.retryAt = .distantFuture
            }
        }
    }

    private func receive(
        _ answer: QuestionAnswer, _ body: RawSpan, _ reader: inout ByteReader, _ now: Instant,
        _ completions: CompletionList
    ) throws(ByteShortage) {
        let request = answer.question.request
        guard answer.question.epoch == epoch, questions.question(request) != nil else { return }
        switch answer.status {
        case .answered:
            guard let closed = questions.remove(request) else { return }
            let rest = body.extracting(reader.offset..<reader.end)
            let start = completions.take(rest)
            completions.append(
                token: closed.question.token, .done,
                bytes: ByteRange(offset: start, count: rest.byteCount),
                outstanding: closed.outstanding)
        case .staleBoundary:
            learn(try RangeDescriptor.decodeList(body, reader: &reader))
            askAgain(request, now)
        case .notLeader:
            if let leader = try reader.readHint(body) {
                routeByRange[answer.question.range]?.descriptor.leader = leader
            }
            askAgain(request, now)
        case .busy:
            askAgain(request, now)
        }
    }

    private func askAgain(_ request: UInt64, _ now: Instant) {
        questions.update(request) {
            $0.retryAt = min($0.retryAt, now + backoff($0.attempts, refused: true))
        }
    }
}
