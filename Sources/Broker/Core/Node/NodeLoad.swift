import Base
import Policy

/// How short of memory the node is.
package enum MemoryPressure: UInt64, Comparable, Sendable {
    case none
    /// Above the configured share: new clients are refused, publishers slowed.
    case high
    /// Above all of it: publishes are refused, and who does not read is disconnected.
    case over

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// What `used` bytes mean under the limits. A pressure that holds ends a twentieth below
    /// where it began, so that it does not come and go with each message.
    package static func of(_ used: Int, _ limits: NodeLimits, before: Self) -> Self {
        guard limits.memory > 0 else { return .none }
        let high = limits.memory / 100 * limits.memoryHighPercent
        let slack = limits.memory / 20
        if used >= limits.memory || before == .over && used >= limits.memory - slack {
            return .over
        }
        return used >= high || before > .none && used >= high - slack ? .high : .none
    }
}

/// What all loops of a node use together: clients, new connections, memory. Atomic numbers, read
/// and changed once per connection or turn.
package final class NodeLoad: Sendable {
    private enum Cell: Int, CaseIterable {
        case accepted
        case clients
        case pressure
        case memory
    }

    private let cells = AtomicCells(count: Cell.allCases.count)
    private let connects = SharedBucket()
    let leavers = SharedBucket()

    package init() {}

    // MARK: Connections

    /// Counts a connection; false if it is one too many.
    package func accept(_ limits: NodeLimits) -> Bool {
        let before = cells.add(Cell.accepted.rawValue, 1)
        guard before >= UInt64(limits.acceptedMax) else { return true }
        cells.subtract(Cell.accepted.rawValue, 1)
        return false
    }

    package func leave() { cells.subtract(Cell.accepted.rawValue, 1) }

    /// A connection has come: how long no other may, for the sake of the rate.
    package func pauseAfterConnect(_ limits: NodeLimits, now: Instant) -> Duration {
        connects.force(1, TokenRate(perSecond: limits.connectRate), now: now)
    }

    /// A client wants in: false if there are as many as there may be.
    func takeSeat(_ limits: NodeLimits) -> Bool {
        let before = cells.add(Cell.clients.rawValue, 1)
        guard limits.connections > 0, before >= UInt64(limits.connections) else { return true }
        cells.subtract(Cell.clients.rawValue, 1)
        return false
    }

    func giveBackSeat() { cells.subtract(Cell.clients.rawValue, 1) }

    /// Clients of the node, and connections with those that are none yet or are ending.
    package var clients: Int { Int(cells.load(Cell.clients.rawValue)) }
    package var connections: Int { Int(cells.load(Cell.accepted.rawValue)) }

    // MARK: Memory

    /// What the last measurement found.
    package var memory: Int { Int(cells.load(Cell.memory.rawValue)) }
    package var pressure: MemoryPressure {
        MemoryPressure(rawValue: cells.load(Cell.pressure.rawValue)) ?? .none
    }

    /// Takes a measurement. Returns the pressure before.
    package func measured(_ used: Int, _ limits: NodeLimits) -> MemoryPressure {
        let before = pressure
        cells.publish(Cell.memory.rawValue, UInt64(max(0, used)))
        cells.publish(
            Cell.pressure.rawValue, MemoryPressure.of(used, limits, before: before).rawValue)
        return before
    }
}
