import Base

/// What leaves a host: writes to the engine first, then answers and refusals.
extension RangeHost {
    /// Carries out what one call of the machine wanted: stored first, then sent. Messages lie in
    /// the outbox already, which leaves at the end of the turn.
    func carryOut(_ replica: RangeReplica) {
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

    func refuse(
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

    func refuse(
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
    func respond(
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
}
