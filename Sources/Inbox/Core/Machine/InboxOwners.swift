import Base
import KV

/// Client ids and their owners. Volatile: nothing here reaches the log but the epochs.
extension InboxMachine {
    func claim(_ claim: ClaimQuestion, _ ticket: QueryTicket, _ output: MachineOutput) {
        guard leaderTerm != nil else { return answer(ticket, .notLeader, output) }
        let record = find(claim.session)
        if record >= 0, claim.bindsPrincipal, !isPrincipal(claim.principal, of: record) {
            return answer(ticket, .notAuthorised, output)
        }
        var owner = findOwner(claim.session)
        if owner < 0, record >= 0 { owner = adoptLoggedOwner(record, claim.session) }
        if owner < 0 {
            own(claim, ticket, output)
        } else if owners[owner].pointee.token == claim.connectionToken,
            owners.place(of: owner) == claim.place
        {
            grant(owner, ticket, output)
        } else if claim.bindsPrincipal, !isOwnerPrincipal(claim.principal, owner) {
            answer(ticket, .notAuthorised, output)
        } else {
            wait(for: owner, claim, ticket, output)
        }
    }

    private func answer(_ ticket: QueryTicket, _ status: InboxStatus, _ output: MachineOutput) {
        output.answer(ticket) { ClaimAnswer(status: status).encode(into: &$0) }
    }

    private func isPrincipal(_ principal: [UInt8], of record: Int32) -> Bool {
        let session = sessions[record]
        guard session.pointee.kind == .stored || session.pointee.kind == .willOnly else {
            return true
        }
        return principal.withUnsafeBytes { equal($0, session.pointee.bytes.principal) }
    }

    private func isOwnerPrincipal(_ principal: [UInt8], _ owner: Int32) -> Bool {
        principal.withUnsafeBytes { equal($0, owners.principal(owner)) }
    }

    private func findOwner(_ session: SessionName) -> Int32 {
        guard let tenant = tenants.find(session.tenant) else { return -1 }
        return session.clientID.withUnsafeBytes { owners.find(tenant, $0) }
    }

    /// A new leader knows from the log who holds an attached session; a worker that no longer knows
    /// the connection releases it at once.
    private func adoptLoggedOwner(_ record: Int32, _ name: SessionName) -> Int32 {
        let session = sessions[record]
        guard session.pointee.connection >= 0 else { return -1 }
        let connection = connections[pointer: session.pointee.connection].pointee
        return addOwner(
            name, principal: [UInt8](session.pointee.bytes.principal), connection.place,
            token: connection.token, epoch: session.pointee.ownerEpoch)
    }

    private func addOwner(
        _ name: SessionName, principal: [UInt8], _ place: Place, token: UInt64, epoch: UInt64
    ) -> Int32 {
        let tenant = retainTenant(name.tenant)
        return name.clientID.withUnsafeBytes {
            owners.insert(
                tenant: tenant, clientID: $0, principal: principal, place: place, token: token,
                epoch: epoch)
        }
    }

    /// A split brings an owner along.
    func inherit(
        _ name: SessionName, principal: [UInt8], _ place: Place, token: UInt64, epoch: UInt64
    ) {
        _ = addOwner(name, principal: principal, place, token: token, epoch: epoch)
    }

    /// Leadership has gone, and with it what only a leader knows.
    func forgetOwners() {
        for owner in owners.indices {
            let tenant = owners[owner].pointee.tenant
            owners.remove(owner)
            tenants.release(tenant)
        }
    }

    private func own(_ claim: ClaimQuestion, _ ticket: QueryTicket, _ output: MachineOutput) {
        let owner = addOwner(
            claim.session, principal: claim.principal, claim.place, token: claim.connectionToken,
            epoch: nextEpoch())
        grant(owner, ticket, output)
    }

    /// Above every epoch of this range and of ranges it came from, and above the term's first.
    private func nextEpoch() -> UInt64 {
        epochMax = max(epochMax &+ 1, (leaderTerm ?? 0) << 32 &+ 1)
        return epochMax
    }

    /// The owner hears its epoch and what there is to attach to.
    private func grant(_ owner: Int32, _ ticket: QueryTicket, _ output: MachineOutput) {
        var result = ClaimAnswer(status: .ok)
        result.ownerEpoch = OwnerEpoch(owners[owner].pointee.epoch)
        let record = sessions.find(
            owners[owner].pointee.tenant, owners.clientID(owner))
        if record >= 0 {
            let session = sessions[record]
            result.hasStoredSession = session.pointee.kind == .stored
            result.hasRecord = result.hasStoredSession || session.pointee.extras?.will != nil
            result.incarnation = session.pointee.incarnation
            result.expirySeconds = session.pointee.expirySeconds
            result.sentThrough = sentThrough(record)
        }
        output.answer(ticket) { result.encode(into: &$0) }
    }

