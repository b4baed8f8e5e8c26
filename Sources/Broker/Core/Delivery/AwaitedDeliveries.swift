import Base

/// Deliveries between workers that have to be acknowledged, in order, per place and direction.
///
/// Frames to a place arrive in the order of sending, so a count is all that an acknowledgement
/// needs. Owned by a worker; bounded by the publishes that may be tracked.
package struct AwaitedDeliveries {
    private struct Direction {
        let place: Place
        /// Sent and not acknowledged, oldest first, from `head` on.
        var sent: [TrackerRef] = []
        var head = 0
        /// Received and not yet acknowledged by us.
        var received: UInt32 = 0
    }

    private var places: [Direction] = []

    package init() {}

    private mutating func position(of place: Place) -> Int {
        if let known = places.firstIndex(where: { $0.place == place }) { return known }
        places.append(Direction(place: place))
        return places.count - 1
    }

    package mutating func append(_ tracker: TrackerRef, to place: Place) {
        places[position(of: place)].sent.append(tracker)
    }

    package mutating func removeFirst(from place: Place) -> TrackerRef? {
        let position = position(of: place)
        guard places[position].head < places[position].sent.count else { return nil }
        defer {
            places[position].head += 1
            if places[position].head == places[position].sent.count {
                places[position].sent.removeAll(keepingCapacity: true)
                places[position].head = 0
            } else if places[position].head > 4096 {
                places[position].sent.removeFirst(places[position].head)
                places[position].head = 0
            }
        }
        return places[position].sent[places[position].head]
    }

    package mutating func countReceived(from place: Place) {
        places[position(of: place)].received += 1
    }

    /// What a place is owed, once; nil for nothing.
    package mutating func takeReceived(from place: Place) -> UInt32? {
        let position = position(of: place)
        defer { places[position].received = 0 }
        return places[position].received == 0 ? nil : places[position].received
    }

    /// Calls `body` for each place that is owed an acknowledgement.
    package mutating func forEachReceived(_ body: (Place, UInt32) -> Void) {
        for position in places.indices where places[position].received > 0 {
            body(places[position].place, places[position].received)
            places[position].received = 0
        }
    }
}
