/// The settings that the reference system has, by its names; several defaults are our own.
let referenceSettingRows: [SettingRow] = [
    SettingRow(
        1, "MQTT3Enabled", .flag(\.mqtt31Enabled),
        .none, .nextPacket,
        "Accept MQTT 3.1; turned off, its clients are sent away (reason code 0x98)."),
    SettingRow(
        2, "MQTT4Enabled", .flag(\.mqtt311Enabled),
        .none, .nextPacket,
        "Accept MQTT 3.1.1; turned off, its clients are sent away (reason code 0x98)."),
    SettingRow(
        3, "MQTT5Enabled", .flag(\.mqtt5Enabled),
        .none, .nextPacket,
        "Accept MQTT 5.0; turned off, its clients are sent away (reason code 0x98)."),
    SettingRow(
        4, "NoLWTWhenServerShuttingDown", .flag(\.noWillWhenServerShuttingDown),
        .none, .nextPacket,
        "Suppress wills when the server stops in good order."),
    SettingRow(
        5, "DebugModeEnabled", .flag(\.debugModeEnabled),
        .none, .nextPacket,
        "Emit the events of every single message (PUB_ACKED, QOS1_PUSHED, DISTED "
            + "and so on)."),
    SettingRow(
        6, "ForceTransient", .flag(\.forceTransient),
        .none, .nextConnect,
        "Treat every session as one that ends with its connection."),
    SettingRow(
        7, "ByPassPermCheckError", .flag(\.bypassPermissionCheckError),
        .none, .nextPacket,
        "Let an action pass if its permission check fails to answer. Off: it is "
            + "refused."),
    SettingRow(
        8, "PayloadFormatValidationEnabled", .flag(\.payloadFormatValidationEnabled),
        .none, .nextPacket,
        "Check that a payload marked as text is UTF-8 (reason code 0x99)."),
    SettingRow(
        9, "RetainEnabled", .flag(\.retainEnabled),
        .none, .nextPacket,
        "Allow retained messages (reason code 0x9A)."),
    SettingRow(
        10, "WildcardSubscriptionEnabled", .flag(\.wildcardSubscriptionEnabled),
        .none, .nextPacket,
        "Allow + and # in topic filters (reason code 0xA2)."),
    SettingRow(
        11, "SubscriptionIdentifierEnabled", .flag(\.subscriptionIdentifierEnabled),
        .none, .nextPacket,
        "Allow subscription identifiers (reason code 0xA1)."),
    SettingRow(
        12, "SharedSubscriptionEnabled", .flag(\.sharedSubscriptionEnabled),
        .none, .nextPacket,
        "Allow $share and $oshare (reason code 0x9E)."),
    SettingRow(
        13, "MaximumQoS", .number(\.maximumQoS, 0...2, unlimited: nil),
        .none, .nextPacket,
        "The highest QoS of a publish or will (reason code 0x9B)."),
    SettingRow(
        14, "MaxTopicLevelLength", .number(\.topicLevelLengthMax, 1...65_535, unlimited: nil),
        .characters, .nextPacket,
        "The longest level of a topic."),
    SettingRow(
        15, "MaxTopicLevels", .number(\.topicLevelsMax, 1...65_535, unlimited: nil),
        .none, .nextPacket,
        "The most levels of a topic."),
    SettingRow(
        16, "MaxTopicLength", .number(\.topicLengthMax, 1...65_535, unlimited: nil),
        .characters, .nextPacket,
        "The longest topic or topic filter."),
    SettingRow(
        17, "MaxTopicAlias", .number(\.topicAliasMax, 0...65_535, unlimited: nil),
        .none, .nextConnect,
        "The highest topic alias of a client; also how many the server uses "
            + "towards it."),
    SettingRow(
        18, "MaxSharedGroupMembers", .number(\.sharedGroupMembersMax, 1...Int.max, unlimited: nil),
        .none, .nextPacket,
        "Members of one group of one shared filter."),
    SettingRow(
        19, "MaxTopicFiltersPerInbox",
        .number(\.topicFiltersPerSessionMax, 1...Int.max, unlimited: nil),
        .none, .nextPacket,
        "Subscriptions of one session."),
    SettingRow(
        20, "MsgPubPerSec", .number(\.publishesPerSecond, 0...1_000_000, unlimited: 0),
        .perSecond, .nextPacket,
        "Publishes per second of one connection (reason code 0x96)."),
    SettingRow(
        21, "ReceivingMaximum", .number(\.receiveMaximum, 1...65_535, unlimited: nil),
        .messages, .nextConnect,
        "QoS 1 and 2 publishes of a client that may be open at once."),
    SettingRow(
        22, "InBoundBandWidth", .number(\.inboundBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes per second read from one connection; reading slows down."),
    SettingRow(
        23, "OutBoundBandWidth", .number(\.outboundBytesPerSecond, 0...Int.max, unlimited: 0),
        .bytesPerSecond, .nextPacket,
        "Bytes per second of messages written to one connection; the rest waits in the "
            + "session's queue."),
    SettingRow(
        24, "MaxLastWillBytes", .number(\.willBytesMax, 1...262_144_000, unlimited: nil),
        .bytes, .nextConnect,
        "The largest will payload; the packet limit holds as well."),
    SettingRow(
        25, "MaxUserPayloadBytes", .number(\.packetBytesMax, 1...268_435_456, unlimited: nil),
        .bytes, .nextConnect,
        "The largest packet, announced in CONNACK; also the largest body of an "
            + "API publish."),
    SettingRow(
        26, "MinSendPerSec", .number(\.sendWindowMin, 1...65_535, unlimited: nil),
        .messages, .nextPacket,
        "The least number of unacknowledged messages towards a client that reads "
            + "slowly."),
    SettingRow(
        27, "MaxResendTimes", .number(\.resendTimesMax, 0...Int.max, unlimited: nil),
        .none, .none,
        "Re-sending inside a connection is forbidden by MQTT 5; a message is sent "
            + "again only after a reconnect."),
    SettingRow(
        28, "ResendTimeoutSeconds", .number(\.resendTimeoutSeconds, 1...Int.max, unlimited: nil),
        .seconds, .none,
        "See MaxResendTimes."),
    SettingRow(
        29, "MaxTopicFiltersPerSub",
        .number(\.topicFiltersPerSubscribeMax, 1...100, unlimited: nil),
        .none, .nextPacket,
        "Topic filters in one SUBSCRIBE or UNSUBSCRIBE."),
    SettingRow(
        30, "MaxGroupFanout", .number(\.groupFanoutMax, 1...Int.max, unlimited: nil),
        .none, .nextPacket,
        "Shared groups served per message."),
    SettingRow(
        31, "MaxPersistentFanout", .number(\.persistentFanoutMax, 1...Int.max, unlimited: nil),
        .none, .nextPacket,
        "Stored sessions that receive one message, shared groups apart."),
    SettingRow(
        32, "MaxPersistentFanoutBytes",
        .number(\.persistentFanoutBytesMax, 1...Int.max, unlimited: Int.max),
        .bytes, .nextPacket,
        "Bytes of one message over all stored sessions that receive it."),
    SettingRow(
        33, "MaxSessionExpirySeconds",
        .number(\.sessionExpirySecondsMax, 1...0xFFFF_FFFF, unlimited: nil),
        .seconds, .nextConnect,
        "The longest session expiry; that of every stored 3.x session."),
    SettingRow(
        34, "MinSessionExpirySeconds",
        .number(\.sessionExpirySecondsMin, 1...0xFFFF_FFFF, unlimited: nil),
        .seconds, .nextConnect,
        "The shortest session expiry other than 0."),
    SettingRow(
        35, "MinKeepAliveSeconds", .number(\.keepAliveSecondsMin, 1...65_534, unlimited: nil),
        .seconds, .nextConnect,
        "The shortest keep alive other than 0; a shorter one is raised and the "
            + "client told."),
    SettingRow(
        36, "SessionInboxSize", .number(\.sessionQueueMessagesMax, 1...65_535, unlimited: nil),
        .messages, .nextPacket,
        "Messages queued for one session; QoS 0 of an offline session is bounded "
            + "apart by the same number."),
    SettingRow(
        37, "QoS0DropOldest", .flag(\.qos0DropOldest),
        .none, .nextPacket,
        "A full QoS 0 queue drops its oldest message instead of the newest."),
    SettingRow(
        38, "RetainMessageMatchLimit",
        .number(\.retainedMatchesMax, 0...Int(Int32.max), unlimited: Int(Int32.max)),
        .messages, .nextPacket,
        "Retained messages sent per topic filter of a SUBSCRIBE."),
]
