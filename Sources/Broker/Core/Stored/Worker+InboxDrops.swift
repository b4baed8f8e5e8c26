import Base
import Inbox
import Policy

/// What inboxes dropped, by their word: counted and told here.
extension Worker {
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
