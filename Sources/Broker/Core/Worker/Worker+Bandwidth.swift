import Base
import MQTT
import Policy

/// What a connection has used of its bandwidth. Only where its tenant limits it.
struct BandwidthState {
    /// Of the session, for timers that output sets.
    var index: Int32 = -1
    var input = TokenBucket()
    var output = TokenBucket()
    /// Since when it is not read because the tenant's bytes are used up; the end of time if not.
    var exhaustedSince = Instant.distantFuture
    /// A timer of each is set: a connection has at most one.
    var hasInputTimer = false
    var hasOutputTimer = false

    /// Nothing has been limited.
    var isUntouched: Bool {
        index < 0 && input.isUntouched && output.isUntouched && !hasInputTimer && !hasOutputTimer
            && exhaustedSince == .distantFuture
    }
}

/// Bytes per second of one connection, and those of its tenant.
///
/// In: packets are counted as they are handled; a connection that has used up its second is not
/// read until there is some again. Out: messages are counted as they are written; then they wait in
/// the session's queue, QoS 0 too. Acknowledgements are never held back. Nothing of it happens
/// where no limit is set: flags say so (`refreshMeters`).
extension Worker {
    // MARK: In

    func meterInput(
        _ count: Int, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard session.pointee.phase == .live else { return }
        let (own, shared) = inputDelays(after: count, session)
        let delay = max(own, shared)
        guard delay > .zero else { return }
        let rare = rareState(session)
        if !session.pointee.flags.contains(.inputHeld) {
            session.pointee.flags.insert(.inputHeld)
            if session.pointee.flags.isDisjoint(with: [.busy, .yielded]) {
                port.pauseInput(session.pointee.connection)
            }
        }
        rare.bandwidth.exhaustedSince = shared > .zero ? now : .distantFuture
        armInput(delay, session, index)
    }

    /// How long until the connection, and its tenant, may go on.
    private func inputDelays(
        after count: Int, _ session: UnsafeMutablePointer<Session>
    ) -> (own: Duration, shared: Duration) {
        let tenant = tenants[session.pointee.tenant]
        let rare = rareState(session)
        let rate = TokenRate(perSecond: tenant.pointee.settings.inboundBytesPerSecond)
        rare.bandwidth.input.force(count, rate, now: now)
        let shared = tenant.pointee.account.force(
            .totalInboundBytesPerSecond, count,
            limit: tenant.pointee.settings.totalInboundBytesPerSecond, now: now)
        let own = rare.bandwidth.input.delay(for: 1, rate, now: now)
        let refused = gate.refuses(.totalInboundBytesPerSecond, count, tenant)
        return (own, refused ? max(shared, WorkerLimits.throttledFor) : shared)
    }

    private func armInput(
        _ delay: Duration, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let rare = rareState(session)
        guard !rare.bandwidth.hasInputTimer else { return }
        rare.bandwidth.hasInputTimer = true
        let pause = min(max(delay, WorkerLimits.inputHeldMin), WorkerLimits.inputHeldMax)
        _ = timers.schedule(
            at: now + pause, token: connectionToken(session, index),
            kind: TimerKind.input.rawValue)
    }

    func inputTimerFired(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        session.pointee.rare?.bandwidth.hasInputTimer = false
        if session.pointee.flags.contains(.inputHeld) { inputDue(session, index) }
    }

    /// Reads on if there is bandwidth again; ends a connection that the tenant's use has held too
    /// long.
    func inputDue(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        let (own, shared) = inputDelays(after: 0, session)
        let rare = rareState(session)
        if shared == .zero { rare.bandwidth.exhaustedSince = .distantFuture }
        if max(own, shared) == .zero {
            session.pointee.flags.remove(.inputHeld)
            session.pointee.lastReceived = now
            if session.pointee.flags.isDisjoint(with: [.busy, .yielded]) {
                port.resumeInput(session.pointee.connection)
            }
            return
        }
        let since = rare.bandwidth.exhaustedSince
        if since <= now, now - since >= WorkerLimits.inputHeldMax {
            reportExhausted(.totalInboundBytesPerSecond, session)
            disconnect(
                session, index, .messageRateTooHigh,
                .disconnect(
                    .resourceThrottled(reason: ResourceType.totalInboundBytesPerSecond.name)))
            return
        }
        armInput(max(own, shared), session, index)
    }

