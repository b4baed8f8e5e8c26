import Base
import Broker
import HTTPTypes
import HummingbirdCore
import NIOCore

/// From a request's head to its answer: who asks, what for, how much and how long.
struct AdminResponder: Sendable {
    let door: QueryDoor
    let state: AdminState
    let requestTime: Duration
    /// Without keys only this machine is served, and only under its own names.
    let isLocal: Bool

    func respond(
        _ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel
    ) async throws {
        let deadline = NIODeadline.now() + .nanoseconds(requestTime.nanoseconds)
        // Whatever hangs, a client that sends its body by the byte included, ends here.
        let guillotine = channel.eventLoop.scheduleTask(
            deadline: deadline + .nanoseconds(AdminLimits.lingerTime.nanoseconds)
        ) { channel.close(promise: nil) }
        defer { guillotine.cancel() }
        if request.headers[.expect]?.lowercased() == "100-continue",
            announcedCount(request) <= state.bodyBytesMax
        {
            try await writer.writeInformationalHead(HTTPResponse(status: .continue))
        }
        let client = DoorClient(
            door: door, eventLoop: channel.eventLoop, deadline: deadline)
        var answer = await answer(to: request, client)
        if request.method == .head { answer.body = [] }
        try await writer.write(
            response: head(of: answer),
            body: answer.body.isEmpty
                ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
        if answer.endsConnection { endSoon(channel) }
    }

    /// Says that nothing more comes, and cuts the connection off a little later: at once, and the
    /// client would not see the answer for the bytes it is still sending.
    private func endSoon(_ channel: any Channel) {
        channel.close(mode: .output, promise: nil)
        channel.eventLoop.scheduleTask(
            in: .nanoseconds(AdminLimits.lingerTime.nanoseconds)
        ) { channel.close(promise: nil) }
    }

    private func head(of answer: HTTPAnswer) -> HTTPResponse {
        var response = HTTPResponse(status: answer.status)
        if let type = answer.contentType { response.headerFields[.contentType] = type }
        if answer.status != .noContent {
            response.headerFields[.contentLength] = String(answer.body.count)
        }
        response.headerFields[.cacheControl] = "no-store"
        response.headerFields[.xContentTypeOptions] = "nosniff"
        if answer.endsConnection { response.headerFields[.connection] = "close" }
        for (name, value) in answer.headers { response.headerFields[name] = value }
        return response
    }

    private func answer(to request: Request, _ client: DoorClient) async -> HTTPAnswer {
        do throws(Problem) {
            return try await perform(request, client)
        } catch {
            return error.answer
        }
    }

    private func perform(
        _ request: Request, _ client: DoorClient
    ) async throws(Problem) -> HTTPAnswer {
        let target = try RequestTarget(request.head.path ?? "")
        let method = request.method == .head ? "GET" : request.method.rawValue
        switch RouteTable.match(method, target.segments) {
        case .nothing:
            throw Problem(.notFound, "pathUnknown", "there is no such path").endingConnection
        case .otherMethods(let methods):
            var problem = Problem(
                .methodNotAllowed, "methodNotAllowed", "the path has no such method")
            problem.headers.append((name: .allow, value: methods.joined(separator: ", ")))
            throw problem.endingConnection
        case .route(let route, let parameters):
            try checkHost(request)
            guard !route.isOpen else {
                return try await route.handle(
                    AdminRequest(
                        target: target, body: [], contentType: nil, client: client, admin: state))
            }
            try authorise(request)
            guard state.begin() else { throw Problem.busy.endingConnection }
            defer { state.end() }
            return try await route.handle(
                AdminRequest(
                    target: target, parameters: parameters, body: try await body(of: request),
                    contentType: request.headers[.contentType], client: client, admin: state))
        }
    }

    // MARK: Who asks

    private func authorise(_ request: Request) throws(Problem) {
        let keys = state.keyTable
        // Without keys the port is bound to this machine: `AdminServer` sees to that.
        if keys.isEmpty, isLocal { return }
        let bearer = request.headers[.authorization].flatMap { value -> String? in
            let parts = value.split(separator: " ", maxSplits: 1)
            return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : nil
        }
        if let key = bearer ?? request.headers[.apiKey], keys.name(of: key) != nil { return }
        var problem = Problem(
            .unauthorized, "keyInvalid", "an API key is needed: Authorization: Bearer KEY")
        problem.headers.append((name: .wwwAuthenticate, value: "Bearer"))
        throw problem.endingConnection
    }

    /// Without keys a page in a browser of this machine could reach the port under a name of its
    /// own choosing that leads here.
    private func checkHost(_ request: Request) throws(Problem) {
        guard state.keyTable.isEmpty, isLocal, let authority = request.head.authority else {
            return
        }
        var host = authority[...]
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") { host = host[..<colon] }
        if ["localhost", "[::1]"].contains(host) || IPAddress(host)?.isLoopback == true { return }
        throw Problem(
            .misdirectedRequest, "hostUnknown",
            "without API keys only localhost and loopback addresses are served"
        ).endingConnection
    }

    // MARK: Body

    private func announcedCount(_ request: Request) -> Int {
        request.headers[.contentLength].flatMap { Int($0) } ?? 0
    }

    private func body(of request: Request) async throws(Problem) -> [UInt8] {
        let bodyBytesMax = state.bodyBytesMax
        let tooLarge = Problem(
            .contentTooLarge, "bodyTooLarge", "a body has at most \(bodyBytesMax) bytes"
        ).endingConnection
        guard announcedCount(request) <= bodyBytesMax else { throw tooLarge }
        do {
            let buffer = try await request.body.collect(upTo: bodyBytesMax)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        } catch {
            throw Problem.badRequest("bodyIncomplete", "the body did not come").endingConnection
        }
    }
}

extension HTTPField.Name {
    fileprivate static let apiKey = HTTPField.Name("X-API-Key") ?? .authorization
}
