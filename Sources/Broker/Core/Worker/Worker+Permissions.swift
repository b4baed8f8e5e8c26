import Base
import MQTT
import Policy

/// What a connection may do, where that is not simply everything.
final class AccessState {
    /// Nil where no rule is evaluated here: everything is allowed, or asked.
    let permissions: CompiledPermissions?
    /// Every single action is a question to the authoriser.
    let isAsked: Bool
    let identity: ClientIdentity
    let user: [UInt8]
    let safe: UInt8

    init(
        _ permissions: CompiledPermissions?, isAsked: Bool, identity: ClientIdentity,
        safe: UInt8
    ) {
        self.permissions = permissions
        self.isAsked = isAsked
        self.identity = identity
        user = Array(identity.user.utf8)
        self.safe = safe
    }
}

/// Permission checks: none where everything is allowed, by bytes where rules are compiled, by
/// questions (`Worker+AccessQuestions`) where the authoriser wants to be asked.
///
/// Rules may change under live sessions. The worker then walks through its sessions, some in each
/// turn; one that acts or receives before its turn comes is judged at that moment.
extension Worker {
    // MARK: What a client may do

    /// Fetches what a client may do. False if it may not connect; where that is asked, true.
    func loadPermissions(
        _ identity: ClientIdentity, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        switch port.permissions(for: identity) {
        case .everything:
            // Kept only if it could not be told again from the session alone.
            let isPlain = !identity.isSuperuser && identity.attributes.isEmpty
            session.pointee.access = isPlain ? nil : state(nil, false, identity, session)
            return true
        case .compiled(let permissions):
            session.pointee.access = state(permissions, false, identity, session)
            return permissions.allowsConnect
        case .ask:
            session.pointee.access = state(nil, true, identity, session)
            return true
        }
    }

    private func state(
        _ permissions: CompiledPermissions?, _ isAsked: Bool, _ identity: ClientIdentity,
        _ session: UnsafeMutablePointer<Session>
    ) -> AccessState {
        let safe = Array(identity.user.utf8).withUnsafeBytes { user in
            tenantNames[Int(session.pointee.tenant.index)].withUnsafeBytes { tenant in
                AccessIdentity.safeMask(
                    client: session.pointee.names.clientID, user: user, tenant: tenant)
            }
        }
        return AccessState(permissions, isAsked: isAsked, identity: identity, safe: safe)
    }

    /// Who asks, for an authoriser; made anew where nothing of it was kept.
    func identity(_ session: UnsafeMutablePointer<Session>) -> ClientIdentity {
        if let access = session.pointee.access { return access.identity }
        let principal = Principal(
            tenant: tenants[session.pointee.tenant].pointee.name,
            user: String(decoding: session.pointee.principal, as: UTF8.self))
        return identity(principal, session)
    }

    func identity(
        _ principal: Principal, _ session: UnsafeMutablePointer<Session>
    ) -> ClientIdentity {
        ClientIdentity(
            principal, clientID: String(decoding: session.pointee.clientID, as: UTF8.self),
            peerAddress: session.pointee.peerAddress.map { $0.description } ?? "")
    }

    private func withIdentity<R>(
        _ access: AccessState, _ session: UnsafeMutablePointer<Session>,
        _ body: (borrowing AccessIdentity) -> R
    ) -> R {
        access.user.withUnsafeBytes { user in
            tenantNames[Int(session.pointee.tenant.index)].withUnsafeBytes { tenant in
                body(
                    AccessIdentity(
                        client: session.pointee.names.clientID, user: user, tenant: tenant,
                        safe: access.safe))
            }
        }
    }

    // MARK: Checks

