/// Receives events: built-in ones write the log and keep the latest for `why`.
///
/// Called by every loop at the end of a turn that had events. It must return at once: whatever
/// may wait (a file, a socket) belongs on a thread of the sink's own, behind a bounded queue.
public protocol EventSink: Sendable {
    /// The kinds that it wants; the union over all sinks decides which events are built.
    var wanted: EventMask { get }
    func receive(_ records: [EventRecord])
}
