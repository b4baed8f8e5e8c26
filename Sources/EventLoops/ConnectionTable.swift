import Base

/// What a loop knows of a connection: one arena record, no class, no block while it is idle.
struct ConnectionRecord {
    /// Registration number: odd and even alike, never zero, new for every use of the place.
    var generation: UInt32
    var descriptor: Int32
    var flags: ConnectionFlags
    /// The handler's own index; the free list's link while the place is free.
    var slot: Int32
    var listener: UInt16
    var stage: PipelineStage
    /// Requests in flight in the ring (receive, send, cancel); the place is not reused before
    /// they have ended. Always zero with epoll.
    var operations: UInt8
    /// Index into the stage's own arena (TLS, PROXY header), or -1.
    var stageSlot: Int32
    /// Unconsumed input that may be kept.
    var inputLimit: UInt32
    /// Kept input: `pendingCount` bytes at `pendingStart` of a pooled block; no block, no input.
    var pendingCount: UInt32
    var pendingStart: UInt32
    var pendingCapacity: UInt32
    var pending: UnsafeMutableRawPointer?
    /// The chain of output segments, first to be sent first; -1 if there is none.
    var outputHead: Int32
    var outputTail: Int32
    /// Bytes in the chain.
    var outputCount: Int
    /// The loop's own deadline for this connection: flushing, lingering, a handshake.
    var deadline: TimerID

    static var free: ConnectionRecord {
        ConnectionRecord(
            generation: 1, descriptor: -1, flags: [], slot: -1, listener: 0, stage: .open,
            operations: 0, stageSlot: -1, inputLimit: 0, pendingCount: 0, pendingStart: 0,
            pendingCapacity: 0, pending: nil, outputHead: -1, outputTail: -1, outputCount: 0,
            deadline: .none)
    }
}

/// States and list memberships of a connection.
///
/// ```
///  (place taken) --stages pass--> announced --doom--> doomed --closed()--> reported --> released
///                                                             output left: flushing, then
///                                                             lingering until the peer's end
/// ```
struct ConnectionFlags: OptionSet, Sendable {
    var rawValue: UInt32

    /// The place is in use.
    static let live = ConnectionFlags(rawValue: 1 << 0)
    /// `accepted` was called, so `closed` is owed.
    static let announced = ConnectionFlags(rawValue: 1 << 1)
    /// The end is decided: nothing is received or appended any more.
    static let doomed = ConnectionFlags(rawValue: 1 << 2)
    /// `closed` was called if it was owed: for the handler the id is dead.
    static let reported = ConnectionFlags(rawValue: 1 << 3)
    /// The end waits for the output that is queued.
    static let flushesFirst = ConnectionFlags(rawValue: 1 << 4)
    /// After the flush the peer is given time to read: input is discarded until its end.
    static let lingers = ConnectionFlags(rawValue: 1 << 5)
    static let lingering = ConnectionFlags(rawValue: 1 << 6)
    /// Torn down, waiting for requests in the ring to end.
    static let tearing = ConnectionFlags(rawValue: 1 << 7)
    /// On the list of connections with output.
    static let dirty = ConnectionFlags(rawValue: 1 << 8)
    /// On the list of connections to be read or presented without a new event.
    static let ready = ConnectionFlags(rawValue: 1 << 9)
    /// The handler asked for a pause.
    static let paused = ConnectionFlags(rawValue: 1 << 10)
    /// Kept input must be presented again although nothing arrived (after a pause).
    static let presents = ConnectionFlags(rawValue: 1 << 11)
    /// epoll: the socket may have more to read; no further edge will tell.
    static let readable = ConnectionFlags(rawValue: 1 << 12)
    /// epoll: the socket refused bytes; an edge will tell when it takes them.
    static let writeBlocked = ConnectionFlags(rawValue: 1 << 13)
    /// io_uring: the multishot receive, or a send, is in flight.
    static let receiveArmed = ConnectionFlags(rawValue: 1 << 14)
    static let sendInFlight = ConnectionFlags(rawValue: 1 << 15)
    /// Output rose above the high watermark and has not fallen to the low one.
    static let aboveHigh = ConnectionFlags(rawValue: 1 << 16)
    /// The peer ended its side and everything before that was read.
    static let peerEnded = ConnectionFlags(rawValue: 1 << 17)
    /// epoll: the peer's end was reported; the bytes before it may not have been read.
    static let hungUp = ConnectionFlags(rawValue: 1 << 19)
    /// `arrived` let it in, so `left` is owed.
    static let letIn = ConnectionFlags(rawValue: 1 << 20)
    /// We opened it, or are about to.
    static let outgoing = ConnectionFlags(rawValue: 1 << 21)
    /// Room in the last output segment is being written in place.
    static let claimed = ConnectionFlags(rawValue: 1 << 22)
    /// io_uring: the receive is being cancelled.
    static let receiveCancelled = ConnectionFlags(rawValue: 1 << 18)
}

