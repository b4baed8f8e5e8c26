/// Something about a packet other than PUBLISH.
public enum PacketEvent: Equatable, Sendable {
    case oversizePacketDropped(packetType: String, size: Int)
    case pingReq(answered: Bool)
    case subAcked(packetID: Int, filters: [String], granted: [String])
    case unsubAcked(packetID: Int, filters: [String])
    case subStalled(queuedBytes: Int, unconfirmedCount: Int)

    var described: EventDescription {
        switch self {
        case .oversizePacketDropped(let packetType, let size):
            (.oversizePacketDropped, [("packetType", .text(packetType)), ("size", .number(size))])
        case .pingReq(let answered):
            (.pingReq, [("answered", .flag(answered))])
        case .subAcked(let packetID, let filters, let granted):
            (
                .subAcked,
                [
                    ("packetID", .number(packetID)),
                    ("filters", .list(filters)),
                    ("granted", .list(granted)),
                ]
            )
        case .unsubAcked(let packetID, let filters):
            (.unsubAcked, [("packetID", .number(packetID)), ("filters", .list(filters))])
        case .subStalled(let queuedBytes, let unconfirmedCount):
            (
                .subStalled,
                [
                    ("queuedBytes", .number(queuedBytes)),
                    ("unconfirmedCount", .number(unconfirmedCount)),
                ]
            )
        }
    }
}
