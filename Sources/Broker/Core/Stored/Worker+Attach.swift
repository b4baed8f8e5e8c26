import Base
import Inbox
import MQTT
import Policy

/// A stored session is taken into ownership: its inbox is attached, and CONNACK says what it had.
///
/// Its queue lives in an inbox range. The range's leader pushes entries within the credit that we
/// grant (`Worker+Push`); what the client acknowledges is committed there, one command per session
/// and turn (`Worker+StoredAcknowledge`). A session that leaves is detached in `Worker+Close`.
extension Worker {
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
}
