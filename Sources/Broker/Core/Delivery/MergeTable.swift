import Base
import MQTT

/// Receivers of one message that are named by several filters, each session once.
///
/// A session's cell carries the number of the merge that it was last seen in and its position
/// here, so that nothing is searched. Owned by a worker and used for one message at a time.
package struct MergeTable: ~Copyable {
    /// One session: the best of its subscriptions.
    package struct Entry: BitwiseCopyable {
        package var session: Int32
        package var maximumQoS: QoS
        package var retainAsPublished: Bool
        package var identifierCount: UInt16
        package var identifiers: (UInt32, UInt32)
        /// Positions in `more` of the identifiers behind the second: a chain in order of arrival,
        /// -1 where there is none.
        package var firstMore: Int32
        package var lastMore: Int32
    }

    private var stamp: UInt32 = 0
    private var entries = RingQueue<Entry>()
    private var more: [(identifier: UInt32, next: Int32)] = []

    package init() {}

    package var count: Int { entries.count }
    package subscript(position: Int) -> Entry { entries[position] }

    package mutating func begin() {
        stamp = stamp == .max ? 1 : stamp + 1
        while !entries.isEmpty { entries.removeLast() }
        more.removeAll(keepingCapacity: true)
    }

    package mutating func add(
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
                    identifiers: (0, 0), firstMore: -1, lastMore: -1))
        }
        var entry = entries[Int(position)]
        entry.maximumQoS = max(entry.maximumQoS, options.maximumQoS)
        entry.retainAsPublished = entry.retainAsPublished || options.retainAsPublished
        // A message carries no more, so no more are gathered.
        if identifier != 0, Int(entry.identifierCount) < SubscriptionIDs.countMax {
            append(identifier, to: &entry)
        }
        entries[Int(position)] = entry
    }

    private mutating func append(_ identifier: UInt32, to entry: inout Entry) {
        switch entry.identifierCount {
        case 0: entry.identifiers.0 = identifier
        case 1: entry.identifiers.1 = identifier
        default:
            let position = Int32(more.count)
            more.append((identifier, -1))
            if entry.lastMore >= 0 {
                more[Int(entry.lastMore)].next = position
            } else {
                entry.firstMore = position
            }
            entry.lastMore = position
        }
        entry.identifierCount += 1
    }

    /// The identifiers of an entry; the caller frees the value.
    package func subscriptionIDs(_ entry: Entry) -> SubscriptionIDs {
        if entry.identifierCount < 2 { return SubscriptionIDs(one: entry.identifiers.0) }
        var all = [entry.identifiers.0, entry.identifiers.1]
        var position = entry.firstMore
        while position >= 0 {
            all.append(more[Int(position)].identifier)
            position = more[Int(position)].next
        }
        return all.withUnsafeBufferPointer { SubscriptionIDs($0) }
    }
}
