import Base
import Policy

/// What one listener admits; 0 is no limit.
package struct ListenerLimits: Equatable, Sendable {
    package var connections = 0
    /// New connections per second: the listener pauses above it.
    package var connectRate = 0
    package var connectionsPerAddress = 0
    package var connectRatePerAddress = 0

    package init() {}

    package init(_ listener: ListenerConfiguration) {
        connections = listener.connections
        connectRate = listener.connectRate
        connectionsPerAddress = listener.connectionsPerAddress
        connectRatePerAddress = listener.connectRatePerAddress
    }
}

/// Who comes in by one listener, counted for all loops together.
///
/// A connection counts from the moment its address is known until its descriptor is free again.
/// The table of addresses exists only where they have a limit.
package final class ListenerGate: Sendable {
    /// What a new connection is told.
    package enum Verdict: Sendable {
        case admitted
        /// Counted, but to be refused once it says CONNECT.
        case tooFast
        /// Not counted; closed at once.
        case listenerFull
        case addressFull
    }

    private let limits: ListenerLimits
    private let count = AtomicCells(count: 1)
    private let connects = SharedBucket()
    private let addresses: SharedAddressTable?

    package init(_ limits: ListenerLimits, seed: UInt64) {
        self.limits = limits
        let counts = limits.connectionsPerAddress > 0 || limits.connectRatePerAddress > 0
        addresses = counts ? SharedAddressTable(seed: seed) : nil
    }

    /// Whether a caller must say at `leave` whose the connection was.
    package var countsAddresses: Bool { addresses != nil }
    package var connections: Int { Int(count.load(0)) }

    /// Clients of Unix sockets have no address.
    package func enter(_ peer: IPAddress?, now: Instant) -> Verdict {
        let before = count.add(0, 1)
        if limits.connections > 0, before >= UInt64(limits.connections) {
            count.subtract(0, 1)
            return .listenerFull
        }
        guard let addresses, let peer else { return .admitted }
        let limits = AddressLimits(
            connectionsMax: limits.connectionsPerAddress,
            connectRate: TokenRate(perSecond: limits.connectRatePerAddress))
        switch addresses.connect(peer, limits, now: now) {
        case .accepted: return .admitted
        case .tooFast: return .tooFast
        case .tooManyConnections:
            count.subtract(0, 1)
            return .addressFull
        }
    }

    package func leave(_ peer: IPAddress?) {
        count.subtract(0, 1)
        if let addresses, let peer { addresses.disconnect(peer) }
    }

    /// A connection has come: how long no other may, for the sake of the rate.
    package func pauseAfterConnect(now: Instant) -> Duration {
        connects.force(1, TokenRate(perSecond: limits.connectRate), now: now)
    }
}
