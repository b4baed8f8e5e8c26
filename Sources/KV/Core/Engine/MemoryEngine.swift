import Base

/// An engine in memory: pairs in sorted chunks.
///
/// ```
///  chunks, in key order:   [first key's prefix | chunk] [ ... ] [ ... ]
///  chunk:                  1 to 64 entries in key order
///  entry:                  prefix u64 (first 8 bytes of the key) | block
///  block (one allocation): key length u32 | value length u32 | key | value
/// ```
/// A point operation is two binary searches that mostly compare prefixes. A full chunk is halved,
/// an empty one freed; chunks are not merged otherwise, since queues empty from one side. Memory
/// of a pair is freed with it. Bounded by its users: each store has limits of its own.
package final class MemoryEngine: Engine {
    struct Entry {
        var prefix: UInt64
        var block: UnsafeMutableRawPointer
    }

    /// A run of entries; never empty.
    struct Chunk {
        var entries: UnsafeMutablePointer<Entry>
        var count: Int
    }

    /// Entries in a chunk: insertion moves half a kilobyte at most.
    static let chunkEntries = 64

    private var chunks: [Chunk] = []
    package private(set) var count = 0

    package init() {}

    deinit {
        for chunk in chunks {
            for index in 0..<chunk.count { chunk.entries[index].block.deallocate() }
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

    /// Whether the entry comes before the key (negative), is it (zero) or comes after.
    @inline(__always)
    private static func compare(
        _ entry: Entry, _ prefix: UInt64, _ key: UnsafeRawBufferPointer
    ) -> Int {
        if entry.prefix != prefix { return entry.prefix < prefix ? -1 : 1 }
        return KeyOrder.compare(Self.key(entry.block), key)
    }

    /// Where a key is, or where it belongs.
    private struct Position {
        var chunk: Int
        var index: Int
        var isFound: Bool
    }

    private func find(_ key: UnsafeRawBufferPointer) -> Position {
        let prefix = KeyOrder.prefix(key)
        return chunks.withUnsafeBufferPointer { chunks in
            // The last chunk whose first entry is not behind the key.
            var low = 0
            var high = chunks.count
            while low < high {
                let middle = (low &+ high) &>> 1
                if Self.compare(chunks[middle].entries[0], prefix, key) <= 0 {
                    low = middle &+ 1
                } else {
                    high = middle
                }
            }
            let chunk = max(low &- 1, 0)
            guard chunk < chunks.count else { return Position(chunk: 0, index: 0, isFound: false) }
            low = 0
            high = chunks[chunk].count
            while low < high {
                let middle = (low &+ high) &>> 1
                let order = Self.compare(chunks[chunk].entries[middle], prefix, key)
                if order == 0 { return Position(chunk: chunk, index: middle, isFound: true) }
                if order < 0 { low = middle &+ 1 } else { high = middle }
            }
            return Position(chunk: chunk, index: low, isFound: false)
        }
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
            chunks.append(Chunk(entries: .allocate(capacity: Self.chunkEntries), count: 0))
        }
        if chunks[chunk].count == Self.chunkEntries {
            halve(chunk, insertingAt: index)
            if index > chunks[chunk].count {
                index -= chunks[chunk].count
                chunk += 1
            }
        }
        let entries = chunks[chunk].entries
        let tail = chunks[chunk].count - index
        (entries + index + 1).moveInitialize(from: entries + index, count: tail)
        (entries + index).initialize(
            to: Entry(prefix: KeyOrder.prefix(key), block: Self.block(key, value)))
        chunks[chunk].count += 1
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
        chunks[chunk].count = kept
        chunks.insert(Chunk(entries: upper, count: moved), at: chunk + 1)
    }

    private func remove(_ chunk: Int, _ index: Int) {
        let entries = chunks[chunk].entries
        entries[index].block.deallocate()
        (entries + index).moveInitialize(
            from: entries + index + 1, count: chunks[chunk].count - index - 1)
        chunks[chunk].count -= 1
        count -= 1
        if chunks[chunk].count == 0 {
            entries.deallocate()
            chunks.remove(at: chunk)
        }
    }

    // MARK: Runs of keys

    package func scan(_ bounds: KeyBounds, _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool) {
        let start = bounds.start.withUnsafeBytes { find($0) }
        var (chunk, index) = (start.chunk, start.index)
        while chunk < chunks.count {
            while index < chunks[chunk].count {
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
                chunk: chunks.count - 1, index: chunks[chunks.count - 1].count, isFound: false)
        for chunk in start.chunk...end.chunk {
            let first = chunk == start.chunk ? start.index : 0
            let behind = chunk == end.chunk ? end.index : chunks[chunk].count
            removeEntries(chunk, first, behind)
        }
        for chunk in start.chunk...end.chunk where chunks[chunk].count == 0 {
            chunks[chunk].entries.deallocate()
        }
        chunks.removeAll { $0.count == 0 }
    }

    private func removeEntries(_ chunk: Int, _ first: Int, _ behind: Int) {
        guard behind > first else { return }
        let entries = chunks[chunk].entries
        for index in first..<behind { entries[index].block.deallocate() }
        (entries + first).moveInitialize(
            from: entries + behind, count: chunks[chunk].count - behind)
        chunks[chunk].count -= behind - first
        count -= behind - first
    }
}
