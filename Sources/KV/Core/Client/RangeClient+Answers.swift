import Base

/// Answers and refusals: what they end, and what they make the client send again.
extension RangeClient {
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
    func refused(_ route: ClientRoute, _ now: Instant) {
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
}
