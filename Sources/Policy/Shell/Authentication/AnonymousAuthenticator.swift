/// Lets everyone in who connects from this machine, and from elsewhere if the configuration says
/// so. Nobody's password is checked: a user name only says who the client wants to be.
package struct AnonymousAuthenticator: Authenticator {
    private let allowsRemote: Bool
    private let rule: TenantRule

    package init(allowsRemote: Bool, rule: TenantRule) {
        self.allowsRemote = allowsRemote
        self.rule = rule
    }

    package func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        if request.method != nil { return .notMine }
        guard allowsRemote || request.isLocal else {
            return .refused(.notAuthorized("anonymous clients are served on loopback only"))
        }
        return .accepted(rule.principal(request.username ?? "", request))
    }
}
