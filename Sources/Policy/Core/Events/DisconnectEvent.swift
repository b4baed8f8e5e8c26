/// Why the connection of a session ended.
public enum DisconnectEvent: Equatable, Sendable {
    case badPacket(cause: String)
    case byClient(withoutDisconnect: Bool)
    case byServer
    case serverBusy(reason: String)
    case resourceThrottled(reason: String)
    case clientChannelError(cause: String)
    case idle(keepAlive: Int)
    case inboxTransientError(reason: String)
    case invalidTopic(topic: String)
    case malformedTopic(topic: String)
    case invalidTopicFilter(filter: String)
    case malformedTopicFilter(filter: String)
    case kicked(kicker: String)
    case serverRedirected(isPermanent: Bool, serverReference: String)
    case reAuthFailed(reason: String)
    case noPubPermission(topic: String, qos: Int, retain: Bool)
    case protocolViolation(statement: String)
    case exceedReceivingLimit(limit: Int)
    case exceedPubRate(limit: Int)
    case tooLargeSubscription(max: Int, actual: Int)
    case tooLargeUnsubscription(max: Int, actual: Int)

    var described: EventDescription {
        switch self {
        case .badPacket(let cause):
            (.badPacket, [("cause", .text(cause))])
        case .byClient(let withoutDisconnect):
            (.byClient, [("withoutDisconnect", .flag(withoutDisconnect))])
        case .byServer: (.byServer, [])
        case .serverBusy(let reason):
            (.serverBusy, [("reason", .text(reason))])
        case .resourceThrottled(let reason):
            (.resourceThrottled, [("reason", .text(reason))])
        case .clientChannelError(let cause):
            (.clientChannelError, [("cause", .text(cause))])
        case .idle(let keepAlive):
            (.idle, [("keepAlive", .number(keepAlive))])
        case .inboxTransientError(let reason):
            (.inboxTransientError, [("reason", .text(reason))])
        case .invalidTopic(let topic):
            (.invalidTopic, [("topic", .text(topic))])
        case .malformedTopic(let topic):
            (.malformedTopic, [("topic", .text(topic))])
        case .invalidTopicFilter(let filter):
            (.invalidTopicFilter, [("filter", .text(filter))])
        case .malformedTopicFilter(let filter):
            (.malformedTopicFilter, [("filter", .text(filter))])
        case .kicked(let kicker):
            (.kicked, [("kicker", .text(kicker))])
        case .serverRedirected(let isPermanent, let serverReference):
            (
                .serverRedirected,
                [("isPermanent", .flag(isPermanent)), ("serverReference", .text(serverReference))]
            )
        case .reAuthFailed(let reason):
            (.reAuthFailed, [("reason", .text(reason))])
        case .noPubPermission(let topic, let qos, let retain):
            (
                .noPubPermission,
                [("topic", .text(topic)), ("qos", .number(qos)), ("retain", .flag(retain))]
            )
        case .protocolViolation(let statement):
            (.protocolViolation, [("statement", .text(statement))])
        case .exceedReceivingLimit(let limit):
            (.exceedReceivingLimit, [("limit", .number(limit))])
        case .exceedPubRate(let limit):
            (.exceedPubRate, [("limit", .number(limit))])
        case .tooLargeSubscription(let max, let actual):
            (.tooLargeSubscription, [("max", .number(max)), ("actual", .number(actual))])
        case .tooLargeUnsubscription(let max, let actual):
            (.tooLargeUnsubscription, [("max", .number(max)), ("actual", .number(actual))])
        }
    }
}
