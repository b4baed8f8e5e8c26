import Base
import Inbox
import KV
import MQTT
import Policy

/// From CONNECT to CONNACK: identity, rules of the tenant, ownership of the client id, session.
///
/// ```
///  handleConnect -> authenticate (asynchronous) -> admit -> claim (inbox leader)
///     -> attach, if anything is or shall be stored -> finishConnect
/// ```
/// Every refusal happens before the next step begins, and has no effect.
extension Worker {
    func handleConnect(
        _ packet: ConnectPacket, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        session.pointee.machine = SessionMachine(
            version: packet.version, isStored: false,
            receiveMaximum: packet.properties.receiveMaximum)
        rareState(session).connect = packet
        session.pointee.packetSizeMax = packet.properties.maximumPacketSize ?? .max
        if packet.cleanStart { session.pointee.flags.insert(.cleanStart) }
        if packet.properties.requestProblemInformation {
            session.pointee.flags.insert(.problemInformation)
        }
        guard mayEnter(session, index) else { return }
        guard hasUsableClientID(packet) else {
            refuseConnect(
                session, index, .clientIdentifierNotValid, .channel(.identifierRejected))
            return
        }
        session.pointee.phase = .authenticating
        authenticate(packet, session, index)
    }

    /// 3.1 wants an id; 3.1.1 allows none only with a clean session [MQTT-3.1.3-8]; 5.0 always.
    private func hasUsableClientID(_ packet: ConnectPacket) -> Bool {
        if !packet.clientID.isEmpty { return true }
        switch packet.version {
        case .v31: return false
        case .v311: return packet.cleanStart
        case .v5: return true
        }
    }

    /// Ends a CONNECT with a CONNACK that says why.
    func refuseConnect(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, _ reasonCode: ReasonCode,
        _ event: Event, reason: String? = nil
    ) {
        writeConnack(session, session.pointee.machine.version, reasonCode, reason: reason)
        end(session, index, event)
    }

    /// The identity is known: checks everything that the tenant's settings say of a CONNECT.
    func admit(
        _ principal: Principal, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard let packet = session.pointee.rare?.connect else { return }
        guard tenantStore.admits(principal.tenant), let tenant = tenantSlot(principal.tenant)
        else {
            refuseConnect(
                session, index, .serverBusy,
                .channel(.authError(reason: "too many tenants on this node")))
            return
        }
        session.pointee.tenant = tenant
        let clientID = packet.clientID.isEmpty ? makeClientID() : packet.clientID
        guard let names = SessionNames(clientID: clientID, principal: Array(principal.user.utf8))
        else {
            refuseConnect(
                session, index, .notAuthorized,
                .channel(.authError(reason: "the user's name is too long")))
            return
        }
        nameBytes += names.byteCount - session.pointee.names.byteCount
        session.pointee.names = names
        session.pointee.publisherHash = MessageRecord.publisherHash(
            tenant: tenantBytes(tenant), clientID: clientID)
        let settings = tenants[tenant].pointee.settings
        if let refusal = refusal(of: packet, settings, session) {
            if refusal.isUnsayable, packet.version != .v5 {
                // No return code of 3.x says anything about a will, or a size [MQTT-3.2.2-6].
                end(session, index, refusal.event)
                return
            }
            refuseConnect(session, index, refusal.code, refusal.event, reason: refusal.reason)
            return
        }
        guard loadPermissions(identity(principal, session), session) else {
            refuseConnect(session, index, .notAuthorized, .channel(.notAuthorizedClient))
            return
        }
        if session.pointee.access?.isAsked == true {
            askConnect(session, index)
        } else {
            admitted(session, index)
        }
    }

