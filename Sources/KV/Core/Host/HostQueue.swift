import Base

/// What a range's log holds, by kind; also what a replica's queue holds, with two kinds more.
package enum EntryKind: UInt8, Sendable, CaseIterable {
    /// A `CommandEnvelope` with its commands.
    case commands = 1
    /// What is due by range time; no payload.
    case due = 2
    /// Cut the range: child's number u64, key length u32, key.
    case split = 3
    /// A node's lives up to an epoch are over: node u64, epoch u64.
    case fence = 4
    /// Not in the log: a `Question`.
    case question = 64
    /// Not in the log: kind of message u8, then a `MachineMessage`.
    case message = 65
}

/// What has arrived for one replica, in order, until a turn takes it.
///
/// ```
///  item:  length u32 (of what follows) | kind u8 | from (node u64, worker u16) | payload
///  arriving: item item ...    --beginTurn-->   current: item item ...
/// ```
/// Two blocks change places, so that a turn sees only what came before it. Bounded by
/// `RangeLimits.hostQueueBytesMax`.
struct HostQueue: ~Copyable {
    private var arriving = ByteWriter(capacity: 1024)
    private var current = ByteWriter(capacity: 1024)
    private var offset = 0

    struct Item {
        var kind: EntryKind
        var from: Place
        var payload: ByteRange
    }

    var isEmpty: Bool { arriving.isEmpty && offset == current.count }
    var byteCount: Int { arriving.count + current.count - offset }
    var isFull: Bool { byteCount >= RangeLimits.hostQueueBytesMax }

    mutating func append(
        _ kind: EntryKind, from place: Place, _ write: (inout ByteWriter) -> Void
    ) {
        let start = arriving.count
        arriving.append(bigEndian: UInt32(0))
        arriving.append(kind.rawValue)
        arriving.append(place: place)
        write(&arriving)
        let size = arriving.count - start - 4
        arriving.patch(bigEndian: UInt32(truncatingIfNeeded: size), at: start)
    }

    /// Makes what has arrived so far available to `next`.
    mutating func beginTurn() {
        guard offset == current.count else { return }
        if current.count > RangeLimits.keptBytesMax {
            current = ByteWriter(capacity: 1024)
        } else {
            current.removeAll()
        }
        offset = 0
        swap(&arriving, &current)
    }

    /// The next item of this turn; its bytes are valid until the next `beginTurn`.
    mutating func next() -> Item? {
        guard offset < current.count else { return nil }
        let span = RawSpan(_unsafeBytes: current.bytes)
        var reader = ByteReader(offset: offset, end: span.byteCount)
        do throws(ByteShortage) {
            let whole = try reader.takeLengthPrefixed32(span)
            reader = ByteReader(offset: Int(whole.offset), end: whole.end)
            guard let kind = EntryKind(rawValue: try reader.readUInt8(span)) else {
                throw ByteShortage()
            }
            let place = try reader.readPlace(span)
            offset = whole.end
            return Item(kind: kind, from: place, payload: try reader.take(reader.remaining))
        } catch {
            invariantFailed("a host queue of \(current.count) bytes is damaged at \(offset)")
        }
    }

    /// The bytes that items refer to.
    var bytes: UnsafeRawBufferPointer { current.bytes }

    /// Writes the leader's time into a command envelope.
    mutating func setTime(_ time: WallTime, of item: Item) {
        current.patch(
            bigEndian: time.milliseconds,
            at: Int(item.payload.offset) + CommandEnvelope.timeOffset)
    }
}
