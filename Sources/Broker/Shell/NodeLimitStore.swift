import Base

/// The limits of the node for all its loops, changed at a reload.
package final class NodeLimitStore: Sendable {
    private let limits: Guarded<NodeLimits>
    /// One number for every change: a loop reads it each turn, and the limits when it moved.
    private let changes = AtomicCells(count: 1)

    package init(_ limits: NodeLimits = NodeLimits()) {
        self.limits = Guarded(limits)
        changes.publish(0, 1)
    }

    package var epoch: UInt64 { changes.acquire(0) }
    package var current: NodeLimits { limits.withLock { $0 } }

    package func replace(with fresh: NodeLimits) {
        limits.withLock { $0 = fresh }
        changes.add(0, 1)
    }
}
