/// What a tenant can run out of: totals that are taken and given back, and rates.
public enum ResourceType: UInt8, CaseIterable, Sendable {
    case totalConnections
    case totalSessionMemoryBytes
    case totalConnectPerSecond
    case totalPersistentSessions
    case totalPersistentSessionSpaceBytes
    case totalTransientSubscriptions
    case totalPersistentSubscriptions
    case totalSharedSubscriptions
    case totalTransientSubscribePerSecond
    case totalPersistentSubscribePerSecond
    case totalTransientUnsubscribePerSecond
    case totalPersistentUnsubscribePerSecond
    case totalInboundBytesPerSecond
    case totalTransientFanOutBytesPerSeconds
    case totalPersistentFanOutBytesPerSeconds
    case totalRetainTopics
    case totalRetainMessageSpaceBytes
    case totalRetainedMessagesPerSeconds
    case totalRetainedBytesPerSecond
    case totalRetainMatchPerSeconds
    case totalRetainMatchBytesPerSecond

    /// The name of the setting that limits it; also its name in events and metrics.
    public var name: String {
        let name = String(describing: self)
        return "T" + name.dropFirst()
    }

    /// A rate refills by itself; a total must be given back.
    @inlinable
    public var isRate: Bool {
        switch self {
        case .totalConnections, .totalSessionMemoryBytes, .totalPersistentSessions,
            .totalPersistentSessionSpaceBytes, .totalTransientSubscriptions,
            .totalPersistentSubscriptions, .totalSharedSubscriptions, .totalRetainTopics,
            .totalRetainMessageSpaceBytes:
            false
        case .totalConnectPerSecond, .totalTransientSubscribePerSecond,
            .totalPersistentSubscribePerSecond, .totalTransientUnsubscribePerSecond,
            .totalPersistentUnsubscribePerSecond, .totalInboundBytesPerSecond,
            .totalTransientFanOutBytesPerSeconds, .totalPersistentFanOutBytesPerSeconds,
            .totalRetainedMessagesPerSeconds, .totalRetainedBytesPerSecond,
            .totalRetainMatchPerSeconds, .totalRetainMatchBytesPerSecond:
            true
        }
    }

    /// The limit in force; 0 is none.
    package func limit(_ settings: borrowing TenantSettings) -> Int {
        switch self {
        case .totalConnections: settings.totalConnections
        case .totalSessionMemoryBytes: settings.totalSessionMemoryBytes
        case .totalConnectPerSecond: settings.totalConnectPerSecond
        case .totalPersistentSessions: settings.totalPersistentSessions
        case .totalPersistentSessionSpaceBytes: settings.totalPersistentSessionSpaceBytes
        case .totalTransientSubscriptions: settings.totalTransientSubscriptions
        case .totalPersistentSubscriptions: settings.totalPersistentSubscriptions
        case .totalSharedSubscriptions: settings.totalSharedSubscriptions
        case .totalTransientSubscribePerSecond: settings.totalTransientSubscribePerSecond
        case .totalPersistentSubscribePerSecond: settings.totalPersistentSubscribePerSecond
        case .totalTransientUnsubscribePerSecond: settings.totalTransientUnsubscribePerSecond
        case .totalPersistentUnsubscribePerSecond: settings.totalPersistentUnsubscribePerSecond
        case .totalInboundBytesPerSecond: settings.totalInboundBytesPerSecond
        case .totalTransientFanOutBytesPerSeconds: settings.totalTransientFanOutBytesPerSecond
        case .totalPersistentFanOutBytesPerSeconds: settings.totalPersistentFanOutBytesPerSecond
        case .totalRetainTopics: settings.totalRetainTopics
        case .totalRetainMessageSpaceBytes: settings.totalRetainMessageSpaceBytes
        case .totalRetainedMessagesPerSeconds: settings.totalRetainedMessagesPerSecond
        case .totalRetainedBytesPerSecond: settings.totalRetainedBytesPerSecond
        case .totalRetainMatchPerSeconds: settings.totalRetainMatchPerSecond
        case .totalRetainMatchBytesPerSecond: settings.totalRetainMatchBytesPerSecond
        }
    }
}
