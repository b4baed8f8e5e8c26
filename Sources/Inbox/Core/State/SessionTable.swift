import Base

/// A record of the range: a stored session, a group's inbox, or what is left of one.
///
/// About 130 bytes, and one allocation for its bytes; queue and extras only where there are any.
struct Session: ~Copyable {
    /// What the record is.
    enum Kind: UInt8 {
        /// No session: kept until its outbox, intents and idempotency keys are done with.
        case residue = 0
        case stored = 1
        /// A transient session with a will, kept while it is owned.
        case willOnly = 2
        /// The inbox of a shared group.
        case group = 3
    }

    var bytes: SessionBytes
    var tenant: UInt32
    var bucket: UInt16
    var kind: Kind
    var policy = QueuePolicy.dropOldest
    /// Tells records that used the same cell apart.
    var generation: UInt32
    var incarnation: UInt64 = 0
    var ownerEpoch: UInt64 = 0
    var expirySeconds: UInt32 = 0
    var messagesMax: UInt32 = 0
    var bytesMax: UInt32 = 0
    var subscriptionCount: UInt32 = 0
    /// Range time in milliseconds when the session ends, 0 if it is attached or never expires.
    var expiresAt: UInt64 = 0
    /// Sequence of the next entry; from 1.
    var nextSequence: UInt64 = 1
    /// Entries up to here may have been sent to the client.
    var sentThrough: UInt64 = 0
    /// Number of the next intent or will; from 1.
    var nextNumber: UInt64 = 1
    /// When the queue of timers has this record, 0 if not.
    var scheduledDue: UInt64 = 0
    /// Index in the table of connections, while a connection holds the session by the log; or -1.
    var connection: Int32 = -1
    var nextInBucket: Int32 = -1
    var previousInBucket: Int32 = -1
    /// A full queue drops its oldest QoS 0 entry for a new one.
    var dropsOldestQoS0 = false
    var queue: SessionQueue?
    var extras: SessionExtras?
    /// Leader's: who is online to be pushed to.
    var pusher: Pusher?
    /// Leader's: the members' leases of a group's inbox.
    var leases: GroupLeases?

    /// Bounds of the queue.
    var limits: QueueLimits {
        get {
            QueueLimits(
                messagesMax: messagesMax, bytesMax: bytesMax, policy: policy,
                dropsOldestQoS0: dropsOldestQoS0)
        }
        set {
            messagesMax = newValue.messagesMax
            bytesMax = newValue.bytesMax
            policy = newValue.policy
            dropsOldestQoS0 = newValue.dropsOldestQoS0
        }
    }

    /// Whether entries can be inserted.
    var hasQueue: Bool { kind == .stored || kind == .group }
}

/// Where the connection of an attached session lives, as the log says.
struct SessionConnection {
    var place: Place
    var token: UInt64
}

/// All records of the range: found by tenant and client id, walked by bucket.
struct SessionTable: ~Copyable {
    private var slab = Slab<Session>()
    private var table = IndexTable()
    /// First record of each bucket; allocated with the first record (256 KiB).
    private var heads: UnsafeMutablePointer<Int32>?
    private let hash: TableHash
    private var lastGeneration: UInt32 = 0
    /// Generation of the record in each cell, 0 for a free one: stale indices are checked here.
    private var generations: [UInt32] = []

    init(hash: TableHash) { self.hash = hash }

    /// Whether a cell still holds the record of this generation.
    func isCurrent(_ index: Int32, _ generation: UInt32) -> Bool {
        Int(index) < generations.count && generations[Int(index)] == generation
    }

    private mutating func nextGeneration() -> UInt32 {
        lastGeneration &+= 1
        if lastGeneration == 0 { lastGeneration = 1 }
        return lastGeneration
    }

    private mutating func note(_ index: Int32, _ generation: UInt32) {
        while generations.count <= Int(index) { generations.append(0) }
        generations[Int(index)] = generation
    }

    deinit {
        if let heads {
            for bucket in 0..<65_536 {
                var index = heads[bucket]
                while index >= 0 {
                    let next = slab[pointer: index].pointee.nextInBucket
                    slab[pointer: index].deinitialize(count: 1)
                    index = next
                }
            }
            heads.deallocate()
        }
    }

    var count: Int { slab.count }
    /// Bytes held by cells, table and bucket heads, without those of sessions' own allocations.
    var byteCount: Int { slab.byteCount + table.byteCount + (heads == nil ? 0 : 65_536 * 4) }

    @inline(__always)
    subscript(index: Int32) -> UnsafeMutablePointer<Session> { slab[pointer: index] }

