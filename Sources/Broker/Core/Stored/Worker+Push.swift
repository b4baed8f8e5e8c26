import Base
import Inbox
import MQTT

/// Pushes of a stored session's queue: the credit that we grant, and entries on their way to the
/// client.
extension Worker {
    /// Grants the inbox leader room to push: everything pushed can be sent at once.
    func grantCredit(_ session: UnsafeMutablePointer<Session>, restarts: Bool) {
        guard let stored = session.pointee.rare?.stored else { return }
        if restarts { stored.restart() }
        stored.messagesGranted = max(
            stored.messagesGranted, stored.messagesFinished + UInt64(creditMessages(session)))
        stored.bytesGranted = max(
            stored.bytesGranted, stored.bytesFinished + UInt64(creditBytes(session)))
        let name = sessionName(session)
        let message = CreditMessage(
            session: name, ownerEpoch: session.pointee.ownerEpoch, cursor: stored.cursor,
            restarts: restarts, messagesTotal: stored.messagesGranted,
            bytesTotal: stored.bytesGranted)
        // A credit that is lost is granted again by the session's timer.
        _ = InboxKeys.sessionPrefix(name).withRawSpan { key in
            client.send(.inboxCredit, .inbox, key: key, outbox: outbox) {
                message.encode(into: &$0)
            }
        }
    }

    /// How many messages may be on their way: as many as the client takes; of one that reads
    /// slowly, the tenant's least.
    func creditMessages(_ session: UnsafeMutablePointer<Session>) -> Int {
        let most = min(
            Int(session.pointee.machine.receiveMaximum), WorkerLimits.pushCreditMessages)
        guard session.pointee.flags.contains(.outputFull) else { return most }
        return min(most, tenants[session.pointee.tenant].pointee.settings.sendWindowMin)
    }

    /// How many bytes: not more than its bandwidth lets through in a second.
    func creditBytes(_ session: UnsafeMutablePointer<Session>) -> Int {
        guard session.pointee.flags.contains(.metersOutput) else {
            return WorkerLimits.pushCreditBytes
        }
        let limit = tenants[session.pointee.tenant].pointee.settings.outboundBytesPerSecond
        return limit == 0
            ? WorkerLimits.pushCreditBytes : min(limit, WorkerLimits.pushCreditBytes)
    }

    /// Entries of a stored session's queue, in sequence order.
    func receivePush(_ bytes: RawSpan) {
        let message = bytes.withUnsafeBytes { PushMessage.decode($0) }
        guard let message else {
            metrics.damagedFrames &+= 1
            return
        }
        withSession(sessionRef(ofToken: message.connectionToken)) { session, index in
            guard session.pointee.ownerEpoch == message.ownerEpoch,
                let stored = session.pointee.rare?.stored
            else { return }
            for entry in message.entries {
                if entry.sequence != 0, entry.sequence <= stored.cursor { continue }
                if entry.sequence != 0 { stored.cursor = entry.sequence }
                if stored.waiting.isEmpty, mayPush(entry, session) {
                    push(entry, stored, session, index)
                    guard session.pointee.phase == .live else { return }
                } else {
                    stored.waiting.append(entry)
                }
            }
        }
    }

    /// What is pushed is sent at once, as far as messages that the session holds for shared groups
    /// leave it the client's receive maximum, and its bandwidth is not used up.
    private func mayPush(
        _ entry: PushMessage.Entry, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        if session.pointee.flags.contains(.outputHeld), !entry.flags.owesPubrel { return false }
        return entry.flags.qos == 0 || entry.flags.owesPubrel
            || session.pointee.machine.leasedCount == 0 || session.pointee.machine.hasSendQuota
    }

    func sendWaiting(
        _ stored: StoredState, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        var sent = 0
        while sent < stored.waiting.count, session.pointee.phase == .live,
            mayPush(stored.waiting[sent], session)
        {
            push(stored.waiting[sent], stored, session, index)
            sent += 1
        }
        stored.waiting.removeFirst(sent)
    }

    private func push(
        _ entry: PushMessage.Entry, _ stored: StoredState,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let sequence = entry.sequence
        if entry.flags.owesPubrel {
            session.pointee.machine.outbound.open(sequence, .awaitsPubcomp)
            sendAcknowledgement(
                .pubrel, session, packetID: OutboundWindow.packetID(of: sequence),
                reasonCode: .success)
            return
        }
        let qos = QoS(rawValue: entry.flags.qos) ?? .atMostOnce
        entry.record.withUnsafeBytes { record in
            entry.subscriptionIDs.withUnsafeBufferPointer { identifiers in
                var message = Message(record: record, tenant: session.pointee.tenant)
                let options = Delivery(
                    qos: qos, retain: entry.flags.retain,
                    subscriptionIDs: SubscriptionIDs(identifiers),
                    dup: qos != .atMostOnce && entry.flags.isRedelivery,
                    packetID: OutboundWindow.packetID(of: sequence))
                defer { options.subscriptionIDs.free() }
                if qos != .atMostOnce {
                    session.pointee.machine.outbound.open(
                        sequence, qos == .atLeastOnce ? .awaitsPuback : .awaitsPubrec)
                }
                let isSent =
                    permitsDelivery(message, qos, session, index)
                    && !isTooSlow(message, qos, session)
                    && write(&message, options, to: session)
                stored.sentThrough = max(stored.sentThrough, sequence)
                if qos == .atMostOnce || !isSent {
                    session.pointee.machine.outbound.finish(sequence)
                    finishStored(sequence, size: record.count, session, index)
                } else {
                    stored.openSizes[sequence] = record.count
                }
            }
        }
    }
}
