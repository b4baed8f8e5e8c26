/// Which tenant and user a client belongs to, when its authenticator does not say.
///
/// In this order: the certificate's field, `tenant/` before the user name, the listener's tenant,
/// `default`. A prefix that is no valid tenant name is part of the user name.
package struct TenantRule: Equatable, Sendable {
    /// Where a certificate names the tenant.
    package enum CertificateField: String, CaseIterable, Sendable {
        case none
        case organization
        case organizationalUnit
    }

    package var fromUsername = true
    package var fromCertificate = CertificateField.none

    package init() {}

    /// The tenant and the user of a request whose user is known by `username`.
    package func principal(
        _ username: String, _ request: AuthenticationRequest, isSuperuser: Bool = false
    ) -> Principal {
        var user = username
        var tenant = request.listenerTenant ?? .standard
        if fromUsername, let slash = username.firstIndex(of: "/"),
            let named = TenantName(username[..<slash])
        {
            tenant = named
            user = String(username[username.index(after: slash)...])
        }
        if let certificate = request.certificate, let named = tenantName(of: certificate) {
            tenant = named
        }
        return Principal(tenant: tenant, user: user, isSuperuser: isSuperuser)
    }

    private func tenantName(of certificate: PeerCertificate) -> TenantName? {
        switch fromCertificate {
        case .none: nil
        case .organization: TenantName(certificate.organization)
        case .organizationalUnit: TenantName(certificate.organizationalUnit)
        }
    }
}

/// Which field of a certificate names the user.
package enum CertificateUserField: String, CaseIterable, Sendable {
    case commonName
    case alternativeName
}
