import Base

/// Counts events by kind: for tests, and for those who want no more.
package final class CountingEventSink: EventSink {
    package let wanted: EventMask
    private let counts: Guarded<[EventKind: Int]>

    package init(wanted: EventMask = .all) {
        self.wanted = wanted
        counts = Guarded([:])
    }

    package func receive(_ records: [EventRecord]) {
        counts.withLock { counts in
            for record in records { counts[record.event.kind, default: 0] += 1 }
        }
    }

    package func count(_ kind: EventKind) -> Int { counts.withLock { $0[kind] ?? 0 } }
}