    /// What the client may have been sent: by the log if its connection took leave, by the pushes
    /// of this leader if it did not, and everything if even the leader is new.
    private func sentThrough(_ record: Int32) -> UInt64 {
        let session = sessions[record]
        guard session.pointee.connection >= 0 else { return session.pointee.sentThrough }
        guard let pusher = session.pointee.pusher else { return session.pointee.nextSequence - 1 }
        return max(session.pointee.sentThrough, pusher.nextSequence - 1)
    }

    private func wait(
        for owner: Int32, _ claim: ClaimQuestion, _ ticket: QueryTicket, _ output: MachineOutput
    ) {
        let displaced = owners.wait(
            for: owner,
            OwnerTable.Waiter(
                ticket: ticket.rawValue, place: claim.place, token: claim.connectionToken,
                principal: claim.principal))
        if let repeated = displaced.repeated { answer(QueryTicket(repeated), .repeated, output) }
        if let pushed = displaced.pushed { answer(QueryTicket(pushed), .superseded, output) }
        evict(owner, .takenOver, output)
    }

    private func evict(
        _ owner: Int32, _ reason: OwnerEvictMessage.Reason, _ output: MachineOutput
    ) {
        let message = OwnerEvictMessage(
            session: SessionName(
                tenant: tenants.name(owners[owner].pointee.tenant),
                clientID: [UInt8](owners.clientID(owner))),
            ownerEpoch: OwnerEpoch(owners[owner].pointee.epoch),
            connectionToken: owners[owner].pointee.token, reason: reason)
        output.outbox.send(.ownerEvict, to: owners.place(of: owner)) {
            message.encode(into: &$0)
        }
    }

    /// An administrator's word: the owner, if the leader knows one, is told to close.
    func evictOwner(
        of session: SessionName, _ reason: OwnerEvictMessage.Reason, _ output: MachineOutput
    ) {
        guard leaderTerm != nil else { return }
        let owner = findOwner(session)
        if owner >= 0 { evict(owner, reason, output) }
    }

    /// Who owns a client id; a new leader knows it of attached sessions from the log.
    func showOwner(_ session: SessionName, _ ticket: QueryTicket, _ output: MachineOutput) {
        guard leaderTerm != nil else {
            return output.answer(ticket) { $0.append(status: .notLeader) }
        }
        var owner = findOwner(session)
        let record = find(session)
        if owner < 0, record >= 0 { owner = adoptLoggedOwner(record, session) }
        guard owner >= 0 else {
            return output.answer(ticket) { $0.append(status: .noSession) }
        }
        let answer = OwnerAnswer(
            ownerEpoch: OwnerEpoch(owners[owner].pointee.epoch), place: owners.place(of: owner),
            connectionToken: owners[owner].pointee.token,
            principal: [UInt8](owners.principal(owner)))
        output.answer(ticket) { writer in
            writer.append(status: .ok)
            answer.encode(into: &writer)
        }
    }

    func ownerReleased(_ message: OwnerReleasedMessage, _ output: MachineOutput) {
        let owner = findOwner(message.session)
        guard owner >= 0, owners[owner].pointee.epoch == message.ownerEpoch.rawValue else {
            return
        }
        release(owner, output)
    }

    /// The client id is free: the next in line has it, or nobody.
    private func release(_ owner: Int32, _ output: MachineOutput) {
        guard let (waiter, hasMore) = owners.nextWaiter(owner) else {
            let tenant = owners[owner].pointee.tenant
            owners.remove(owner)
            return tenants.release(tenant)
        }
        owners.replace(
            owner, principal: waiter.principal, place: waiter.place, token: waiter.token,
            epoch: nextEpoch())
        grant(owner, QueryTicket(waiter.ticket), output)
        if hasMore {
            owners[owner].pointee.isEvicted = true
            evict(owner, .takenOver, output)
        }
    }

    /// A connection that a leader before this one knew.
    func ownerAnnounced(_ message: OwnerAnnounceMessage, _ place: Place) {
        epochMax = max(epochMax, message.ownerEpoch.rawValue)
        guard findOwner(message.session) < 0 else { return }
        _ = addOwner(
            message.session, principal: message.principal, place, token: message.connectionToken,
            epoch: message.ownerEpoch.rawValue)
    }

    /// `MessageKind.ownersFenced`: version u8, node u64, worker u16 (0xFFFF: all of the node).
    func ownersFenced(_ raw: UnsafeRawBufferPointer, _ output: MachineOutput) {
        var fields = FieldReader(raw)
        guard fields.u8() == InboxLimits.formatVersion else { return }
        let fenced = fields.place()
        guard fields.isComplete else { return }
        for owner in owners.indices {
            let place = owners.place(of: owner)
            if place.node == fenced.node,
                place.worker == fenced.worker || fenced.worker.rawValue == 0xFFFF
            {
                release(owner, output)
            }
        }
    }

    /// The body of `MessageKind.ownersFenced`.
    package static func encodeOwnersFenced(_ place: Place, into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        writer.append(place: place)
    }
}
