/// Something that concerns the node, not one client.
public enum NodeEvent: Equatable, Sendable {
    case staleServed(topic: String)
    case settingsChanged(settings: [String])
    case reloaded(subject: String)
    case reloadFailed(subject: String, reason: String)
    case certificateExpiring(path: String, days: Int)
    case acceptPaused(listener: String, reason: String)
    case acceptResumed(listener: String)
    case overloadStarted(resource: String, value: Int, limit: Int)
    case overloadEnded(resource: String)

    var described: EventDescription {
        switch self {
        case .staleServed(let topic):
            (.staleServed, [("topic", .text(topic))])
        case .settingsChanged(let settings):
            (.settingsChanged, [("settings", .list(settings))])
        case .reloaded(let subject):
            (.reloaded, [("subject", .text(subject))])
        case .reloadFailed(let subject, let reason):
            (.reloadFailed, [("subject", .text(subject)), ("reason", .text(reason))])
        case .certificateExpiring(let path, let days):
            (.certificateExpiring, [("path", .text(path)), ("days", .number(days))])
        case .acceptPaused(let listener, let reason):
            (.acceptPaused, [("listener", .text(listener)), ("reason", .text(reason))])
        case .acceptResumed(let listener):
            (.acceptResumed, [("listener", .text(listener))])
        case .overloadStarted(let resource, let value, let limit):
            (
                .overloadStarted,
                [
                    ("resource", .text(resource)),
                    ("value", .number(value)),
                    ("limit", .number(limit)),
                ]
            )
        case .overloadEnded(let resource):
            (.overloadEnded, [("resource", .text(resource))])
        }
    }
}
