import Base
import KV

/// What all queues of a machine hold together.
package final class QueueTotals {
    package fileprivate(set) var messages: UInt64 = 0
    package fileprivate(set) var bytes: UInt64 = 0
}

/// The queue of one session in memory: where each entry stands, never its bytes.
///
/// Entries lie in the order of their sequences. An entry that leaves the middle stays as a gap
/// until everything before it has left. Made with the first entry; bounded by the limits of the
/// session.
final class SessionQueue {
    /// One queued message. 32 bytes.
    struct Entry {
        var sequence: UInt64
        /// Range time in milliseconds, 0 if never.
        var expiresAt: UInt64
        /// Index in the table of shared bodies, or -1: the body lies in the entry's own row.
        var body: Int32
        /// Bytes of the record.
        var byteCount: UInt32
        /// Bits 0 and 1 QoS, 2 retain (as `DeliveryOptions.stored`), 3 PUBREC received or taken by
        /// a group's member, 4 the row holds subscription ids, 7 gone.
        var flags: UInt8

        static let released: UInt8 = 8
        static let hasIDs: UInt8 = 16
        static let gone: UInt8 = 128

        var qos: UInt8 { flags & 3 }
        var isReleased: Bool { flags & Self.released != 0 }
        var hasIDs: Bool { flags & Self.hasIDs != 0 }
        var isGone: Bool { flags & Self.gone != 0 }
    }

    private(set) var entries: [Entry] = []
    /// Everything before it has left.
    private(set) var head = 0
    /// Entries that hold a message (not gone, not released).
    private(set) var messages: UInt32 = 0
    /// Their bytes.
    private(set) var bytes: UInt64 = 0
    /// Those of them with QoS 0.
    private(set) var qos0Messages: UInt32 = 0
    /// Entries whose PUBREL is owed.
    private(set) var releasedCount: UInt32 = 0
    /// No entry expires before it (it may be too early); `UInt64.max` if none does.
    var nextExpiry = UInt64.max
    /// Where the bytes count towards the tenant's space.
    private let line: UsageLedger.Line
    /// The machine's, in which this queue is counted.
    private var totals: QueueTotals

    init(_ totals: QueueTotals, _ line: UsageLedger.Line) {
        self.totals = totals
        self.line = line
    }

    deinit {
        totals.messages -= UInt64(messages)
        totals.bytes -= bytes
    }

    /// The queue goes with everything in it.
    func forgetBytes() { line.amounts.storedBytes -= Int(bytes) }

    /// The session goes to another machine.
    func move(to other: QueueTotals) {
        totals.messages -= UInt64(messages)
        totals.bytes -= bytes
        other.messages += UInt64(messages)
        other.bytes += bytes
        totals = other
    }

    var isEmpty: Bool { head == entries.count }
    var oldestSequence: UInt64? { isEmpty ? nil : entries[head].sequence }

    func append(_ entry: Entry) {
        entries.append(entry)
        count(entry, 1)
    }

    /// Puts an entry where its sequence belongs; rows are loaded by kind, not by sequence.
    func insertSorted(_ entry: Entry) {
        let position = firstIndex(atOrAfter: entry.sequence)
        entries.insert(entry, at: position)
        count(entry, 1)
    }

    private func count(_ entry: Entry, _ sign: Int) {
        if entry.isReleased {
            releasedCount = UInt32(Int(releasedCount) + sign)
        } else {
            messages = UInt32(Int(messages) + sign)
            bytes = UInt64(Int(bytes) + sign * Int(entry.byteCount))
            totals.messages = UInt64(Int(totals.messages) + sign)
            totals.bytes = UInt64(Int(totals.bytes) + sign * Int(entry.byteCount))
            if entry.qos == 0 { qos0Messages = UInt32(Int(qos0Messages) + sign) }
            line.amounts.storedBytes += sign * Int(entry.byteCount)
        }
        if sign > 0, entry.expiresAt != 0, !entry.isReleased {
            nextExpiry = min(nextExpiry, entry.expiresAt)
        }
    }

    /// Index of the first entry, gone or not, at or behind a sequence.
    func firstIndex(atOrAfter sequence: UInt64) -> Int {
        var low = head
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Index of a live entry.
    func index(of sequence: UInt64) -> Int? {
        let index = firstIndex(atOrAfter: sequence)
        guard index < entries.count, entries[index].sequence == sequence, !entries[index].isGone
        else { return nil }
        return index
    }

    /// Index of the oldest entry that may be dropped: of QoS 0, of the others, or of any.
    func oldestDroppable(isQoS0: Bool?) -> Int? {
        var index = head
        while index < entries.count {
            if !entries[index].isGone, !entries[index].isReleased,
                isQoS0 == nil || isQoS0 == (entries[index].qos == 0)
            {
                return index
            }
            index += 1
        }
        return nil
    }

    /// Takes an entry out.
    func remove(at index: Int) {
        count(entries[index], -1)
        entries[index].flags |= Entry.gone
        while head < entries.count, entries[head].isGone { head += 1 }
        if head == entries.count {
            entries.removeAll(keepingCapacity: entries.capacity <= 64)
            head = 0
        } else if head >= 64, head * 2 > entries.count {
            entries.removeFirst(head)
            head = 0
        }
    }

    /// PUBREC received: only the PUBREL is owed from now on.
    func release(at index: Int) {
        count(entries[index], -1)
        entries[index].flags |= Entry.released
        entries[index].body = -1
        entries[index].byteCount = 0
        entries[index].expiresAt = 0
        count(entries[index], 1)
    }

    /// A group's member has taken it: it stays, and expires no more.
    func take(at index: Int) {
        count(entries[index], -1)
        entries[index].flags |= Entry.released
        count(entries[index], 1)
    }

    /// A group's member gave a taken entry back.
    func giveBack(at index: Int) {
        count(entries[index], -1)
        entries[index].flags &= ~Entry.released
        count(entries[index], 1)
    }

    /// Entries up to `sequence` were sent: they expire no more.
    func keep(through sequence: UInt64) {
        for index in head..<entries.count {
            guard entries[index].sequence <= sequence else { return }
            entries[index].expiresAt = 0
        }
    }

    /// Gives entries the shared bodies of another table.
    func replaceBodies(_ replacement: (Int32) -> Int32) {
        for index in head..<entries.count where !entries[index].isGone && entries[index].body >= 0 {
            entries[index].body = replacement(entries[index].body)
        }
    }

    /// Makes `nextExpiry` exact again.
    func findNextExpiry() {
        nextExpiry = .max
        for entry in entries[head...]
        where !entry.isGone && !entry.isReleased && entry.expiresAt != 0 {
            nextExpiry = min(nextExpiry, entry.expiresAt)
        }
    }
}
