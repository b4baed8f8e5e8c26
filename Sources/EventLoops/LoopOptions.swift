import Base

/// Which of the kernel's interfaces a loop uses.
package enum PollerKind: String, CaseIterable, Sendable {
    case epoll
    case uring
    /// io_uring where it works, else epoll.
    case automatic
}

/// Everything about loops that an operator or a test may choose, with the limits of every buffer
/// and queue in them.
package struct LoopOptions: Sendable {
    package var poller: PollerKind
    /// Loops to start; see `LoopGroup.defaultWorkerCount`.
    package var workers: Int
    /// Whether each loop is bound to one processor.
    package var pinsThreads = true
    /// Connections of one loop, those that are still closing included.
    package var connectionsMax = 1_000_000
    /// Connections accepted per listener and turn.
    package var acceptsPerTurn = 64
    /// How long accepting pauses when the process is out of descriptors.
    package var acceptPause = Duration.milliseconds(100)
    /// Events handled per turn.
    package var eventsPerTurn = 512
    /// Bytes read from one connection per turn (size of the loop's own buffer).
    package var readSize = 256 * 1024
    /// Bytes written to one connection per turn.
    package var writeMax = 1024 * 1024
    /// Unconsumed input a connection may keep until the handler sets its own limit.
    package var inputLimit = 64 * 1024
    /// `outputDrained` follows when output that was above `outputHigh` falls to `outputLow`.
    package var outputHigh = 256 * 1024
    package var outputLow = 64 * 1024
    /// How long output may take after `close(afterFlush:)`, and the peer after that to close too.
    package var flushTime = Duration.seconds(10)
    package var lingerTime = Duration.seconds(1)
    /// How long a connection may take for PROXY header and TLS handshake together.
    package var handshakeTime = Duration.seconds(10)
    package var tls = TLSLimits()
    /// Blocks of mail in one ring: after that they grow at the sender.
    package var mailRingCapacity = 64
    /// Timers fired per turn; the rest follow in the next.
    package var timersPerTurn = 4096
    /// io_uring's provided buffers.
    package var uringBufferCount = 256
    package var uringBufferSize = 16 * 1024
    package var uringEntries = 4096

    package init(poller: PollerKind = .automatic, workers: Int = 1) {
        self.poller = poller
        self.workers = workers
    }

    /// Relations that the code relies on.
    func check() {
        invariant(workers > 0 && workers < Int(UInt16.max), "\(workers) workers")
        // An index must fit the 28 bits that a poller's token has for it.
        invariant(
            connectionsMax > 0 && connectionsMax < 1 << 28, "\(connectionsMax) connections a loop")
        // A small kept tail is copied to the front of the read buffer; room must remain behind it.
        invariant(readSize >= 4 * EventLoop.smallTailMax, "read size \(readSize)")
        invariant(outputLow < outputHigh, "watermarks \(outputLow), \(outputHigh)")
        invariant(
            uringBufferCount & (uringBufferCount - 1) == 0 && uringBufferCount <= 32768,
            "\(uringBufferCount) buffers")
    }
}

/// Where a listener waits for connections.
package enum ListenerAddress: Hashable, Sendable {
    /// IPv4 or IPv6; port 0 lets the kernel choose, the same for all loops.
    case ip(PeerAddress)
    /// A path; a socket file that nobody serves any more is replaced.
    case unix(path: String)
}

/// One listener, open on every loop.
package struct ListenerOptions: Sendable {
    package var address: ListenerAddress
    /// Connections that the kernel completes while the loop is busy.
    package var backlog = 4096
    package var noDelay = true
    /// Seconds of silence before the kernel probes the peer; nil for no probes.
    package var keepAliveSeconds: Int? = 60
    package var keepAliveProbeSeconds = 15
    package var keepAliveProbes = 4
    /// Whether an IPv6 listener refuses IPv4 peers.
    package var isIPv6Only = false
    /// How long a connection of this listener may take for PROXY header and TLS handshake
    /// together; nil for `LoopOptions.handshakeTime`.
    package var handshakeTime: Duration?
    /// Connections begin with a PROXY header, from these networks.
    package var proxy: ProxyOptions?
    /// Connections are sealed; behind the PROXY header, if there is one.
    package var tls: TLSContextStore?

    package init(address: ListenerAddress) { self.address = address }
}

/// Why loops could not be started: for the operator, with the remedy if there is one.
package enum LoopError: Error, Equatable, CustomStringConvertible {
    case cannotListen(on: String, reason: String)
    case pollerUnavailable(PollerKind, reason: String)
    case cannotStart(reason: String)

    package var description: String {
        switch self {
        case .cannotListen(let place, let reason): "cannot listen on \(place): \(reason)"
        case .pollerUnavailable(let kind, let reason):
            "poller \(kind.rawValue) is not available here: \(reason)"
        case .cannotStart(let reason): "cannot start a loop: \(reason)"
        }
    }
}
