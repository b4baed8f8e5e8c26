import Base
import Inbox
import MQTT

/// One client id, one connection: the inbox's leader asks the old owner to go, and the old owner
/// says when it has gone. Who owns a client id is decided in `OwnerTable`.
extension Worker {
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
}
