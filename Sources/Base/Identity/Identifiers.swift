/// A node of the cluster: one process with its data. Outlives restarts and addresses.
@usableFromInline
package struct NodeID: Hashable, Comparable, Sendable {
    @usableFromInline
    package var rawValue: UInt64
    @inlinable
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable
    package static func < (left: NodeID, right: NodeID) -> Bool { left.rawValue < right.rawValue }
}

/// A worker loop of one node: one thread, one core.
@usableFromInline
package struct WorkerIndex: Hashable, Comparable, Sendable {
    @usableFromInline
    package var rawValue: UInt16
    @inlinable
    package init(_ rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable
    package static func < (left: WorkerIndex, right: WorkerIndex) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Where something lives: a worker of a node. Receivers are grouped by place, never by subscriber.
@usableFromInline
package struct Place: Hashable, Sendable {
    @usableFromInline
    package var node: NodeID
    @usableFromInline
    package var worker: WorkerIndex
    @inlinable
    package init(node: NodeID, worker: WorkerIndex) {
        self.node = node
        self.worker = worker
    }
}

/// A fencing number of a node's life: routes and ownership carry it, and are void once it is
/// fenced. Rises with every start of the node. 1 on a node that was never fenced.
@usableFromInline
package struct LivenessEpoch: Hashable, Comparable, Sendable {
    @usableFromInline
    package var rawValue: UInt64
    @inlinable
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable
    package static func < (left: LivenessEpoch, right: LivenessEpoch) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// A fencing number of a client id's owner: rises with every connection that takes it.
@usableFromInline
package struct OwnerEpoch: Hashable, Comparable, Sendable {
    @usableFromInline
    package var rawValue: UInt64
    @inlinable
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    @usableFromInline
    package static let none = OwnerEpoch(0)
    @inlinable
    package static func < (left: OwnerEpoch, right: OwnerEpoch) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// The four stores, each a sorted key space cut into ranges.
@usableFromInline
package enum StoreKind: UInt8, CaseIterable, Sendable {
    case dist = 1
    case inbox = 2
    case retain = 3
    case system = 4
}

/// A range: one replicated part of a store's key space. Never reused.
@usableFromInline
package struct RangeID: Hashable, Comparable, Sendable {
    @usableFromInline
    package var store: StoreKind
    @usableFromInline
    package var number: UInt64
    @inlinable
    package init(store: StoreKind, number: UInt64) {
        self.store = store
        self.number = number
    }
    @inlinable
    package static func < (left: RangeID, right: RangeID) -> Bool {
        (left.store.rawValue, left.number) < (right.store.rawValue, right.number)
    }
}
