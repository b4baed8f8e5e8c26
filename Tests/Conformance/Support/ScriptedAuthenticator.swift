import Policy

/// Lets in whom the user name says, and speaks one enhanced method, `story`: the client tells
/// `begin`, `middle` and `end` in turn, and any other word ends it badly.
struct ScriptedAuthenticator: Authenticator {
    static let method = "story"

    var methods: [String] { [Self.method] }

    func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        let principal = TenantRule().principal(request.username ?? "", request)
        guard let method = request.method else {
            if principal.user == "unknown" { return .refused(.badUserOrPassword("unknown")) }
            return .accepted(principal)
        }
        guard method == Self.method else { return .notMine }
        return Chapter(principal: principal, expected: "begin").receive(request.data, completion)
    }

    /// One step of the story.
    private struct Chapter: AuthenticationExchange {
        let principal: Principal
        let expected: String

        func receive(
            _ data: [UInt8], _ completion: @escaping AuthenticationCompletion
        ) -> AuthenticationResult? {
            guard String(decoding: data, as: UTF8.self) == expected else {
                return .refused(.notAuthorized("another story"))
            }
            switch expected {
            case "begin": return next("middle")
            case "middle": return next("end")
            default: return .accepted(principal, data: Array("the end".utf8))
            }
        }

        private func next(_ word: String) -> AuthenticationResult {
            .challenge(
                data: Array("and \(word)?".utf8), Chapter(principal: principal, expected: word))
        }
    }
}
