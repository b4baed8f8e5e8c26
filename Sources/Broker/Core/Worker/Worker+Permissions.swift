import Base
import MQTT
import Policy

/// What a connection may do, by the rules that concern it.
final class AccessState {
    let permissions: CompiledPermissions
    let user: [UInt8]
    let safe: UInt8

    init(_ permissions: CompiledPermissions, user: [UInt8], safe: UInt8) {
        self.permissions = permissions
        self.user = user
        self.safe = safe
    }
}

/// Permission checks: none where everything is allowed, by bytes where rules are compiled.
extension Worker {
    /// Fetches what a client may do; called at CONNECT and after the rules have changed.
    func loadPermissions(
        _ principal: Principal, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let identity = ClientIdentity(
            principal, clientID: String(decoding: session.pointee.clientID, as: UTF8.self),
            peerAddress: session.pointee.rare?.peer?.host ?? "")
        switch port.permissions(for: identity) {
        case .everything:
            session.pointee.access = nil
            return true
        case .compiled(let permissions):
            let user = Array(principal.user.utf8)
            let safe = user.withUnsafeBytes { user in
                session.pointee.clientID.withUnsafeBytes { client in
                    tenantNames[Int(session.pointee.tenant.index)].withUnsafeBytes { tenant in
                        AccessIdentity.safeMask(client: client, user: user, tenant: tenant)
                    }
                }
            }
            session.pointee.access = AccessState(permissions, user: user, safe: safe)
            return permissions.allowsConnect
        case .ask:
            // Only compiled rules are evaluated here so far. Fails closed: the client is refused.
            return false
        }
    }

    private func withIdentity<R>(
        _ access: AccessState, _ session: UnsafeMutablePointer<Session>,
        _ body: (borrowing AccessIdentity) -> R
    ) -> R {
        access.user.withUnsafeBytes { user in
            session.pointee.clientID.withUnsafeBytes { client in
                tenantNames[Int(session.pointee.tenant.index)].withUnsafeBytes { tenant in
                    body(
                        AccessIdentity(
                            client: client, user: user, tenant: tenant, safe: access.safe))
                }
            }
        }
    }

    func permitsPublish(
        _ topic: UnsafeRawBufferPointer, _ packet: PublishPacket,
        _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard let access = session.pointee.access, !access.permissions.allowsEveryPublish else {
            return true
        }
        let name = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: topic[2...]))
        return withIdentity(access, session) {
            access.permissions.allowsPublish(
                name, qos: packet.qos.rawValue, retain: packet.retain, $0)
        }
    }

    func permitsSubscribe(
        _ filter: RawSpan, _ qos: QoS, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard let access = session.pointee.access else { return true }
        return withIdentity(access, session) {
            switch access.permissions.judgeSubscribe(filter, qos: qos.rawValue, $0) {
            case .allowed(let needsDeliveryCheck):
                if needsDeliveryCheck { session.pointee.flags.insert(.checksDelivery) }
                return true
            case .denied, .failed: return false
            }
        }
    }

    /// Whether a message may still go to this client: asked where a rule denies part of what it
    /// subscribed to.
    func permitsDelivery(
        _ message: borrowing Message, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard session.pointee.flags.contains(.checksDelivery),
            let access = session.pointee.access
        else { return true }
        let topic = RawSpan(_unsafeBytes: message.topicName)
        let qos = message.qos.rawValue
        let isAllowed = withIdentity(access, session) {
            access.permissions.allowsReceive(topic, qos: qos, $0)
        }
        if !isAllowed { drop(.noSubPermission, message, session) }
        return isAllowed
    }
}
