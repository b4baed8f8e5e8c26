/// What became of a message on its way to a client.
public enum PushEvent: Equatable, Sendable {
    case qos0Pushed(topic: String, filter: String, size: Int)
    case qos0Dropped(topic: String, filter: String, size: Int, reason: DropReason)
    case qos1Pushed(packetID: Int, isDup: Bool, topic: String, filter: String, size: Int)
    case qos1Dropped(topic: String, filter: String, size: Int, reason: DropReason)
    case qos1PushError(packetID: Int, reason: String)
    case qos1Confirmed(packetID: Int, delivered: Bool)
    case qos2Pushed(packetID: Int, isDup: Bool, topic: String, filter: String, size: Int)
    case qos2Received(packetID: Int)
    case qos2Dropped(topic: String, filter: String, size: Int, reason: DropReason)
    case qos2PushError(packetID: Int, reason: String)
    case qos2Confirmed(packetID: Int, delivered: Bool)

    var described: EventDescription {
        switch self {
        case .qos0Pushed(let topic, let filter, let size):
            (.qos0Pushed, Self.message(topic, filter, size))
        case .qos0Dropped(let topic, let filter, let size, let reason):
            (.qos0Dropped, Self.message(topic, filter, size) + [("reason", .text(reason.name))])
        case .qos1Pushed(let packetID, let isDup, let topic, let filter, let size):
            (.qos1Pushed, Self.sent(packetID, isDup) + Self.message(topic, filter, size))
        case .qos1Dropped(let topic, let filter, let size, let reason):
            (.qos1Dropped, Self.message(topic, filter, size) + [("reason", .text(reason.name))])
        case .qos1PushError(let packetID, let reason):
            (.qos1PushError, [("packetID", .number(packetID)), ("reason", .text(reason))])
        case .qos1Confirmed(let packetID, let delivered):
            (.qos1Confirmed, [("packetID", .number(packetID)), ("delivered", .flag(delivered))])
        case .qos2Pushed(let packetID, let isDup, let topic, let filter, let size):
            (.qos2Pushed, Self.sent(packetID, isDup) + Self.message(topic, filter, size))
        case .qos2Received(let packetID):
            (.qos2Received, [("packetID", .number(packetID))])
        case .qos2Dropped(let topic, let filter, let size, let reason):
            (.qos2Dropped, Self.message(topic, filter, size) + [("reason", .text(reason.name))])
        case .qos2PushError(let packetID, let reason):
            (.qos2PushError, [("packetID", .number(packetID)), ("reason", .text(reason))])
        case .qos2Confirmed(let packetID, let delivered):
            (.qos2Confirmed, [("packetID", .number(packetID)), ("delivered", .flag(delivered))])
        }
    }

    private static func message(
        _ topic: String, _ filter: String, _ size: Int
    ) -> [(name: String, value: EventValue)] {
        [("topic", .text(topic)), ("filter", .text(filter)), ("size", .number(size))]
    }

    private static func sent(
        _ packetID: Int, _ isDup: Bool
    ) -> [(name: String, value: EventValue)] {
        [("packetID", .number(packetID)), ("isDup", .flag(isDup))]
    }
}
