import Base

/// Timers: the time of CONNECT, keep alive, and what else a worker looks at again later.
extension Worker {
    /// What a timer of a session is for.
    enum TimerKind: UInt32 {
        case connect = 1
        case keepAlive = 2
        /// Messages of outboxes are tried again.
        case outbox = 3
        /// The authoriser has not answered in time.
        case access = 4
        /// A look at what memory is left.
        case overload = 5
        /// What a group's inbox did not take is tried again.
        case groupRetry = 6
        /// Members of groups say again what they may hold.
        case groupCredit = 7
        /// The bandwidth of a connection may have tokens again, in or out.
        case input = 10
        case output = 11
    }

    func armConnectTimer(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, at deadline: Instant
    ) {
        session.pointee.timer = timers.schedule(
            at: deadline,
            token: connectionToken(session, index), kind: TimerKind.connect.rawValue)
    }

    /// One timer per connection; activity only moves a time stamp, the timer follows when it fires.
    func armKeepAlive(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        timers.cancel(session.pointee.timer)
        session.pointee.timer = .none
        guard session.pointee.keepAlive > 0 else { return }
        session.pointee.timer = timers.schedule(
            at: session.pointee.lastReceived + keepAliveSpan(session),
            token: connectionToken(session, index), kind: TimerKind.keepAlive.rawValue)
    }

    /// One and a half times the keep alive [MQTT-3.1.2-22].
    private func keepAliveSpan(_ session: UnsafeMutablePointer<Session>) -> Duration {
        .milliseconds(Int(session.pointee.keepAlive) * 1500)
    }

    func fireTimers() {
        timers.advance(to: now)
        while let due = timers.popDue() {
            if carryOutTimer(due) { continue }
            withSession(sessionRef(ofToken: due.token)) { session, index in
                session.pointee.timer = .none
                if due.kind == TimerKind.connect.rawValue {
                    connectTimedOut(session, index)
                } else {
                    checkKeepAlive(session, index)
                }
            }
        }
    }

    /// A timer that is of no session; false if it is of one.
    private func carryOutTimer(_ due: DueTimer) -> Bool {
        switch TimerKind(rawValue: due.kind) {
        case .outbox: retryOutboxes()
        case .access: judgementTimedOut(due.token)
        case .overload: lookAtMemory()
        case .groupRetry: retryGroups()
        case .groupCredit: regrantGroups(isTimer: true)
        case .input:
            withSession(sessionRef(ofToken: due.token)) { inputTimerFired($0, $1) }
        case .output:
            withSession(sessionRef(ofToken: due.token)) { outputTimerFired($0, $1) }
        case .connect, .keepAlive, nil: return false
        }
        return true
    }

    /// Who has not said what it owes is closed without a word; whom we owe an answer gets one.
    private func connectTimedOut(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        switch session.pointee.phase {
        case .live, .closing: break
        case .awaitsConnect: end(session, index, .channel(.connectTimeout))
        case .authenticating:
            guard session.pointee.flags.contains(.busy) else {
                end(session, index, .channel(.connectTimeout))
                return
            }
            refuseConnect(
                session, index, .serverUnavailable,
                .channel(.authError(reason: "the authenticator has not answered in time")))
        case .claiming, .attaching:
            refuseConnect(
                session, index, .serverUnavailable,
                .disconnect(.inboxTransientError(reason: "no answer in time")))
        }
    }

    private func checkKeepAlive(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        // Keep alive does not run against a client that we do not read.
        let isDeaf = session.pointee.flags.contains(.deaf)
        if session.pointee.isHeld && !isDeaf || session.pointee.flags.contains(.inputPaused) {
            session.pointee.lastReceived = now
        }
        if now - session.pointee.lastReceived >= keepAliveSpan(session) {
            disconnect(
                session, index, .keepAliveTimeout,
                .disconnect(.idle(keepAlive: Int(session.pointee.keepAlive))))
        } else {
            armKeepAlive(session, index)
        }
    }
}
