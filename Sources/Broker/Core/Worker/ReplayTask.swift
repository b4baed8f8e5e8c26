import MQTT

/// Retained messages being sent to a new subscription, page by page.
final class ReplayTask {
    let session: SessionRef
    let filter: [UInt8]
    let maximumQoS: QoS
    let subscriptionID: UInt32
    let isWildcard: Bool
    /// Finds the range that is asked: of the topic, or the first key of the range whose turn it is.
    var key: [UInt8] = []
    /// Where the range goes on; empty at its beginning.
    var cursor: [UInt8] = []
    /// The range whose version is asked for before the replay waits; nil when it does not.
    var survey: [UInt8]?
    private var isSurveyed = false
    /// Where versions stood when the replay began, by the first keys of ranges, in their order.
    private var snapshots: [(key: [UInt8], version: UInt64)] = []
    /// Messages that the tenant's limit leaves.
    var left: Int
    var sent = 0
    /// Messages on their way into the session's own inbox.
    var inserting = 0
    var hasEnded = false
    /// Its SUBSCRIBE, as long as the connection is held back for it.
    var holder: SubscribeTask?
    /// The filter was unsubscribed, or subscribed to again: nothing more of this one is sent.
    var isCancelled = false

    init(
        session: SessionRef, filter: [UInt8], maximumQoS: QoS, subscriptionID: UInt32, left: Int
    ) {
        self.session = session
        self.filter = filter
        self.maximumQoS = maximumQoS
        self.subscriptionID = subscriptionID
        self.left = left
        isWildcard = filter.contains(0x2B) || filter.contains(0x23)
    }

    // MARK: What comes live instead

    /// Newest version that is replayed from the range at `key`, which stands at `version` now. What
    /// is retained later comes live: the route held before the first range was asked.
    func snapshot(at key: [UInt8], _ version: UInt64) -> UInt64 {
        if let known = snapshots.last(where: {
            isSurveyed ? !key.lexicographicallyPrecedes($0.key) : $0.key == key
        }) {
            return known.version
        }
        snapshots.append((key, version))
        return version
    }

    /// Where ranges stand is to be learned before the replay waits for its client: from its own on
    /// if that has not answered yet, else from the one behind. False if it is known.
    func beginSurvey(behind next: [UInt8]?) -> Bool {
        guard !isSurveyed else { return false }
        survey = snapshots.last?.key == key ? next : key
        return survey != nil
    }

    func surveyed(_ version: UInt64, next: [UInt8]?) {
        guard let key = survey else { return }
        snapshots.append((key, version))
        survey = next
        isSurveyed = next == nil
    }
}

/// The replays of one session.
struct SessionReplays {
    /// Those that wait until the client has taken what it has.
    var waiting: [ReplayTask] = []
    /// All under way, those waiting included.
    var active: [ReplayTask] = []
}
