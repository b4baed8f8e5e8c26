/// Why a connection ended before it had a session.
public enum ChannelEvent: Equatable, Sendable {
    case authError(reason: String)
    case enhancedAuthAbortByClient
    case unauthenticatedClient
    case notAuthorizedClient
    case channelError(cause: String)
    case connectTimeout
    case identifierRejected
    case malformedClientIdentifier
    case protocolError(statement: String)
    case malformedUsername
    case malformedWillTopic
    case unacceptedProtocolVer

    var described: EventDescription {
        switch self {
        case .authError(let reason):
            (.authError, [("reason", .text(reason))])
        case .enhancedAuthAbortByClient: (.enhancedAuthAbortByClient, [])
        case .unauthenticatedClient: (.unauthenticatedClient, [])
        case .notAuthorizedClient: (.notAuthorizedClient, [])
        case .channelError(let cause):
            (.channelError, [("cause", .text(cause))])
        case .connectTimeout: (.connectTimeout, [])
        case .identifierRejected: (.identifierRejected, [])
        case .malformedClientIdentifier: (.malformedClientIdentifier, [])
        case .protocolError(let statement):
            (.protocolError, [("statement", .text(statement))])
        case .malformedUsername: (.malformedUsername, [])
        case .malformedWillTopic: (.malformedWillTopic, [])
        case .unacceptedProtocolVer: (.unacceptedProtocolVer, [])
        }
    }
}