    /// The client may connect, as far as its rules go.
    func admitted(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard let packet = session.pointee.rare?.connect else { return }
        if let resource = takeConnectionQuota(session) {
            refuseConnect(
                session, index,
                resource == .totalConnectPerSecond ? .connectionRateExceeded : .quotaExceeded,
                .session(.outOfTenantResource(resource: resource)))
            return
        }
        agree(
            on: packet, tenants[session.pointee.tenant].pointee.settings, session)
        claim(session, index)
    }

    /// An id for a client that has none: 22 characters of the alphabet that every server takes.
    private func makeClientID() -> [UInt8] {
        let alphabet = Array(
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        return Array("apus-".utf8) + (0..<17).map { _ in alphabet[random.below(alphabet.count)] }
    }

    /// Why a CONNECT is refused.
    private struct ConnectRefusal {
        var code: ReasonCode
        var event: Event
        var reason: String
        /// 3.x has no word for it.
        var isUnsayable = false
    }

    private func refusal(
        of packet: ConnectPacket, _ settings: TenantSettings,
        _ session: UnsafeMutablePointer<Session>
    ) -> ConnectRefusal? {
        if !isEnabled(packet.version, settings) {
            return ConnectRefusal(
                code: .unsupportedProtocolVersion, event: .channel(.unacceptedProtocolVer),
                reason: "this version of MQTT is turned off")
        }
        if (session.pointee.rare?.connectSize ?? 0) > settings.packetBytesMax {
            return ConnectRefusal(
                code: .packetTooLarge, event: .channel(.protocolError(statement: "CONNECT size")),
                reason: "the packet is too large", isUnsayable: true)
        }
        if packet.clientID.count > settings.clientIDBytesMax {
            return ConnectRefusal(
                code: .clientIdentifierNotValid, event: .channel(.identifierRejected),
                reason: "the client identifier is too long")
        }
        // They would reach logs, terminals and labels.
        if packet.clientID.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            return ConnectRefusal(
                code: .clientIdentifierNotValid, event: .channel(.identifierRejected),
                reason: "the client identifier has control characters")
        }
        guard let will = packet.will else { return nil }
        return refusal(of: will, settings, session)
    }

    private func refusal(
        of will: WillMessage, _ settings: TenantSettings,
        _ session: UnsafeMutablePointer<Session>
    ) -> ConnectRefusal? {
        func refuse(_ code: ReasonCode, _ reason: String) -> ConnectRefusal {
            ConnectRefusal(
                code: code, event: .channel(.protocolError(statement: reason)), reason: reason,
                isUnsayable: true)
        }
        if Int(will.qos.rawValue) > settings.maximumQoS {
            return refuse(.qosNotSupported, "the will's QoS is above the maximum [MQTT-3.2.2-12]")
        }
        if will.retain, !settings.retainEnabled {
            return refuse(.retainNotSupported, "retained wills are turned off [MQTT-3.2.2-13]")
        }
        if will.payload.count > settings.willBytesMax {
            return refuse(.quotaExceeded, "the will is too large")
        }
        let isNameFine = will.topic.withRawSpan { bytes -> Bool in
            let limits = settings.topicLimits
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            return (try? TopicName.check(bytes, whole, limits)) != nil
        }
        if !isNameFine || will.topic.first == 0x24 {
            return ConnectRefusal(
                code: .topicNameInvalid, event: .channel(.malformedWillTopic),
                reason: "the will's topic is not allowed", isUnsayable: true)
        }
        if will.payloadFormat == 1, settings.payloadFormatValidationEnabled,
            !isText(will.payload)
        {
            return refuse(.payloadFormatInvalid, "the will's payload is not text")
        }
        return nil
    }

    private func isText(_ payload: [UInt8]) -> Bool {
        payload.withRawSpan { TextScan.check($0, ByteRange(whole: $0), .payload) == .valid }
    }