    /// Nil if the client may publish this.
    @inline(__always)
    func accessRefusal(
        _ topic: UnsafeRawBufferPointer, _ packet: PublishPacket,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> PublishRefusal? {
        if session.pointee.access == nil, !isRejudging { return nil }
        return judgePublish(topic, packet, session, index)
    }

    private func judgePublish(
        _ topic: UnsafeRawBufferPointer, _ packet: PublishPacket,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> PublishRefusal? {
        guard isUpToDate(session, index) else { return .notAuthorized }
        guard let access = session.pointee.access else { return nil }
        let name = UnsafeRawBufferPointer(rebasing: topic[2...])
        if access.isAsked { return askPublish(name, packet, session, index) }
        guard let permissions = access.permissions, !permissions.allowsEveryPublish else {
            return nil
        }
        let isAllowed = withIdentity(access, session) {
            permissions.allowsPublish(
                RawSpan(_unsafeBytes: name), qos: packet.qos.rawValue, retain: packet.retain, $0)
        }
        return isAllowed ? nil : .notAuthorized
    }

    /// Whether the rules let the client subscribe; where that is asked, true.
    func permitsSubscribe(
        _ filter: RawSpan, _ qos: QoS, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        guard isUpToDate(session, index) else { return false }
        guard let access = session.pointee.access, let permissions = access.permissions else {
            return true
        }
        return withIdentity(access, session) {
            switch permissions.judgeSubscribe(filter, qos: qos.rawValue, $0) {
            case .allowed(let needsDeliveryCheck):
                if needsDeliveryCheck { session.pointee.flags.insert(.checksDelivery) }
                return true
            case .denied, .failed: return false
            }
        }
    }

    /// Whether a message may still go to this client: asked where a rule denies part of what it
    /// subscribed to, and where rules have changed.
    @inline(__always)
    func permitsDelivery(
        _ message: borrowing Message, _ qos: QoS, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) -> Bool {
        if !session.pointee.flags.contains(.checksDelivery), !isRejudging { return true }
        if judgeDelivery(message, qos, session, index) { return true }
        drop(.noSubPermission, message, session)
        return false
    }

    private func judgeDelivery(
        _ message: borrowing Message, _ qos: QoS, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) -> Bool {
        guard isUpToDate(session, index) else { return false }
        guard session.pointee.flags.contains(.checksDelivery),
            let access = session.pointee.access
        else { return true }
        if access.isAsked { return asksDelivery(message.topicText, qos, access, session) }
        guard let permissions = access.permissions else { return true }
        let topic = RawSpan(_unsafeBytes: message.topicName)
        return withIdentity(access, session) {
            permissions.allowsReceive(topic, qos: qos.rawValue, $0)
        }
    }

    /// Whether the client's will may be published, asked when it is due.
    func permitsWill(
        _ will: WillMessage, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard let access = session.pointee.access else { return true }
        if access.isAsked { return asksWill(will, access, session) }
        guard let permissions = access.permissions else { return true }
        return will.topic.withRawSpan { topic in
            withIdentity(access, session) {
                permissions.allowsPublish(topic, qos: will.qos.rawValue, retain: will.retain, $0)
            }
        }
    }

    // MARK: Rules that change

    func noticeChangedRules() {
        let epoch = port.authoriserEpoch
        guard epoch != accessEpoch else { return }
        accessEpoch = epoch
        rejudgeNext = 0
        isRejudging = true
    }

    /// Judges sessions again after the rules have changed, some in each turn. True if there is more
    /// to do at once.
    func refreshPermissions() -> Bool {
        noticeChangedRules()
        guard isRejudging else { return false }
        var budget = WorkerLimits.rejudgedPerTurn
        while Int(rejudgeNext) < liveGenerations.count, budget > 0 {
            let index = rejudgeNext
            rejudgeNext += 1
            guard liveGenerations[Int(index)] != 0 else { continue }
            let session = sessions[pointer: index]
            budget -= 1 + min(session.pointee.filters.count, WorkerLimits.rejudgedFiltersMax)
            rejudge(session, index)
        }
        isRejudging = Int(rejudgeNext) < liveGenerations.count
        return isRejudging
    }

    private func rejudge(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        switch session.pointee.phase {
        case .awaitsConnect, .authenticating, .closing: return
        case .claiming, .attaching, .live: break
        }
        guard refetch(session, index) else {
            withdraw(session, index)
            return
        }
        if session.pointee.access?.isAsked == true { askAgain(session, index) }
    }

    /// D07: the client may not be connected any more.
    func withdraw(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        disconnect(
            session, index, .notAuthorized, .disconnect(.kicked(kicker: "access rules")))
    }

    /// True if the session is judged by the rules that hold now; false if by them it may not even
    /// be connected, which its turn in the walk will end.
    private func isUpToDate(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        guard isRejudging, index >= rejudgeNext else { return true }
        return refetch(session, index)
    }

    /// Takes over the rules that hold now; false if by them the client may not connect.
    private func refetch(_ session: UnsafeMutablePointer<Session>, _ index: Int32) -> Bool {
        let before = session.pointee.access
        guard loadPermissions(identity(session), session) else { return false }
        let access = session.pointee.access
        if let permissions = access?.permissions, permissions === before?.permissions {
            return true
        }
        session.pointee.flags.remove(.checksDelivery)
        if let access, let permissions = access.permissions,
            mustCheckDeliveries(permissions, access, session, index)
        {
            session.pointee.flags.insert(.checksDelivery)
        }
        return true
    }

    /// A stored session that comes back has subscriptions of earlier connections, which were
    /// judged by the rules of their time.
    func checkResumedDeliveries(_ session: UnsafeMutablePointer<Session>) {
        guard let permissions = session.pointee.access?.permissions,
            !permissions.allowsEveryReceive
        else { return }
        session.pointee.flags.insert(.checksDelivery)
    }

    /// False only if every subscription lies wholly within what the rules allow.
    private func mustCheckDeliveries(
        _ permissions: CompiledPermissions, _ access: AccessState,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        if permissions.allowsEveryReceive { return false }
        // What a stored session subscribes to is known to its inbox alone.
        let count = session.pointee.filters.count
        if session.pointee.machine.isStored || count > WorkerLimits.rejudgedFiltersMax {
            return true
        }
        return !session.pointee.filters.array.allSatisfy {
            isWhollyPermitted($0, permissions, access, session, index)
        }
    }

    private func isWhollyPermitted(
        _ slot: UInt32, _ permissions: CompiledPermissions, _ access: AccessState,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        guard let whole = filters.filter(slot: slot).map({ [UInt8]($0.filter) }),
            let subscriber = filters.subscriber(session: index, slot: slot)
        else { return false }
        let filter = SharedName(whole)?.filter ?? whole
        let granted = SubscriptionOptions(rawValue: subscriber.options).maximumQoS
        return filter.withRawSpan { filter in
            (0...granted.rawValue).allSatisfy { qos in
                withIdentity(access, session) {
                    permissions.judgeSubscribe(filter, qos: qos, $0)
                        == .allowed(needsDeliveryCheck: false)
                }
            }
        }
    }
}
