import Base
import CLinux

/// What the kernel reported, one thing at a time.
enum PollEvent {
    /// epoll: the socket can be read, written, or its peer has ended.
    case ready(ConnectionID, read: Bool, write: Bool, ended: Bool)
    /// epoll: connections wait at a listener.
    case acceptable(listener: Int)
    /// io_uring: a connection, or minus errno; `isLast` if the multishot accept has ended.
    case accepted(listener: Int, result: Int32, isLast: Bool)
    /// io_uring: bytes in a provided buffer, which the loop returns.
    case received(ConnectionID, count: Int, buffer: UInt32, isLast: Bool)
    /// io_uring: the multishot receive ended: 0 at the peer's end, else minus errno.
    case receiveEnded(ConnectionID, result: Int32)
    /// io_uring: bytes sent or minus errno.
    case sent(ConnectionID, result: Int32)
    /// io_uring: a socket that is connecting has an answer.
    case connecting(ConnectionID)
    /// io_uring: a request to cancel has ended.
    case cancelEnded(ConnectionID)
    /// Another thread woke the loop; or nothing that concerns anyone.
    case woken
    case nothing
}

/// The kernel's interface for readiness or completion. Two backends: everything that differs
/// between them is here and in their two files; the rest of the loop is shared.
///
/// ```
///  submit   watch..., add, send...      (io_uring: prepared, submitted by the next wait)
///  wait     sleeps until something happens or the time is over
///  reap     next() until nil
/// ```
enum Poller {
    case epoll(EpollPoller)
    case uring(UringPoller)

    /// Bits of a token above the id's index: who the event is for.
    enum Subject: UInt64 {
        case connection = 0
        case listener = 1
        case wake = 2
        case send = 3
        case cancel = 4
        case ignored = 5
        case connecting = 6
    }

    static func token(_ subject: Subject, _ payload: UInt64) -> UInt64 {
        subject.rawValue << 60 | payload
    }

    static func subject(of token: UInt64) -> Subject {
        guard let subject = Subject(rawValue: token >> 60) else { return .ignored }
        return subject
    }

    static func payload(of token: UInt64) -> UInt64 { token & (1 << 60 - 1) }

    /// The kind that serves here for the wish `kind`, and, where the wish was `automatic` and
    /// epoll is the answer, why.
    package static func resolve(
        _ kind: PollerKind
    ) throws(LoopError) -> (kind: PollerKind, reason: String?) {
        switch kind {
        case .epoll: return (.epoll, nil)
        case .uring:
            if let reason = UringPoller.probe() {
                throw .pollerUnavailable(.uring, reason: reason)
            }
            return (.uring, nil)
        case .automatic:
            if let reason = UringPoller.probe() { return (.epoll, reason) }
            return (.uring, nil)
        }
    }

    var kind: PollerKind {
        switch self {
        case .epoll: .epoll
        case .uring: .uring
        }
    }

    func watchWake(_ descriptor: Int32) {
        switch self {
        case .epoll(let poller): poller.watchWake(descriptor)
        case .uring(let poller): poller.watchWake(descriptor)
        }
    }

    func watchListener(_ descriptor: Int32, number: Int) {
        switch self {
        case .epoll(let poller): poller.watchListener(descriptor, number: number)
        case .uring(let poller): poller.watchListener(descriptor, number: number)
        }
    }

    func unwatchListener(_ descriptor: Int32, number: Int) {
        switch self {
        case .epoll(let poller): poller.unwatchListener(descriptor)
        case .uring(let poller): poller.unwatchListener(number: number)
        }
    }

    /// Sleeps at most `nanoseconds` (negative: until something happens; zero: only looks).
    func wait(_ nanoseconds: Int64) {
        switch self {
        case .epoll(let poller): poller.wait(nanoseconds)
        case .uring(let poller): poller.wait(nanoseconds)
        }
    }

    /// The next event that `wait` found, or nil.
    func next() -> PollEvent? {
        switch self {
        case .epoll(let poller): poller.next()
        case .uring(let poller): poller.next()
        }
    }

    func close() {
        switch self {
        case .epoll(let poller): poller.close()
        case .uring(let poller): poller.close()
        }
    }
}
