import Base

/// A hash table from keys that lie elsewhere to 32-bit indices: open addressing, linear probing.
///
/// ```
///  slot: tag u32 | index + 1 u32        0 = free; removal shifts back, so there are no tombstones
/// ```
/// The owner compares keys itself. Eight bytes a slot, at most three quarters full.
struct IndexTable: ~Copyable {
    private var slots: UnsafeMutablePointer<UInt64>
    private var mask: Int
    private(set) var count = 0

    init() {
        slots = .allocate(capacity: 16)
        slots.initialize(repeating: 0, count: 16)
        mask = 15
    }

    deinit { slots.deallocate() }

    /// The index with this tag that `isMatch` accepts, or -1.
    @inline(__always)
    func find(_ tag: UInt32, _ isMatch: (Int32) -> Bool) -> Int32 {
        var position = Int(tag) & mask
        while slots[position] != 0 {
            let slot = slots[position]
            if UInt32(truncatingIfNeeded: slot >> 32) == tag {
                let index = Int32(truncatingIfNeeded: slot & 0xFFFF_FFFF) &- 1
                if isMatch(index) { return index }
            }
            position = (position &+ 1) & mask
        }
        return -1
    }

    /// Adds an index that is not there.
    mutating func insert(_ tag: UInt32, _ index: Int32) {
        if (count + 1) * 4 > (mask + 1) * 3 { grow() }
        place(UInt64(tag) << 32 | UInt64(UInt32(bitPattern: index &+ 1)))
        count += 1
    }

    private mutating func place(_ slot: UInt64) {
        var position = Int(slot >> 32) & mask
        while slots[position] != 0 { position = (position &+ 1) & mask }
        slots[position] = slot
    }

    private mutating func grow() {
        let old = slots
        let oldCount = mask + 1
        mask = oldCount * 2 - 1
        slots = .allocate(capacity: oldCount * 2)
        slots.initialize(repeating: 0, count: oldCount * 2)
        for position in 0..<oldCount where old[position] != 0 { place(old[position]) }
        old.deallocate()
    }

    /// Removes an index that is there.
    mutating func remove(_ tag: UInt32, _ index: Int32) {
        let slot = UInt64(tag) << 32 | UInt64(UInt32(bitPattern: index &+ 1))
        var hole = Int(tag) & mask
        while slots[hole] != slot {
            invariant(slots[hole] != 0, "index \(index) is not in the table")
            hole = (hole &+ 1) & mask
        }
        var next = (hole &+ 1) & mask
        while slots[next] != 0 {
            let home = Int(slots[next] >> 32) & mask
            if (next &- home) & mask >= (next &- hole) & mask {
                slots[hole] = slots[next]
                hole = next
            }
            next = (next &+ 1) & mask
        }
        slots[hole] = 0
        count -= 1
    }

    /// Bytes held.
    var byteCount: Int { (mask + 1) * 8 }
}

/// Names of tenants by small number, counted by use: sessions and owners hold the number.
struct TenantTable: ~Copyable {
    private var names: [[UInt8]] = []
    private var users: [Int32] = []
    private var free: [UInt32] = []
    private var table = IndexTable()
    private let hash: TableHash

    init(hash: TableHash) { self.hash = hash }

    private func tag(_ name: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hash.hash(name))
    }

    /// The number of a tenant that somebody uses, or nil.
    func find(_ name: UnsafeRawBufferPointer) -> UInt32? {
        let index = table.find(tag(name)) { index in
            names[Int(index)].withUnsafeBytes { equal($0, name) }
        }
        return index < 0 ? nil : UInt32(index)
    }

    func find(_ name: [UInt8]) -> UInt32? { name.withUnsafeBytes { find($0) } }

    func name(_ tenant: UInt32) -> [UInt8] { names[Int(tenant)] }

    /// The number of a tenant, with one more user.
    mutating func retain(_ name: [UInt8]) -> UInt32 {
        if let known = find(name) {
            users[Int(known)] += 1
            return known
        }
        let number: UInt32
        if let reused = free.popLast() {
            number = reused
            names[Int(number)] = name
            users[Int(number)] = 1
        } else {
            number = UInt32(names.count)
            names.append(name)
            users.append(1)
        }
        name.withUnsafeBytes { table.insert(tag($0), Int32(number)) }
        return number
    }

    mutating func release(_ tenant: UInt32) {
        users[Int(tenant)] -= 1
        guard users[Int(tenant)] == 0 else { return }
        names[Int(tenant)].withUnsafeBytes { table.remove(tag($0), Int32(tenant)) }
        names[Int(tenant)] = []
        free.append(tenant)
    }
}

/// Whether two stretches of bytes are the same.
@inline(__always)
func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    var offset = 0
    while offset &+ 8 <= left.count {
        if left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            != right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        {
            return false
        }
        offset &+= 8
    }
    while offset < left.count {
        if left[offset] != right[offset] { return false }
        offset &+= 1
    }
    return true
}

/// Whether the first stretch comes before the second, byte by byte.
func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    left.lexicographicallyPrecedes(right)
}
