import Base
import EventLoops
import TestKit
import Testing

/// A handler whose answers a test writes down, and that notes what it was told.
final class ScriptedHandler: LoopHandler {
    unowned var loop: EventLoop!
    var open: [ConnectionID] = []
    var peers: [(peer: PeerAddress, local: PeerAddress, listener: Int)] = []
    var ended: [(id: ConnectionID, reason: CloseReason)] = []
    var drainedIDs: [ConnectionID] = []
    var firedTokens: [UInt64] = []
    var letters: [(bytes: [UInt8], from: WorkerIndex)] = []
    var wasAskedToDrain = false
    var turnedAwayReasons: [CloseReason] = []

    var arrivals: [ConnectionID] = []
    var left: [ConnectionID] = []
    var pauses: [AcceptPause] = []
    var resumes = 0
    var connected: [ConnectionID] = []
    var connectFailures: [(id: ConnectionID, failure: ConnectFailure)] = []

    var onArrived: (ConnectionID) -> Bool = { _ in true }
    var onAccepted: (ConnectionID) -> Void = { _ in }
    var onReceived: (ConnectionID, UnsafeMutableRawBufferPointer) -> Int = { $1.count }
    var onClosed: (ConnectionID) -> Void = { _ in }
    var onTurnEnding: () -> Void = {}
    var onDrained: (ConnectionID) -> Void = { _ in }

    func started(_ loop: EventLoop) { self.loop = loop }

    func arrived(_ connection: ConnectionID, listener: Int, peer: PeerAddress) -> Bool {
        arrivals.append(connection)
        return onArrived(connection)
    }

    func left(_ connection: ConnectionID, listener: Int) { left.append(connection) }
    func acceptPaused(listener: Int, reason: AcceptPause) { pauses.append(reason) }
    func acceptResumed(listener: Int) { resumes += 1 }

    func accepted(
        _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
    ) {
        open.append(connection)
        peers.append((peer, local, listener))
        onAccepted(connection)
    }

    func received(
        _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
    ) -> Int { onReceived(connection, bytes) }

    func connected(_ connection: ConnectionID) { connected.append(connection) }
    func connectFailed(_ connection: ConnectionID, _ failure: ConnectFailure) {
        connectFailures.append((connection, failure))
    }

    func closed(_ connection: ConnectionID, reason: CloseReason) {
        open.removeAll { $0 == connection }
        ended.append((connection, reason))
        onClosed(connection)
    }

    func turnedAway(listener: Int, peer: PeerAddress, reason: CloseReason) {
        turnedAwayReasons.append(reason)
    }

    func outputDrained(_ connection: ConnectionID) {
        drainedIDs.append(connection)
        onDrained(connection)
    }
    func fired(_ token: UInt64) { firedTokens.append(token) }
    func mail(_ bytes: UnsafeRawBufferPointer, from worker: WorkerIndex) {
        letters.append(([UInt8](bytes), worker))
    }
    func turnEnding() { onTurnEnding() }
    func draining() { wasAskedToDrain = true }

    /// Echoes frames of a 16-bit length and as many bytes; leaves incomplete ones.
    func echoFrames() {
        onReceived = { [unowned self] connection, bytes in
            var offset = 0
            while offset + 2 <= bytes.count {
                let size = 2 + Int(bytes[offset]) << 8 + Int(bytes[offset + 1])
                if offset + size > bytes.count { break }
                let frame = bytes[offset..<offset + size]
                loop.append(connection, UnsafeRawBufferPointer(rebasing: frame))
                offset += size
            }
            return offset
        }
    }

    func echoBytes() {
        onReceived = { [unowned self] connection, bytes in
            loop.append(connection, UnsafeRawBufferPointer(bytes))
            return bytes.count
        }
    }
}

/// One loop on the test's own thread, turned by the test, with a listener on a port that the
/// kernel chose. Nothing sleeps: `run` turns until a condition holds.
final class LoopRig {
    let loop: EventLoop
    let handler = ScriptedHandler()
    let port: UInt16
    private var isShut = false

    init(
        _ poller: PollerKind, listeners: [ListenerOptions] = [.loopback],
        change: (inout LoopOptions) -> Void = { _ in }
    ) throws {
        var options = LoopOptions(poller: poller, workers: 1)
        change(&options)
        let bound = try listeners.map { try BoundListener($0, copies: 1) }
        let fabric = try MailFabric(workers: 1, ringCapacity: options.mailRingCapacity)
        loop = try EventLoop(
            worker: WorkerIndex(0), fabric: fabric, options: options, poller: poller,
            listeners: bound)
        port = bound.first?.port ?? 0
        loop.attach(handler)
    }

    deinit { shutDown() }

    func shutDown() {
        if !isShut { loop.shutDown() }
        isShut = true
    }

    /// Turns until the condition holds; false if it does not within the number of turns.
    @discardableResult
    func run(turns: Int = 20_000, until condition: () -> Bool) -> Bool {
        for _ in 0..<turns {
            if condition() { return true }
            loop.turn(waitingAtMost: .milliseconds(1))
        }
        return condition()
    }

    func turn(_ count: Int = 1) {
        for _ in 0..<count { loop.turn(waitingAtMost: .zero) }
    }

    /// A connected client that the handler knows of.
    func connect(receiveBuffer: Int? = nil) -> (client: LoopbackClient, id: ConnectionID) {
        let before = handler.peers.count
        var id = ConnectionID.none
        let previous = handler.onAccepted
        handler.onAccepted = {
            id = $0
            previous($0)
        }
        let client = LoopbackClient(port: port, receiveBuffer: receiveBuffer)
        run { handler.peers.count > before }
        handler.onAccepted = previous
        return (client, id)
    }

    /// Turns until the client has read `count` bytes, and returns them.
    func collect(_ client: LoopbackClient, count: Int) -> [UInt8] {
        run {
            client.read()
            return client.received.count >= count || client.isEnded || client.failure != nil
        }
        return client.take()
    }
}

extension ListenerOptions {
    static var loopback: ListenerOptions {
        ListenerOptions(address: .ip(PeerAddress(.v4Loopback, port: 0)))
    }
}

extension PollerKind {
    /// Every test of the loop runs on both.
    static var backends: [PollerKind] { [.epoll, .uring] }
}
