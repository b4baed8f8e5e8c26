import Base

/// A tenant on one loop: an index into that loop's `TenantCache`. Meaningless on another loop.
@usableFromInline
package struct TenantSlot: Hashable, Sendable {
    @usableFromInline package var index: Int32
    @inlinable
    package init(_ index: Int32) { self.index = index }
}

/// What one loop keeps of one tenant, at a stable address.
@usableFromInline
package struct TenantRecord {
    package let name: TenantName
    /// The settings in force, replaced as a whole when the table changes.
    package var settings: TenantSettings
    /// Usage of the tenant on this node, shared with the other loops.
    package let account: TenantAccount
}

/// The tenants that one loop has met: name to slot once per CONNECT, slot to settings by pointer
/// for every packet.
///
/// Owned by one loop. Slots are never freed, so that counters and connections can hold them;
/// `limit` bounds them, and a tenant beyond it is refused at CONNECT.
@usableFromInline
package struct TenantCache: ~Copyable {
    /// The most tenants that one loop serves.
    package static let limit = 65_536

    private var slots: [TenantName: Int32] = [:]
    @usableFromInline var records = Slab<TenantRecord>()
    /// Epoch of the table whose values the records hold.
    package private(set) var epoch: UInt64 = 0

    package init() {}

    package var count: Int { records.count }

    /// The slot of a tenant, if the loop has met it.
    package func slot(of tenant: TenantName) -> TenantSlot? { slots[tenant].map(TenantSlot.init) }

    /// The slot of a tenant, made now if need be; nil at the limit.
    package mutating func slot(
        of tenant: TenantName, settings: @autoclosure () -> TenantSettings,
        account: @autoclosure () -> TenantAccount
    ) -> TenantSlot? {
        if let index = slots[tenant] { return TenantSlot(index) }
        guard slots.count < Self.limit else { return nil }
        let index = records.insert(
            TenantRecord(name: tenant, settings: settings(), account: account()))
        slots[tenant] = index
        return TenantSlot(index)
    }

    /// Valid until the cache is destroyed.
    @inlinable @inline(__always)
    package subscript(_ slot: TenantSlot) -> UnsafeMutablePointer<TenantRecord> {
        records[pointer: slot.index]
    }

    /// Replaces every tenant's settings after a change; returns the slots whose values differ.
    package mutating func refresh(
        epoch: UInt64, settings: (TenantName) -> TenantSettings
    ) -> [TenantSlot] {
        self.epoch = epoch
        var changed: [TenantSlot] = []
        for index in 0..<Int32(records.count) {
            let record = records[pointer: index]
            let fresh = settings(record.pointee.name)
            if fresh != record.pointee.settings {
                record.pointee.settings = fresh
                changed.append(TenantSlot(index))
            }
        }
        return changed
    }

    deinit {
        // The slab frees its memory, not what the elements own.
        for index in 0..<Int32(records.count) { records[pointer: index].deinitialize(count: 1) }
    }
}
