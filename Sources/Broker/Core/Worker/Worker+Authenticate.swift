import Base
import MQTT
import Policy

/// Who the client is: basic and enhanced authentication, and re-authentication.
extension Worker {
    func authenticate(
        _ packet: ConnectPacket, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        setBusy(session)
        let request = request(of: packet, session)
        let token = connectionToken(session, index)
        if let result = port.authenticate(request, token: token) {
            authenticated(result, session, index)
        }
    }

    private func request(
        of packet: ConnectPacket, _ session: UnsafeMutablePointer<Session>
    ) -> AuthenticationRequest {
        var request = AuthenticationRequest()
        request.protocolVersion = packet.version.rawValue
        request.clientID = String(decoding: packet.clientID, as: UTF8.self)
        request.username = packet.username.map { String(decoding: $0, as: UTF8.self) }
        request.password = packet.password
        if let peer = session.pointee.rare?.peer { fill(&request, peer) }
        request.userProperties = packet.properties.userProperties.pairs.map {
            (String(decoding: $0.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))
        }
        request.method = packet.properties.authenticationMethod.map {
            String(decoding: $0, as: UTF8.self)
        }
        request.data = packet.properties.authenticationData ?? []
        return request
    }

    private func fill(_ request: inout AuthenticationRequest, _ peer: PeerName) {
        request.peerAddress = peer.host
        request.listener = peer.listener
        request.listenerTenant = peer.tenant
        request.certificate = peer.certificate
    }

    /// An answer that took its time.
    package func completeAuthentication(token: UInt64, _ result: AuthenticationResult) {
        withSession(sessionRef(ofToken: token)) { session, index in
            authenticated(result, session, index)
        }
    }

    private func authenticated(
        _ result: AuthenticationResult, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard let rare = session.pointee.rare else { return }
        let isAgain = session.pointee.phase == .live
        switch result {
        case .accepted(let principal, let data):
            rare.exchange = nil
            if isAgain {
                reauthenticated(principal, data, session, index)
                return
            }
            rare.authenticationData = data
            admit(principal, session, index)
        case .refused(let refusal): refuse(refusal, session, index)
        case .challenge(let data, let exchange):
            rare.exchange = exchange
            var packet = AuthPacket(reasonCode: .continueAuthentication)
            packet.authenticationMethod =
                rare.authenticationMethod ?? rare.connect?.properties.authenticationMethod
            packet.authenticationData = data
            let limit = Int(session.pointee.packetSizeMax)
            send(session) { packet.encode(limit: limit, into: &$0) }
            clearBusy(session)
        case .notMine:
            let isUnknownMethod = rare.connect?.properties.authenticationMethod != nil
            refuse(
                isUnknownMethod
                    ? .badMethod("no authenticator speaks this method")
                    : .notAuthorized("no authenticator knows this client"), session, index)
        }
    }

    private func refuse(
        _ refusal: AuthenticationRefusal, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let code = ReasonCode(rawValue: refusal.reasonCode) ?? .notAuthorized
        if session.pointee.phase == .live {
            // Most codes of authenticators exist in CONNACK alone.
            disconnect(
                session, index, .notAuthorized,
                .disconnect(.reAuthFailed(reason: refusal.text)))
            return
        }
        let event: ChannelEvent =
            switch code {
            case .badUserNameOrPassword: .unauthenticatedClient
            case .notAuthorized, .banned: .notAuthorizedClient
            default: .authError(reason: refusal.text)  // foreign enum: any code of an authenticator
            }
        refuseConnect(session, index, code, .channel(event))
    }

    /// AUTH of the client: the next step, or the start of a re-authentication [MQTT-4.12.1-1].
    func handleAuth(
        _ packet: AuthPacket, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let rare = rareState(session)
        let method = rare.authenticationMethod ?? rare.connect?.properties.authenticationMethod
        guard let method, packet.authenticationMethod == method else {
            protocolErrorInAuth("the method differs from CONNECT's [MQTT-4.12.0-5]", session, index)
            return
        }
        let token = connectionToken(session, index)
        let data = packet.authenticationData ?? []
        if packet.reasonCode == .reauthenticate {
            guard session.pointee.phase == .live, rare.exchange == nil else {
                protocolErrorInAuth("re-authentication out of place", session, index)
                return
            }
            var request = AuthenticationRequest()
            request.clientID = String(decoding: session.pointee.clientID, as: UTF8.self)
            request.method = String(decoding: method, as: UTF8.self)
            request.data = data
            if let peer = rare.peer { fill(&request, peer) }
            setBusy(session)
            if let result = port.authenticate(request, token: token) {
                authenticated(result, session, index)
            }
            return
        }
        guard let exchange = rare.exchange else {
            protocolErrorInAuth("AUTH without an exchange", session, index)
            return
        }
        setBusy(session)
        if let result = port.continueAuthentication(exchange, data, token: token) {
            authenticated(result, session, index)
        }
    }

    private func protocolErrorInAuth(
        _ what: String, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let event: Event =
            session.pointee.phase == .live
            ? .disconnect(.protocolViolation(statement: what))
            : .channel(.protocolError(statement: what))
        disconnect(session, index, .protocolError, event)
    }

    /// The same user has proved itself again; another one may not take over the connection.
    private func reauthenticated(
        _ principal: Principal, _ data: [UInt8], _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        guard Array(principal.user.utf8) == session.pointee.principal,
            principal.tenant == tenants[session.pointee.tenant].pointee.name
        else {
            disconnect(
                session, index, .notAuthorized,
                .disconnect(.reAuthFailed(reason: "another user")))
            return
        }
        var packet = AuthPacket(reasonCode: .success)
        packet.authenticationMethod = session.pointee.rare?.authenticationMethod
        packet.authenticationData = data.isEmpty ? nil : data
        let limit = Int(session.pointee.packetSizeMax)
        send(session) { packet.encode(limit: limit, into: &$0) }
        clearBusy(session)
    }
}
