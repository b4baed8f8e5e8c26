import Base

/// What a node is about to run on, as read at start. What could not be read is nil.
package struct HostFacts: Equatable, Sendable {
    /// Files and sockets that the process may have open, after raising what may be raised.
    package var descriptorLimit: UInt64
    /// The kernel's bound for a listener's queue (net.core.somaxconn).
    package var listenQueueMax: Int?
    /// Bytes that all TCP sockets of the machine may hold (the last of net.ipv4.tcp_mem).
    package var socketMemory: UInt64?
    /// Bytes of the machine, or of the control group if that has fewer.
    package var memory: UInt64?
    /// Bytes free where the data directory lies.
    package var diskFree: UInt64?
    /// What the kernel reads the time from.
    package var clockSource: String?
    package var wallTime: WallTime

    package init(descriptorLimit: UInt64, wallTime: WallTime) {
        self.descriptorLimit = descriptorLimit
        self.wallTime = wallTime
    }
}
