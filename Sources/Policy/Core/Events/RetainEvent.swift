/// What became of a retained message.
public enum RetainEvent: Equatable, Sendable {
    case msgRetained(topic: String, isWill: Bool, qos: Int, size: Int)
    case retainMsgCleared(topic: String, isWill: Bool)
    case retainMsgMatched(filter: String, qos: Int, count: Int)
    case msgRetainedError(topic: String, isWill: Bool, reason: String)
    case matchRetainError(filter: String, reason: String)

    var described: EventDescription {
        switch self {
        case .msgRetained(let topic, let isWill, let qos, let size):
            (
                .msgRetained,
                [
                    ("topic", .text(topic)),
                    ("isWill", .flag(isWill)),
                    ("qos", .number(qos)),
                    ("size", .number(size)),
                ]
            )
        case .retainMsgCleared(let topic, let isWill):
            (.retainMsgCleared, [("topic", .text(topic)), ("isWill", .flag(isWill))])
        case .retainMsgMatched(let filter, let qos, let count):
            (
                .retainMsgMatched,
                [("filter", .text(filter)), ("qos", .number(qos)), ("count", .number(count))]
            )
        case .msgRetainedError(let topic, let isWill, let reason):
            (
                .msgRetainedError,
                [("topic", .text(topic)), ("isWill", .flag(isWill)), ("reason", .text(reason))]
            )
        case .matchRetainError(let filter, let reason):
            (.matchRetainError, [("filter", .text(filter)), ("reason", .text(reason))])
        }
    }
}
