import Base

/// The retained topics of one range in memory: by tenant in `TopicOrder`, and by expiry.
///
/// ```
///  entry:   version u64 | expiry u64 | record bytes u32 | heap place u32 | tenant u32 |
///           topic count u16 | topic                                (in an arena; handles below)
///  tenant:  blocks of at most 512 handles each, sorted; a page of a wildcard filter leaps through
///           them with `FilterLeap`
///  heap:    handles by (expiry, version), those that expire only
/// ```
/// Bodies stay in the engine. Owned by one `RetainMachine`; bounded by
/// `RetainLimits.rangeBytesMax`.
struct TopicIndex: ~Copyable {
    static var blockMax: Int { 512 }

    /// One tenant's topics.
    struct Tenant {
        var name: [UInt8]
        var blocks: [[UInt32]] = []
        var topics = 0
        /// Bytes of its records.
        var bytes: UInt64 = 0
    }

    /// A position in a tenant's blocks.
    struct Position: Equatable {
        var block: Int
        var offset: Int
    }

    enum Entry {
        static let version = 0
        static let expiry = 8
        static let recordBytes = 16
        static let heapPlace = 20
        static let tenant = 24
        static let count = 28
        static let topic = 30
    }

    var arena = BlockArena()
    private(set) var tenants: [Tenant?] = []
    private var freeTenants: [Int] = []
    private var numbers: [[UInt8]: Int] = [:]
    private(set) var heap: [UInt32] = []
    private(set) var count = 0

    var byteCount: Int { arena.touchedBytes + count * 5 + heap.capacity * 4 }

    // MARK: Entries

    func topic(_ entry: UInt32) -> UnsafeRawBufferPointer {
        let base = arena[entry]
        let count = base.load(fromByteOffset: Entry.count, as: UInt16.self)
        return UnsafeRawBufferPointer(start: base + Entry.topic, count: Int(count))
    }

    func version(_ entry: UInt32) -> UInt64 {
        arena[entry].load(fromByteOffset: Entry.version, as: UInt64.self)
    }

    func expiry(_ entry: UInt32) -> WallTime {
        WallTime(
            milliseconds: arena[entry].load(fromByteOffset: Entry.expiry, as: UInt64.self))
    }

    func recordBytes(_ entry: UInt32) -> UInt32 {
        arena[entry].load(fromByteOffset: Entry.recordBytes, as: UInt32.self)
    }

    func tenantNumber(_ entry: UInt32) -> Int {
        Int(arena[entry].load(fromByteOffset: Entry.tenant, as: UInt32.self))
    }

    func tenantName(_ entry: UInt32) -> [UInt8] { tenants[tenantNumber(entry)]?.name ?? [] }

    // MARK: Finding

    func tenant(_ name: [UInt8]) -> Int? { numbers[name] }

