import Base

/// Where a loop reports what happens: counts always, builds the event only if a sink wants it,
/// and hands the turn's events to the sinks together.
///
/// Owned by one loop. At most `limit` events wait between two flushes; more are counted as
/// `overflowed` and not delivered.
@usableFromInline
package struct EventQueue: ~Copyable {
    /// Events kept between two flushes.
    package static let limit = 4_096

    /// Counters of this loop.
    @usableFromInline package var metrics = EventMetrics()
    /// What any sink wants.
    @usableFromInline var wanted: EventMask
    @usableFromInline var perMessage: EventMask
    private var waiting: [EventRecord] = []
    /// Events that found the queue full since the start.
    package private(set) var overflowed = 0

    package init(wanted: EventMask) {
        self.wanted = wanted
        perMessage = EventMask()
        for row in EventTable.rows where row.isPerMessage { perMessage.insert(row.kind) }
    }

    /// Changes what sinks want, after a reload.
    package mutating func listen(for wanted: EventMask) { self.wanted = wanted }

    /// True if the event would reach a sink. Per-message kinds need the tenant's debug mode.
    @inlinable
    package func isWanted(_ kind: EventKind, debugMode: Bool) -> Bool {
        wanted.contains(kind) && (debugMode || !perMessage.contains(kind))
    }

    /// Counts, and calls `record` only if a sink wants the kind.
    @inlinable
    package mutating func report(
        _ kind: EventKind, _ tenant: TenantSlot, debugMode: Bool = false,
        _ record: () -> EventRecord
    ) {
        metrics.count(kind, tenant)
        if isWanted(kind, debugMode: debugMode) { append(record()) }
    }

    /// The one function through which everything goes that is dropped.
    @inlinable
    package mutating func drop(
        _ reason: DropReason, kind: EventKind, _ tenant: TenantSlot, _ record: () -> EventRecord
    ) {
        metrics.count(reason, tenant)
        report(kind, tenant, record)
    }

    /// Takes an event that was counted before.
    @usableFromInline
    package mutating func append(_ record: EventRecord) {
        guard waiting.count < Self.limit else {
            overflowed += 1
            return
        }
        waiting.append(record)
    }

    package var isEmpty: Bool { waiting.isEmpty }

    /// The events since the last flush; the loop hands them to every sink at the end of its turn.
    package mutating func flush() -> [EventRecord] {
        defer { waiting.removeAll(keepingCapacity: waiting.capacity <= 256) }
        return waiting
    }
}
