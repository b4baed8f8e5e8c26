import Base
import KV

/// Who owns each client id of the range, stored session or not: the leader's volatile knowledge.
///
/// ```
///  free --claim--> owned --claim of another--> evicting (evict sent, claimants wait in line)
///    ^               |                              |
///    +---released----+                              +--released--> owned by the next in line
/// ```
/// At most one owner at a time: a claimant is answered only after the owner before it has released.
/// The line is bounded by `InboxLimits.claimsWaitingMax`; who is pushed out is told so. About 45
/// bytes an owner, and its client id and principal, which lie together in an arena.
struct OwnerTable: ~Copyable {
    /// An owner: 32 bytes, since every connected client costs one.
    struct Owner: BitwiseCopyable {
        var token: UInt64
        var epoch: UInt64
        /// Handle of client id and principal in `names`; 0 if both are empty.
        var name: UInt32
        var clientCount: UInt16
        var principalCount: UInt16
        var tenant: UInt32
        /// Index in `places`.
        var place: UInt16
        /// Claimants wait for it.
        var isEvicted = false
    }

    /// A claimant in line.
    struct Waiter {
        var ticket: QueryTicketNumber
        var place: Place
        var token: UInt64
        var principal: [UInt8]
    }

    /// The raw value of a question's ticket.
    typealias QueryTicketNumber = UInt64

    private var slab = Slab<Owner>()
    private var names = BlockArena()
    private var table = IndexTable()
    private let hash: TableHash
    private var places: [Place] = []
    /// Which cells are in use, for walks.
    private var used: [Bool] = []
    /// Claimants by the owner they wait for; looked up only, never walked.
    private var lines: [Int32: [Waiter]] = [:]

    init(hash: TableHash) { self.hash = hash }

    var count: Int { slab.count }
    var byteCount: Int {
        slab.byteCount + names.touchedBytes + table.byteCount + used.capacity
    }

    subscript(index: Int32) -> UnsafeMutablePointer<Owner> { slab[pointer: index] }

    func clientID(_ index: Int32) -> UnsafeRawBufferPointer {
        let owner = slab[pointer: index]
        return part(owner.pointee.name, 0, Int(owner.pointee.clientCount))
    }

    func principal(_ index: Int32) -> UnsafeRawBufferPointer {
        let owner = slab[pointer: index]
        return part(
            owner.pointee.name, Int(owner.pointee.clientCount), Int(owner.pointee.principalCount))
    }

    private func part(_ name: UInt32, _ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        guard count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: names[name] + offset, count: count)
    }

    private mutating func makeName(
        _ clientID: UnsafeRawBufferPointer, _ principal: [UInt8]
    ) -> UInt32 {
        let count = clientID.count + principal.count
        guard count > 0 else { return 0 }
        let name = names.allocate(count)
        let target = UnsafeMutableRawBufferPointer(start: names[name], count: count)
        target.copyMemory(from: clientID)
        principal.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: target[clientID.count...]).copyMemory(from: $0)
        }
        return name
    }

    private mutating func freeName(_ index: Int32) {
        let owner = slab[pointer: index].pointee
        guard owner.name != 0 else { return }
        names.free(owner.name, Int(owner.clientCount) + Int(owner.principalCount))
    }

    func place(of index: Int32) -> Place { places[Int(slab[pointer: index].pointee.place)] }

    private func tag(_ tenant: UInt32, _ clientID: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hash.hash(clientID, salt: UInt64(tenant) &+ 1))
    }

    func find(_ tenant: UInt32, _ clientID: UnsafeRawBufferPointer) -> Int32 {
        table.find(tag(tenant, clientID)) { index in
            let owner = slab[pointer: index]
            return owner.pointee.tenant == tenant && equal(self.clientID(index), clientID)
        }
    }

    mutating func insert(
        tenant: UInt32, clientID: UnsafeRawBufferPointer, principal: [UInt8], place: Place,
        token: UInt64, epoch: UInt64
    ) -> Int32 {
        let placeNumber = number(of: place)
        let index = slab.insert(
            Owner(
                token: token, epoch: epoch, name: makeName(clientID, principal),
                clientCount: UInt16(clientID.count), principalCount: UInt16(principal.count),
                tenant: tenant, place: placeNumber))
        table.insert(tag(tenant, clientID), index)
        while used.count <= Int(index) { used.append(false) }
        used[Int(index)] = true
        return index
    }

    private mutating func number(of place: Place) -> UInt16 {
        if let known = places.firstIndex(of: place) { return UInt16(known) }
        invariant(places.count < 0xFFFF, "more places than a cluster has workers")
        places.append(place)
        return UInt16(places.count - 1)
    }

    /// Makes another connection the owner in the same cell.
    mutating func replace(
        _ index: Int32, principal: [UInt8], place: Place, token: UInt64, epoch: UInt64
    ) {
        let number = number(of: place)
        let owner = slab[pointer: index]
        if !principal.withUnsafeBytes({ equal($0, self.principal(index)) }) {
            rename(index, principal)
        }
        owner.pointee.place = number
        owner.pointee.token = token
        owner.pointee.epoch = epoch
        owner.pointee.isEvicted = false
    }

    private mutating func rename(_ index: Int32, _ principal: [UInt8]) {
        // Its own copy: what is freed is not to be read again.
        let clientID = [UInt8](clientID(index))
        freeName(index)
        let name = clientID.withUnsafeBytes { makeName($0, principal) }
        slab[pointer: index].pointee.name = name
        slab[pointer: index].pointee.principalCount = UInt16(principal.count)
    }

    mutating func remove(_ index: Int32) {
        table.remove(tag(slab[pointer: index].pointee.tenant, clientID(index)), index)
        freeName(index)
        lines[index] = nil
        used[Int(index)] = false
        slab.remove(index)
    }

    /// Puts a claimant at the end of the line; returns who is answered instead of waiting on: an
    /// earlier question of the same connection, or the oldest claimant of a full line.
    mutating func wait(for index: Int32, _ waiter: Waiter) -> (repeated: UInt64?, pushed: UInt64?) {
        var line = lines[index] ?? []
        var repeated: UInt64?
        var pushed: UInt64?
        if let same = line.firstIndex(where: {
            $0.token == waiter.token && $0.place == waiter.place
        }) {
            repeated = line[same].ticket
            line[same].ticket = waiter.ticket
        } else {
            line.append(waiter)
            if line.count > InboxLimits.claimsWaitingMax { pushed = line.removeFirst().ticket }
        }
        lines[index] = line
        slab[pointer: index].pointee.isEvicted = true
        return (repeated, pushed)
    }

    /// The next claimant in line, taken from it; and whether others wait behind.
    mutating func nextWaiter(_ index: Int32) -> (waiter: Waiter, hasMore: Bool)? {
        guard var line = lines[index], !line.isEmpty else { return nil }
        let waiter = line.removeFirst()
        lines[index] = line.isEmpty ? nil : line
        return (waiter, !line.isEmpty)
    }

    /// Indices of all owners.
    var indices: [Int32] { used.indices.filter { used[$0] }.map { Int32($0) } }
}
