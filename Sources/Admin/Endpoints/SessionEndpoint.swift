import Base
import Broker
import MQTT
import Policy

/// Sessions: lists, details, and their end.
enum SessionEndpoint {
    // MARK: List

    /// Stored sessions first, from the ranges; then the transient ones of each worker in turn.
    static func list(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant", "prefix", "online", "limit", "cursor")
        var list = DoorList(tenant: try request.tenant())
        list.pattern = Array((request.query("prefix") ?? "").utf8)
        guard list.pattern.count <= 0xFFFF else {
            throw .badRequest("queryInvalid", "'prefix' is too long")
        }
        if let online = try request.flag("online") {
            list.presence = online ? .online : .offline
        }
        let limit = try request.limit()
        var cursor: PageCursor? = try PageCursor(request.query("cursor"))
        var found: [DoorSession] = []
        for _ in 0..<AdminLimits.questionsPerPage {
            guard let place = cursor, found.count < limit else { break }
            list.cursor = place.inner
            list.limit = limit - found.count
            let page = try await page(list, place, request.client)
            found += page.sessions
            cursor = next(place, page.cursor, list.presence, request.client.door)
        }
        return .json(.page(found.map { .object($0.members) }, cursor: cursor))
    }

    private static func page(
        _ list: DoorList, _ place: PageCursor, _ client: DoorClient
    ) async throws(Problem) -> DoorSessionPage {
        let answer: DoorAnswer
        if place.phase == 0 {
            answer = try await client.demand(.storedSessions(list))
        } else {
            let worker = Place(
                node: client.door.node, worker: WorkerIndex(place.phase - 1))
            answer = try await client.demand(.connectedSessions(list), .place(worker))
        }
        guard case .sessionPage(let page) = answer else { throw Problem(.unavailable) }
        return page
    }

    /// Nil behind the last page.
    private static func next(
        _ place: PageCursor, _ inner: [UInt8], _ presence: DoorList.Presence, _ door: QueryDoor
    ) -> PageCursor? {
        if !inner.isEmpty { return PageCursor(phase: place.phase, inner: inner) }
        guard presence != .offline, Int(place.phase) < door.workers else { return nil }
        return PageCursor(phase: place.phase + 1, inner: [])
    }

    // MARK: One

    static func name(_ request: AdminRequest) throws(Problem) -> DoorSessionName {
        let clientID = Array(request.parameters[0].utf8)
        guard clientID.count <= 0xFFFF else { throw Problem(.notFound) }
        return DoorSessionName(tenant: try request.tenant(), clientID: clientID)
    }

    static func find(
        _ name: DoorSessionName, _ client: DoorClient
    ) async throws(Problem) -> DoorSession {
        guard case .session(let session) = try await client.demand(.session(name)) else {
            throw Problem(.unavailable)
        }
        return session
    }

    static func show(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant")
        let name = try name(request)
        let session = try await find(name, request.client)
        var members = session.members
        if let owner = session.owner {
            let connection = DoorConnectionName(session: name, token: owner.token)
            let answer = await request.client.ask(.connection(connection), .place(owner.place))
            // It may have ended since: then there is nothing to show of it.
            if case .connection(let shown) = answer {
                members.append(JSONMember("connection", .object(shown.members(owner))))
                if !session.isStored {
                    members.set("queuedMessages", .integer(Int(shown.queuedMessages)))
                    members.set("subscriptionCount", .integer(Int(shown.subscriptionCount)))
                }
            }
        }
        let subscriptions = await subscriptions(of: name, session, request.client)
        members.append(JSONMember("subscriptions", .list(subscriptions.map(\.json))))
        return .json(.object(members))
    }

    /// At most a page of them, and what the session's place tells.
    private static func subscriptions(
        of name: DoorSessionName, _ session: DoorSession, _ client: DoorClient
    ) async -> [DoorSubscription] {
        var found: [DoorSubscription] = []
        for _ in 0..<AdminLimits.questionsPerPage {
            let skip = UInt32(found.count)
            let answer: DoorAnswer
            if session.isStored {
                answer = await client.ask(.subscriptions(name, skip: skip), .any(0))
            } else if let owner = session.owner {
                answer = await client.ask(
                    .connectionSubscriptions(
                        DoorConnectionName(session: name, token: owner.token), skip: skip),
                    .place(owner.place))
            } else {
                return found
            }
            guard case .subscriptionPage(let page, let hasMore) = answer else { return found }
            found += page
            if !hasMore || page.isEmpty || found.count >= AdminLimits.pageMax { break }
        }
        return Array(found.prefix(AdminLimits.pageMax))
    }

    // MARK: End

    /// Disconnects; with `discard` a stored session ends for good.
    static func end(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant", "discard", "will")
        let name = try name(request)
        let publishesWill = try request.flag("will") ?? true
        if try request.flag("discard") == true {
            _ = try await request.client.demand(.terminate(name, publishesWill: publishesWill))
            return .nothing
        }
        let session = try await find(name, request.client)
        guard let owner = session.owner else {
            throw Problem(.conflict, "notConnected", "the session has no connection")
        }
        _ = try await request.client.demand(
            .disconnect(DoorConnectionName(session: name, token: owner.token)),
            .place(owner.place))
        return .nothing
    }
}

extension DoorSession {
    var members: [JSONMember] {
        var members = [
            JSONMember("clientID", .text(clientID.text)),
            JSONMember("user", .text(user.text)),
            JSONMember("online", .flag(isOnline)),
            JSONMember("stored", .flag(isStored)),
            JSONMember("hasWill", .flag(hasWill)),
            JSONMember("subscriptionCount", .integer(Int(subscriptionCount))),
            JSONMember("queuedMessages", .integer(Int(queuedMessages))),
            JSONMember("queuedBytes", .integer(Int(clamping: queuedBytes))),
        ]
        if isStored {
            members.append(
                JSONMember("sessionExpiryInterval", .integer(Int(expirySeconds))))
            if !isOnline { members += .time("expiresAt", expiresAt) }
        }
        return members
    }
}

extension DoorConnection {
    func members(_ owner: DoorSession.Owner) -> [JSONMember] {
        let protocolVersion =
            switch version {
            case .v31: "3.1"
            case .v311: "3.1.1"
            case .v5: "5.0"
            }
        return [
            JSONMember("peer", .text(peer)), JSONMember("listener", .text(listener)),
            JSONMember("protocolVersion", .text(protocolVersion)),
            JSONMember("webSocket", .flag(isWebSocket)),
            JSONMember("keepAlive", .integer(Int(keepAlive))),
            JSONMember("connectedAt", .integer(Int(clamping: connectedAt))),
            JSONMember("inFlight", .integer(Int(inFlight))),
            JSONMember("receiveMaximum", .integer(Int(receiveMaximum))),
            JSONMember("node", .integer(Int(clamping: owner.place.node.rawValue))),
            JSONMember("loop", .integer(Int(owner.place.worker.rawValue))),
        ]
    }
}

extension [JSONMember] {
    mutating func set(_ name: String, _ value: JSONValue) {
        if let index = firstIndex(where: { $0.name == name }) { self[index].value = value }
    }
}
