import HTTPTypes

/// One operation of the port.
package struct Route: Sendable {
    package let method: String
    /// With `{names}` for what varies.
    package let path: String
    /// Answered without a key: they show nothing but whether the node serves.
    let isOpen: Bool
    let handle: @Sendable (AdminRequest) async throws(Problem) -> HTTPAnswer

    init(
        _ method: String, _ path: String, isOpen: Bool = false,
        _ handle: @escaping @Sendable (AdminRequest) async throws(Problem) -> HTTPAnswer
    ) {
        self.method = method
        self.path = path
        self.isOpen = isOpen
        self.handle = handle
    }

    /// The varying segments, if the path is this route's.
    func parameters(of segments: [String]) -> [String]? {
        let pattern = path.split(separator: "/")
        guard pattern.count == segments.count else { return nil }
        var found: [String] = []
        for (part, segment) in zip(pattern, segments) {
            if part.hasPrefix("{") {
                guard !segment.isEmpty else { return nil }
                found.append(segment)
            } else if part != segment {
                return nil
            }
        }
        return found
    }
}

/// Every operation of the port. `Resources/openapi.json` describes the same; a test compares them.
package enum RouteTable {
    package static let routes: [Route] = [
        Route("GET", "/healthz", isOpen: true, HealthEndpoint.live),
        Route("GET", "/readyz", isOpen: true, HealthEndpoint.ready),
        Route("GET", "/metrics", MetricsEndpoint.metrics),
        Route("GET", "/api/v1/openapi.json", OpenAPIEndpoint.document),
        Route("POST", "/api/v1/publish", PublishEndpoint.publish),
        Route("GET", "/api/v1/retained", RetainedEndpoint.list),
        Route("GET", "/api/v1/retained/{topic}", RetainedEndpoint.show),
        Route("DELETE", "/api/v1/retained/{topic}", RetainedEndpoint.clear),
        Route("GET", "/api/v1/sessions", SessionEndpoint.list),
        Route("GET", "/api/v1/sessions/{clientID}", SessionEndpoint.show),
        Route("DELETE", "/api/v1/sessions/{clientID}", SessionEndpoint.end),
        Route(
            "POST", "/api/v1/sessions/{clientID}/subscriptions", SubscriptionEndpoint.subscribe),
        Route(
            "DELETE", "/api/v1/sessions/{clientID}/subscriptions",
            SubscriptionEndpoint.unsubscribe),
    ]

    /// What a path and method lead to.
    enum Match {
        case route(Route, parameters: [String])
        /// The path exists, with other methods.
        case otherMethods([String])
        case nothing
    }

    static func match(_ method: String, _ segments: [String]) -> Match {
        var methods: [String] = []
        for route in routes {
            guard let parameters = route.parameters(of: segments) else { continue }
            if route.method == method { return .route(route, parameters: parameters) }
            methods.append(route.method)
        }
        return methods.isEmpty ? .nothing : .otherMethods(methods)
    }
}
