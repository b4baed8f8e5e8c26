import Base

/// Writes events as log lines, at most so many per second and kind; what it leaves out it counts
/// and says with the next line of that kind.
package final class LogEventSink: EventSink {
    /// Lines of one kind per second.
    package static let linesPerSecond = 20

    package let wanted: EventMask
    private let write: @Sendable (EventLevel, String) -> Void
    private let clock: @Sendable () -> Instant
    private let kinds: Guarded<[Throttle]>

    private struct Throttle {
        var bucket = TokenBucket()
        var suppressed = 0
    }

    /// `write` puts a line into the log, `clock` gives the time of the loop's turn.
    package init(
        atLeast level: EventLevel, clock: @escaping @Sendable () -> Instant,
        write: @escaping @Sendable (EventLevel, String) -> Void
    ) {
        wanted = EventMask(atLeast: level)
        self.clock = clock
        self.write = write
        kinds = Guarded([Throttle](repeating: Throttle(), count: EventKind.allCases.count))
    }

    package func receive(_ records: [EventRecord]) {
        let now = clock()
        let rate = TokenRate(perSecond: Self.linesPerSecond)
        for record in records where wanted.contains(record.event.kind) {
            let index = Int(record.event.kind.rawValue)
            let suppressed: Int? = kinds.withLock { kinds in
                guard kinds[index].bucket.take(1, rate, now: now) else {
                    kinds[index].suppressed += 1
                    return nil
                }
                defer { kinds[index].suppressed = 0 }
                return kinds[index].suppressed
            }
            guard let suppressed else { continue }
            let note = suppressed == 0 ? "" : " (and \(suppressed) more like it before)"
            write(record.event.kind.row.level, record.logLine + note)
        }
    }
}
