import Base
import Policy

/// A connection as Core names it: what the shell gave at accept, with its registration number, so
/// that a stale one is harmless.
package struct ConnectionKey: Hashable, Sendable {
    package var rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    package static let none = ConnectionKey(0)
}

/// What a worker's Core may have done outside: to its connections, and by authenticators. Two
/// conformers: the worker's loop, and the simulator.
///
/// Every call with a key that is no longer open does nothing. All calls come on the worker's loop.
package protocol WorkerPort: AnyObject {
    /// Memory for at least `count` bytes of output, the worker's until `commitOutput`; no other
    /// call for the connection's output comes between.
    func claimOutput(
        _ connection: ConnectionKey, atLeast count: Int
    ) -> UnsafeMutableRawBufferPointer
    /// The first `count` bytes claimed, at `start`, are output. `sharedCount` bytes of the last
    /// packet follow by `appendShared`.
    func commitOutput(
        _ connection: ConnectionKey, _ start: UnsafeMutableRawPointer, _ count: Int,
        sharedCount: Int)
    /// Sends part of a shared block by reference; the port takes a reference of its own.
    func appendShared(_ connection: ConnectionKey, _ block: SharedBlock, _ part: Range<Int>)
    /// Bytes that the peer has not yet taken from us.
    func outputCount(_ connection: ConnectionKey) -> Int
    /// Closes now, or once everything appended has been sent.
    func close(_ connection: ConnectionKey, afterFlush: Bool)
    /// Stops and resumes handing out input; what came in between is handed out then.
    func pauseInput(_ connection: ConnectionKey)
    func resumeInput(_ connection: ConnectionKey)
    /// The largest packet that may have to wait for its end.
    func setInputLimit(_ connection: ConnectionKey, _ byteCount: Int)
    /// Bytes of mail that the place has not taken yet.
    func backlog(to place: Place) -> Int
    /// What a client may do.
    func permissions(for client: ClientIdentity) -> Permissions
    /// Rises when the rules change.
    var authoriserEpoch: UInt64 { get }
    /// Asks whether a client may do something: answers at once, or returns nil and the worker's
    /// `completeJudgement(token)` follows in a later turn.
    func judge(
        _ action: AccessAction, of client: ClientIdentity, token: UInt64
    ) -> AccessVerdict?
    /// What is known of a connection outside of Core.
    func describe(_ connection: ConnectionKey, listener: UInt16) -> OutsideView
    /// The answer to a request of the query door.
    func answerDoor(_ ticket: UInt64, _ answer: [UInt8])
    /// Adds what the loop counts to a worker's figures.
    func fill(_ figures: inout WorkerFigures)
    /// Asks who a client is: answers at once, or returns nil and the worker's
    /// `completeAuthentication(token)` follows in a later turn.
    func authenticate(_ request: AuthenticationRequest, token: UInt64) -> AuthenticationResult?
    /// The next step of an enhanced authentication.
    func continueAuthentication(
        _ exchange: any AuthenticationExchange, _ data: [UInt8], token: UInt64
    ) -> AuthenticationResult?
}

/// A connection as the world outside of Core knows it.
package struct OutsideView: Equatable, Sendable {
    /// With port; empty if it cannot be told.
    package var peer: String
    package var listener: String
    package var isWebSocket: Bool

    package init(peer: String, listener: String, isWebSocket: Bool) {
        self.peer = peer
        self.listener = listener
        self.isWebSocket = isWebSocket
    }
}
