/// Asks authenticators in order; the first one that does not say "not mine" decides. If none does,
/// the client is refused.
package struct AuthenticatorChain: Authenticator {
    private let links: [any Authenticator]

    package init(_ links: [any Authenticator]) { self.links = links }

    package var methods: [String] { links.flatMap(\.methods) }

    package func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        ask(from: 0, request, completion)
    }

    private func ask(
        from start: Int, _ request: AuthenticationRequest,
        _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? {
        for index in links.indices.dropFirst(start) {
            let answer = links[index].authenticate(request) { result in
                guard case .notMine = result else { return completion(result) }
                if let next = ask(from: index + 1, request, completion) { completion(next) }
            }
            guard let answer else { return nil }
            guard case .notMine = answer else { return answer }
        }
        if let method = request.method {
            return .refused(.badMethod("no authenticator speaks the method '\(method)'"))
        }
        return .refused(.notAuthorized("no authenticator knows the client"))
    }
}
