import Base
import Policy

/// What the whole node admits, as the configuration says now; 0 is no limit where one may be off.
package struct NodeLimits: Equatable, Sendable {
    /// Clients: connections behind a CONNECT that was let in.
    package var connections = 0
    /// New connections per second.
    package var connectRate = 0
    /// Bytes of the process; 0 only where the machine does not say what it has.
    package var memory = 0
    /// Share of `memory`, in per cent, from which clients feel it.
    package var memoryHighPercent = 80
    /// Length of a turn from which the loop is late. Longer here than in the configuration: who
    /// does not ask for it is not to be refused on a machine that stands still for a second.
    package var loopLag = Duration.seconds(60)
    /// Bytes of the largest CONNECT.
    package var bytesBeforeConnect = 131_072
    /// Clients of the node told to leave per second when it stops.
    package var disconnectRate = 5_000

    package init() {}

    /// `memory`: what there is, for when the configuration leaves it to the node.
    package init(_ configuration: Configuration, memory available: Int?) {
        let limits = configuration.limits
        connections = limits.connections
        connectRate = limits.connectRate
        memory = limits.memory == 0 ? available ?? 0 : limits.memory
        memoryHighPercent = limits.memoryHighPercent
        loopLag = limits.loopLag
        bytesBeforeConnect = limits.bytesBeforeConnect
        disconnectRate = configuration.shutdown.disconnectRate
    }

    /// Connections of the node from which new ones are closed right after accept: what has not
    /// sent its CONNECT yet may exceed the limit by an eighth.
    package var acceptedMax: Int { connections == 0 ? .max : connections + connections / 8 + 64 }

    /// In bursts of a tenth of a second, so that clients do not come back in one wave.
    var drainRate: TokenRate {
        TokenRate(perSecond: disconnectRate, burst: disconnectRate / 10)
    }
}
