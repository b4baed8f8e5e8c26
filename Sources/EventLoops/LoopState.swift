import Base

/// Everything of a loop that changes; see `EventLoop.state`.
struct LoopState: ~Copyable {
    var now: Instant
    var wallTime: WallTime
    /// See `EventLoop.acceptTime`.
    var acceptTime: Instant
    var counters = LoopCounters()
    var handler: (any LoopHandler)?
    var listeners: [EventLoop.Listener]
    var table: ConnectionTable
    var pool = BlockPool()
    var segments = Slab<OutputSegment>()
    /// Connections that are not announced yet.
    var arrivals = Slab<Arrival>()
    /// Connections that are being opened and will be sealed.
    var departures = Slab<Departure>()
    var timers: TimerWheel
    var desk: MailDesk
    /// Connections with output to flush, connections to read without an event, and connections
    /// whose output has drained.
    var dirty = ConnectionList()
    var ready = ConnectionList()
    var drained = ConnectionList()
    /// Connections whose end is decided and not yet reported, with the reason.
    var doomed: [(id: ConnectionID, reason: CloseReason)] = []
    /// Where output to dead connections is written.
    var scratch: UnsafeMutableRawBufferPointer
    /// Scratch memory that was too small; freed at the end of the turn.
    var outgrown: [UnsafeMutableRawBufferPointer] = []
    var wantsTurn = false
    /// See `EventLoop.requestTurn(by:)`.
    var turnDeadline = Instant.distantFuture
    var isDraining = false
    var isStopping = false

    init(connectionsMax: Int, desk: consuming MailDesk, listeners: [EventLoop.Listener]) {
        now = System.now
        acceptTime = now
        wallTime = System.wallTime
        timers = TimerWheel(now: now)
        table = ConnectionTable(limit: connectionsMax)
        self.desk = desk
        self.listeners = listeners
        scratch = .allocate(byteCount: 4096, alignment: 16)
    }

    deinit {
        scratch.deallocate()
        for buffer in outgrown { buffer.deallocate() }
    }
}

extension EventLoop {
    /// The boot clock, read once per turn.
    package internal(set) var now: Instant {
        get { state.pointee.now }
        set { state.pointee.now = newValue }
    }

    /// The wall clock, read once per turn.
    package internal(set) var wallTime: WallTime {
        get { state.pointee.wallTime }
        set { state.pointee.wallTime = newValue }
    }

    /// When the connection was taken that `accepted` is being called for: its deadlines count from
    /// there, handshake included.
    package internal(set) var acceptTime: Instant {
        get { state.pointee.acceptTime }
        set { state.pointee.acceptTime = newValue }
    }

    var arrivals: Slab<Arrival> {
        _read { yield state.pointee.arrivals }
        _modify { yield &state.pointee.arrivals }
    }

    package internal(set) var counters: LoopCounters {
        // Not `_read`: from another module its frame would be allocated with every call.
        get { state.pointee.counters }
        _modify { yield &state.pointee.counters }
    }

    var handler: (any LoopHandler)? {
        _read { yield state.pointee.handler }
        _modify { yield &state.pointee.handler }
    }

    var listeners: [Listener] {
        _read { yield state.pointee.listeners }
        _modify { yield &state.pointee.listeners }
    }

    var table: ConnectionTable {
        _read { yield state.pointee.table }
        _modify { yield &state.pointee.table }
    }

    var pool: BlockPool {
        _read { yield state.pointee.pool }
        _modify { yield &state.pointee.pool }
    }

    var segments: Slab<OutputSegment> {
        _read { yield state.pointee.segments }
        _modify { yield &state.pointee.segments }
    }

    var departures: Slab<Departure> {
        _read { yield state.pointee.departures }
        _modify { yield &state.pointee.departures }
    }

    var timers: TimerWheel {
        _read { yield state.pointee.timers }
        _modify { yield &state.pointee.timers }
    }

    var desk: MailDesk {
        _read { yield state.pointee.desk }
        _modify { yield &state.pointee.desk }
    }

    var dirty: ConnectionList {
        _read { yield state.pointee.dirty }
        _modify { yield &state.pointee.dirty }
    }

    var ready: ConnectionList {
        _read { yield state.pointee.ready }
        _modify { yield &state.pointee.ready }
    }

    var drained: ConnectionList {
        _read { yield state.pointee.drained }
        _modify { yield &state.pointee.drained }
    }

    var doomed: [(id: ConnectionID, reason: CloseReason)] {
        _read { yield state.pointee.doomed }
        _modify { yield &state.pointee.doomed }
    }

    var scratch: UnsafeMutableRawBufferPointer {
        get { state.pointee.scratch }
        set { state.pointee.scratch = newValue }
    }

    var outgrown: [UnsafeMutableRawBufferPointer] {
        _read { yield state.pointee.outgrown }
        _modify { yield &state.pointee.outgrown }
    }

    var wantsTurn: Bool {
        get { state.pointee.wantsTurn }
        set { state.pointee.wantsTurn = newValue }
    }

    var isDraining: Bool {
        get { state.pointee.isDraining }
        set { state.pointee.isDraining = newValue }
    }

    var isStopping: Bool {
        get { state.pointee.isStopping }
        set { state.pointee.isStopping = newValue }
    }
}
