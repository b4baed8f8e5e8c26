import Base
import Inbox
import MQTT
import Policy

/// Why a connection ended, as its port says.
package enum ConnectionEnd: Sendable {
    case peerClosed
    case failed(String)
    case byUs
    case inputLimit
}

/// The end of connections: DISCONNECT, a socket that broke, and what a session leaves behind.
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
        nameBytes -= session.pointee.names.byteCount
        if session.pointee.rare != nil { rareCount -= 1 }
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
        dropReplays(session)
        for slot in session.pointee.filters.array { dropFilter(slot, session, index) }
        session.pointee.filters.removeAll()
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
}