    /// What the connection will run by: the client's wishes within the tenant's bounds.
    private func agree(
        on packet: ConnectPacket, _ settings: TenantSettings,
        _ session: UnsafeMutablePointer<Session>
    ) {
        guard let rare = session.pointee.rare else { return }
        let floor = UInt16(clamping: settings.keepAliveSecondsMin)
        session.pointee.keepAlive = packet.keepAlive == 0 ? 0 : max(packet.keepAlive, floor)
        rare.expirySeconds = expirySeconds(of: packet, settings)
        rare.will = packet.will
        rare.authenticationMethod = packet.properties.authenticationMethod
        let isStored = rare.expirySeconds > 0
        session.pointee.agreed.clientReceiveMaximum = packet.properties.receiveMaximum
        session.pointee.machine = SessionMachine(
            version: packet.version, isStored: isStored,
            receiveMaximum: min(
                packet.properties.receiveMaximum, UInt16(clamping: settings.sendWindowMax)))
        if packet.properties.topicAliasMaximum > 0, settings.topicAliasMax > 0 {
            rare.outboundAliases = OutboundAliases(
                clientMaximum: min(
                    packet.properties.topicAliasMaximum, UInt16(clamping: settings.topicAliasMax)))
            session.pointee.flags.insert(.hasAliases)
        }
    }

    /// 3.x: a session without clean start lives as long as the tenant allows.
    private func expirySeconds(of packet: ConnectPacket, _ settings: TenantSettings) -> UInt32 {
        if settings.forceTransient { return 0 }
        let most = UInt32(clamping: settings.sessionExpirySecondsMax)
        if packet.version != .v5 { return packet.cleanStart ? 0 : most }
        let wanted = packet.properties.sessionExpiryInterval
        if wanted == 0 { return 0 }
        return min(max(wanted, UInt32(clamping: settings.sessionExpirySecondsMin)), most)
    }

    // MARK: Ownership and stored session

    /// Asks the leader of the client id's inbox range for the ownership.
    func claim(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        session.pointee.phase = .claiming
        setBusy(session)
        let name = sessionName(session)
        let settings = tenants[session.pointee.tenant].pointee.settings
        let question = InboxQuestion.claim(
            ClaimQuestion(
                session: name, principal: session.pointee.principal, place: place,
                connectionToken: connectionToken(session, index),
                bindsPrincipal: settings.clientIDBoundToPrincipal))
        let isAsked = ask(
            .inbox, InboxKeys.sessionPrefix(name), .claim(ref(session, index), name),
            question.encoded)
        if !isAsked {
            refuseConnect(
                session, index, .serverBusy,
                .disconnect(.inboxTransientError(reason: "claim refused")))
        }
    }

    func claimed(
        _ answer: ClaimAnswer, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        switch answer.status {
        case .ok: break
        case .notAuthorised:
            refuseConnect(
                session, index,
                .clientIdentifierNotValid,
                .channel(.identifierRejected),
                reason: "the client identifier belongs to another user")
            return
        case .repeated:
            // An earlier sending of the same question: it waits for the present owner to leave, and
            // its answer came here instead of the later one's.
            claim(session, index)
            return
        case .superseded, .malformed, .staleOwner, .noSession, .quotaExceeded,
            .notLeader, .duplicate:
            refuseConnect(
                session, index, .serverBusy,
                .disconnect(.inboxTransientError(reason: "claim: \(answer.status)")))
            return
        }
        session.pointee.ownerEpoch = answer.ownerEpoch
        session.pointee.flags.insert(.owned)
        guard mayStay(answer.hasRecord, session, index) else { return }
        guard let rare = session.pointee.rare else { return }
        if session.pointee.machine.isStored || answer.hasRecord || rare.will != nil {
            attach(session, index, sentThrough: answer.sentThrough)
        } else {
            finishConnect(session, index, sessionPresent: false)
        }
    }

    // MARK: CONNACK

