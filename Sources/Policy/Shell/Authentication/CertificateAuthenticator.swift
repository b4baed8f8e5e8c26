/// Takes a field of the client certificate, which TLS has checked, as the user's name.
package struct CertificateAuthenticator: Authenticator {
    private let field: CertificateUserField
    private let rule: TenantRule

    package init(field: CertificateUserField, rule: TenantRule) {
        self.field = field
        self.rule = rule
    }

    package func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        guard request.method == nil, let certificate = request.certificate else { return .notMine }
        let user: String? =
            switch field {
            case .commonName: certificate.commonName
            case .alternativeName: certificate.alternativeNames.first
            }
        guard let user, !user.isEmpty else {
            return .refused(.notAuthorized("the client certificate has no \(field.rawValue)"))
        }
        return .accepted(rule.principal(user, request))
    }
}
