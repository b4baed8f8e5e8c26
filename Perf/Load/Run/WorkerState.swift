import Base
import MQTT

/// Everything of a loop's clients that changes, apart from the records themselves. Behind a
/// pointer, so that no run-time check guards the fields (see `LoopState` in EventLoops).
struct WorkerState: ~Copyable {
    var counters = LoadCounters()
    var random: SeededRandom
    /// Where packets without a constant form are written.
    var scratch = ByteWriter(capacity: 4096)
    var latency = LatencyHistogram()
    /// Latencies since the last sample.
    var interval = LatencyHistogram(.two)
    var acknowledgement = LatencyHistogram()
    var sendDelay = LatencyHistogram()
    var opening = LatencyHistogram(.two)
    var connack = LatencyHistogram(.two)
    var suback = LatencyHistogram(.two)
    /// Latencies count of messages intended for this span.
    var measureFrom = UInt64.max
    var measureUntil = UInt64.max
    /// Publishers that may have something to send.
    var active = PublisherList()
    var pumping = PublisherList()
    /// Connections being opened, up to CONNACK and SUBACK.
    var openingCount = 0
    /// Loops whose publishers wait for what arrived here in this turn.
    var tells: UInt64 = 0
    var commandsSeen = 0
    var pingTick = 0
    var isFinishing = false
    var finishBy = Instant.distantFuture

    init(seed: UInt64) { random = SeededRandom(seed: seed) }
}

/// Publishers to look at; a flag in each record keeps the list free of repeats, so its limit is
/// their number.
struct PublisherList: ~Copyable {
    private var base: UnsafeMutablePointer<Int32>
    private var capacity = 64
    private(set) var count = 0

    init() { base = .allocate(capacity: capacity) }

    deinit { base.deallocate() }

    subscript(position: Int) -> Int32 { base[position] }

    mutating func append(_ index: Int32) {
        if count == capacity {
            let larger = UnsafeMutablePointer<Int32>.allocate(capacity: capacity * 2)
            larger.update(from: base, count: count)
            base.deallocate()
            base = larger
            capacity *= 2
        }
        base[count] = index
        count += 1
    }

    mutating func removeAll() { count = 0 }
}

/// One loop's part of a group: where its records are, and how far opening and publishing are.
struct GroupState {
    /// The group's clients in all, and of this loop: `clientBase ..< clientBase + clientCount`.
    var total: Int32
    var clientBase: Int32
    var clientCount: Int32
    /// The first of its publishers; as many as clients, or none.
    var publisherBase: Int32 = -1
    var checks = StreamCheck()

    // Opening: the next client to open, and when the first of the group is due.
    var openNext: Int32
    var openStart: UInt64 = 0
    var openStep = 0.0
    /// Sessions begin anew, to be forgotten.
    var forgets = false

    // Publishing, as the plan says it and as the round goes.
    var qos = QoS.atMostOnce
    var retain = false
    var payloadBytes: Int32 = 0
    var windowMax: Int32 = 0
    var lag: UInt32 = 0
    var copies: UInt32 = 1
    var isEmpty = false
    var firstStream: UInt32 = 0
    /// Bytes that one publisher writes in a turn.
    var batchBytes: Int32 = 0
    var isPublishing = false
    /// Open loop: the next message falls to this publisher, in this round over all of them.
    var isPaced = false
    var start: UInt64 = 0
    /// Nanoseconds between two messages of the group.
    var step = 0.0
    var cycle: UInt32 = 0
    var member: Int32 = 0
    var countMax = UInt32.max

    var withoutPayload: GroupState {
        var group = self
        group.payloadBytes = 0
        return group
    }

    /// When a publisher's message should go, counted from the start of the round.
    func intended(_ count: UInt32, _ ordinal: Int32) -> UInt64 {
        start &+ UInt64((Double(count) * Double(total) + Double(ordinal)) * step)
    }
}

/// How a group's clients are checked: `StreamExpectation` without its payloads.
package struct StreamCheck {
    enum Kind: UInt8 {
        case anything
        case own
        case every
        case dealt
        case shared
    }

    var kind = Kind.anything
    var ignoresOrder = false
    var first: UInt32 = 0
    var streams: UInt32 = 0
    var among: UInt32 = 1
    /// Shared: the tracker of stream 0, and the last message of each stream seen by each client.
    var sharedBase: Int32 = -1
    var lastSeen: UnsafeMutablePointer<UInt32>?

    init() {}

    package init(_ group: ClientGroup) {
        ignoresOrder = group.ignoresOrder
        switch group.expectation {
        case .anything: break
        case .own(let first):
            kind = .own
            self.first = UInt32(first)
        case .every(let first, let streams):
            kind = .every
            self.first = UInt32(first)
            self.streams = UInt32(streams)
        case .dealt(let first, let streams, let among):
            kind = .dealt
            self.first = UInt32(first)
            self.streams = UInt32(streams)
            self.among = UInt32(among)
        case .shared(let first, let streams):
            kind = .shared
            self.first = UInt32(first)
            self.streams = UInt32(streams)
        }
    }

    /// Trackers that the client with this index needs for itself.
    package func trackerCount(index: Int) -> Int {
        switch kind {
        case .anything, .shared: 0
        case .own: 1
        case .every: Int(streams)
        case .dealt:
            index % Int(among) < Int(streams)
                ? (Int(streams) - index % Int(among) + Int(among) - 1) / Int(among) : 0
        }
    }

    /// The client's tracker for a stream, counted from its first; nil if it must not receive it.
    package func position(_ stream: UInt32, index: UInt32) -> UInt32? {
        // A stream before the first becomes one far behind the last.
        let offset = stream &- first
        switch kind {
        case .anything: return nil
        case .own: return offset == index ? 0 : nil
        case .every, .shared: return offset < streams ? offset : nil
        case .dealt:
            return offset < streams && offset % among == index % among ? offset / among : nil
        }
    }

    /// The stream of a client's tracker.
    package func stream(position: Int, index: Int) -> Int {
        switch kind {
        case .anything, .every, .shared: Int(first) + position
        case .own: Int(first) + index
        case .dealt: Int(first) + position * Int(among) + index % Int(among)
        }
    }
}
