/// The life of a session, and what its limits cost.
public enum SessionEvent: Equatable, Sendable {
    case overflowed(isOldest: Bool, dropCount: Int)
    case outOfTenantResource(resource: ResourceType)
    case sessionStart(sessionID: String, isStored: Bool)
    case sessionStop(sessionID: String, isStored: Bool)
    case takenOver(sessionID: String)
    case expired(sessionID: String)
    case slowConsumer(queuedMessages: Int, queuedBytes: Int)
    case messageDropped(topic: String, qos: Int, reason: DropReason)
    case retainedDropped(topic: String, reason: DropReason)

    var described: EventDescription {
        switch self {
        case .overflowed(let isOldest, let dropCount):
            (.overflowed, [("isOldest", .flag(isOldest)), ("dropCount", .number(dropCount))])
        case .outOfTenantResource(let resource):
            (.outOfTenantResource, [("resource", .text(resource.name))])
        case .sessionStart(let sessionID, let isStored):
            (.mqttSessionStart, [("sessionID", .text(sessionID)), ("isStored", .flag(isStored))])
        case .sessionStop(let sessionID, let isStored):
            (.mqttSessionStop, [("sessionID", .text(sessionID)), ("isStored", .flag(isStored))])
        case .takenOver(let sessionID):
            (.sessionTakenOver, [("sessionID", .text(sessionID))])
        case .expired(let sessionID):
            (.sessionExpired, [("sessionID", .text(sessionID))])
        case .slowConsumer(let queuedMessages, let queuedBytes):
            (
                .slowConsumer,
                [
                    ("queuedMessages", .number(queuedMessages)),
                    ("queuedBytes", .number(queuedBytes)),
                ]
            )
        case .messageDropped(let topic, let qos, let reason):
            (
                .messageDropped,
                [("topic", .text(topic)), ("qos", .number(qos)), ("reason", .text(reason.name))]
            )
        case .retainedDropped(let topic, let reason):
            (.retainedDropped, [("topic", .text(topic)), ("reason", .text(reason.name))])
        }
    }
}
