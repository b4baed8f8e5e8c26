/// A client has its session and its CONNACK.
public enum ConnectionEvent: Equatable, Sendable {
    case clientConnected(
        sessionID: String, keepAlive: Int, cleanStart: Bool, sessionPresent: Bool, hasWill: Bool)

    var described: EventDescription {
        switch self {
        case .clientConnected(
            let sessionID, let keepAlive, let cleanStart, let sessionPresent, let hasWill):
            (
                .clientConnected,
                [
                    ("sessionID", .text(sessionID)),
                    ("keepAlive", .number(keepAlive)),
                    ("cleanStart", .flag(cleanStart)),
                    ("sessionPresent", .flag(sessionPresent)),
                    ("hasWill", .flag(hasWill)),
                ]
            )
        }
    }
}
