import Base
import EventLoops

/// What one loop remembers of connections for the limits of their listeners: whose they are where
/// addresses are counted, and which came too fast. Nothing where no listener counts addresses.
struct ConnectionDoor {
    private var addresses: [ConnectionID: IPAddress] = [:]
    private var tooFast: Set<ConnectionID> = []

    /// Counts a connection. Returns why it is not let in, nil if it is.
    mutating func enter(
        _ connection: ConnectionID, _ gate: ListenerGate, _ peer: IPAddress?,
        _ limits: NodeLimits, _ load: NodeLoad, now: Instant
    ) -> String? {
        guard load.accept(limits) else { return "the node has as many connections as it may" }
        switch gate.enter(peer, now: now) {
        case .admitted: break
        case .tooFast: tooFast.insert(connection)
        case .listenerFull:
            load.leave()
            return "the listener has as many connections as it may"
        case .addressFull:
            load.leave()
            return "the address has as many connections as it may"
        }
        if gate.countsAddresses, let peer { addresses[connection] = peer }
        return nil
    }

    func isTooFast(_ connection: ConnectionID) -> Bool { tooFast.contains(connection) }

    mutating func leave(_ connection: ConnectionID, _ gate: ListenerGate, _ load: NodeLoad) {
        load.leave()
        let address = addresses.isEmpty ? nil : addresses.removeValue(forKey: connection)
        gate.leave(address)
        if !tooFast.isEmpty { tooFast.remove(connection) }
    }
}
