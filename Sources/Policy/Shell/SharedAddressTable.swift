import Base

/// The addresses that connect to one listener, known to all loops.
///
/// The kernel spreads an address's connections over the loops unevenly, so a share per loop would
/// refuse too early or too late: one table counts for all. It is cut by address into parts with a
/// lock each, taken once when a connection comes and once when it has gone, never for a packet.
package final class SharedAddressTable: Sendable {
    private final class Part {
        var table: AddressTable
        init(seed: UInt64) { table = AddressTable(seed: seed) }
    }

    private static let partCount = 16
    private let parts: [Guarded<Part>]

    package init(seed: UInt64) {
        parts = (0..<Self.partCount).map { Guarded(Part(seed: seed &+ UInt64($0))) }
    }

    /// See `AddressTable.connect`.
    package func connect(
        _ peer: IPAddress, _ limits: AddressLimits, now: Instant
    ) -> AddressTable.Verdict {
        part(of: peer).withLock { $0.table.connect(peer, limits, now: now) }
    }

    /// See `AddressTable.disconnect`.
    package func disconnect(_ peer: IPAddress) {
        part(of: peer).withLock { $0.table.disconnect(peer) }
    }

    package func connections(of peer: IPAddress) -> Int {
        part(of: peer).withLock { $0.table.connections(of: peer) }
    }

    /// The same part for all of an IPv6 client's /64. Multiplied, because the low bits of
    /// addresses repeat; who chooses his address gains a shared lock by it, nothing else.
    private func part(of peer: IPAddress) -> Guarded<Part> {
        let key = peer.isV4 ? peer.low : peer.high
        let mixed = (key &* 0x9E37_79B9_7F4A_7C15) >> 60
        return parts[Int(mixed)]
    }
}
