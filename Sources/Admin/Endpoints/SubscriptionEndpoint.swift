import Base
import Broker
import MQTT
import Policy

/// Subscribing and unsubscribing on behalf of a session.
enum SubscriptionEndpoint {
    private static let members: Set<String> = [
        "filter", "qos", "noLocal", "retainAsPublished", "subscriptionIdentifier",
    ]

    static func subscribe(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant")
        let name = try SessionEndpoint.name(request)
        let wanted = try DoorSubscription(try request.object(members))
        let session = try await SessionEndpoint.find(name, request.client)
        let answer: DoorAnswer
        if session.isStored {
            answer = try await request.client.demand(.subscribe(name, wanted))
        } else if let owner = session.owner {
            answer = try await request.client.demand(
                .subscribeConnection(
                    DoorConnectionName(session: name, token: owner.token), wanted),
                .place(owner.place))
        } else {
            throw Problem(.notFound)
        }
        guard case .subscribed(let qos, let isNew) = answer else { throw Problem(.unavailable) }
        var granted = wanted
        granted.options = SubscriptionOptions(
            rawValue: wanted.options.rawValue & 0xFC | qos.rawValue)
        return .json(granted.json, status: isNew ? .created : .ok)
    }

    static func unsubscribe(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery("tenant", "filter")
        let name = try SessionEndpoint.name(request)
        guard let text = request.query("filter") else {
            throw .badRequest("queryInvalid", "'filter' is missing")
        }
        let filter = Array(text.utf8)
        guard filter.count <= 0xFFFF else { throw Problem(.filterInvalid) }
        let session = try await SessionEndpoint.find(name, request.client)
        if session.isStored {
            _ = try await request.client.demand(.unsubscribe(name, filter: filter))
        } else if let owner = session.owner {
            _ = try await request.client.demand(
                .unsubscribeConnection(
                    DoorConnectionName(session: name, token: owner.token), filter: filter),
                .place(owner.place))
        } else {
            throw Problem(.notFound)
        }
        return .nothing
    }
}

extension DoorSubscription {
    init(_ document: JSONValue) throws(Problem) {
        guard let filter = try document.text("filter") else {
            throw .badRequest("memberMissing", "'filter' is missing")
        }
        guard filter.utf8.count <= 0xFFFF else { throw Problem(.filterInvalid) }
        let qos = QoS(rawValue: UInt8(try document.integer("qos", 0...2) ?? 0)) ?? .atMostOnce
        let options = SubscriptionOptions(
            maximumQoS: qos, noLocal: try document.flag("noLocal") ?? false,
            retainAsPublished: try document.flag("retainAsPublished") ?? false,
            retainHandling: .send)
        let identifier = try document.integer("subscriptionIdentifier", 1...268_435_455)
        self.init(
            filter: Array(filter.utf8), options: options,
            subscriptionID: UInt32(identifier ?? 0))
    }

    var json: JSONValue {
        var members = [
            JSONMember("filter", .text(filter.text)),
            JSONMember("qos", .integer(Int(options.maximumQoS.rawValue))),
            JSONMember("noLocal", .flag(options.noLocal)),
            JSONMember("retainAsPublished", .flag(options.retainAsPublished)),
        ]
        if subscriptionID != 0 {
            members.append(
                JSONMember("subscriptionIdentifier", .integer(Int(subscriptionID))))
        }
        return .object(members)
    }
}