    /// The first position whose topic is not before `topic`.
    func lowerBound(_ tenant: Int, _ topic: UnsafeRawBufferPointer) -> Position {
        guard let blocks = tenants[tenant]?.blocks else { return Position(block: 0, offset: 0) }
        var low = 0
        var high = blocks.count
        // The last block that begins at or before the topic.
        while low < high {
            let middle = (low + high) / 2
            if TopicOrder.compare(self.topic(blocks[middle][0]), topic) <= 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > 0 else { return Position(block: 0, offset: 0) }
        let block = low - 1
        low = 0
        high = blocks[block].count
        while low < high {
            let middle = (low + high) / 2
            if TopicOrder.compare(self.topic(blocks[block][middle]), topic) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low == blocks[block].count
            ? Position(block: block + 1, offset: 0) : Position(block: block, offset: low)
    }

    func entry(_ tenant: Int, _ position: Position) -> UInt32? {
        guard let blocks = tenants[tenant]?.blocks, position.block < blocks.count else {
            return nil
        }
        return blocks[position.block][position.offset]
    }

    func next(_ tenant: Int, _ position: Position) -> Position {
        guard let blocks = tenants[tenant]?.blocks, position.block < blocks.count else {
            return position
        }
        return position.offset + 1 < blocks[position.block].count
            ? Position(block: position.block, offset: position.offset + 1)
            : Position(block: position.block + 1, offset: 0)
    }

    func find(_ tenant: Int, _ topic: UnsafeRawBufferPointer) -> UInt32? {
        guard let entry = entry(tenant, lowerBound(tenant, topic)),
            TopicOrder.compare(self.topic(entry), topic) == 0
        else { return nil }
        return entry
    }

    // MARK: Changing

    /// Adds or changes a topic.
    mutating func set(
        _ tenant: [UInt8], _ topic: UnsafeRawBufferPointer, version: UInt64, expiry: WallTime,
        recordBytes: UInt32
    ) {
        let number = makeTenant(tenant)
        let entry = find(number, topic) ?? insert(number, topic)
        let before = UInt64(self.recordBytes(entry))
        tenants[number]?.bytes += UInt64(recordBytes)
        tenants[number]?.bytes -= before
        leaveHeap(entry)
        let base = arena[entry]
        base.storeBytes(of: version, toByteOffset: Entry.version, as: UInt64.self)
        base.storeBytes(
            of: expiry.milliseconds, toByteOffset: Entry.expiry, as: UInt64.self)
        base.storeBytes(of: recordBytes, toByteOffset: Entry.recordBytes, as: UInt32.self)
        if expiry != .distantFuture { enterHeap(entry) }
    }

    private mutating func makeTenant(_ name: [UInt8]) -> Int {
        if let number = numbers[name] { return number }
        let number = freeTenants.popLast() ?? tenants.count
        if number == tenants.count { tenants.append(nil) }
        tenants[number] = Tenant(name: name)
        numbers[name] = number
        return number
    }

    private mutating func insert(_ tenant: Int, _ topic: UnsafeRawBufferPointer) -> UInt32 {
        let entry = arena.allocate(Entry.topic + topic.count)
        let base = arena[entry]
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Entry.topic)
        base.storeBytes(of: UInt32(tenant), toByteOffset: Entry.tenant, as: UInt32.self)
        base.storeBytes(
            of: UInt16(truncatingIfNeeded: topic.count), toByteOffset: Entry.count,
            as: UInt16.self)
        if let start = topic.baseAddress, topic.count > 0 {
            (base + Entry.topic).copyMemory(from: start, byteCount: topic.count)
        }
        place(entry, tenant, lowerBound(tenant, topic))
        tenants[tenant]?.topics += 1
        count += 1
        return entry
    }

    private mutating func place(_ entry: UInt32, _ tenant: Int, _ position: Position) {
        guard let blockCount = tenants[tenant]?.blocks.count else { return }
        var position = position
        if blockCount == 0 {
            tenants[tenant]?.blocks.append([entry])
            return
        }
        if position.block == blockCount {
            // Behind the last topic of the block before.
            position.block -= 1
            position.offset = tenants[tenant]?.blocks[position.block].count ?? 0
        }
        tenants[tenant]?.blocks[position.block].insert(entry, at: position.offset)
        guard let block = tenants[tenant]?.blocks[position.block], block.count > Self.blockMax
        else { return }
        let half = block.count / 2
        tenants[tenant]?.blocks[position.block] = Array(block[..<half])
        tenants[tenant]?.blocks.insert(Array(block[half...]), at: position.block + 1)
    }

    /// Removes a topic; the tenant goes with its last.
    mutating func remove(_ entry: UInt32) {
        let number = tenantNumber(entry)
        let topic = topic(entry)
        let position = lowerBound(number, topic)
        leaveHeap(entry)
        let bytes = UInt64(recordBytes(entry))
        tenants[number]?.bytes -= bytes
        tenants[number]?.topics -= 1
        tenants[number]?.blocks[position.block].remove(at: position.offset)
        if tenants[number]?.blocks[position.block].isEmpty == true {
            tenants[number]?.blocks.remove(at: position.block)
        }
        arena.free(entry, Entry.topic + topic.count)
        count -= 1
        if let tenant = tenants[number], tenant.topics == 0 {
            numbers[tenant.name] = nil
            tenants[number] = nil
            freeTenants.append(number)
        }
    }

    /// Calls `body` with every entry.
    func forEach(_ body: (UInt32) -> Void) {
        for case let tenant? in tenants {
            for block in tenant.blocks {
                for entry in block { body(entry) }
            }
        }
    }

    // MARK: Expiry

    /// The entry that expires first.
    var firstToExpire: UInt32? { heap.first }

    private func precedes(_ left: UInt32, _ right: UInt32) -> Bool {
        let first = expiry(left)
        let second = expiry(right)
        return first == second ? version(left) < version(right) : first < second
    }

    private func setPlace(_ entry: UInt32, _ place: Int) {
        arena[entry].storeBytes(
            of: UInt32(place), toByteOffset: Entry.heapPlace, as: UInt32.self)
    }

    private mutating func enterHeap(_ entry: UInt32) {
        heap.append(entry)
        setPlace(entry, heap.count)
        siftUp(heap.count - 1)
    }

    private mutating func leaveHeap(_ entry: UInt32) {
        let place = Int(arena[entry].load(fromByteOffset: Entry.heapPlace, as: UInt32.self)) - 1
        guard place >= 0 else { return }
        setPlace(entry, 0)
        let last = heap.removeLast()
        guard place < heap.count else { return }
        heap[place] = last
        setPlace(last, place + 1)
        siftUp(place)
        siftDown(place)
    }

    private mutating func swapPlaces(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        setPlace(heap[left], left + 1)
        setPlace(heap[right], right + 1)
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        while place > 0, precedes(heap[place], heap[(place - 1) / 2]) {
            swapPlaces(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && precedes(heap[child], heap[least]) {
                least = child
            }
            if least == place { return }
            swapPlaces(place, least)
            place = least
        }
    }
}
