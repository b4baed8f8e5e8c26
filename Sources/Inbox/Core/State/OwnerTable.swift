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
/// The line is bounded by `InboxLimits.claimsWaitingMax`; who is pushed out is told so. About 50
/// bytes an owner, its client id and its principal.
struct OwnerTable: ~Copyable {
    /// An owner.
    struct Owner: ~Copyable {
        var bytes: SessionBytes
        var token: UInt64
        var epoch: UInt64
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
    private var table = IndexTable()
    private let hash: TableHash
    private var places: [Place] = []
    /// Which cells are in use, for walks.
    private var used: [Bool] = []
    /// Claimants by the owner they wait for; looked up only, never walked.
    private var lines: [Int32: [Waiter]] = [:]

    init(hash: TableHash) { self.hash = hash }

    deinit {
        for index in used.indices where used[index] {
            slab[pointer: Int32(index)].deinitialize(count: 1)
        }
    }

    var count: Int { slab.count }
    var byteCount: Int { slab.byteCount + table.byteCount + used.count }

    subscript(index: Int32) -> UnsafeMutablePointer<Owner> { slab[pointer: index] }

    func place(of index: Int32) -> Place { places[Int(slab[pointer: index].pointee.place)] }

    private func tag(_ tenant: UInt32, _ clientID: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hash.hash(clientID, salt: UInt64(tenant) &+ 1))
    }

    func find(_ tenant: UInt32, _ clientID: UnsafeRawBufferPointer) -> Int32 {
        table.find(tag(tenant, clientID)) { index in
            let owner = slab[pointer: index]
            return owner.pointee.tenant == tenant && equal(owner.pointee.bytes.clientID, clientID)
        }
    }

    mutating func insert(
        tenant: UInt32, clientID: UnsafeRawBufferPointer, principal: [UInt8], place: Place,
        token: UInt64, epoch: UInt64
    ) -> Int32 {
        let placeNumber = number(of: place)
        let index = slab.insert(
            Owner(
                bytes: SessionBytes(clientID: clientID), token: token, epoch: epoch,
                tenant: tenant, place: placeNumber))
        slab[pointer: index].pointee.bytes.setPrincipal(principal)
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
        owner.pointee.bytes.setPrincipal(principal)
        owner.pointee.place = number
        owner.pointee.token = token
        owner.pointee.epoch = epoch
        owner.pointee.isEvicted = false
    }

    mutating func remove(_ index: Int32) {
        let owner = slab[pointer: index]
        table.remove(tag(owner.pointee.tenant, owner.pointee.bytes.clientID), index)
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
