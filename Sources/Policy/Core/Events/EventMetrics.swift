import Base

/// Counters of one loop: events and drops, by tenant and kind.
///
/// ```
///  row of a tenant slot:  | events, one per kind | drops, one per reason |     (UInt64 each)
/// ```
/// Owned by one loop and written by it alone; whoever wants totals asks every loop for its
/// `snapshot` and merges. Bounded by the tenants of the loop (`TenantCache.limit`).
@usableFromInline
package struct EventMetrics: ~Copyable {
    @usableFromInline static var eventCount: Int { 128 }
    @usableFromInline static var dropCount: Int { 32 }
    @usableFromInline static var rowCount: Int { eventCount + dropCount }

    @usableFromInline var base: UnsafeMutablePointer<UInt64>
    @usableFromInline var capacity: Int

    @usableFromInline package init() {
        invariant(
            EventKind.allCases.count <= Self.eventCount
                && DropReason.allCases.count <= Self.dropCount, "counter rows are too short")
        capacity = 4
        base = .allocate(capacity: capacity * Self.rowCount)
        base.initialize(repeating: 0, count: capacity * Self.rowCount)
    }

    deinit { base.deallocate() }

    /// Counts an event of a tenant.
    @inlinable @inline(__always)
    package mutating func count(_ kind: EventKind, _ tenant: TenantSlot, by amount: Int = 1) {
        if Int(tenant.index) >= capacity { grow(to: Int(tenant.index)) }
        base[Int(tenant.index) &* Self.rowCount &+ Int(kind.rawValue)] &+= UInt64(amount)
    }

    /// Counts dropped messages of a tenant.
    @inlinable
    package mutating func count(_ reason: DropReason, _ tenant: TenantSlot, by amount: Int = 1) {
        if Int(tenant.index) >= capacity { grow(to: Int(tenant.index)) }
        let column = Self.eventCount &+ Int(reason.rawValue)
        base[Int(tenant.index) &* Self.rowCount &+ column] &+= UInt64(amount)
    }

    package func value(_ kind: EventKind, _ tenant: TenantSlot) -> UInt64 {
        Int(tenant.index) < capacity
            ? base[Int(tenant.index) * Self.rowCount + Int(kind.rawValue)] : 0
    }

    package func value(_ reason: DropReason, _ tenant: TenantSlot) -> UInt64 {
        Int(tenant.index) < capacity
            ? base[Int(tenant.index) * Self.rowCount + Self.eventCount + Int(reason.rawValue)] : 0
    }

    @usableFromInline
    mutating func grow(to index: Int) {
        invariant(index < TenantCache.limit, "counters of tenant slot \(index)")
        let larger = max(capacity * 2, index + 1)
        let fresh = UnsafeMutablePointer<UInt64>.allocate(capacity: larger * Self.rowCount)
        fresh.update(from: base, count: capacity * Self.rowCount)
        (fresh + capacity * Self.rowCount).initialize(
            repeating: 0, count: (larger - capacity) * Self.rowCount)
        base.deallocate()
        base = fresh
        capacity = larger
    }

    /// A copy of the counters of the first `tenants` slots, with the tenants' names.
    package func snapshot(_ tenants: borrowing TenantCache) -> EventTotals {
        var totals = EventTotals()
        for index in 0..<min(capacity, tenants.count) {
            let row = UnsafeBufferPointer(start: base + index * Self.rowCount, count: Self.rowCount)
            totals.add(
                tenants[TenantSlot(Int32(index))].pointee.name,
                events: row[..<EventKind.allCases.count],
                drops: row[Self.eventCount..<Self.eventCount + DropReason.allCases.count])
        }
        return totals
    }
}

/// Counters of all loops together, by tenant.
package struct EventTotals: Equatable, Sendable {
    /// Events by kind and drops by reason of one tenant.
    package struct Row: Equatable, Sendable {
        package var events = [UInt64](repeating: 0, count: EventKind.allCases.count)
        package var drops = [UInt64](repeating: 0, count: DropReason.allCases.count)
    }

    package private(set) var tenants: [TenantName: Row] = [:]

    package init() {}

    mutating func add(
        _ tenant: TenantName, events: some Sequence<UInt64>, drops: some Sequence<UInt64>
    ) {
        var row = tenants[tenant] ?? Row()
        for (index, value) in events.enumerated() { row.events[index] &+= value }
        for (index, value) in drops.enumerated() { row.drops[index] &+= value }
        tenants[tenant] = row
    }

    /// Adds the counters of another loop.
    package mutating func merge(_ other: EventTotals) {
        for (tenant, row) in other.tenants { add(tenant, events: row.events, drops: row.drops) }
    }

    package func value(_ kind: EventKind, of tenant: TenantName) -> UInt64 {
        tenants[tenant]?.events[Int(kind.rawValue)] ?? 0
    }

    package func value(_ reason: DropReason, of tenant: TenantName) -> UInt64 {
        tenants[tenant]?.drops[Int(reason.rawValue)] ?? 0
    }
}
