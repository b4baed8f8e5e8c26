/// Asks another authenticator, and refuses who is banned: before it is asked where that can be
/// said, else once it knows who the client is.
struct BanningAuthenticator: Authenticator {
    let inner: any Authenticator
    /// Whether a client that is not known yet, or one that is, is banned now.
    let bansRequest: @Sendable (AuthenticationRequest) -> Bool
    let bansClient: @Sendable (ClientIdentity) -> Bool

    var methods: [String] { inner.methods }

    func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        if bansRequest(request) { return .refused(.banned("banned by client id or address")) }
        let check = BanCheck(
            clientID: request.clientID, peerAddress: request.peerAddress, bans: bansClient)
        return inner.authenticate(request) { completion(check.judge($0)) }.map(check.judge)
    }
}

/// One client's results on their way out, also from the later steps of an exchange.
private struct BanCheck: Sendable {
    let clientID: String
    let peerAddress: String
    let bans: @Sendable (ClientIdentity) -> Bool

    @Sendable
    func judge(_ result: AuthenticationResult) -> AuthenticationResult {
        switch result {
        case .accepted(let principal, _):
            let identity = ClientIdentity(
                principal, clientID: clientID, peerAddress: peerAddress)
            return bans(identity) ? .refused(.banned("banned by name")) : result
        case .challenge(let data, let exchange):
            return .challenge(data: data, Exchange(inner: exchange, check: self))
        case .refused, .notMine: return result
        }
    }

    private struct Exchange: AuthenticationExchange {
        let inner: any AuthenticationExchange
        let check: BanCheck

        func receive(
            _ data: [UInt8], _ completion: @escaping AuthenticationCompletion
        ) -> AuthenticationResult? {
            inner.receive(data) { completion(check.judge($0)) }.map(check.judge)
        }
    }
}
