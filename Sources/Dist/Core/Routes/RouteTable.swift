import Base
import KV

/// The routes of one range in memory: exact filters behind a hash table, filters with wildcards in
/// a trie, receivers in chained blocks. All of it lies in one arena; links are 31-bit handles.
///
/// ```
///  tenant:    a branch whose name is the tenant; root of its trie
///  branch:    parent u32 | own u32 | hash u32 | plus u32 | children u32 | name u16 | name
///  leaf:      parent u32 | own u32 | name u16 | tail u16 | name | tail ("/" and the rest, or "")
///  exact:     own u32 | tenant u32 | length u16 | filter
///
///  children:  hash of (branch, level) -> branch, or leaf with `leafBit`; "+" hangs on `plus`
///  own:       the receivers of the filter that ends here;  hash: of the filter that ends in "/#"
/// ```
/// A filter's last stretch that it shares with no other filter is one leaf; a leaf becomes a
/// branch when a second filter goes its way. Owned by one `DistMachine`. Bounded by
/// `DistLimits.rangeBytesMax`.
struct RouteTable: ~Copyable {
    var arena = BlockArena()
    var exact = HandleTable()
    var children = HandleTable()
    var tenants = HandleTable()
    var places = PlaceTable()
    let hasher: TableHash
    /// Rises whenever a set of receivers shrinks or is laid out anew in another order: a cursor
    /// from before must begin again.
    var layoutNumber: UInt32 = 1
    /// Routes and filters in the table, fenced but not yet swept ones included.
    var routeCount = 0
    var filterCount = 0
    /// Trie nodes waiting to be visited; kept from match to match.
    var pending: [MatchFrame] = []
    /// Beginning of each level of the topic being matched, and one past its end plus one.
    var levelStarts: [Int] = []
    /// Keyed hash of each level, computed when first wanted.
    var levelHashes: [UInt64] = []

    init(seed: UInt64) {
        hasher = TableHash(seed: seed)
        pending.reserveCapacity(64)
    }

    static var leafBit: UInt32 { 1 << 31 }

    /// Bytes of routes in memory, as held from the system.
    var byteCount: Int {
        arena.touchedBytes + exact.byteCount + children.byteCount + tenants.byteCount
    }

    // MARK: Places of the fields

    enum Branch {
        static let parent = 0
        static let own = 4
        static let hash = 8
        static let plus = 12
        static let children = 16
        static let nameCount = 20
        static let name = 22
    }

    enum Leaf {
        static let parent = 0
        static let own = 4
        static let nameCount = 8
        static let tailCount = 10
        static let name = 12
    }

    enum Exact {
        static let own = 0
        static let tenant = 4
        static let count = 8
        static let filter = 10
    }

    func word(_ handle: UInt32, _ offset: Int) -> UInt32 {
        arena[handle].load(fromByteOffset: offset, as: UInt32.self)
    }

    func setWord(_ handle: UInt32, _ offset: Int, _ value: UInt32) {
        arena[handle].storeBytes(of: value, toByteOffset: offset, as: UInt32.self)
    }

    func half(_ handle: UInt32, _ offset: Int) -> Int {
        Int(arena[handle].load(fromByteOffset: offset, as: UInt16.self))
    }

    func slot(_ handle: UInt32, _ offset: Int) -> UnsafeMutablePointer<UInt32> {
        (arena[handle] + offset).assumingMemoryBound(to: UInt32.self)
    }

