import Base
import KV

/// What happens by the range's time: message expiry, delayed wills, session expiry.
extension InboxMachine {
    /// When something of a record is due, in range time; `UInt64.max` if nothing is.
    ///
    /// Message expiry is rounded up to whole seconds, so that a long queue is walked once a second
    /// at most. It rests while the session is attached: what was sent does not expire
    /// [MQTT-4.3.3-7], and only the owner knows how far that is. The owner drops what expired
    /// before it was sent, like any other entry that it finishes.
    func due(_ index: Int32) -> UInt64 {
        let session = sessions[index]
        var due = UInt64.max
        if session.pointee.expiresAt != 0 { due = session.pointee.expiresAt }
        if session.pointee.connection < 0, let next = session.pointee.queue?.nextExpiry,
            next != .max
        {
            due = min(due, next / 1000 * 1000 + (next % 1000 == 0 ? 0 : 1000))
        }
        if let extras = session.pointee.extras {
            if let at = extras.will?.dueAt, at != 0 { due = min(due, at) }
            if let first = extras.idempotency.first { due = min(due, first.expiresAt) }
        }
        return due
    }

    /// Sees to it that the record is looked at when it is due.
    func schedule(_ index: Int32) {
        let session = sessions[index]
        let due = due(index)
        guard due != .max, session.pointee.scheduledDue == 0 || due < session.pointee.scheduledDue
        else { return }
        session.pointee.scheduledDue = due
        timers.insert(
            TimerQueue.Entry(
                due: due, tie: session.pointee.incarnation, session: index,
                generation: session.pointee.generation))
        if timers.count > 2 * sessions.count + 1024 {
            timers.rebuild { isCurrent($0) }
        }
    }

    private func isCurrent(_ entry: TimerQueue.Entry) -> Bool {
        sessions.isCurrent(entry.session, entry.generation)
            && sessions[entry.session].pointee.scheduledDue == entry.due
    }

    /// Carries out what is due, one slice. Replicas agree on the slice: only a record whose exact
    /// time and tie have come counts, in the order of both.
    func carryOutDue(_ position: ApplyPosition, _ output: MachineOutput) {
        var done = 0
        while done < InboxLimits.dueSessionsPerApply, let first = timers.first,
            first.due <= time.milliseconds
        {
            guard let entry = timers.removeFirst(), isCurrent(entry) else { continue }
            let session = sessions[entry.session]
            session.pointee.scheduledDue = 0
            if let queue = session.pointee.queue, queue.nextExpiry != .max {
                queue.findNextExpiry()
            }
            if due(entry.session) == entry.due, entry.tie == session.pointee.incarnation {
                carryOutDue(entry.session, position, output)
                done += 1
            } else {
                schedule(entry.session)
            }
        }
    }

    private func carryOutDue(
        _ index: Int32, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        let now = time.milliseconds
        let session = sessions[index]
        removeExpiredEntries(index, output)
        removeExpiredKeys(index, output)
        var changesMeta = false
        if let at = session.pointee.extras?.will?.dueAt, at != 0, at <= now {
            publishWill(index, position, output)
            changesMeta = true
        }
        if session.pointee.expiresAt != 0, session.pointee.expiresAt <= now {
            endSession(index, position, output, .sessionExpired)
            changesMeta = true
        }
        schedule(index)
        trim(index)
        if changesMeta || session.pointee.kind == .residue { putMetaOrRemove(index, output) }
    }

    private func removeExpiredEntries(_ index: Int32, _ output: MachineOutput) {
        guard sessions[index].pointee.connection < 0,
            let queue = sessions[index].pointee.queue, queue.nextExpiry <= time.milliseconds
        else { return }
        var expired: [UInt64] = []
        for entry in queue.entries[queue.head...]
        where !entry.isGone && !entry.isReleased && isExpired(entry) {
            expired.append(entry.sequence)
        }
        for sequence in expired {
            if let at = queue.index(of: sequence) { removeEntry(index, at, output) }
        }
        queue.findNextExpiry()
        reportDropped(index, .messageExpired, expired.count, output)
    }

    private func removeExpiredKeys(_ index: Int32, _ output: MachineOutput) {
        guard let extras = sessions[index].pointee.extras else { return }
        while let first = extras.idempotency.first, first.expiresAt <= time.milliseconds {
            beginKey(index, .idempotency, first.key)
            delete(output)
            extras.idempotency.removeFirst()
        }
    }
}
