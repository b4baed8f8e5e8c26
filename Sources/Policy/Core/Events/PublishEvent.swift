/// What became of a message that a client sent.
public enum PublishEvent: Equatable, Sendable {
    case discard(rateLimit: Int, topic: String, qos: Int)
    case willDisted(topic: String, qos: Int, size: Int)
    case willDistError(topic: String, qos: Int, reason: String)
    case qos0DistError(topic: String, size: Int, reason: String)
    case qos1DistError(topic: String, size: Int, reason: String)
    case qos2DistError(topic: String, size: Int, reason: String)
    case pubAcked(packetID: Int, topic: String, size: Int)
    case pubAckDropped(packetID: Int, topic: String)
    case pubReced(packetID: Int, topic: String, size: Int)
    case pubRecDropped(packetID: Int, topic: String)

    var described: EventDescription {
        switch self {
        case .discard(let rateLimit, let topic, let qos):
            (
                .discard,
                [("rateLimit", .number(rateLimit)), ("topic", .text(topic)), ("qos", .number(qos))]
            )
        case .willDisted(let topic, let qos, let size):
            (
                .willDisted,
                [("topic", .text(topic)), ("qos", .number(qos)), ("size", .number(size))]
            )
        case .willDistError(let topic, let qos, let reason):
            (
                .willDistError,
                [("topic", .text(topic)), ("qos", .number(qos)), ("reason", .text(reason))]
            )
        case .qos0DistError(let topic, let size, let reason):
            (
                .qos0DistError,
                [("topic", .text(topic)), ("size", .number(size)), ("reason", .text(reason))]
            )
        case .qos1DistError(let topic, let size, let reason):
            (
                .qos1DistError,
                [("topic", .text(topic)), ("size", .number(size)), ("reason", .text(reason))]
            )
        case .qos2DistError(let topic, let size, let reason):
            (
                .qos2DistError,
                [("topic", .text(topic)), ("size", .number(size)), ("reason", .text(reason))]
            )
        case .pubAcked(let packetID, let topic, let size):
            (
                .pubAcked,
                [("packetID", .number(packetID)), ("topic", .text(topic)), ("size", .number(size))]
            )
        case .pubAckDropped(let packetID, let topic):
            (.pubAckDropped, [("packetID", .number(packetID)), ("topic", .text(topic))])
        case .pubReced(let packetID, let topic, let size):
            (
                .pubReced,
                [("packetID", .number(packetID)), ("topic", .text(topic)), ("size", .number(size))]
            )
        case .pubRecDropped(let packetID, let topic):
            (.pubRecDropped, [("packetID", .number(packetID)), ("topic", .text(topic))])
        }
    }
}
