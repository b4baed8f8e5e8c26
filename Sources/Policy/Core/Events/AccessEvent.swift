/// An action that the rules refused, or could not judge.
public enum AccessEvent: Equatable, Sendable {
    case pubActionDisallow(topic: String, qos: Int, isWill: Bool, isRetain: Bool)
    case subActionDisallow(filter: String, qos: Int)
    case unsubActionDisallow(filter: String)
    case accessControlError(cause: String)

    var described: EventDescription {
        switch self {
        case .pubActionDisallow(let topic, let qos, let isWill, let isRetain):
            (
                .pubActionDisallow,
                [
                    ("topic", .text(topic)),
                    ("qos", .number(qos)),
                    ("isWill", .flag(isWill)),
                    ("isRetain", .flag(isRetain)),
                ]
            )
        case .subActionDisallow(let filter, let qos):
            (.subActionDisallow, [("filter", .text(filter)), ("qos", .number(qos))])
        case .unsubActionDisallow(let filter):
            (.unsubActionDisallow, [("filter", .text(filter))])
        case .accessControlError(let cause):
            (.accessControlError, [("cause", .text(cause))])
        }
    }
}