    func part(_ handle: UInt32, _ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: arena[handle] + offset, count: count)
    }

    func branchName(_ branch: UInt32) -> UnsafeRawBufferPointer {
        part(branch, Branch.name, half(branch, Branch.nameCount))
    }

    func exactFilter(_ entry: UInt32) -> UnsafeRawBufferPointer {
        part(entry, Exact.filter, half(entry, Exact.count))
    }

    // MARK: Where a filter's receivers hang

    /// A filter found or made: the word that heads its receivers, and what holds that word.
    struct Location {
        enum Holder: Equatable {
            case exact, leaf, branch
        }
        var slot: UnsafeMutablePointer<UInt32>
        var holder: Holder
        var handle: UInt32
        /// Whether it is a branch's `hash` word.
        var isHash = false
    }

    func tenantRoot(_ tenant: UnsafeRawBufferPointer) -> UInt32 {
        let tag = UInt32(truncatingIfNeeded: hasher.hash(tenant))
        var position = Int(tag)
        while true {
            let root = tenants.candidate(tag, &position)
            if root == 0 || same(branchName(root), tenant) { return root }
        }
    }

    mutating func makeTenantRoot(_ tenant: UnsafeRawBufferPointer) -> UInt32 {
        let known = tenantRoot(tenant)
        if known != 0 { return known }
        let root = makeBranch(parent: 0, name: tenant)
        tenants.insert(UInt32(truncatingIfNeeded: hasher.hash(tenant)), root)
        return root
    }

    func exactTag(_ root: UInt32, _ filter: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(filter, salt: UInt64(root)))
    }

    func findExact(_ root: UInt32, _ filter: UnsafeRawBufferPointer) -> UInt32 {
        let tag = exactTag(root, filter)
        var position = Int(tag)
        while true {
            let entry = exact.candidate(tag, &position)
            if entry == 0 { return 0 }
            if word(entry, Exact.tenant) == root, same(exactFilter(entry), filter) {
                return entry
            }
        }
    }

    func find(
        _ tenant: UnsafeRawBufferPointer, _ filter: UnsafeRawBufferPointer, isExact: Bool
    ) -> Location? {
        let root = tenantRoot(tenant)
        guard root != 0 else { return nil }
        if !isExact { return findWildcard(root, filter) }
        let entry = findExact(root, filter)
        guard entry != 0 else { return nil }
        return Location(slot: slot(entry, Exact.own), holder: .exact, handle: entry)
    }

    mutating func make(
        _ tenant: UnsafeRawBufferPointer, _ filter: UnsafeRawBufferPointer, isExact: Bool
    ) -> Location {
        let root = makeTenantRoot(tenant)
        if !isExact { return makeWildcard(root, filter) }
        var entry = findExact(root, filter)
        if entry == 0 {
            entry = arena.allocate(Exact.filter + filter.count)
            setWord(entry, Exact.own, 0)
            setWord(entry, Exact.tenant, root)
            store(filter, entry, countAt: Exact.count, at: Exact.filter)
            exact.insert(exactTag(root, filter), entry)
            setWord(root, Branch.children, word(root, Branch.children) + 1)
        }
        return Location(slot: slot(entry, Exact.own), holder: .exact, handle: entry)
    }

    /// Frees what held a filter that has no receivers any more, and what that leaves empty.
    mutating func prune(_ location: Location) {
        guard location.slot.pointee == 0 else { return }
        switch location.holder {
        case .exact:
            let root = word(location.handle, Exact.tenant)
            let filter = exactFilter(location.handle)
            exact.remove(exactTag(root, filter), location.handle)
            arena.free(location.handle, Exact.filter + filter.count)
            setWord(root, Branch.children, word(root, Branch.children) - 1)
            pruneBranches(from: root)
        case .leaf: pruneLeaf(location.handle)
        case .branch: pruneBranches(from: location.handle)
        }
    }

    func store(
        _ bytes: UnsafeRawBufferPointer, _ handle: UInt32, countAt: Int, at offset: Int
    ) {
        arena[handle].storeBytes(
            of: UInt16(truncatingIfNeeded: bytes.count), toByteOffset: countAt, as: UInt16.self)
        copy(bytes, to: arena[handle] + offset)
    }

    // MARK: Adding and removing

    /// What adding or removing a route came to.
    struct Outcome {
        var code: RouteCode
        /// The token that a transient route had before it was replaced.
        var oldToken: UInt64 = 0
    }

    mutating func add(_ item: RouteItem) -> Outcome {
        let shape = FilterShape(item.filter)
        guard shape != .invalid else { return Outcome(code: .malformed) }
        if !item.isStored, places.isFenced(item.place.node, item.epoch) {
            return Outcome(code: .epochVoid)
        }
        guard byteCount < DistLimits.rangeBytesMax, places.hasRoom else {
            return Outcome(code: .rangeFull)
        }
        let location = make(item.tenant, item.filter, isExact: shape == .exact)
        let isNew = location.slot.pointee == 0
        let outcome = addReceiver(item, to: location.slot)
        if location.slot.pointee == 0 {
            prune(location)
        } else if isNew {
            filterCount += 1
        }
        if outcome.code == .added { routeCount += 1 }
        return outcome
    }

    /// Inserts a route that was stored before: also one of a fenced epoch, which is then swept.
    mutating func insertLoaded(_ item: RouteItem) -> Bool {
        let shape = FilterShape(item.filter)
        guard shape != .invalid, places.hasRoom else { return false }
        let location = make(item.tenant, item.filter, isExact: shape == .exact)
        if location.slot.pointee == 0 { filterCount += 1 }
        if addReceiver(item, to: location.slot).code == .added { routeCount += 1 }
        return true
    }

    mutating func remove(_ item: RouteItem) -> Outcome {
        let shape = FilterShape(item.filter)
        guard shape != .invalid else { return Outcome(code: .malformed) }
        guard let location = find(item.tenant, item.filter, isExact: shape == .exact) else {
            return Outcome(code: .absent)
        }
        guard removeReceiver(item, from: location.slot) else { return Outcome(code: .absent) }
        routeCount -= 1
        if location.slot.pointee == 0 { filterCount -= 1 }
        prune(location)
        return Outcome(code: .removed)
    }
}

@inline(__always)
func same(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    left.count == right.count && equalBytes(left, right)
}

func copy(_ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    target.copyMemory(from: start, byteCount: bytes.count)
}
