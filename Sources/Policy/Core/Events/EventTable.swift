/// How much an event matters to someone who reads logs.
public enum EventLevel: UInt8, Comparable, CaseIterable, Sendable {
    case debug
    case info
    case notice
    case warning
    case error

    public static func < (left: EventLevel, right: EventLevel) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// What an event is about.
public enum EventGroup: String, CaseIterable, Sendable {
    /// The connection ended before there was a session.
    case channel
    case connection
    /// The connection of a session ended; the kind says why.
    case disconnect
    case packet
    case publish
    case retain
    case push
    case access
    case dist
    case session
    case node
}

/// One kind of event: its name outside, its group and level.
package struct EventRow: Sendable {
    package let kind: EventKind
    package let name: String
    package let group: EventGroup
    package let level: EventLevel
    /// Happens for every message: reported only where the tenant's debug mode is on, always
    /// counted.
    package let isPerMessage: Bool
}

/// All kinds of events, in the order of their numbers.
@usableFromInline
package enum EventTable {
    package static let rows: [EventRow] = [
        row(.authError, "AUTH_ERROR", .channel, .warning),
        row(.enhancedAuthAbortByClient, "ENHANCED_AUTH_ABORT_BY_CLIENT", .channel, .notice),
        row(.unauthenticatedClient, "UNAUTHENTICATED_CLIENT", .channel, .notice),
        row(.notAuthorizedClient, "NOT_AUTHORIZED_CLIENT", .channel, .notice),
        row(.channelError, "CHANNEL_ERROR", .channel, .notice),
        row(.connectTimeout, "CONNECT_TIMEOUT", .channel, .notice),
        row(.identifierRejected, "IDENTIFIER_REJECTED", .channel, .notice),
        row(.malformedClientIdentifier, "MALFORMED_CLIENT_IDENTIFIER", .channel, .notice),
        row(.protocolError, "PROTOCOL_ERROR", .channel, .notice),
        row(.malformedUsername, "MALFORMED_USERNAME", .channel, .notice),
        row(.malformedWillTopic, "MALFORMED_WILL_TOPIC", .channel, .notice),
        row(.unacceptedProtocolVer, "UNACCEPTED_PROTOCOL_VER", .channel, .notice),
        row(.clientConnected, "CLIENT_CONNECTED", .connection, .info),
        row(.badPacket, "BAD_PACKET", .disconnect, .info),
        row(.byClient, "BY_CLIENT", .disconnect, .info),
        row(.byServer, "BY_SERVER", .disconnect, .info),
        row(.serverBusy, "SERVER_BUSY", .disconnect, .warning),
        row(.resourceThrottled, "RESOURCE_THROTTLED", .disconnect, .warning),
        row(.clientChannelError, "CLIENT_CHANNEL_ERROR", .disconnect, .info),
        row(.idle, "IDLE", .disconnect, .info),
        row(.inboxTransientError, "INBOX_TRANSIENT_ERROR", .disconnect, .warning),
        row(.invalidTopic, "INVALID_TOPIC", .disconnect, .info),
        row(.malformedTopic, "MALFORMED_TOPIC", .disconnect, .info),
        row(.invalidTopicFilter, "INVALID_TOPIC_FILTER", .disconnect, .info),
        row(.malformedTopicFilter, "MALFORMED_TOPIC_FILTER", .disconnect, .info),
        row(.kicked, "KICKED", .disconnect, .info),
        row(.serverRedirected, "SERVER_REDIRECTED", .disconnect, .info),
        row(.reAuthFailed, "RE_AUTH_FAILED", .disconnect, .info),
        row(.noPubPermission, "NO_PUB_PERMISSION", .disconnect, .info),
        row(.protocolViolation, "PROTOCOL_VIOLATION", .disconnect, .info),
        row(.exceedReceivingLimit, "EXCEED_RECEIVING_LIMIT", .disconnect, .info),
        row(.exceedPubRate, "EXCEED_PUB_RATE", .disconnect, .info),
        row(.tooLargeSubscription, "TOO_LARGE_SUBSCRIPTION", .disconnect, .info),
        row(.tooLargeUnsubscription, "TOO_LARGE_UNSUBSCRIPTION", .disconnect, .info),
        row(.oversizePacketDropped, "OVERSIZE_PACKET_DROPPED", .packet, .info),
        row(.pingReq, "PING_REQ", .packet, .info, isPerMessage: true),
        row(.subAcked, "SUB_ACKED", .packet, .info),
        row(.unsubAcked, "UNSUB_ACKED", .packet, .info),
        row(.subStalled, "SUB_STALLED", .packet, .info),
        row(.discard, "DISCARD", .publish, .info),
        row(.willDisted, "WILL_DISTED", .publish, .info),
        row(.willDistError, "WILL_DIST_ERROR", .publish, .warning),
        row(.qos0DistError, "QOS0_DIST_ERROR", .publish, .warning),
        row(.qos1DistError, "QOS1_DIST_ERROR", .publish, .warning),
        row(.qos2DistError, "QOS2_DIST_ERROR", .publish, .warning),
        row(.pubAcked, "PUB_ACKED", .publish, .info, isPerMessage: true),
        row(.pubAckDropped, "PUB_ACK_DROPPED", .publish, .info),
        row(.pubReced, "PUB_RECED", .publish, .info, isPerMessage: true),
        row(.pubRecDropped, "PUB_REC_DROPPED", .publish, .info),
        row(.msgRetained, "MSG_RETAINED", .retain, .info, isPerMessage: true),
        row(.retainMsgCleared, "RETAIN_MSG_CLEARED", .retain, .info, isPerMessage: true),
        row(.retainMsgMatched, "RETAIN_MSG_MATCHED", .retain, .info, isPerMessage: true),
        row(.msgRetainedError, "MSG_RETAINED_ERROR", .retain, .warning),
        row(.matchRetainError, "MATCH_RETAIN_ERROR", .retain, .warning),
        row(.qos0Pushed, "QOS0_PUSHED", .push, .info, isPerMessage: true),
        row(.qos0Dropped, "QOS0_DROPPED", .push, .info),
        row(.qos1Pushed, "QOS1_PUSHED", .push, .info, isPerMessage: true),
        row(.qos1Dropped, "QOS1_DROPPED", .push, .info),
        row(.qos1PushError, "QOS1_PUSH_ERROR", .push, .info),
        row(.qos1Confirmed, "QOS1_CONFIRMED", .push, .info, isPerMessage: true),
        row(.qos2Pushed, "QOS2_PUSHED", .push, .info, isPerMessage: true),
        row(.qos2Received, "QOS2_RECEIVED", .push, .info, isPerMessage: true),
        row(.qos2Dropped, "QOS2_DROPPED", .push, .info),
        row(.qos2PushError, "QOS2_PUSH_ERROR", .push, .info),
        row(.qos2Confirmed, "QOS2_CONFIRMED", .push, .info, isPerMessage: true),
        row(.pubActionDisallow, "PUB_ACTION_DISALLOW", .access, .notice),
        row(.subActionDisallow, "SUB_ACTION_DISALLOW", .access, .notice),
        row(.unsubActionDisallow, "UNSUB_ACTION_DISALLOW", .access, .notice),
        row(.accessControlError, "ACCESS_CONTROL_ERROR", .access, .warning),
        row(.disted, "DISTED", .dist, .info, isPerMessage: true),
        row(.distError, "DIST_ERROR", .dist, .warning),
        row(.delivered, "DELIVERED", .dist, .info, isPerMessage: true),
        row(.deliverError, "DELIVER_ERROR", .dist, .warning),
        row(.persistentFanoutThrottled, "PERSISTENT_FANOUT_THROTTLED", .dist, .info),
        row(.persistentFanoutBytesThrottled, "PERSISTENT_FANOUT_BYTES_THROTTLED", .dist, .info),
        row(.groupFanoutThrottled, "GROUP_FANOUT_THROTTLED", .dist, .info),
        row(.matched, "MATCHED", .dist, .info),
        row(.matchError, "MATCH_ERROR", .dist, .warning),
        row(.unmatched, "UNMATCHED", .dist, .info),
        row(.unmatchError, "UNMATCH_ERROR", .dist, .warning),
        row(.overflowed, "OVERFLOWED", .session, .notice),
        row(.outOfTenantResource, "OUT_OF_TENANT_RESOURCE", .session, .notice),
        row(.mqttSessionStart, "MQTT_SESSION_START", .session, .info),
        row(.mqttSessionStop, "MQTT_SESSION_STOP", .session, .info),
        row(.sessionTakenOver, "SESSION_TAKEN_OVER", .session, .info),
        row(.sessionExpired, "SESSION_EXPIRED", .session, .info),
        row(.slowConsumer, "SLOW_CONSUMER", .session, .notice),
        row(.messageDropped, "MESSAGE_DROPPED", .session, .notice),
        row(.retainedDropped, "RETAINED_DROPPED", .session, .notice),
        row(.staleServed, "STALE_SERVED", .node, .notice),
        row(.settingsChanged, "SETTINGS_CHANGED", .node, .notice),
        row(.reloaded, "RELOADED", .node, .notice),
        row(.reloadFailed, "RELOAD_FAILED", .node, .error),
        row(.certificateExpiring, "CERTIFICATE_EXPIRING", .node, .warning),
        row(.acceptPaused, "ACCEPT_PAUSED", .node, .warning),
        row(.acceptResumed, "ACCEPT_RESUMED", .node, .notice),
        row(.overloadStarted, "OVERLOAD_STARTED", .node, .warning),
        row(.overloadEnded, "OVERLOAD_ENDED", .node, .notice),
    ]

    package static func row(named name: String) -> EventRow? {
        rows.first { $0.name == name.uppercased() }
    }

    private static func row(
        _ kind: EventKind, _ name: String, _ group: EventGroup, _ level: EventLevel,
        isPerMessage: Bool = false
    ) -> EventRow {
        EventRow(kind: kind, name: name, group: group, level: level, isPerMessage: isPerMessage)
    }
}

extension EventKind {
    /// The name in logs, metrics and webhooks.
    public var name: String { row.name }

    package var row: EventRow { EventTable.rows[Int(rawValue)] }
}

/// A set of kinds, as a bit each.
public struct EventMask: Equatable, Sendable {
    @usableFromInline var low: UInt64 = 0
    @usableFromInline var high: UInt64 = 0

    public init() {}

    /// All kinds of at least this level.
    public init(atLeast level: EventLevel) {
        for row in EventTable.rows where row.level >= level { insert(row.kind) }
    }

    public static let all = EventMask(atLeast: .debug)

    public mutating func insert(_ kind: EventKind) {
        if kind.rawValue < 64 {
            low |= 1 << UInt64(kind.rawValue)
        } else {
            high |= 1 << UInt64(kind.rawValue - 64)
        }
    }

    public mutating func formUnion(_ other: EventMask) {
        low |= other.low
        high |= other.high
    }

    @inlinable
    public func contains(_ kind: EventKind) -> Bool {
        let bit = UInt64(kind.rawValue & 63)
        return (kind.rawValue < 64 ? low : high) &>> bit & 1 == 1
    }
}
