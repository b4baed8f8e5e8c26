import Base

/// An engine in memory: pairs in sorted chunks.
///
/// ```
///  chunks, in key order:   [first key's first 8 bytes | shared | entries] [ ... ] [ ... ]
///  chunk:                  1 to 64 entries in key order, whose keys share `shared` bytes
///  entry:                  tail u64 (8 bytes of the key behind the shared ones) | block
///  block (one allocation): key length u32 | value length u32 | key | value
/// ```
/// A point operation is two binary searches that mostly compare words and seldom follow a pointer:
/// the keys of one session or queue differ only behind a long common beginning. A full chunk is
/// halved, an empty one freed; chunks are not merged otherwise, since queues empty from one side.
/// Memory of a pair is freed with it. Bounded by its users: each store has limits of its own.
package final class MemoryEngine: Engine {
    struct Entry {
        /// Orders the entry within its chunk; equal tails need the whole keys.
        var tail: UInt64
        var block: UnsafeMutableRawPointer
    }

    /// A run of entries; never empty between calls.
    struct Chunk {
        /// First bytes of the first key: orders the chunk among the others.
        var head: UInt64 = 0
        var entries: UnsafeMutablePointer<Entry>
        var count: Int32 = 0
        /// Bytes that all keys here begin with. May be less than they have in common.
        var shared: Int32 = 0

        var size: Int { Int(count) }
        var first: UnsafeRawBufferPointer { MemoryEngine.key(entries[0].block) }
    }

    /// Entries in a chunk: insertion moves half a kilobyte at most.
    static let chunkEntries = 64

    @exclusivity(unchecked)
    private var chunks: [Chunk] = []
    @exclusivity(unchecked)
    package private(set) var count = 0

    package init() {}

    deinit {
        for chunk in chunks {
            for index in 0..<chunk.size { chunk.entries[index].block.deallocate() }
            chunk.entries.deallocate()
        }
    }

    package func apply(_ batch: borrowing WriteBatch) {
        batch.forEach(
            put: { key, value in put(key, value) },
            delete: { key in delete(key) })
    }

    package func get(_ key: RawSpan) -> [UInt8]? {
        key.withUnsafeBytes { key in
            let found = find(key)
            guard found.isFound else { return nil }
            return [UInt8](Self.value(chunks[found.chunk].entries[found.index].block))
        }
    }

    package func put(_ key: RawSpan, _ value: RawSpan) {
        key.withUnsafeBytes { key in value.withUnsafeBytes { put(key, $0) } }
    }

    package func delete(_ key: RawSpan) {
        key.withUnsafeBytes { key in
            let found = find(key)
            if found.isFound { remove(found.chunk, found.index) }
        }
    }

    // MARK: Blocks

    private static func key(_ block: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: block + 8, count: Int(block.load(as: UInt32.self)))
    }

    private static func value(_ block: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
        let keyCount = Int(block.load(as: UInt32.self))
        return UnsafeRawBufferPointer(
            start: block + 8 + keyCount,
            count: Int(block.load(fromByteOffset: 4, as: UInt32.self)))
    }

    private static func block(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) -> UnsafeMutableRawPointer {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: 8 + key.count + value.count, alignment: 8)
        block.storeBytes(of: UInt32(truncatingIfNeeded: key.count), as: UInt32.self)
        block.storeBytes(
            of: UInt32(truncatingIfNeeded: value.count), toByteOffset: 4, as: UInt32.self)
        if let base = key.baseAddress {
            (block + 8).copyMemory(from: base, byteCount: key.count)
        }
        if let base = value.baseAddress {
            (block + 8 + key.count).copyMemory(from: base, byteCount: value.count)
        }
        return block
    }

    // MARK: Search

    /// Where a key is, or where it belongs.
    private struct Position {
        var chunk: Int
        var index: Int
        var isFound: Bool
    }

    private func find(_ key: UnsafeRawBufferPointer) -> Position {
        chunks.withUnsafeBufferPointer { chunks in
            let chunk = Self.chunk(of: key, in: chunks)
            guard chunk < chunks.count else { return Position(chunk: 0, index: 0, isFound: false) }
            return Self.find(key, in: chunks[chunk], number: chunk)
        }
    }

    /// The last chunk whose first key is not behind `key`, or the first chunk.
    private static func chunk(
        of key: UnsafeRawBufferPointer, in chunks: UnsafeBufferPointer<Chunk>
    ) -> Int {
        let head = KeyOrder.prefix(key)
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low &+ high) &>> 1
            let other = chunks[middle].head
            let isBehind =
                other != head ? other > head : KeyOrder.compare(chunks[middle].first, key) > 0
            if isBehind { high = middle } else { low = middle &+ 1 }
        }
        return max(low &- 1, 0)
    }

    private static func find(
        _ key: UnsafeRawBufferPointer, in chunk: Chunk, number: Int
    ) -> Position {
        let shared = Int(chunk.shared)
        let order = compareShared(key, chunk)
        if order != 0 {
            return Position(chunk: number, index: order < 0 ? 0 : chunk.size, isFound: false)
        }
        let tail = KeyOrder.prefix(key, from: shared)
        var low = 0
        var high = chunk.size
        while low < high {
            let middle = (low &+ high) &>> 1
            let entry = chunk.entries[middle]
            var order = entry.tail < tail ? -1 : 1
            if entry.tail == tail {
                order = KeyOrder.compare(Self.key(entry.block), key)
                if order == 0 { return Position(chunk: number, index: middle, isFound: true) }
            }
            if order < 0 { low = middle &+ 1 } else { high = middle }
        }
        return Position(chunk: number, index: low, isFound: false)
    }

    /// Whether the key comes before everything that begins as this chunk does, or behind it.
    @inline(__always)
    private static func compareShared(_ key: UnsafeRawBufferPointer, _ chunk: Chunk) -> Int {
        let shared = Int(chunk.shared)
        if shared == 0 { return 0 }
        let own = UnsafeRawBufferPointer(rebasing: key[..<min(shared, key.count)])
        return KeyOrder.compare(own, UnsafeRawBufferPointer(rebasing: chunk.first[..<shared]))
    }

    // MARK: Change

    private func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let found = find(key)
        var (chunk, index) = (found.chunk, found.index)
        if found.isFound {
            replace(chunk, index, key, value)
            return
        }
        if chunks.isEmpty {
            chunks.append(Chunk(entries: .allocate(capacity: Self.chunkEntries)))
        }
        if chunks[chunk].size == Self.chunkEntries {
            halve(chunk, insertingAt: index)
            if index > chunks[chunk].size {
                index -= chunks[chunk].size
                chunk += 1
            }
        }
        if Self.compareShared(key, chunks[chunk]) != 0 {
            share(Self.commonCount(key, chunks[chunk].first), in: chunk)
        }
        insert(key, value, chunk, index)
    }

    private func insert(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ chunk: Int, _ index: Int
    ) {
        let entries = chunks[chunk].entries
        let tail = KeyOrder.prefix(key, from: Int(chunks[chunk].shared))
        (entries + index + 1).moveInitialize(
            from: entries + index, count: chunks[chunk].size - index)
        (entries + index).initialize(to: Entry(tail: tail, block: Self.block(key, value)))
        chunks[chunk].count += 1
        if index == 0 { chunks[chunk].head = KeyOrder.prefix(key) }
        count += 1
    }

    /// Same size: overwritten in place.
    private func replace(
        _ chunk: Int, _ index: Int, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) {
        let old = chunks[chunk].entries[index].block
        if Self.value(old).count == value.count {
            if let base = value.baseAddress {
                (old + 8 + key.count).copyMemory(from: base, byteCount: value.count)
            }
            return
        }
        chunks[chunk].entries[index].block = Self.block(key, value)
        old.deallocate()
    }

    /// Makes two chunks of a full one. What is appended at the end leaves the old one full, so
    /// that rising keys fill their chunks.
    private func halve(_ chunk: Int, insertingAt index: Int) {
        let kept = index == Self.chunkEntries ? Self.chunkEntries - 1 : Self.chunkEntries / 2
        let moved = Self.chunkEntries - kept
        let upper = UnsafeMutablePointer<Entry>.allocate(capacity: Self.chunkEntries)
        upper.moveInitialize(from: chunks[chunk].entries + kept, count: moved)
        chunks[chunk].count = Int32(kept)
        chunks.insert(
            Chunk(entries: upper, count: Int32(moved), shared: chunks[chunk].shared),
            at: chunk + 1)
        for number in chunk...chunk + 1 {
            chunks[number].head = KeyOrder.prefix(chunks[number].first)
            let last = Self.key(chunks[number].entries[chunks[number].size - 1].block)
            share(Self.commonCount(chunks[number].first, last), in: number)
        }
    }

    /// Sets how many bytes the keys of a chunk are taken to share.
    private func share(_ shared: Int, in chunk: Int) {
        guard shared != Int(chunks[chunk].shared) else { return }
        chunks[chunk].shared = Int32(truncatingIfNeeded: shared)
        let entries = chunks[chunk].entries
        for index in 0..<chunks[chunk].size {
            entries[index].tail = KeyOrder.prefix(Self.key(entries[index].block), from: shared)
        }
    }

    /// How many bytes two keys begin with in common.
    private static func commonCount(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Int {
        let count = min(left.count, right.count)
        var offset = 0
        while offset < count, left[offset] == right[offset] { offset &+= 1 }
        return offset
    }

    private func remove(_ chunk: Int, _ index: Int) {
        removeEntries(chunk, index, index + 1)
        if chunks[chunk].count == 0 {
            chunks[chunk].entries.deallocate()
            chunks.remove(at: chunk)
        }
    }

    private func removeEntries(_ chunk: Int, _ first: Int, _ behind: Int) {
        guard behind > first else { return }
        let entries = chunks[chunk].entries
        for index in first..<behind { entries[index].block.deallocate() }
        (entries + first).moveInitialize(
            from: entries + behind, count: chunks[chunk].size - behind)
        chunks[chunk].count -= Int32(behind - first)
        count -= behind - first
        if first == 0, chunks[chunk].count > 0 {
            chunks[chunk].head = KeyOrder.prefix(chunks[chunk].first)
        }
    }

    // MARK: Runs of keys

    package func scan(_ bounds: KeyBounds, _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool) {
        let start = bounds.start.withUnsafeBytes { find($0) }
        var (chunk, index) = (start.chunk, start.index)
        while chunk < chunks.count {
            while index < chunks[chunk].size {
                let block = chunks[chunk].entries[index].block
                let key = RawSpan(_unsafeBytes: Self.key(block))
                if let end = bounds.end, KeyOrder.compare(end, key) <= 0 { return }
                if !body(key, RawSpan(_unsafeBytes: Self.value(block))) { return }
                index += 1
            }
            chunk += 1
            index = 0
        }
    }

    package func deleteRange(_ bounds: KeyBounds) {
        guard !bounds.isEmpty else { return }
        let start = bounds.start.withUnsafeBytes { find($0) }
        guard start.chunk < chunks.count else { return }
        let end =
            bounds.end.map { $0.withUnsafeBytes { find($0) } }
            ?? Position(
                chunk: chunks.count - 1, index: chunks[chunks.count - 1].size, isFound: false)
        for chunk in start.chunk...end.chunk {
            let first = chunk == start.chunk ? start.index : 0
            let behind = chunk == end.chunk ? end.index : chunks[chunk].size
            removeEntries(chunk, first, behind)
        }
        for chunk in start.chunk...end.chunk where chunks[chunk].count == 0 {
            chunks[chunk].entries.deallocate()
        }
        chunks.removeAll { $0.count == 0 }
    }
}