/// The connections of one loop, in chunks that never move; a freed place keeps its registration
/// number, so that old ids and late events are recognised.
struct ConnectionTable: ~Copyable {
    private static var chunkShift: Int { 8 }
    private static var chunkSize: Int { 1 << chunkShift }

    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<ConnectionRecord>>
    private var chunkCount = 0
    private var chunkCapacity = 16
    private var freeHead: Int32 = -1
    /// Places ever used.
    private(set) var highWater: Int32 = 0
    /// Places in use.
    private(set) var count = 0
    let limit: Int

    init(limit: Int) {
        self.limit = limit
        chunks = .allocate(capacity: chunkCapacity)
    }

    deinit {
        for index in 0..<chunkCount { chunks[index].deallocate() }
        chunks.deallocate()
    }

    /// Bytes held, in use or not.
    var byteCount: Int {
        (chunkCount << Self.chunkShift) * MemoryLayout<ConnectionRecord>.stride
    }

    subscript(index: Int32) -> UnsafeMutablePointer<ConnectionRecord> {
        chunks[Int(index) &>> Self.chunkShift] + (Int(index) & (Self.chunkSize &- 1))
    }

    /// The record of a connection that the loop still holds, doomed or not; nil for other ids.
    func find(_ id: ConnectionID) -> UnsafeMutablePointer<ConnectionRecord>? {
        guard id.index >= 0, id.index < highWater else { return nil }
        let record = self[id.index]
        guard record.pointee.generation == id.generation, record.pointee.flags.contains(.live)
        else { return nil }
        return record
    }

    func id(of index: Int32) -> ConnectionID {
        ConnectionID(index: index, generation: self[index].pointee.generation)
    }

    /// A free place, or nil at the limit.
    mutating func take() -> Int32? {
        guard count < limit else { return nil }
        let index: Int32
        if freeHead >= 0 {
            index = freeHead
            freeHead = self[index].pointee.slot
        } else {
            if Int(highWater) == chunkCount << Self.chunkShift { addChunk() }
            index = highWater
            highWater += 1
        }
        count += 1
        let generation = self[index].pointee.generation
        self[index].pointee = .free
        self[index].pointee.generation = generation
        self[index].pointee.flags = .live
        return index
    }

    mutating func release(_ index: Int32) {
        let generation = self[index].pointee.generation &+ 1
        self[index].pointee = .free
        self[index].pointee.generation = generation == 0 ? 1 : generation
        self[index].pointee.slot = freeHead
        freeHead = index
        count -= 1
    }

    private mutating func addChunk() {
        if chunkCount == chunkCapacity {
            let larger = UnsafeMutablePointer<UnsafeMutablePointer<ConnectionRecord>>.allocate(
                capacity: chunkCapacity * 2)
            larger.moveInitialize(from: chunks, count: chunkCount)
            chunks.deallocate()
            chunks = larger
            chunkCapacity *= 2
        }
        chunks[chunkCount] = .allocate(capacity: Self.chunkSize)
        chunks[chunkCount].initialize(repeating: .free, count: Self.chunkSize)
        chunkCount += 1
    }
}

/// A growing list of connections for one turn; a flag in each record keeps it free of repeats, so
/// its limit is the number of connections.
struct ConnectionList: ~Copyable {
    private var base: UnsafeMutablePointer<ConnectionID>
    private var capacity = 64
    private(set) var count = 0

    init() { base = .allocate(capacity: capacity) }

    deinit { base.deallocate() }

    var isEmpty: Bool { count == 0 }

    subscript(position: Int) -> ConnectionID { base[position] }

    mutating func append(_ id: ConnectionID) {
        if count == capacity {
            let larger = UnsafeMutablePointer<ConnectionID>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: base, count: count)
            base.deallocate()
            base = larger
            capacity *= 2
        }
        (base + count).initialize(to: id)
        count += 1
    }

    /// Drops the first `done` entries, those handled in this turn.
    mutating func removeFirst(_ done: Int) {
        if done < count { base.update(from: base + done, count: count - done) }
        count -= done
    }
}