    func finishConnect(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, sessionPresent: Bool
    ) {
        guard let rare = session.pointee.rare, let packet = rare.connect else { return }
        rare.connect = nil
        session.pointee.phase = .live
        session.pointee.connectedAtSeconds = UInt32(clamping: wallTime.milliseconds / 1_000)
        let settings = tenants[session.pointee.tenant].pointee.settings
        session.pointee.agreed.packetBytesMax = UInt32(clamping: settings.packetBytesMax)
        session.pointee.agreed.receiveMaximum = UInt16(clamping: settings.receiveMaximum)
        session.pointee.agreed.topicAliasMax = UInt16(clamping: settings.topicAliasMax)
        port.setInputLimit(session.pointee.connection, settings.packetBytesMax)
        var connack = ConnackPacket(sessionPresent: sessionPresent, reasonCode: .success)
        if packet.version == .v5 {
            connack.properties = connackProperties(packet, rare, settings, session)
        }
        metrics.sessionsLive &+= 1
        if session.pointee.machine.isStored { metrics.storedLive &+= 1 }
        if !sessionPresent { noteStarted(session) }
        let limit = Int(session.pointee.packetSizeMax)
        guard send(session, { connack.encode(packet.version, limit: limit, into: &$0) }) else {
            end(
                session, index,
                .disconnect(.protocolViolation(statement: "no CONNACK fits the packet size")))
            return
        }
        armKeepAlive(session, index)
        report(.clientConnected, session) {
            .connection(
                .clientConnected(
                    sessionID: sessionID(session), keepAlive: Int(session.pointee.keepAlive),
                    cleanStart: packet.cleanStart,
                    sessionPresent: sessionPresent, hasWill: packet.will != nil))
        }
        dropRareIfUnused(session)
        // They may have changed since CONNECT came.
        bringUpToDate(session, index)
        clearBusy(session)
    }

    private func connackProperties(
        _ packet: ConnectPacket, _ rare: RareState, _ settings: TenantSettings,
        _ session: UnsafeMutablePointer<Session>
    ) -> ConnackProperties {
        var properties = ConnackProperties()
        if rare.expirySeconds != packet.properties.sessionExpiryInterval {
            properties.sessionExpiryInterval = rare.expirySeconds
        }
        properties.receiveMaximum = UInt16(clamping: settings.receiveMaximum)
        properties.maximumQoS = QoS(rawValue: UInt8(settings.maximumQoS)) ?? .exactlyOnce
        properties.retainAvailable = settings.retainEnabled
        properties.maximumPacketSize = UInt32(clamping: settings.packetBytesMax)
        if packet.clientID.isEmpty { properties.assignedClientID = session.pointee.clientID }
        properties.topicAliasMaximum = UInt16(clamping: settings.topicAliasMax)
        properties.wildcardSubscriptionAvailable = settings.wildcardSubscriptionEnabled
        properties.subscriptionIDAvailable = settings.subscriptionIdentifierEnabled
        properties.sharedSubscriptionAvailable = settings.sharedSubscriptionEnabled
        if !settings.wildcardSubscriptionEnabled {
            session.pointee.flags.insert(.toldNoWildcards)
        }
        if !settings.subscriptionIdentifierEnabled {
            session.pointee.flags.insert(.toldNoSubscriptionIDs)
        }
        if !settings.sharedSubscriptionEnabled { session.pointee.flags.insert(.toldNoShares) }
        if session.pointee.keepAlive != packet.keepAlive {
            properties.serverKeepAlive = session.pointee.keepAlive
        }
        properties.authenticationMethod = packet.properties.authenticationMethod
        if !rare.authenticationData.isEmpty {
            properties.authenticationData = rare.authenticationData
        }
        return properties
    }

    /// Most sessions need none of it after CONNACK, or after what was rare has ended: it is larger
    /// than all the rest of an idle session.
    func dropRareIfUnused(_ session: UnsafeMutablePointer<Session>) {
        guard session.pointee.phase == .live, !session.pointee.machine.isStored,
            session.pointee.rare?.isUnused == true
        else { return }
        session.pointee.rare = nil
        rareCount -= 1
    }
}
