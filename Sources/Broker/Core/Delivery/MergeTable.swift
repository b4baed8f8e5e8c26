import Base
import MQTT

/// Receivers of one message that are named by several filters, each session once.
///
/// A session's cell carries the number of the merge that it was last seen in and its position
/// here, so that nothing is searched. Owned by a worker and used for one message at a time.
struct MergeTable: ~Copyable {
    /// One session: the best of its subscriptions.
    struct Entry: BitwiseCopyable {
        var session: Int32
        var maximumQoS: QoS
        var retainAsPublished: Bool
        var identifierCount: UInt16
        var identifiers: (UInt32, UInt32)
        /// Position of the first identifier behind the second, in `more`; they are in order of
        /// arrival and tagged with the entry.
        var hasMore: Bool
    }

    private var stamp: UInt32 = 0
    private var entries = RingQueue<Entry>()
    private var more: [(entry: Int32, identifier: UInt32)] = []

    init() {}

    var count: Int { entries.count }
    subscript(position: Int) -> Entry { entries[position] }

    mutating func begin() {
        stamp = stamp == .max ? 1 : stamp + 1
        while !entries.isEmpty { entries.removeLast() }
        more.removeAll(keepingCapacity: true)
    }

    mutating func add(
        _ session: Int32, _ seen: inout UInt32, _ position: inout Int32,
        _ options: SubscriptionOptions, _ identifier: UInt32
    ) {
        if seen != stamp {
            seen = stamp
            position = Int32(entries.count)
            entries.append(
                Entry(
                    session: session, maximumQoS: options.maximumQoS,
                    retainAsPublished: options.retainAsPublished, identifierCount: 0,
                    identifiers: (0, 0), hasMore: false))
        }
        var entry = entries[Int(position)]
        entry.maximumQoS = max(entry.maximumQoS, options.maximumQoS)
        entry.retainAsPublished = entry.retainAsPublished || options.retainAsPublished
        if identifier != 0 {
            switch entry.identifierCount {
            case 0: entry.identifiers.0 = identifier
            case 1: entry.identifiers.1 = identifier
            default:
                entry.hasMore = true
                more.append((position, identifier))
            }
            entry.identifierCount += 1
        }
        entries[Int(position)] = entry
    }

    /// The identifiers of an entry; the caller frees the value.
    func subscriptionIDs(_ entry: Entry) -> SubscriptionIDs {
        if entry.identifierCount < 2 { return SubscriptionIDs(one: entry.identifiers.0) }
        var all = [entry.identifiers.0, entry.identifiers.1]
        if entry.hasMore {
            for item in more where entries[Int(item.entry)].session == entry.session {
                all.append(item.identifier)
            }
        }
        return all.withUnsafeBufferPointer { SubscriptionIDs($0) }
    }
}
