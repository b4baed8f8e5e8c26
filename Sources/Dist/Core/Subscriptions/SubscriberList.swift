import Base

/// The subscribers of a filter that several sessions of a worker have: a plain array, with an index
/// by session once it is long.
///
/// ```
///  block:  capacity u32 | index bits u32 | address of the index u64 | subscribers ...
///  index:  position plus one u32 ...          open addressing by session, at most half full
/// ```
/// Its count is its owner's. A removal moves the last subscriber into the gap.
@usableFromInline
struct SubscriberList {
    private(set) var base: UnsafeMutableRawPointer

    @inlinable static var header: Int { 16 }
    /// Lists up to this long are searched from the beginning.
    static var indexedFrom: Int { 128 }

    init(base: UnsafeMutableRawPointer) { self.base = base }

    init(capacity: Int) {
        base = .allocate(byteCount: Self.header + capacity * 8, alignment: 8)
        base.storeBytes(of: UInt32(capacity), as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 8, as: UInt.self)
    }

    var entries: UnsafeMutablePointer<Subscriber> {
        (base + Self.header).assumingMemoryBound(to: Subscriber.self)
    }

    private var capacity: Int { Int(base.load(as: UInt32.self)) }
    private var bits: UInt32 { base.load(fromByteOffset: 4, as: UInt32.self) }
    private var index: UnsafeMutablePointer<UInt32>? {
        UnsafeMutablePointer(bitPattern: base.load(fromByteOffset: 8, as: UInt.self))
    }

    var byteCount: Int { Self.header + capacity * 8 + (bits == 0 ? 0 : 4 << Int(bits)) }

    func deallocate() {
        index?.deallocate()
        base.deallocate()
    }

    func position(of session: Int32, _ count: Int, _ hasher: TableHash) -> Int? {
        guard let index else {
            for position in 0..<count where entries[position].session == session {
                return position
            }
            return nil
        }
        let cell = index[cell(session, index, hasher)]
        return cell == 0 ? nil : Int(cell) - 1
    }

    mutating func append(_ subscriber: Subscriber, _ count: Int, _ hasher: TableHash) {
        if count == capacity { resize(to: capacity * 2, count) }
        entries[count] = subscriber
        let needsIndex = count + 1 > Self.indexedFrom
        if needsIndex, bits == 0 || (count + 1) * 2 > 1 << Int(bits) {
            buildIndex(count + 1, hasher)
        } else if let index {
            index[cell(subscriber.session, index, hasher)] = UInt32(count + 1)
        }
    }

    mutating func remove(at position: Int, _ count: Int, _ hasher: TableHash) {
        let removed = entries[position].session
        let last = entries[count - 1]
        if let index {
            removeCell(cell(removed, index, hasher), index, hasher)
            if position < count - 1 {
                index[cell(last.session, index, hasher)] = UInt32(position + 1)
            }
        }
        entries[position] = last
        if count - 1 < Self.indexedFrom / 2 { dropIndex() }
        if capacity > 8, (count - 1) * 4 < capacity { resize(to: capacity / 2, count - 1) }
    }

    private mutating func resize(to capacity: Int, _ count: Int) {
        let other = UnsafeMutableRawPointer.allocate(
            byteCount: Self.header + capacity * 8, alignment: 8)
        other.copyMemory(from: base, byteCount: Self.header + count * 8)
        other.storeBytes(of: UInt32(capacity), as: UInt32.self)
        base.deallocate()
        base = other
    }

    // MARK: Index

    private func home(_ session: Int32, _ hasher: TableHash) -> Int {
        Int(truncatingIfNeeded: hasher.hash(UInt64(UInt32(bitPattern: session))))
            & (1 << Int(bits) - 1)
    }

    /// The session's cell, or the empty one where it would be.
    private func cell(
        _ session: Int32, _ index: UnsafeMutablePointer<UInt32>, _ hasher: TableHash
    ) -> Int {
        let mask = 1 << Int(bits) - 1
        var cell = home(session, hasher)
        while index[cell] != 0, entries[Int(index[cell]) - 1].session != session {
            cell = (cell + 1) & mask
        }
        return cell
    }

    private func removeCell(
        _ start: Int, _ index: UnsafeMutablePointer<UInt32>, _ hasher: TableHash
    ) {
        let mask = 1 << Int(bits) - 1
        var hole = start
        var next = (hole + 1) & mask
        while index[next] != 0 {
            let home = home(entries[Int(index[next]) - 1].session, hasher)
            if (next - home) & mask >= (next - hole) & mask {
                index[hole] = index[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        index[hole] = 0
    }

    private mutating func dropIndex() {
        index?.deallocate()
        base.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 8, as: UInt.self)
    }

    private mutating func buildIndex(_ count: Int, _ hasher: TableHash) {
        dropIndex()
        var bits = 9
        while count * 2 > 1 << bits { bits += 1 }
        let cells = UnsafeMutablePointer<UInt32>.allocate(capacity: 1 << bits)
        cells.initialize(repeating: 0, count: 1 << bits)
        base.storeBytes(of: UInt32(bits), toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: UInt(bitPattern: cells), toByteOffset: 8, as: UInt.self)
        for position in 0..<count {
            cells[cell(entries[position].session, cells, hasher)] = UInt32(position + 1)
        }
    }
}
