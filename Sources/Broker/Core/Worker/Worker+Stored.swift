import Base
import Inbox
import KV
import MQTT
import Policy

/// A stored session as its owner sees it: attach, pushes and credit, acknowledgements, outbox.
///
/// Its queue lives in an inbox range. The range's leader pushes entries within the credit that we
/// grant; what the client acknowledges is committed there, one command per session and turn.
extension Worker {
    // MARK: Attach and detach

    func attach(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, sentThrough: UInt64
    ) {
        guard let rare = session.pointee.rare else { return }
        session.pointee.phase = .attaching
        let name = sessionName(session)
        let settings = tenants[session.pointee.tenant].pointee.settings
        var command = AttachCommand(
            session: name, principal: session.pointee.principal,
            ownerEpoch: session.pointee.ownerEpoch, place: place,
            connectionToken: connectionToken(session, index),
            cleanStart: session.pointee.flags.contains(.cleanStart),
            expirySeconds: rare.expirySeconds, limits: queueLimits(settings),
            sentThrough: sentThrough, will: rare.will.map { storedWill($0, session) })
        command.isNewRefused = !reserveStoredSession(session)
        rare.queueLimits = command.limits
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name), .attach(ref(session, index))
        ) { InboxCommand.attach(command).encode(into: &$0) }
        if !accepted {
            refuseConnect(
                session, index, .serverBusy,
                .disconnect(.inboxTransientError(reason: "attach refused")))
        }
    }

    func queueLimits(_ settings: TenantSettings) -> QueueLimits {
        let policy: QueuePolicy =
            switch settings.slowConsumerPolicy {
            case .dropOldest: .dropOldest
            case .dropNewest, .disconnect: .dropNewest
            }
        return QueueLimits(
            messagesMax: UInt32(clamping: settings.sessionQueueMessagesMax),
            bytesMax: UInt32(clamping: settings.sessionQueueBytesMax), policy: policy,
            dropsOldestQoS0: settings.qos0DropOldest)
    }

    private func storedWill(
        _ will: WillMessage, _ session: UnsafeMutablePointer<Session>
    ) -> StoredWill {
        var writer = ByteWriter(capacity: 128 + will.payload.count)
        let tenant = tenantBytes(session.pointee.tenant)
        let fields = MessageRecordFields(
            qos: will.qos, retain: will.retain, expirySeconds: will.messageExpiry,
            publishedAt: wallTime, publisherHash: session.pointee.publisherHash)
        MessageRecordEncoding(
            fields, tenantSize: tenant.count, clientIDSize: session.pointee.clientID.count,
            topicSize: will.topic.count, propertiesSize: will.forwardedProperties.count,
            payloadSize: will.payload.count
        ).write(
            into: &writer, tenant: tenant.span.bytes, clientID: session.pointee.clientID.span.bytes,
            topic: will.topic.span.bytes, properties: will.forwardedProperties.span.bytes,
            payload: will.payload.span.bytes)
        return StoredWill(delaySeconds: will.delayInterval, record: writer.array)
    }

    func attached(
        _ result: AttachResult, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        session.pointee.flags.insert(.attached)
        giveBackReservedSession(session)
        guard let rare = session.pointee.rare else { return }
        rare.stored = StoredState(
            incarnation: result.incarnation,
            limits: rare.queueLimits)
        if result.isStored, !session.pointee.machine.isStored {
            // Without an expiry interval, but there is a session: it is resumed with all that it
            // has, and ends with this connection [MQTT-3.1.2-5].
            session.pointee.machine = SessionMachine(
                version: session.pointee.machine.version, isStored: true,
                receiveMaximum: session.pointee.machine.receiveMaximum)
        }
        for packetID in result.inboundPacketIDs {
            session.pointee.machine.inbound.restore(unreleased: packetID)
        }
        if result.isSessionPresent { checkResumedDeliveries(session) }
        finishConnect(session, index, sessionPresent: result.isSessionPresent)
        guard result.isStored, session.pointee.phase == .live else { return }
        grantCredit(session, restarts: true)
        restoreMemberships(
            result.subscriptions, skip: 0, hasMore: result.hasMoreSubscriptions, session, index)
    }

    // MARK: Pushes

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
    private func creditMessages(_ session: UnsafeMutablePointer<Session>) -> Int {
        let most = min(
            Int(session.pointee.machine.receiveMaximum), WorkerLimits.pushCreditMessages)
        guard session.pointee.flags.contains(.outputFull) else { return most }
        return min(most, tenants[session.pointee.tenant].pointee.settings.sendWindowMin)
    }

    /// How many bytes: not more than its bandwidth lets through in a second.
    private func creditBytes(_ session: UnsafeMutablePointer<Session>) -> Int {
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

    // MARK: Acknowledgements

    /// How far the client's acknowledgement of an entry went.
    enum StoredAcknowledgement {
        case finished
        case received
    }

    func acknowledgeStored(
        _ sequence: UInt64, _ kind: StoredAcknowledgement,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard let stored = session.pointee.rare?.stored else { return }
        switch kind {
        case .finished:
            let size = stored.openSizes.removeValue(forKey: sequence) ?? 0
            finishStored(sequence, size: size, session, index)
        case .received:
            stored.unreleased.append(sequence)
            stored.acknowledgements.append(
                AcknowledgeCommand.Entry(sequence: sequence, kind: .pubrecReceived))
            markAcknowledging(session, index)
        }
    }

    private func finishStored(
        _ sequence: UInt64, size: Int, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard let stored = session.pointee.rare?.stored else { return }
        stored.messagesFinished += 1
        if stored.replayDebt > 0 {
            stored.replayDebt -= 1
            resumeReplays(session)
        }
        if !stored.transferred.isEmpty {
            let oldest = stored.transferred.removeFirst()
            acknowledge(oldest.membership, oldest.sequence, .acknowledged)
        }
        stored.bytesFinished += UInt64(size)
        guard sequence != 0 else { return }
        stored.acknowledgements.append(
            AcknowledgeCommand.Entry(sequence: sequence, kind: .acknowledged))
        markAcknowledging(session, index)
    }

    private func markAcknowledging(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard let stored = session.pointee.rare?.stored, !stored.isMarked else { return }
        stored.isMarked = true
        acknowledging.append(ref(session, index))
    }

    /// End of turn: one command for each session that acknowledged something, and more credit for
    /// those that have used half of theirs.
    func flushAcknowledgements() {
        for ref in acknowledging {
            guard let session = find(ref), let stored = session.pointee.rare?.stored else {
                continue
            }
            proposeAcknowledgements(stored, session, ref)
            if session.pointee.flags.contains(.outputHeld) { continue }
            let messagesLeft = Int(stored.messagesGranted) - Int(stored.messagesFinished)
            let bytesLeft = Int(stored.bytesGranted) - Int(stored.bytesFinished)
            if messagesLeft <= creditMessages(session) / 2 || bytesLeft <= creditBytes(session) / 2
            {
                grantCredit(session, restarts: false)
            }
        }
        acknowledging.removeAll(keepingCapacity: true)
    }

    private func proposeAcknowledgements(
        _ stored: StoredState, _ session: UnsafeMutablePointer<Session>, _ ref: SessionRef
    ) {
        stored.isMarked = false
        guard !stored.acknowledgements.isEmpty else { return }
        let name = sessionName(session)
        let entries = stored.acknowledgements
        stored.acknowledgements.removeAll(keepingCapacity: true)
        let received = entries.filter { $0.kind == .pubrecReceived }.map(\.sequence)
        let command = AcknowledgeCommand(
            tenant: name.tenant,
            items: [
                AcknowledgeCommand.Item(
                    clientID: name.clientID, ownerEpoch: session.pointee.ownerEpoch,
                    entries: entries)
            ])
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name), .acknowledge(ref, received: received)
        ) { InboxCommand.acknowledge(command).encode(into: &$0) }
        if !accepted {
            // The range takes nothing now: keep them for the next turn.
            stored.acknowledgements = entries + stored.acknowledgements
            retryAcknowledging.append(ref)
        }
    }

    /// PUBREC is committed: PUBREL may be sent, and is owed from now on. Without a commit the
    /// connection ends: its next one finds every exchange where the inbox has it.
    func acknowledged(
        _ sequences: [UInt64], _ result: BatchResult?, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        guard result?.statuses.first == .ok else {
            metrics.outcomesUnknown &+= 1
            disconnect(
                session, index, .serverBusy,
                .disconnect(.inboxTransientError(reason: "acknowledgement")))
            return
        }
        guard let stored = session.pointee.rare?.stored else { return }
        // Answers may overtake each other; PUBREL keeps the order of PUBREC [MQTT-4.6.0-4].
        stored.committed.formUnion(sequences)
        while let sequence = stored.unreleased.first,
            stored.committed.remove(sequence) != nil
        {
            stored.unreleased.removeFirst()
            guard session.pointee.machine.completeReceived(sequence) else { continue }
            sendAcknowledgement(
                .pubrel, session, packetID: OutboundWindow.packetID(of: sequence),
                reasonCode: .success)
        }
    }

    // MARK: QoS 2 in

    /// A QoS 2 publish of a stored session goes into its outbox; PUBREC follows the commit.
    func putIntoOutbox(
        _ message: inout Message, packetID: UInt16, serial: UInt32,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let name = sessionName(session)
        let record = message.record()
        let command = OutboxPutCommand(
            tenant: name.tenant,
            items: [
                OutboxPutCommand.Item(
                    clientID: name.clientID, ownerEpoch: session.pointee.ownerEpoch,
                    packetID: packetID, record: [UInt8](record.bytes))
            ])
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name), .outboxPut(ref(session, index), serial: serial)
        ) { InboxCommand.outboxPut(command).encode(into: &$0) }
        if !accepted { completePublish(serial, .quotaExceeded, session, index) }
    }

    func outboxPutDone(
        _ serial: UInt32, _ result: OutboxPutResult?, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        switch result?.items.first?.status {
        case .ok, .duplicate: completePublish(serial, .success, session, index)
        case .quotaExceeded: completePublish(serial, .quotaExceeded, session, index)
        case .malformed, .staleOwner, .noSession, .notAuthorised, .superseded, .repeated,
            .notLeader, nil:
            // Whether it is stored cannot be known: no acknowledgement, the client comes again.
            metrics.outcomesUnknown &+= 1
            disconnect(
                session, index, .serverBusy,
                .disconnect(.inboxTransientError(reason: "outbox")))
        }
    }

    /// PUBREL of a stored session: its record of the packet id may go, lazily.
    func releaseStored(
        _ packetID: UInt16, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let name = sessionName(session)
        let command = PubrelReceivedCommand(
            tenant: name.tenant,
            items: [
                PubrelReceivedCommand.Item(
                    clientID: name.clientID, ownerEpoch: session.pointee.ownerEpoch,
                    packetIDs: [packetID])
            ])
        propose(.inbox, InboxKeys.sessionPrefix(name), .pubrel) {
            InboxCommand.pubrelReceived(command).encode(into: &$0)
        }
    }

    /// An inbox dropped queued messages by its bounds: counted by tenant and reason.
    func receiveDropped(_ body: RawSpan) {
        guard let dropped = body.withUnsafeBytes({ InboxDroppedMessage.decode($0) }),
            let name = dropped.session.tenant.withRawSpan({ TenantName(bytes: $0) }),
            let tenant = tenantSlot(name)
        else {
            metrics.damagedFrames &+= 1
            return
        }
        let reason: DropReason =
            switch dropped.reason {
            case .messageExpired: .expired
            case .sessionEnded, .sessionExpired: .sessionClosed
            case .queueFull: .overflow
            case .qos0Offline: .offlineQoS0
            case .groupEnded: .groupUnavailable
            }
        if dropped.count > 0 { events.metrics.count(reason, tenant, by: Int(dropped.count)) }
        let sessionID =
            String(decoding: dropped.principal, as: UTF8.self) + "/"
            + String(decoding: dropped.session.clientID, as: UTF8.self)
        func tell(_ kind: EventKind, _ event: SessionEvent) {
            events.report(kind, tenant) {
                record(tenant, dropped.session.clientID) { .session(event) }
            }
        }
        switch dropped.reason {
        case .messageExpired, .qos0Offline, .groupEnded: break
        case .queueFull:
            tell(.overflowed, .overflowed(isOldest: true, dropCount: Int(dropped.count)))
        case .sessionExpired:
            tell(.sessionExpired, .expired(sessionID: sessionID))
            tell(.mqttSessionStop, .sessionStop(sessionID: sessionID, isStored: true))
        case .sessionEnded:
            tell(.mqttSessionStop, .sessionStop(sessionID: sessionID, isStored: true))
        }
    }
}