    @inline(__always)
    private func tag(_ tenant: UInt32, _ clientID: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hash.hash(clientID, salt: UInt64(tenant) &+ 1))
    }

    /// The record of a client id, or -1.
    @inline(__always)
    func find(_ tenant: UInt32, _ clientID: UnsafeRawBufferPointer) -> Int32 {
        table.find(tag(tenant, clientID)) { index in
            let session = slab[pointer: index]
            return session.pointee.tenant == tenant
                && equal(session.pointee.bytes.clientID, clientID)
        }
    }

    /// A new record.
    mutating func insert(
        tenant: UInt32, bucket: UInt16, clientID: UnsafeRawBufferPointer, kind: Session.Kind
    ) -> Int32 {
        let generation = nextGeneration()
        let index = slab.insert(
            Session(
                bytes: SessionBytes(clientID: clientID), tenant: tenant, bucket: bucket, kind: kind,
                generation: generation))
        note(index, generation)
        table.insert(tag(tenant, clientID), index)
        link(index)
        return index
    }

    private mutating func link(_ index: Int32) {
        if heads == nil {
            heads = .allocate(capacity: 65_536)
            heads?.initialize(repeating: -1, count: 65_536)
        }
        guard let heads else { return }
        let session = slab[pointer: index]
        let bucket = Int(session.pointee.bucket)
        session.pointee.nextInBucket = heads[bucket]
        session.pointee.previousInBucket = -1
        if heads[bucket] >= 0 { slab[pointer: heads[bucket]].pointee.previousInBucket = index }
        heads[bucket] = index
    }

    private mutating func unlink(_ index: Int32) {
        let session = slab[pointer: index]
        let next = session.pointee.nextInBucket
        let previous = session.pointee.previousInBucket
        if next >= 0 { slab[pointer: next].pointee.previousInBucket = previous }
        if previous >= 0 {
            slab[pointer: previous].pointee.nextInBucket = next
        } else {
            heads?[Int(session.pointee.bucket)] = next
        }
    }

    /// Takes a record out.
    @discardableResult
    mutating func remove(_ index: Int32) -> Session {
        unlink(index)
        let session = slab[pointer: index]
        table.remove(tag(session.pointee.tenant, session.pointee.bytes.clientID), index)
        generations[Int(index)] = 0
        return slab.remove(index)
    }

    /// Puts a record that another table held; its tenant is a number of this machine already.
    mutating func adopt(_ record: consuming Session) -> Int32 {
        let generation = nextGeneration()
        var session = record
        session.generation = generation
        let index = slab.insert(session)
        note(index, generation)
        let cell = slab[pointer: index]
        table.insert(tag(cell.pointee.tenant, cell.pointee.bytes.clientID), index)
        link(index)
        return index
    }

    /// The records of a bucket, in no particular order.
    func forEach(inBucket bucket: Int, _ body: (Int32) -> Void) {
        guard let heads else { return }
        var index = heads[bucket]
        while index >= 0 {
            let next = slab[pointer: index].pointee.nextInBucket
            body(index)
            index = next
        }
    }

    func isEmpty(bucket: Int) -> Bool { heads.map { $0[bucket] < 0 } ?? true }
}

/// Bodies that several queues of the range share, counted by the entries that refer to them.
struct BodyTable: ~Copyable {
    /// A body in the engine.
    struct Body {
        var id: BodyID
        var bucket: UInt16
        /// Entries that refer to it.
        var count: UInt32
        var byteCount: UInt32
    }

    private struct Key: Hashable {
        var id: BodyID
        var bucket: UInt16
    }

    private var slab = Slab<Body>()
    /// Only while loading: entries name bodies by key.
    private var byKey: [Key: Int32] = [:]

    init() {}

    var count: Int { slab.count }

    subscript(index: Int32) -> UnsafeMutablePointer<Body> { slab[pointer: index] }

    mutating func insert(_ body: Body) -> Int32 { slab.insert(body) }
    mutating func remove(_ index: Int32) { slab.remove(index) }

    /// The body that a loaded entry names, with one more entry.
    mutating func retainLoaded(_ id: BodyID, bucket: UInt16, byteCount: UInt32) -> Int32 {
        let key = Key(id: id, bucket: bucket)
        if let known = byKey[key] {
            slab[pointer: known].pointee.count += 1
            return known
        }
        let index = slab.insert(Body(id: id, bucket: bucket, count: 1, byteCount: byteCount))
        byKey[key] = index
        return index
    }

    mutating func finishLoading() {
        if !byKey.isEmpty { byKey = [:] }
    }
}
