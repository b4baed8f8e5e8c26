import Base

/// A connection of one loop: its place in the loop's table and its registration number. Never
/// used again; calls with the id of a connection that has ended do nothing.
@usableFromInline
package struct ConnectionID: Hashable, Sendable {
    /// Place in the high, registration number in the low half.
    @usableFromInline package var rawValue: UInt64

    @inlinable
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    init(index: Int32, generation: UInt32) {
        rawValue = UInt64(UInt32(bitPattern: index)) << 32 | UInt64(generation)
    }

    /// Names no connection.
    package static let none = ConnectionID(rawValue: 0)

    @inlinable
    package var index: Int32 { Int32(truncatingIfNeeded: rawValue >> 32) }
    @inlinable
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}

/// Why a connection ended.
package enum CloseReason: Equatable, Sendable {
    /// The peer ended its side.
    case peerClosed
    /// The connection broke, with the system's reason.
    case reset(errno: Int32)
    /// `close` was called, or the loop stopped.
    case closedByUs
    /// More unconsumed input than `setInputLimit` allows.
    case inputLimit
    /// TLS or PROXY header, with what was wrong.
    case handshakeFailed(String)
    /// A deadline of the loop ran out (handshake).
    case timeout
}

/// What a loop tells its owner. All calls come on the loop's thread.
package protocol LoopHandler: AnyObject {
    /// On the loop's thread, before the first turn.
    func started(_ loop: EventLoop)
    /// A connection came and its address is known: behind the PROXY header where one is spoken,
    /// before any handshake. False closes it at once. May call `pauseAccepting`.
    func arrived(_ connection: ConnectionID, listener: Int, peer: PeerAddress) -> Bool
    /// A connection that `arrived` let in has given its descriptor back.
    func left(_ connection: ConnectionID, listener: Int)
    /// A listener accepts no more for a while, for want of descriptors or because the handler
    /// asked for it; and goes on.
    func acceptPaused(listener: Int, reason: AcceptPause)
    func acceptResumed(listener: Int)
    /// A connection is ready for bytes: after the PROXY header and, on TLS listeners, after the
    /// handshake.
    func accepted(
        _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress)
    /// A connection that `connect` was asked for is ready for bytes: behind the TLS handshake, if
    /// it is sealed. `received` and `closed` follow as for accepted ones.
    func connected(_ connection: ConnectionID)
    /// A connection that `connect` was asked for could not be opened: its id is dead.
    func connectFailed(_ connection: ConnectionID, _ failure: ConnectFailure)
    /// Bytes arrived: returns how many were consumed. The rest is kept by the loop and presented
    /// again with more behind it. The bytes may be changed in place.
    func received(
        _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
    ) -> Int
    /// Exactly once per connection that was accepted or connected. During the call `slot(of:)`
    /// still answers.
    func closed(_ connection: ConnectionID, reason: CloseReason)
    /// A connection ended before it was accepted: PROXY header or TLS handshake failed.
    func turnedAway(listener: Int, peer: PeerAddress, reason: CloseReason)
    /// Output fell to the low watermark after having been above the high one.
    func outputDrained(_ connection: ConnectionID)
    /// A timer of this handler is due.
    func fired(_ token: UInt64)
    /// One block of mail from another loop, or from an outside thread (`WorkerIndex.outside`).
    func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex)
    /// Last chance to append output and mail in this turn; sockets are flushed after it.
    func turnEnding()
    /// The loop was asked to drain: its listeners are closed, its connections are the handler's to
    /// end; it calls `stop` on the loop when it has.
    func draining()
}

extension LoopHandler {
    /// Nothing, for owners without such listeners.
    package func turnedAway(listener: Int, peer: PeerAddress, reason: CloseReason) {}

    /// For owners who let everyone in.
    package func arrived(
        _ connection: ConnectionID, listener: Int, peer: PeerAddress
    ) -> Bool { true }
    /// Nothing, for owners who open no connections.
    package func connected(_ connection: ConnectionID) {}
    package func connectFailed(_ connection: ConnectionID, _ failure: ConnectFailure) {}
    package func left(_ connection: ConnectionID, listener: Int) {}
    package func acceptPaused(listener: Int, reason: AcceptPause) {}
    package func acceptResumed(listener: Int) {}
}

/// Why a listener accepts no more for a while.
package enum AcceptPause: Equatable, Sendable {
    /// Out of descriptors, or of memory for sockets.
    case exhausted(errno: Int32)
    /// The handler asked for it.
    case asked
}

extension WorkerIndex {
    /// The sender of mail that threads outside the loops post.
    package static let outside = WorkerIndex(.max)
}

/// What a loop has done since its start; read on its thread.
package struct LoopCounters: Equatable, Sendable {
    package var turns: UInt64 = 0
    package var accepted: UInt64 = 0
    package var closed: UInt64 = 0
    /// Connections that we opened, and that we could not open.
    package var opened: UInt64 = 0
    package var openFailures: UInt64 = 0
    /// Connections turned away at `connectionsMax`.
    package var refused: UInt64 = 0
    /// Times that accepting paused: for want of descriptors, or for the rate.
    package var acceptPauses: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// Receives that brought bytes; sends asked of the kernel.
    package var reads: UInt64 = 0
    package var sends: UInt64 = 0
    /// Times that another thread woke this loop, and that this loop woke another.
    package var wakes: UInt64 = 0
    package var wakesSent: UInt64 = 0
    package var mailBlocksIn: UInt64 = 0
    package var mailBlocksOut: UInt64 = 0
    /// Turns in which a full ring kept mail at the sender.
    package var mailDeferred: UInt64 = 0
    package var timersFired: UInt64 = 0
    /// Times that io_uring had no receive buffer left.
    package var bufferShortages: UInt64 = 0
    /// Nanoseconds from waking to the end of the turn: the longest, the last, and the moving
    /// average (one eighth of each new turn).
    package var turnLongest: UInt64 = 0
    package var turnLast: UInt64 = 0
    package var turnAverage: UInt64 = 0
    /// Bytes of pooled blocks in use, and kept for reuse.
    package var poolInUse = 0
    package var poolKept = 0
}
