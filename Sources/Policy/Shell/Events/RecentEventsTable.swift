import Base

/// The latest events of each tenant, for `apus ctl why` and the console.
package final class RecentEventsTable: EventSink {
    /// Events kept per tenant.
    package static let eventsPerTenant = 256
    /// Tenants kept; beyond it the tenant whose last event is oldest makes room.
    package static let tenantsMax = 1_024

    package let wanted: EventMask
    private let rings: Guarded<[String: Ring]>

    private struct Ring {
        var records: [EventRecord] = []
        /// Where the next record goes once the ring is full.
        var next = 0
        var lastMilliseconds: UInt64 = 0

        mutating func append(_ record: EventRecord) {
            lastMilliseconds = record.milliseconds
            if records.count < RecentEventsTable.eventsPerTenant {
                records.append(record)
            } else {
                records[next] = record
                next = (next + 1) % records.count
            }
        }
    }

    package init(wanted: EventMask = EventMask(atLeast: .notice)) {
        self.wanted = wanted
        rings = Guarded([:])
    }

    package func receive(_ records: [EventRecord]) {
        rings.withLock { rings in
            for record in records where wanted.contains(record.event.kind) {
                if rings[record.tenant] == nil, rings.count >= Self.tenantsMax,
                    let oldest = rings.min(by: {
                        ($0.value.lastMilliseconds, $0.key) < ($1.value.lastMilliseconds, $1.key)
                    })
                {
                    rings[oldest.key] = nil
                }
                rings[record.tenant, default: Ring()].append(record)
            }
        }
    }

    /// The latest events of a tenant, oldest first, of one client if named.
    package func records(of tenant: TenantName, clientID: String? = nil) -> [EventRecord] {
        rings.withLock { rings in
            guard let ring = rings[tenant.text] else { return [] }
            let ordered = ring.records[ring.next...] + ring.records[..<ring.next]
            return ordered.filter { clientID == nil || $0.subject?.clientID == clientID }
        }
    }
}