/// The owner's view of a stored session's queue.
final class StoredState {
    let incarnation: UInt64
    /// Highest sequence that was pushed to us.
    var cursor: UInt64 = 0
    /// Highest sequence that was written to the client.
    var sentThrough: UInt64 = 0
    /// Totals since the credit was last restarted.
    var messagesFinished: UInt64 = 0
    var bytesFinished: UInt64 = 0
    var messagesGranted: UInt64 = 0
    var bytesGranted: UInt64 = 0
    /// Bytes of entries that the client has not acknowledged, by sequence; at most the credit.
    var openSizes: [UInt64: Int] = [:]
    /// PUBREC came and PUBREL has not left, in the order of PUBREC; and those of them that the
    /// inbox has committed. At most the receive maximum.
    var unreleased: [UInt64] = []
    var committed: Set<UInt64> = []
    /// Acknowledgements of this turn.
    var acknowledgements: [AcknowledgeCommand.Entry] = []
    /// Replayed retained messages that the client has not acknowledged, about.
    var replayDebt = 0
    /// Pushed and not sent; at most the credit.
    var waiting: [PushMessage.Entry] = []
    /// Entries of groups' inboxes that were put into its own, oldest first; each is acknowledged to
    /// its group with the next message that the client finishes. At most its credit.
    var transferred: [(membership: GroupMembership, sequence: UInt64)] = []
    /// In the worker's list of sessions with acknowledgements.
    var isMarked = false
    /// Bounds of the queue as the inbox knows them.
    var limits: QueueLimits

    init(incarnation: UInt64, limits: QueueLimits) {
        self.incarnation = incarnation
        self.limits = limits
    }

    func restart() {
        messagesFinished = 0
        bytesFinished = 0
        messagesGranted = 0
        bytesGranted = 0
    }
}
