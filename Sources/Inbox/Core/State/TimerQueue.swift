import Base

/// Records by the range time at which something of theirs is due: a binary heap in memory.
///
/// What is due lies in the records themselves (expiry, will, message expiry), which every replica
/// rebuilds from its rows; so the order of times needs no rows of its own and survives a change of
/// leader by being the same everywhere. Entries are dropped lazily: one counts only if it is what
/// its record says.
struct TimerQueue {
    /// 24 bytes.
    struct Entry {
        /// Range time in milliseconds.
        var due: UInt64
        /// The record's incarnation: decides between equal times, alike on all replicas.
        var tie: UInt64
        var session: Int32
        var generation: UInt32

        func precedes(_ other: Entry) -> Bool {
            (due, tie) < (other.due, other.tie)
        }
    }

    private var heap: [Entry] = []

    var count: Int { heap.count }
    var first: Entry? { heap.first }

    mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if !entry.precedes(heap[parent]) { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    mutating func removeFirst() -> Entry? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        var parent = 0
        while true {
            var child = parent * 2 + 1
            if child >= heap.count { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            if !heap[child].precedes(last) { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
        return first
    }

    /// Keeps only what `isCurrent` accepts: called when most entries are stale.
    mutating func rebuild(_ isCurrent: (Entry) -> Bool) {
        let kept = heap.filter(isCurrent)
        heap.removeAll(keepingCapacity: true)
        for entry in kept { insert(entry) }
    }
}
