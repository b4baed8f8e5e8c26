import Base
import Policy

/// Keeps every event that a node reports, for tests that look for them.
final class EventNotes: EventSink {
    let wanted = EventMask(atLeast: .debug)
    private let records = Guarded<[EventRecord]>([])

    func receive(_ records: [EventRecord]) { self.records.withLock { $0 += records } }

    var all: [EventRecord] { records.withLock { $0 } }

    func count(_ kind: EventKind) -> Int { all.count { $0.event.kind == kind } }

    /// Kinds of the events that name the reason of a dropped message.
    func drops(for reason: DropReason) -> [EventKind] {
        all.filter { record in
            record.event.fields.contains { $0.name == "reason" && $0.value == .text(reason.name) }
        }.map(\.event.kind).sorted { $0.rawValue < $1.rawValue }
    }
}
