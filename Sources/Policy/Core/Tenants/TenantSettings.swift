import MQTT

/// What happens to messages for a client that does not read fast enough.
package enum SlowConsumerPolicy: UInt8, CaseIterable, Sendable {
    /// The newest message is dropped: what is queued keeps its order and its promise.
    case dropNewest = 0
    /// The oldest queued message is dropped: the client sees the latest values.
    case dropOldest = 1
    /// The connection is closed; a stored session keeps its queue.
    case disconnect = 2

    /// The word used in configuration and API.
    package var name: String {
        switch self {
        case .dropNewest: "dropNewest"
        case .dropOldest: "dropOldest"
        case .disconnect: "disconnect"
        }
    }
}

/// Every setting of one tenant, as plain values that a loop reads without a call.
///
/// Immutable once published: a change makes a new value under a new epoch (see `TenantTable`).
/// The defaults stand here and nowhere else; names, ranges and meanings are in `SettingTable`.
/// In numbers without a natural bound, 0 means "no limit" where the table says so.
@usableFromInline
package struct TenantSettings: Equatable, Sendable {
    // What a connection may use.
    package var mqtt31Enabled = true
    package var mqtt311Enabled = true
    package var mqtt5Enabled = true
    package var retainEnabled = true
    package var wildcardSubscriptionEnabled = true
    package var subscriptionIdentifierEnabled = true
    package var sharedSubscriptionEnabled = true
    package var mqtt3SharedSubscriptionEnabled = true
    package var payloadFormatValidationEnabled = true
    package var maximumQoS = 2

    // How sessions behave.
    package var noWillWhenServerShuttingDown = true
    package var debugModeEnabled = false
    package var forceTransient = false
    package var bypassPermissionCheckError = false
    package var clientIDBoundToPrincipal = true
    package var sessionExpirySecondsMax = 86_400
    package var sessionExpirySecondsMin = 1
    package var keepAliveSecondsMin = 1

    // Sizes of what a client sends.
    @usableFromInline package var topicLevelLengthMax = 1_024
    @usableFromInline package var topicLevelsMax = 128
    @usableFromInline package var topicLengthMax = 1_024
    package var clientIDBytesMax = 1_024
    package var userPropertiesMax = 64
    package var willBytesMax = 262_144_000
    package var packetBytesMax = 262_144
    package var topicFiltersPerSubscribeMax = 100
    package var topicFiltersPerSessionMax = 10_000
    package var topicAliasMax = 10

    // Rates and windows of one connection.
    package var publishesPerSecond = 0
    package var inboundBytesPerSecond = 0
    package var outboundBytesPerSecond = 0
    package var receiveMaximum = 200
    package var sendWindowMin = 8
    package var sendWindowMax = 65_535
    package var resendTimesMax = 3
    package var resendTimeoutSeconds = 10

    // Fan-out.
    package var sharedGroupMembersMax = 10_000
    package var groupFanoutMax = 100
    package var persistentFanoutMax = Int(Int32.max)
    package var persistentFanoutBytesMax = Int.max
    package var retainedMatchesMax = Int(Int32.max)

    // Queues.
    package var sessionQueueMessagesMax = 1_000
    package var sessionQueueBytesMax = 16 * 1_024 * 1_024
    package var qos0DropOldest = false
    package var queueQoS0Offline = false
    package var slowConsumerPolicy = SlowConsumerPolicy.dropNewest

    // Totals of the whole tenant, and rates of the whole tenant; 0 is no limit.
    package var totalConnections = 0
    package var totalSessionMemoryBytes = 0
    package var totalConnectPerSecond = 0
    package var totalPersistentSessions = 0
    package var totalPersistentSessionSpaceBytes = 0
    package var totalTransientSubscriptions = 0
    package var totalPersistentSubscriptions = 0
    package var totalSharedSubscriptions = 0
    package var totalTransientSubscribePerSecond = 0
    package var totalPersistentSubscribePerSecond = 0
    package var totalTransientUnsubscribePerSecond = 0
    package var totalPersistentUnsubscribePerSecond = 0
    package var totalInboundBytesPerSecond = 0
    package var totalTransientFanOutBytesPerSecond = 0
    package var totalPersistentFanOutBytesPerSecond = 0
    package var totalRetainTopics = 0
    package var totalRetainMessageSpaceBytes = 0
    package var totalRetainedMessagesPerSecond = 0
    package var totalRetainedBytesPerSecond = 0
    package var totalRetainMatchPerSecond = 0
    package var totalRetainMatchBytesPerSecond = 0

    package init() {}

    /// The built-in defaults.
    package static let standard = TenantSettings()

    /// Relations between settings that one row alone cannot check.
    package var contradictions: [String] {
        var found: [String] = []
        if sessionExpirySecondsMin > sessionExpirySecondsMax {
            found.append(
                "MinSessionExpirySeconds (\(sessionExpirySecondsMin)) is above "
                    + "MaxSessionExpirySeconds (\(sessionExpirySecondsMax))")
        }
        if sendWindowMin > sendWindowMax {
            found.append(
                "MinSendPerSec (\(sendWindowMin)) is above MaxSendWindow (\(sendWindowMax))")
        }
        return found
    }
}

extension TenantSettings {
    /// The limits of topic names and filters.
    @inlinable @inline(__always)
    package var topicLimits: TopicLimits {
        TopicLimits(
            lengthMax: topicLengthMax, levelLengthMax: topicLevelLengthMax,
            levelsMax: topicLevelsMax)
    }
}
