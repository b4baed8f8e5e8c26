import Base
import Inbox

/// QoS 2 from a stored session: PUBLISH goes into its outbox, PUBREL frees its packet identifier.
/// What an outbox sends on is in `Worker+Outbox`.
extension Worker {
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
}
