import Base

/// Where packets are being written: the room that connections have claimed in their output, until
/// the end of the turn.
///
/// ```
///  first packet of a turn: port.claimOutput -> a cursor
///  every further one:      place += its size          (no call, no look-up)
///  no room left, close, a shared payload, end of turn: port.commitOutput
/// ```
/// A session names its cursor by index. Bounded: as many as connections written to in one turn.
struct OutputCursors: ~Copyable {
    struct Cursor {
        /// Where the next packet goes.
        var place: UnsafeMutableRawPointer
        /// Bytes left behind `place`, and written in front of it.
        var room: Int
        var written: Int
        /// Output of the connection when the room was claimed: what the peer had not taken then.
        var before: Int
        /// Whose it is; nil once that is settled. Cells of sessions do not move, and a session
        /// settles before its cell is freed.
        var session: UnsafeMutablePointer<Session>?
    }

    private var cursors: UnsafeMutablePointer<Cursor>
    private var capacity = 64
    private(set) var count: Int32 = 0

    init() { cursors = .allocate(capacity: capacity) }

    deinit { cursors.deallocate() }

    @inline(__always)
    subscript(pointer index: Int32) -> UnsafeMutablePointer<Cursor> { cursors + Int(index) }

    mutating func add(_ cursor: Cursor) -> Int32 {
        if Int(count) == capacity {
            let larger = UnsafeMutablePointer<Cursor>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: cursors, count: capacity)
            cursors.deallocate()
            cursors = larger
            capacity *= 2
        }
        (cursors + Int(count)).initialize(to: cursor)
        count += 1
        return count - 1
    }

    mutating func removeAll() { count = 0 }
}
