import Base
import Inbox
import KV
import MQTT
import Policy

/// Why a connection ended, as its port says.
package enum ConnectionEnd: Sendable {
    case peerClosed
    case failed(String)
    case byUs
    case inputLimit
}

/// The end of connections, and time.
extension Worker {
    /// Ends a connection from our side, once what was written to it has been sent.
    func end(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, _ event: @autoclosure () -> Event
    ) {
        guard session.pointee.phase != .closing else { return }
        let event = event()
        report(event.kind, session) { event }
        leave(session, index)
        settle(session)
        port.close(session.pointee.connection, afterFlush: true)
    }

    /// DISCONNECT of the client.
    func handleDisconnect(
        _ packet: DisconnectPacket, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        if let seconds = packet.sessionExpiryInterval {
            guard let rare = session.pointee.rare, rare.expirySeconds > 0 || seconds == 0 else {
                // It was 0 in CONNECT, so there is nothing that could be kept [MQTT-3.14.2-2].
                if seconds > 0 {
                    disconnect(
                        session, index, .protocolError,
                        .disconnect(
                            .protocolViolation(statement: "session expiry raised from 0")))
                    return
                }
                disconnectByClient(packet, session, index)
                return
            }
            let settings = tenants[session.pointee.tenant].pointee.settings
            rare.expiryOverride = min(seconds, UInt32(clamping: settings.sessionExpirySecondsMax))
        }
        disconnectByClient(packet, session, index)
    }

    private func disconnectByClient(
        _ packet: DisconnectPacket, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        // Only 0x00 discards the will: with 0x04 and with every error it is published.
        if packet.reasonCode == .normalDisconnection {
            session.pointee.flags.insert(.willDiscarded)
        }
        end(session, index, .disconnect(.byClient(withoutDisconnect: false)))
    }

    /// The port has closed the connection; its cell is freed.
    package func closed(_ index: Int32, _ reason: ConnectionEnd) {
        let session = sessions[pointer: index]
        if session.pointee.phase != .closing {
            reportLoss(reason, session)
            leave(session, index)
        }
        settle(session)
        metrics.connectionsClosed &+= 1
        liveGenerations[Int(index)] = 0
        sessions.remove(index)
    }

    private func reportLoss(
        _ reason: ConnectionEnd, _ session: UnsafeMutablePointer<Session>
    ) {
        let isLive = session.pointee.phase == .live
        let event: Event =
            switch reason {
            case .peerClosed:
                isLive
                    ? .disconnect(.byClient(withoutDisconnect: true))
                    : .channel(.channelError(cause: "closed by the client"))
            case .failed(let cause):
                isLive
                    ? .disconnect(.clientChannelError(cause: cause))
                    : .channel(.channelError(cause: cause))
            case .byUs: isLive ? .disconnect(.byServer) : .channel(.channelError(cause: "closed"))
            case .inputLimit:
                isLive
                    ? .disconnect(.badPacket(cause: "input limit"))
                    : .channel(.protocolError(statement: "input limit"))
            }
        report(event.kind, session) { event }
    }

    /// Takes the session off this worker: routes, stored session, ownership, quotas.
    private func leave(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        if session.pointee.phase == .live {
            metrics.sessionsLive &-= 1
            if session.pointee.machine.isStored { metrics.storedLive &-= 1 }
            noteLeaving(session)
        }
        timers.cancel(session.pointee.timer)
        session.pointee.timer = .none
        leaveGroups(session, index)
        for slot in session.pointee.filters { dropFilter(slot, session, index) }
        session.pointee.filters = []
        let isDetaching =
            session.pointee.flags.contains(.attached) && detach(session, index)
        if session.pointee.flags.contains(.owned), !isDetaching {
            freeClientID(
                sessionName(session), session.pointee.ownerEpoch, connectionToken(session, index))
        }
        let unsent = session.pointee.machine.queue.count
        if unsent > 0 {
            events.metrics.count(.sessionClosed, session.pointee.tenant, by: unsent)
        }
        giveBackQuotas(session)
        if session.pointee.flags.contains(.seated) { nodeLoad.giveBackSeat() }
        session.pointee.phase = .closing
    }