    // MARK: Out

    /// Nothing more is written: the client has not taken what it has, or its bandwidth is used up.
    @inline(__always)
    func isOutputFull(_ session: UnsafeMutablePointer<Session>) -> Bool {
        !session.pointee.flags.isDisjoint(with: [.outputFull, .outputHeld])
    }

    /// The same for QoS 1 and 2, of which a client that reads slowly gets the tenant's least.
    @inline(__always)
    func isOutputBlocked(_ session: UnsafeMutablePointer<Session>) -> Bool {
        isOutputFull(session) && !mayFillWindow(session)
    }

    private func mayFillWindow(_ session: UnsafeMutablePointer<Session>) -> Bool {
        !session.pointee.flags.contains(.outputHeld)
            && session.pointee.machine.outbound.inFlight
                < tenants[session.pointee.tenant].pointee.settings.sendWindowMin
    }

    /// QoS 0 waits where bandwidth is limited, and behind what waits already.
    @inline(__always)
    func mustQueueQoS0(_ session: UnsafeMutablePointer<Session>) -> Bool {
        session.pointee.flags.contains(.metersOutput)
            && (session.pointee.flags.contains(.outputHeld)
                || !session.pointee.machine.queue.isEmpty)
    }

    func meterOutput(_ count: Int, _ session: UnsafeMutablePointer<Session>) {
        let limit = tenants[session.pointee.tenant].pointee.settings.outboundBytesPerSecond
        let rate = TokenRate(perSecond: limit)
        let rare = rareState(session)
        rare.bandwidth.output.force(count, rate, now: now)
        let delay = rare.bandwidth.output.delay(for: 1, rate, now: now)
        guard delay > .zero else { return }
        session.pointee.flags.insert(.outputHeld)
        armOutput(delay, session)
    }

    private func armOutput(_ delay: Duration, _ session: UnsafeMutablePointer<Session>) {
        let rare = rareState(session)
        guard !rare.bandwidth.hasOutputTimer else { return }
        rare.bandwidth.hasOutputTimer = true
        _ = timers.schedule(
            at: now + delay, token: connectionToken(session, rare.bandwidth.index),
            kind: TimerKind.output.rawValue)
    }

    func outputTimerFired(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        session.pointee.rare?.bandwidth.hasOutputTimer = false
        if session.pointee.flags.contains(.outputHeld) { outputDue(session, index) }
    }

    /// Writes on if there is bandwidth again.
    func outputDue(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        let limit = tenants[session.pointee.tenant].pointee.settings.outboundBytesPerSecond
        let rare = rareState(session)
        let delay = rare.bandwidth.output.delay(
            for: 1, TokenRate(perSecond: limit), now: now)
        guard delay == .zero else { return armOutput(delay, session) }
        session.pointee.flags.remove(.outputHeld)
        resumeOutput(session, index)
    }

    /// There may be room again for what waits.
    func resumeOutput(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        sendQueued(session, index)
        if session.pointee.machine.isStored, !isOutputFull(session) {
            grantCredit(session, restarts: false)
        }
    }

    // MARK: Fan-out of the tenant

    /// A message to a session that ends with its connection, of which the tenant has had its share
    /// for this second: dropped and counted.
    func exceedsFanOut(
        _ message: borrowing Message, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let amount = message.topic.count + message.forwarded.count + message.payload.count
        if take(.totalTransientFanOutBytesPerSeconds, amount, session.pointee.tenant) {
            return false
        }
        reportExhausted(.totalTransientFanOutBytesPerSeconds, session)
        drop(.resourceExhausted, message, session)
        return true
    }
}
