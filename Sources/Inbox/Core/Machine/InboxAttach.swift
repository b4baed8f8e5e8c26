import Base
import KV

/// Connections taking and leaving their sessions.
extension InboxMachine {
    func attach(_ command: AttachCommand, _ position: ApplyPosition, _ output: MachineOutput) {
        guard command.session.clientID.first != 0 else {
            return output.result.append(status: .malformed)
        }
        var index = find(command.session)
        if index >= 0, command.ownerEpoch.rawValue < sessions[index].pointee.ownerEpoch {
            return output.result.append(status: .staleOwner)
        }
        let isStored = index >= 0 && sessions[index].pointee.kind == .stored
        if command.expirySeconds > 0, !isStored, isQuotaReached(command) {
            return output.result.append(status: .quotaExceeded)
        }
        epochMax = max(epochMax, command.ownerEpoch.rawValue)
        var result = AttachResult()
        result.isSessionPresent = isStored && !command.cleanStart
        if index >= 0 {
            settleWillAtTakeover(index, command.cleanStart, position, output)
            if isStored, command.cleanStart {
                result.discardedSubscriptions = sessions[index].pointee.subscriptionCount
                endSession(index, position, output)
            }
        }
        result.isStored = command.expirySeconds > 0 || result.isSessionPresent
        if result.isStored || command.will != nil {
            if index < 0 { index = create(command.session, .residue) }
            take(index, command, result, position, output)
        } else if index >= 0 {
            leaveNothing(index, command, output)
            index = -1
        }
        if index >= 0 { describe(index, &result) }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func isQuotaReached(_ command: AttachCommand) -> Bool {
        if command.isNewRefused { return true }
        guard command.tenantSessionsMax > 0, let tenant = tenants.find(command.session.tenant)
        else { return false }
        return tenantCounts[Int(tenant)].stored >= UInt64(command.tenantSessionsMax)
    }

    /// A transient connection without a will: whatever record there was is a residue now.
    private func leaveNothing(
        _ index: Int32, _ command: AttachCommand, _ output: MachineOutput
    ) {
        setKind(index, .residue)
        setAttached(index, nil)
        sessions[index].pointee.ownerEpoch = command.ownerEpoch.rawValue
        sessions[index].pointee.pusher = nil
        putMetaOrRemove(index, output)
    }

    private func take(
        _ index: Int32, _ command: AttachCommand, _ result: AttachResult,
        _ position: ApplyPosition, _ output: MachineOutput
    ) {
        let session = sessions[index]
        if !result.isSessionPresent {
            setKind(index, result.isStored ? .stored : .willOnly)
            session.pointee.incarnation = newIncarnation(index, position)
        }
        session.pointee.bytes.setPrincipal(command.principal)
        session.pointee.ownerEpoch = command.ownerEpoch.rawValue
        session.pointee.expirySeconds = command.expirySeconds
        session.pointee.expiresAt = 0
        session.pointee.limits = command.limits
        session.pointee.pusher = nil
        setAttached(
            index, SessionConnection(place: command.place, token: command.connectionToken))
        noteSent(index, through: command.sentThrough)
        if let will = command.will { putWill(index, will, output) }
        putMeta(index, output)
        putCounters(index, output)
        schedule(index)
    }

    func changeLimits(_ command: LimitsCommand, _ output: MachineOutput) {
        guard let index = owned(command.session, command.ownerEpoch, output) else { return }
        sessions[index].pointee.limits = command.limits
        putMeta(index, output)
        output.result.append(status: .ok)
    }

    /// Larger than that of any session this client id had: range time never goes back.
    func newIncarnation(_ index: Int32, _ position: ApplyPosition) -> UInt64 {
        max(
            sessions[index].pointee.incarnation + 1,
            BodyID.stamp(time, position))
    }

    /// Entries up to `sequence` may have been sent to the client: they expire no more.
    func noteSent(_ index: Int32, through sequence: UInt64) {
        let session = sessions[index]
        session.pointee.sentThrough = max(
            session.pointee.sentThrough, min(sequence, session.pointee.nextSequence - 1))
        session.pointee.queue?.keep(through: session.pointee.sentThrough)
    }

    private func describe(_ index: Int32, _ result: inout AttachResult) {
        let session = sessions[index]
        result.incarnation = session.pointee.incarnation
        result.nextSequence = session.pointee.nextSequence
        result.sentThrough = session.pointee.sentThrough
        result.queuedMessages = session.pointee.queue?.messages ?? 0
        result.queuedBytes = session.pointee.queue?.bytes ?? 0
        result.inboundPacketIDs = session.pointee.extras?.inbound.map(\.packetID) ?? []
        let page = subscriptionPage(
            index, skip: 0, bytesMax: InboxLimits.subscriptionPageBytes)
        result.subscriptions = page.subscriptions
        result.hasMoreSubscriptions = page.hasMore
    }

    func detach(_ command: DetachCommand, _ position: ApplyPosition, _ output: MachineOutput) {
        let index = find(command.session)
        guard index >= 0, sessions[index].pointee.kind != .residue else {
            return output.result.append(status: .noSession)
        }
        let session = sessions[index]
        guard command.ownerEpoch.rawValue == session.pointee.ownerEpoch,
            session.pointee.connection >= 0
        else { return output.result.append(status: .staleOwner) }
        let isStored = session.pointee.kind == .stored
        if isStored, let seconds = command.expirySeconds { session.pointee.expirySeconds = seconds }
        setAttached(index, nil)
        session.pointee.pusher = nil
        if isStored { noteSent(index, through: command.sentThrough) }
        let will = settleWillAtDetach(index, command.reason, position, output)
        let hasEnded = !isStored || session.pointee.expirySeconds == 0
        if isStored, hasEnded {
            endSession(index, position, output)
        } else if isStored {
            expireLater(index)
            putCounters(index, output)
        } else {
            setKind(index, .residue)
        }
        schedule(index)
        trim(index)
        putMetaOrRemove(index, output)
        output.result.append(status: .ok)
        output.result.append(hasEnded ? 1 : 0)
        output.result.append(will.rawValue)
    }

    /// The expiry interval begins now.
    private func expireLater(_ index: Int32) {
        let session = sessions[index]
        let seconds = session.pointee.expirySeconds
        session.pointee.expiresAt =
            seconds == .max ? 0 : time.advanced(bySeconds: UInt64(seconds)).milliseconds
    }

    /// Ends a stored session: subscriptions become intents to remove their routes, the queue goes.
    ///
    /// The record stays, as a residue, for the caller to store or remove: outbox, intents and
    /// idempotency keys outlive the session. A will that is still there is published.
    func endSession(
        _ index: Int32, _ position: ApplyPosition, _ output: MachineOutput,
        _ reason: InboxDropReason = .sessionEnded
    ) {
        if sessions[index].pointee.extras?.will != nil { publishWill(index, position, output) }
        removeAllSubscriptions(index, output)
        let dropped = removeQueue(index, output)
        reportDropped(index, reason, dropped, output)
        removeInboundAndSources(index, output)
        putCounters(index, output)
        setKind(index, .residue)
        setAttached(index, nil)
        sessions[index].pointee.expiresAt = 0
        sessions[index].pointee.pusher = nil
    }

    private func removeInboundAndSources(_ index: Int32, _ output: MachineOutput) {
        guard let extras = sessions[index].pointee.extras else { return }
        for inbound in extras.inbound {
            beginKey(index, .inbound)
            key.append(bigEndian: inbound.packetID)
            delete(output)
        }
        for source in extras.sources {
            beginSourceKey(index, source.identity, source.origin)
            delete(output)
        }
        extras.inbound = []
        extras.sources = []
    }

    func terminate(
        _ command: TerminateCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        evictOwner(of: command.session, .terminated, output)
        let index = find(command.session)
        let kind = index >= 0 ? sessions[index].pointee.kind : .residue
        guard kind == .stored || kind == .willOnly else {
            return output.result.append(status: .noSession)
        }
        if sessions[index].pointee.extras?.will != nil {
            if command.publishesWill {
                publishWill(index, position, output)
            } else {
                discardWill(index, output)
            }
        }
        if kind == .stored { endSession(index, position, output) }
        setKind(index, .residue)
        setAttached(index, nil)
        putMetaOrRemove(index, output)
        output.result.append(status: .ok)
    }

    /// Treats whole buckets until the slice is full, so that replicas cut at the same record.
    func expireTenant(
        _ command: ExpireTenantCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        let at = time.advanced(bySeconds: UInt64(command.seconds)).milliseconds
        var changed: [Int32] = []
        if let tenant = tenants.find(command.tenant) {
            for bucket in 0..<65_536 where changed.count < InboxLimits.expireSessionsPerCommand {
                sessions.forEach(inBucket: bucket) { index in
                    let session = sessions[index]
                    guard session.pointee.tenant == tenant, session.pointee.kind == .stored,
                        session.pointee.connection < 0,
                        session.pointee.expiresAt == 0 || session.pointee.expiresAt > at
                    else { return }
                    changed.append(index)
                }
            }
        }
        for index in changed {
            sessions[index].pointee.expiresAt = max(at, 1)
            schedule(index)
            putMeta(index, output)
        }
        output.result.append(status: .ok)
        output.result.append(bigEndian: UInt64(changed.count))
    }
}
