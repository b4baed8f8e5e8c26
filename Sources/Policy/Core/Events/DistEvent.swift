/// Matching, fan-out and routes.
public enum DistEvent: Equatable, Sendable {
    case disted(topic: String, messages: Int, fanout: Int)
    case distError(topic: String, messages: Int, code: String)
    case delivered(receiver: String, messages: Int)
    case deliverError(receiver: String, messages: Int, reason: String)
    case persistentFanoutThrottled(topic: String, max: Int)
    case persistentFanoutBytesThrottled(topic: String, maxBytes: Int)
    case groupFanoutThrottled(topic: String, max: Int)
    case matched(filter: String, receiver: String)
    case matchError(filter: String, receiver: String, reason: String)
    case unmatched(filter: String, receiver: String)
    case unmatchError(filter: String, receiver: String, reason: String)

    var described: EventDescription {
        switch self {
        case .disted(let topic, let messages, let fanout):
            (
                .disted,
                [
                    ("topic", .text(topic)),
                    ("messages", .number(messages)),
                    ("fanout", .number(fanout)),
                ]
            )
        case .distError(let topic, let messages, let code):
            (
                .distError,
                [("topic", .text(topic)), ("messages", .number(messages)), ("code", .text(code))]
            )
        case .delivered(let receiver, let messages):
            (.delivered, [("receiver", .text(receiver)), ("messages", .number(messages))])
        case .deliverError(let receiver, let messages, let reason):
            (
                .deliverError,
                [
                    ("receiver", .text(receiver)),
                    ("messages", .number(messages)),
                    ("reason", .text(reason)),
                ]
            )
        case .persistentFanoutThrottled(let topic, let max):
            (.persistentFanoutThrottled, [("topic", .text(topic)), ("max", .number(max))])
        case .persistentFanoutBytesThrottled(let topic, let maxBytes):
            (
                .persistentFanoutBytesThrottled,
                [("topic", .text(topic)), ("maxBytes", .number(maxBytes))]
            )
        case .groupFanoutThrottled(let topic, let max):
            (.groupFanoutThrottled, [("topic", .text(topic)), ("max", .number(max))])
        case .matched(let filter, let receiver):
            (.matched, [("filter", .text(filter)), ("receiver", .text(receiver))])
        case .matchError(let filter, let receiver, let reason):
            (
                .matchError,
                [
                    ("filter", .text(filter)),
                    ("receiver", .text(receiver)),
                    ("reason", .text(reason)),
                ]
            )
        case .unmatched(let filter, let receiver):
            (.unmatched, [("filter", .text(filter)), ("receiver", .text(receiver))])
        case .unmatchError(let filter, let receiver, let reason):
            (
                .unmatchError,
                [
                    ("filter", .text(filter)),
                    ("receiver", .text(receiver)),
                    ("reason", .text(reason)),
                ]
            )
        }
    }
}