    /// Tells the inbox that the connection has gone. Until it knows, the client id is not free: the
    /// next connection would find the session, and the will, as if nothing had been said.
    private func detach(_ session: UnsafeMutablePointer<Session>, _ index: Int32) -> Bool {
        let name = sessionName(session)
        let stored = session.pointee.rare?.stored
        if let stored, !stored.acknowledgements.isEmpty {
            let command = AcknowledgeCommand(
                tenant: name.tenant,
                items: [
                    AcknowledgeCommand.Item(
                        clientID: name.clientID, ownerEpoch: session.pointee.ownerEpoch,
                        entries: stored.acknowledgements)
                ])
            propose(.inbox, InboxKeys.sessionPrefix(name), .detach) {
                InboxCommand.acknowledge(command).encode(into: &$0)
            }
        }
        let command = DetachCommand(
            session: name, ownerEpoch: session.pointee.ownerEpoch,
            reason: detachReason(session), expirySeconds: session.pointee.rare?.expiryOverride,
            sentThrough: stored?.sentThrough ?? 0)
        let token = connectionToken(session, index)
        let departure = Operation.departure(
            name, session.pointee.ownerEpoch, connectionToken: token)
        let isAccepted = propose(.inbox, InboxKeys.sessionPrefix(name), departure) {
            InboxCommand.detach(command).encode(into: &$0)
        }
        if isAccepted { departing.insert(token) }
        return isAccepted
    }

    private func detachReason(_ session: UnsafeMutablePointer<Session>) -> DetachReason {
        if session.pointee.flags.contains(.willDiscarded) { return .discardWill }
        if let will = session.pointee.rare?.will, !permitsWill(will, session) {
            dropWill(will, session)
            return .discardWill
        }
        let settings = tenants[session.pointee.tenant].pointee.settings
        if isDraining, settings.noWillWhenServerShuttingDown {
            if session.pointee.rare?.will != nil {
                events.metrics.count(.willSuppressed, session.pointee.tenant)
            }
            return .discardWill
        }
        return .connectionLost
    }

    /// A will that its owner may no longer publish.
    private func dropWill(_ will: WillMessage, _ session: UnsafeMutablePointer<Session>) {
        let topic = String(decoding: will.topic, as: UTF8.self)
        let qos = Int(will.qos.rawValue)
        report(.pubActionDisallow, session) {
            .access(
                .pubActionDisallow(topic: topic, qos: qos, isWill: true, isRetain: will.retain))
        }
        events.drop(.noPubPermission, kind: .willDistError, session.pointee.tenant) {
            record(session) {
                .publish(
                    .willDistError(
                        topic: topic, qos: qos, reason: DropReason.noPubPermission.name))
            }
        }
    }

    /// The connection has gone and its inbox knows. Another may have the client id as soon as no
    /// retained message of this one is under commitment: it would overtake a newer one.
    func freeClientID(_ name: SessionName, _ epoch: OwnerEpoch, _ token: UInt64) {
        let publisher = MessageRecord.publisherHash(tenant: name.tenant, clientID: name.clientID)
        let key = RetainLaneKey(publisherHash: publisher, isOutbox: false)
        if retainLanes[key] != nil {
            departing.insert(token)
            retainLanes[key]?.leaving.append(
                LeavingOwner(name: name, epoch: epoch, connectionToken: token))
        } else {
            departing.remove(token)
            release(name, epoch)
        }
    }

    func release(_ name: SessionName, _ epoch: OwnerEpoch) {
        let message = OwnerReleasedMessage(session: name, ownerEpoch: epoch)
        _ = InboxKeys.sessionPrefix(name).withRawSpan { key in
            client.send(.ownerReleased, .inbox, key: key, outbox: outbox) {
                message.encode(into: &$0)
            }
        }
    }

    /// Another connection takes the client id, or an administrator ended the session.
    func receiveEvict(_ bytes: RawSpan) {
        guard let message = bytes.withUnsafeBytes({ OwnerEvictMessage.decode($0) }) else {
            metrics.damagedFrames &+= 1
            return
        }
        let ref = sessionRef(ofToken: message.connectionToken)
        guard let session = find(ref), session.pointee.ownerEpoch == message.ownerEpoch else {
            if departing.contains(message.connectionToken) { return }
            // Gone already: say so, in case the first release was lost.
            release(message.session, message.ownerEpoch)
            return
        }
        switch message.reason {
        case .takenOver:
            report(.sessionTakenOver, session) {
                .session(.takenOver(sessionID: sessionID(session)))
            }
            disconnect(
                session, ref.index, .sessionTakenOver,
                .disconnect(.kicked(kicker: "another connection")))
        case .terminated:
            session.pointee.flags.remove(.attached)
            disconnect(
                session, ref.index, .administrativeAction,
                .disconnect(.kicked(kicker: "administrator")))
        }
    }

    /// Clients whose queue overflowed under the policy that ends them.
    func endSlowConsumers() {
        for ref in slowConsumers {
            withSession(ref) { session, index in
                disconnect(
                    session, index, .quotaExceeded,
                    .disconnect(.resourceThrottled(reason: "queue of a slow consumer")))
            }
        }
        slowConsumers.removeAll(keepingCapacity: true)
    }

    // MARK: Time

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
