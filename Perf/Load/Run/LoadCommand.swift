import Base

/// What the main thread asks of every loop.
enum LoadCommand: Sendable {
    /// Opens the group's clients that are not open: so many a second over all loops, 0 for at
    /// once. If sessions are to be forgotten, they begin anew and subscribe to nothing.
    case open(group: Int, perSecond: Double, start: Instant, forgets: Bool)
    case publish(group: Int, PublishRound)
    /// Publishers stop; what is in flight may still be acknowledged.
    case pause(group: Int)
    /// Latencies of messages intended for this span count.
    case measure(from: Instant, until: Instant)
    /// The latencies since the last time are handed over.
    case sample
    /// Ends the group's connections: with DISCONNECT, or without a word.
    case close(group: Int, isAbrupt: Bool)
    case finish
}

/// What loops and the main thread share of a run.
///
/// Commands travel by number in a loop's mail and are looked up here; counters are published at
/// the end of each turn; latencies of a second, and the states of ended loops, are handed over
/// whole. Held by the main thread and by every loop.
final class LoadExchange: @unchecked Sendable {
    // All fields are constants that guard themselves: locks off the data plane, atomic cells on it.
    let commands = Guarded<[LoadCommand]>([])
    let samples = Guarded<SampleBox>(SampleBox())
    let results = Guarded<[LoopResult]>([])
    /// Failures in words, with how often each came.
    let failures = Guarded<[String: Int]>([:])
    let counters: AtomicCells
    /// Received messages by loop and stream, for lag windows that cross loops.
    let progress: AtomicCells
    let streamCount: Int
    static let counterStride = (LoadCounters.wordCount + 15) & ~7
    static let failureKindsMax = 64

    init(loops: Int, streamCount: Int) {
        self.streamCount = streamCount
        counters = AtomicCells(count: loops * Self.counterStride)
        progress = AtomicCells(count: max(loops * streamCount, 1))
    }

    func note(_ failure: String) {
        failures.withLock {
            guard $0[failure] != nil || $0.count < Self.failureKindsMax else { return }
            $0[failure, default: 0] += 1
        }
    }
}

/// Latencies since the last sample, and how many loops have handed theirs over.
struct SampleBox: Sendable {
    var latency = LatencyHistogram(.two)
    var loops = 0
}

/// What a loop leaves behind: its trackers, its streams and its latencies.
struct LoopResult: @unchecked Sendable {
    // Pointers to trackers that no loop touches any more: the main thread reads and frees them.
    var counters = LoadCounters()
    var latency = LatencyHistogram()
    var acknowledgement = LatencyHistogram()
    var sendDelay = LatencyHistogram()
    /// From the first packet of TCP to an open connection (TLS included), from CONNECT to CONNACK,
    /// from the first SUBSCRIBE to the last SUBACK.
    var opening = LatencyHistogram(.two)
    var connack = LatencyHistogram(.two)
    var suback = LatencyHistogram(.two)
    /// Messages sent by stream, of this loop's publishers.
    var sent: [(stream: Int, count: UInt32)] = []
    var trackers: [TrackedStream] = []
    var loopCounters: (turns: UInt64, reads: UInt64, sends: UInt64) = (0, 0, 0)
}

/// One subscriber's tracker of one stream; of a shared group, one loop's.
struct TrackedStream {
    var stream: Int
    var isShared: Bool
    var tracker: StreamTracker
}
