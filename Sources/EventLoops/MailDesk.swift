import Base

/// The rings between the loops of a group: one per ordered pair, a loop with itself included.
///
/// ```
///  ring[from * W + to]:  block -> block -> ...      block: | count 8 | capacity 8 | mail ... |
/// ```
/// A block belongs to whoever popped it. Made before the loops, freed after they have ended.
package final class MailFabric: Sendable {
    package let workers: Int
    package let handles: [LoopHandle]
    private let rings: [SPSCRing]

    package init(workers: Int, ringCapacity: Int) throws(LoopError) {
        self.workers = workers
        var handles: [LoopHandle] = []
        for worker in 0..<workers {
            handles.append(try LoopHandle(worker: WorkerIndex(UInt16(worker))))
        }
        self.handles = handles
        rings = (0..<workers * workers).map { _ in SPSCRing.allocate(capacity: ringCapacity) }
    }

    deinit {
        for ring in rings {
            while let word = ring.pop() { MailBlock(address: word).base.deallocate() }
            ring.free()
        }
    }

    func ring(from: Int, to: Int) -> SPSCRing { rings[from * workers + to] }
}

/// A block of mail: a header and the bytes that one loop wrote for another in one turn.
struct MailBlock {
    static var headerSize: Int { 16 }
    /// Mail to one loop that the sender may keep while the ring is full. Reaching it means that
    /// the handler does not heed `mailBacklog`.
    static var countMax: Int { 1 << 30 }

    var base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    init(address: UInt64) {
        base = UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
    }

    var address: UInt64 { UInt64(UInt(bitPattern: base)) }

    var count: Int {
        get { base.load(as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, as: Int.self) }
    }

    var capacity: Int {
        get { base.load(fromByteOffset: 8, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: Int.self) }
    }

    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Self.headerSize, count: count)
    }
}

/// One loop's side of the mail: a block being written per target, the rings out and in.
struct MailDesk: ~Copyable {
    /// The block being written for one target.
    struct Draft {
        var block: UnsafeMutableRawPointer?
        var count: Int
        var capacity: Int
        /// Bytes that a full ring has kept here since an earlier turn.
        var backlog: Int
        var ring: SPSCRing
    }

    private let drafts: UnsafeMutablePointer<Draft>
    private let inbound: UnsafeMutablePointer<SPSCRing>
    let workers: Int
    /// Bytes in all drafts: something to push.
    private(set) var draftCount = 0
    /// Whether a ring was full at the end of the last turn.
    private(set) var isBlocked = false

    init(fabric: MailFabric, worker: WorkerIndex) {
        let own = Int(worker.rawValue)
        workers = fabric.workers
        drafts = .allocate(capacity: workers)
        inbound = .allocate(capacity: workers)
        for other in 0..<workers {
            (drafts + other).initialize(
                to: Draft(
                    block: nil, count: 0, capacity: 0, backlog: 0,
                    ring: fabric.ring(from: own, to: other)))
            (inbound + other).initialize(to: fabric.ring(from: other, to: own))
        }
    }

    deinit {
        for index in 0..<workers { drafts[index].block?.deallocate() }
        drafts.deallocate()
        inbound.deallocate()
    }

    func backlog(to worker: WorkerIndex) -> Int { drafts[Int(worker.rawValue)].backlog }

    /// Room for `count` more bytes to `worker`.
    mutating func reserve(
        _ count: Int, to worker: WorkerIndex, pool: inout BlockPool
    ) -> UnsafeMutableRawPointer {
        let draft = drafts + Int(worker.rawValue)
        if let block = draft.pointee.block,
            draft.pointee.count &+ count &+ MailBlock.headerSize <= draft.pointee.capacity
        {
            return block + MailBlock.headerSize + draft.pointee.count
        }
        return grow(draft, count, pool: &pool)
    }

    private func grow(
        _ draft: UnsafeMutablePointer<Draft>, _ count: Int, pool: inout BlockPool
    ) -> UnsafeMutableRawPointer {
        let needed = draft.pointee.count + count + MailBlock.headerSize
        invariant(needed <= MailBlock.countMax, "\(needed) bytes of mail kept for one loop")
        let larger = pool.take(atLeast: max(needed, draft.pointee.capacity * 2, 4096))
        let base = larger.baseAddress.unsafelyUnwrapped
        if let block = draft.pointee.block {
            base.copyMemory(
                from: block, byteCount: draft.pointee.count + MailBlock.headerSize)
            pool.give(block, capacity: draft.pointee.capacity)
        }
        draft.pointee.block = base
        draft.pointee.capacity = larger.count
        return base + MailBlock.headerSize + draft.pointee.count
    }

    mutating func commit(_ count: Int, to worker: WorkerIndex) {
        let draft = drafts + Int(worker.rawValue)
        draft.pointee.count &+= count
        draftCount &+= count
        invariant(
            draft.pointee.count &+ MailBlock.headerSize <= draft.pointee.capacity,
            "more mail committed than reserved")
    }

    /// Pushes each draft as one block; calls `wake` for every target that got one.
    mutating func push(_ counters: inout LoopCounters, wake: (Int) -> Void) {
        isBlocked = false
        guard draftCount > 0 else { return }
        for target in 0..<workers where drafts[target].count > 0 {
            let draft = drafts + target
            let block = MailBlock(draft.pointee.block.unsafelyUnwrapped)
            block.count = draft.pointee.count
            block.capacity = draft.pointee.capacity
            guard draft.pointee.ring.push(block.address) else {
                draft.pointee.backlog = draft.pointee.count
                counters.mailDeferred += 1
                isBlocked = true
                continue
            }
            draftCount -= draft.pointee.count
            draft.pointee.block = nil
            draft.pointee.count = 0
            draft.pointee.capacity = 0
            draft.pointee.backlog = 0
            counters.mailBlocksOut += 1
            wake(target)
        }
    }

    /// The next block from `worker`, or nil.
    func pop(from worker: Int) -> MailBlock? {
        guard let word = inbound[worker].pop() else { return nil }
        return MailBlock(address: word)
    }

    var hasArrivals: Bool {
        for worker in 0..<workers where !inbound[worker].isEmpty { return true }
        return false
    }
}
