import Base

/// What one address may do.
package struct AddressLimits: Equatable, Sendable {
    /// Connections at once; 0 is no limit.
    package var connectionsMax: Int
    /// New connections.
    package var connectRate: TokenRate

    package init(connectionsMax: Int, connectRate: TokenRate) {
        self.connectionsMax = connectionsMax
        self.connectRate = connectRate
    }
}

/// What is known of the addresses that connect: how many connections, how fast.
///
/// Open addressing with linear probing. An IPv6 client counts by its /64, because it owns all of
/// it. At most `entriesMax` addresses: then idle ones are forgotten (at most every 100 ms), and if
/// that is not enough, strangers share one bucket and go uncounted. Not shared by itself:
/// `SharedAddressTable` is.
package struct AddressTable: ~Copyable {
    /// Most addresses kept; 32 bytes each, at twice the slots.
    package static let entriesMax = 65_536
    private static let sweepInterval = Duration.milliseconds(100)

    /// What a new connection hears.
    package enum Verdict: Sendable {
        case accepted
        case tooManyConnections
        case tooFast
    }

    private struct Entry {
        var address: IPAddress
        var bucket: TokenBucket
        /// 0 with a full bucket: the entry may go.
        var connections: Int32
        var isUsed: Bool
    }

    private let hash: TableHash
    private var slots: UnsafeMutablePointer<Entry>
    private var slotCount: Int
    package private(set) var count = 0
    /// For addresses that found no room.
    private var strangers = TokenBucket()
    private var nextSweep = Instant.zero

    package init(seed: UInt64) {
        hash = TableHash(seed: seed)
        slotCount = 64
        slots = Self.allocate(slotCount)
    }

    deinit { slots.deallocate() }

    /// Counts a new connection if the address may have it. One that came too fast is counted all
    /// the same: it is there until somebody ends it.
    package mutating func connect(
        _ peer: IPAddress, _ limits: AddressLimits, now: Instant
    ) -> Verdict {
        let address = Self.key(peer)
        guard let slot = slot(of: address) ?? insert(address, now: now) else {
            return strangers.take(1, limits.connectRate, now: now) ? .accepted : .tooFast
        }
        if limits.connectionsMax > 0, Int(slots[slot].connections) >= limits.connectionsMax {
            return .tooManyConnections
        }
        slots[slot].connections += 1
        return slots[slot].bucket.take(1, limits.connectRate, now: now) ? .accepted : .tooFast
    }

    /// Uncounts a connection that was accepted, or that came too fast.
    package mutating func disconnect(_ peer: IPAddress) {
        guard let slot = slot(of: Self.key(peer)), slots[slot].connections > 0 else { return }
        slots[slot].connections -= 1
    }

    package func connections(of peer: IPAddress) -> Int {
        slot(of: Self.key(peer)).map { Int(slots[$0].connections) } ?? 0
    }

    private static func key(_ peer: IPAddress) -> IPAddress { peer.isV4 ? peer : peer.prefix(64) }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<Entry> {
        let slots = UnsafeMutablePointer<Entry>.allocate(capacity: count)
        slots.initialize(
            repeating: Entry(
                address: IPAddress(high: 0, low: 0), bucket: TokenBucket(), connections: 0,
                isUsed: false), count: count)
        return slots
    }

    private func home(of address: IPAddress) -> Int {
        Int(truncatingIfNeeded: hash.hash(hash.hash(address.high) ^ address.low))
            & (slotCount - 1)
    }

    private func slot(of address: IPAddress) -> Int? {
        var slot = home(of: address)
        while slots[slot].isUsed {
            if slots[slot].address == address { return slot }
            slot = (slot + 1) & (slotCount - 1)
        }
        return nil
    }

    private mutating func insert(_ address: IPAddress, now: Instant) -> Int? {
        if count * 2 >= slotCount || count >= Self.entriesMax {
            guard makeRoom(now: now) else { return nil }
        }
        return place(
            Entry(address: address, bucket: TokenBucket(), connections: 0, isUsed: true))
    }

    private mutating func place(_ entry: Entry) -> Int {
        var slot = home(of: entry.address)
        while slots[slot].isUsed { slot = (slot + 1) & (slotCount - 1) }
        slots[slot] = entry
        count += 1
        return slot
    }

    /// Forgets idle addresses, and grows if too few were idle. False at the limit.
    private mutating func makeRoom(now: Instant) -> Bool {
        if count >= Self.entriesMax, now < nextSweep { return false }
        nextSweep = now + Self.sweepInterval
        let old = slots
        let oldCount = slotCount
        let kept = (0..<oldCount).filter {
            old[$0].isUsed && (old[$0].connections > 0 || !old[$0].bucket.isFull(now: now))
        }
        while kept.count * 4 > slotCount, slotCount < Self.entriesMax * 2 { slotCount *= 2 }
        slots = Self.allocate(slotCount)
        count = 0
        for index in kept { _ = place(old[index]) }
        old.deallocate()
        return count < Self.entriesMax
    }
}
