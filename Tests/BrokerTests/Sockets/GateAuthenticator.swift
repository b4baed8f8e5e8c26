import Policy

/// Lets in whom the user name says, and speaks one enhanced method, `steps`, in which the client's
/// word decides how it goes on.
struct GateAuthenticator: Authenticator {
    static let method = "steps"

    var methods: [String] { [Self.method] }

    func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        let principal = TenantRule().principal(request.username ?? "", request)
        if request.method == Self.method {
            return Step(principal: principal).receive(request.data, completion)
        }
        guard request.method == nil else { return .notMine }
        switch principal.user {
        case "silent": return nil
        case "broken": return .refused(.unavailable("the script"))
        case "wrong": return .refused(.badUserOrPassword("the script"))
        default: return .accepted(principal)
        }
    }

    private struct Step: AuthenticationExchange {
        let principal: Principal

        func receive(
            _ data: [UInt8], _ completion: @escaping AuthenticationCompletion
        ) -> AuthenticationResult? {
            switch String(decoding: data, as: UTF8.self) {
            case "go on": return .challenge(data: [], self)
            case "be somebody else":
                return .accepted(Principal(tenant: principal.tenant, user: "somebody else"))
            case "wrong": return .refused(.badUserOrPassword("the script"))
            case "no": return .refused(.notAuthorized("the script"))
            default: return .accepted(principal)
            }
        }
    }
}
