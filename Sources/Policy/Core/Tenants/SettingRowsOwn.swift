/// The settings that are ours, and the totals and rates of a tenant under the names of
/// `ResourceType`.
let ownSettingRows: [SettingRow] = [
    SettingRow(
        101, "SlowConsumerPolicy", .policy(\.slowConsumerPolicy),
        .none, .nextPacket,
        "What happens when the queue of a session is full."),
    SettingRow(
        102, "SessionQueueBytes", .number(\.sessionQueueBytesMax, 1_024...Int.max, unlimited: nil),
        .bytes, .nextPacket,
        "Bytes queued for one session."),
    SettingRow(
        103, "QueueQoS0Offline", .flag(\.queueQoS0Offline),
        .none, .nextPacket,
        "Queue QoS 0 messages for stored sessions that are offline."),
    SettingRow(
        104, "ClientIdBoundToPrincipal", .flag(\.clientIDBoundToPrincipal),
        .none, .nextConnect,
        "Refuse a client id that a session of another user holds (reason code "
            + "0x85, 3.x 0x02)."),
    SettingRow(
        105, "MQTT3SharedSubscriptionEnabled", .flag(\.mqtt3SharedSubscriptionEnabled),
        .none, .nextPacket,
        "Allow $share and $oshare for MQTT 3.1 and 3.1.1 clients."),
    SettingRow(
        106, "MaxSendWindow", .number(\.sendWindowMax, 1...65_535, unlimited: nil),
        .messages, .nextPacket,
        "The most unacknowledged QoS 1 and 2 messages towards one client, below "
            + "its receive maximum."),
    SettingRow(
        107, "MaxClientIdBytes", .number(\.clientIDBytesMax, 23...65_535, unlimited: nil),
        .bytes, .nextConnect,
        "The longest client id (reason code 0x85, 3.x 0x02)."),
    SettingRow(
        108, "MaxUserProperties", .number(\.userPropertiesMax, 0...65_535, unlimited: nil),
        .none, .nextPacket,
        "User properties in one packet."),
    SettingRow(
        109, "TotalConnections", .number(\.totalConnections, 0...Int.max, unlimited: 0),
        .none, .nextConnect,
        "Connections of the tenant on a node."),
    SettingRow(
        110, "TotalSessionMemoryBytes",
        .number(\.totalSessionMemoryBytes, 0...Int.max, unlimited: 0),
        .bytes, .nextConnect,
        "Memory of the tenant's online sessions on a node."),
    SettingRow(
        111, "TotalConnectPerSecond", .number(\.totalConnectPerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextConnect,
        "CONNECT packets of the tenant per second on a node."),
    SettingRow(
        112, "TotalPersistentSessions",
        .number(\.totalPersistentSessions, 0...Int.max, unlimited: 0),
        .none, .nextConnect,
        "Stored sessions of the tenant."),
    SettingRow(
        113, "TotalPersistentSessionSpaceBytes",
        .number(\.totalPersistentSessionSpaceBytes, 0...Int.max, unlimited: 0),
        .bytes, .nextConnect,
        "Space of the tenant's stored sessions."),
    SettingRow(
        114, "TotalTransientSubscriptions",
        .number(\.totalTransientSubscriptions, 0...Int.max, unlimited: 0),
        .none, .nextPacket,
        "Subscriptions of sessions that end with their connection."),
    SettingRow(
        115, "TotalPersistentSubscriptions",
        .number(\.totalPersistentSubscriptions, 0...Int.max, unlimited: 0),
        .none, .nextPacket,
        "Subscriptions of stored sessions."),
    SettingRow(
        116, "TotalSharedSubscriptions",
        .number(\.totalSharedSubscriptions, 0...Int.max, unlimited: 0),
        .none, .nextPacket,
        "Shared subscriptions."),
    SettingRow(
        117, "TotalTransientSubscribePerSecond",
        .number(\.totalTransientSubscribePerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextPacket,
        "Topic filters subscribed per second by sessions that end with their "
            + "connection."),
    SettingRow(
        118, "TotalPersistentSubscribePerSecond",
        .number(\.totalPersistentSubscribePerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextPacket,
        "Topic filters subscribed per second by stored sessions."),
    SettingRow(
        119, "TotalTransientUnsubscribePerSecond",
        .number(\.totalTransientUnsubscribePerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextPacket,
        "Topic filters unsubscribed per second by sessions that end with their "
            + "connection."),
    SettingRow(
        120, "TotalPersistentUnsubscribePerSecond",
        .number(\.totalPersistentUnsubscribePerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextPacket,
        "Topic filters unsubscribed per second by stored sessions."),
    SettingRow(
        121, "TotalInboundBytesPerSecond",
        .number(\.totalInboundBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes per second read from all clients of the tenant on a node; reading "
            + "slows down, and who is held for 5 s is sent away (reason code 0x96)."),
    SettingRow(
        122, "TotalTransientFanOutBytesPerSeconds",
        .number(\.totalTransientFanOutBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes per second to sessions that end with their connection."),
    SettingRow(
        123, "TotalPersistentFanOutBytesPerSeconds",
        .number(\.totalPersistentFanOutBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes per second to stored sessions."),
    SettingRow(
        124, "TotalRetainTopics", .number(\.totalRetainTopics, 0...Int.max, unlimited: 0),
        .none, .nextPacket,
        "Topics with a retained message (reason code 0x97)."),
    SettingRow(
        125, "TotalRetainMessageSpaceBytes",
        .number(\.totalRetainMessageSpaceBytes, 0...Int.max, unlimited: 0),
        .bytes, .nextPacket,
        "Space of retained messages (reason code 0x97)."),
    SettingRow(
        126, "TotalRetainedMessagesPerSeconds",
        .number(\.totalRetainedMessagesPerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextPacket,
        "Retained messages stored per second."),
    SettingRow(
        127, "TotalRetainedBytesPerSecond",
        .number(\.totalRetainedBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes of retained messages stored per second."),
    SettingRow(
        128, "TotalRetainMatchPerSeconds",
        .number(\.totalRetainMatchPerSecond, 0...Int.max, unlimited: 0),
        .perSecond, .nextPacket,
        "Retained messages read per second for SUBSCRIBE."),
    SettingRow(
        129, "TotalRetainMatchBytesPerSecond",
        .number(\.totalRetainMatchBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes of retained messages read per second for SUBSCRIBE."),
]
