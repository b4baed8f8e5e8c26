import Base

/// What the clients of one loop have done since the start: read on its thread, and published for
/// the main thread once per turn.
package struct LoadCounters: Sendable, Equatable {
    /// Clients whose connection is open and whose subscriptions are granted.
    package var ready: UInt64 = 0
    /// Times that a client became ready; connections that could not be opened, and that were lost
    /// without our doing.
    package var opened: UInt64 = 0
    package var openFailures: UInt64 = 0
    package var lost: UInt64 = 0
    /// Clients that are not tried again.
    package var abandoned: UInt64 = 0
    package var sessionsPresent: UInt64 = 0
    package var subscriptions: UInt64 = 0
    package var subscriptionsRefused: UInt64 = 0
    package var sent: UInt64 = 0
    /// QoS 1 and 2: publishes with their last acknowledgement.
    package var acknowledged: UInt64 = 0
    /// Publishes that an acknowledgement refused.
    package var refused: UInt64 = 0
    package var received: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    package var retainedReceived: UInt64 = 0
    package var duplicates: UInt64 = 0
    package var late: UInt64 = 0
    package var misrouted: UInt64 = 0
    package var corrupt: UInt64 = 0
    /// Messages that are not of this run.
    package var foreign: UInt64 = 0
    /// QoS 2 messages sent again before they were released: no duplicates.
    package var redelivered: UInt64 = 0
    package var protocolErrors: UInt64 = 0
    /// Times that a lag window was freed because nothing came any more.
    package var lagResets: UInt64 = 0
    package var pings: UInt64 = 0

    package init() {}

    static var wordCount: Int { MemoryLayout<LoadCounters>.size / 8 }

    func publish(to cells: borrowing AtomicCells, at start: Int) {
        withUnsafeBytes(of: self) { bytes in
            for index in 0..<Self.wordCount {
                let word = bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                cells.publish(start + index, word)
            }
        }
    }

    /// The sum over loops, each as of its last turn.
    static func sum(_ cells: borrowing AtomicCells, loops: Int, stride: Int) -> LoadCounters {
        var sum = LoadCounters()
        withUnsafeMutableBytes(of: &sum) { bytes in
            for index in 0..<wordCount {
                let word = (0..<loops).reduce(0 as UInt64) {
                    $0 &+ cells.acquire($1 * stride + index)
                }
                bytes.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
            }
        }
        return sum
    }
}
