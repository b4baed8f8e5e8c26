import Base

/// Questions: to the range of a key, or to all that share keys with a span; asked again until
/// they are answered or their time is over.
extension RangeClient {
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

    func sendQuestions(of route: ClientRoute, to leader: Place, _ outbox: Outbox) {
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

    func retry(_ request: UInt64, _ now: Instant, _ completions: CompletionList) {
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

    /// Puts an open question on the route, or the routes, that its keys have now.
    func place(_ request: UInt64) {
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

    func askAgain(_ request: UInt64, _ now: Instant) {
        questions.update(request) {
            $0.retryAt = min($0.retryAt, now + backoff($0.attempts, refused: true))
        }
    }
}
