import Base
import CLinux

/// A connection that we open: from where, how long it may take, and whether it is sealed.
package struct ConnectOptions: Sendable {
    /// Our own address; with port 0 the kernel chooses a port that is free towards this peer.
    package var source: PeerAddress?
    /// How long connecting and the TLS handshake may take together.
    package var timeout = Duration.seconds(10)
    package var noDelay = true
    /// Seals the connection.
    package var tls: TLSContext?
    /// What the server's certificate must bear; not read without TLS.
    package var serverName: String?

    package init() {}
}

/// Whether a connection is being opened: what comes of it is told to the handler later.
package enum ConnectResult: Equatable, Sendable {
    /// `connected` or `connectFailed` follows for this id, in a later turn.
    case started(ConnectionID)
    case failed(ConnectFailure)
}

/// Why a connection could not be opened.
package enum ConnectFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nobody listens there.
    case refused
    /// No way leads there.
    case unreachable(errno: Int32)
    case timeout
    /// The TLS handshake failed; in words that an operator may see.
    case handshake(String)
    /// No descriptor, memory or port is left here: others must close first.
    case exhausted(errno: Int32)
    /// The loop holds `connectionsMax` connections.
    case tableFull
    /// `close` was called, or the loop stopped.
    case closedByUs
    /// Anything else that the system has against it.
    case broken(errno: Int32)

    init(errno: Int32) {
        switch errno {
        case ECONNREFUSED, ENOENT: self = .refused
        case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN: self = .unreachable(errno: errno)
        case ETIMEDOUT: self = .timeout
        case EADDRNOTAVAIL, EADDRINUSE, EAGAIN, ENOSPC: self = .exhausted(errno: errno)
        default:
            self = System.isExhaustion(errno) ? .exhausted(errno: errno) : .broken(errno: errno)
        }
    }

    init(_ reason: CloseReason) {
        switch reason {
        case .reset(let errno): self.init(errno: errno)
        case .timeout: self = .timeout
        case .handshakeFailed(let text): self = .handshake(text)
        case .closedByUs: self = .closedByUs
        case .peerClosed: self = .handshake("the server closed during the handshake")
        case .inputLimit: self = .handshake("the server sent too much")
        }
    }

    package var description: String {
        switch self {
        case .refused: "nobody listens there"
        case .unreachable(let errno): "unreachable: " + System.describe(errno)
        case .timeout: "no answer in time"
        case .handshake(let text): text
        case .exhausted(let errno): "nothing left here: " + System.describe(errno)
        case .tableFull: "the loop holds as many connections as it may"
        case .closedByUs: "given up"
        case .broken(let errno): System.describe(errno)
        }
    }
}

/// What a connection that is being opened needs for its handshake.
struct Departure {
    let tls: TLSContext
    let serverName: String?
}

/// Connections that we open.
///
/// ```
///  connect -> .connecting -> (TLS: .handshake -> .sealed) or .open -> connected
///                       failed, too late, closed by us             -> connectFailed
/// ```
/// Waiting for the kernel's answer is waiting for the socket to take bytes: with epoll the flag
/// `writeBlocked` and the edge that ends it, with io_uring a poll request of its own.
extension EventLoop {
    /// Opens a connection. After `started`, exactly one of `connected` and `connectFailed` is
    /// called, never from within this call. Output before `connected` goes nowhere.
    package func connect(
        to address: ListenerAddress, _ options: ConnectOptions
    ) -> ConnectResult {
        guard let index = table.take() else { return .failed(.tableFull) }
        let result = openSocket(to: address, options)
        guard result >= 0 else {
            table.release(index)
            return .failed(ConnectFailure(errno: -result))
        }
        let record = table[index]
        record.pointee.descriptor = result
        record.pointee.stage = .connecting
        record.pointee.flags.formUnion([.outgoing, .writeBlocked])
        record.pointee.inputLimit = UInt32(clamping: self.options.inputLimit)
        let id = table.id(of: index)
        switch poller {
        case .epoll(let poller):
            guard poller.watchConnection(result, id) else {
                System.close(result)
                table.release(index)
                return .failed(.exhausted(errno: ENOMEM))
            }
        case .uring(let poller):
            record.pointee.operations += 1
            poller.watchConnecting(result, id)
        }
        if let tls = options.tls {
            record.pointee.stageSlot = departures.insert(
                Departure(tls: tls, serverName: options.serverName))
        }
        record.pointee.deadline = timers.schedule(
            at: System.now + options.timeout, token: id.rawValue,
            kind: TimerKind.connection.rawValue)
        return .started(id)
    }

    /// A socket that is connecting, or minus errno.
    private func openSocket(to address: ListenerAddress, _ options: ConnectOptions) -> Int32 {
        let family: Int32
        switch address {
        case .ip(let place): family = place.address.isV4 ? AF_INET : AF_INET6
        case .unix: family = AF_UNIX
        }
        let descriptor = apus_socket(family)
        guard descriptor >= 0 else { return descriptor }
        let result = begin(descriptor, to: address, options)
        guard result == 0 || result == -EINPROGRESS else {
            System.close(descriptor)
            return result
        }
        return descriptor
    }

    private func begin(
        _ descriptor: Int32, to address: ListenerAddress, _ options: ConnectOptions
    ) -> Int32 {
        switch address {
        case .unix(let path):
            return PeerAddress.withKernelForm(unixPath: path) {
                apus_connect(descriptor, $0, $1)
            } ?? -ENAMETOOLONG
        case .ip(let place):
            if options.noDelay {
                _ = apus_set_option(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            }
            if let source = options.source {
                // The port is chosen by `connect`, so that it is taken towards this peer alone.
                _ = apus_set_option(descriptor, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
                let bound = source.withKernelForm { apus_bind(descriptor, $0, $1) }
                if bound < 0 { return bound }
            }
            return place.withKernelForm { apus_connect(descriptor, $0, $1) }
        }
    }

    /// The kernel has an answer for a connection that was being opened.
    func finishConnect(_ index: Int32) {
        let record = table[index]
        guard record.pointee.stage == .connecting, !record.pointee.flags.contains(.doomed) else {
            return
        }
        let error = apus_socket_error(record.pointee.descriptor)
        guard error == 0 else { return doom(index, .reset(errno: error), flush: false) }
        if case .uring = poller { armReceive(index) }
        let departure = record.pointee.stageSlot
        record.pointee.stageSlot = -1
        if departure >= 0 {
            greetServer(index, departures.remove(departure))
        } else {
            record.pointee.stage = .open
            announceOutgoing(index)
        }
    }

    /// io_uring: the poll of a connecting socket has ended.
    func completeConnect(_ id: ConnectionID) {
        guard table.find(id) != nil else { return }
        operationEnded(id.index)
        guard let record = table.find(id) else { return }
        record.pointee.flags.remove(.writeBlocked)
        finishConnect(id.index)
    }

    /// The last stage is reached: the handler learns of the connection that it asked for.
    func announceOutgoing(_ index: Int32) {
        let record = table[index]
        timers.cancel(record.pointee.deadline)
        record.pointee.deadline = .none
        record.pointee.flags.insert(.announced)
        counters.opened += 1
        handler?.connected(table.id(of: index))
    }

    /// Tells of a connection that could not be opened.
    func reportUnopened(_ index: Int32, _ reason: CloseReason) {
        counters.openFailures += 1
        handler?.connectFailed(table.id(of: index), ConnectFailure(reason))
    }
}
