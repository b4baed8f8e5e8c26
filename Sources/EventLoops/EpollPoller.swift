import Base
import CLinux

/// epoll. Connections are edge-triggered and registered once for reading and writing, so that
/// pausing, back-pressure and closing cost no call; listeners are level-triggered, because
/// accepting is bounded per turn. The wake descriptor is edge-triggered and never read: every
/// write to it is an edge.
///
/// A plain handle on memory; owned by one loop.
struct EpollPoller {
    private struct State {
        var descriptor: Int32
        var count: Int32
        var position: Int32
        var limit: Int32
    }

    private let state: UnsafeMutablePointer<State>
    private let events: UnsafeMutablePointer<apus_ready>

    init(eventsPerTurn: Int) throws(LoopError) {
        let descriptor = apus_epoll_create()
        guard descriptor >= 0 else {
            throw .cannotStart(reason: "epoll: " + System.describe(-descriptor))
        }
        let limit = Int32(min(eventsPerTurn, 512))
        state = .allocate(capacity: 1)
        state.initialize(to: State(descriptor: descriptor, count: 0, position: 0, limit: limit))
        events = .allocate(capacity: Int(limit))
    }

    func close() {
        System.close(state.pointee.descriptor)
        state.deallocate()
        events.deallocate()
    }

    func watchWake(_ descriptor: Int32) {
        add(descriptor, UInt32(APUS_EPOLL_READ) | Self.edge, Poller.token(.wake, 0))
    }

    func watchListener(_ descriptor: Int32, number: Int) {
        add(
            descriptor, UInt32(APUS_EPOLL_READ),
            Poller.token(.listener, UInt64(number)))
    }

    func unwatchListener(_ descriptor: Int32) {
        let result = apus_epoll_remove(state.pointee.descriptor, descriptor)
        if result < 0 { System.check(-result, "epoll_ctl") }
    }

    /// False if the kernel has no memory for another socket.
    func watchConnection(_ descriptor: Int32, _ id: ConnectionID) -> Bool {
        let interest =
            APUS_EPOLL_READ | APUS_EPOLL_WRITE
            | APUS_EPOLL_READ_HANGUP
        let result = apus_epoll_add(
            state.pointee.descriptor, descriptor, UInt32(interest) | Self.edge,
            Poller.token(.connection, id.rawValue))
        if result < 0 { System.check(-result, "epoll_ctl") }
        return result == 0
    }

    /// EPOLLET, which does not fit the signed constants of the header.
    private static var edge: UInt32 { 1 << 31 }

    private func add(_ descriptor: Int32, _ interest: UInt32, _ token: UInt64) {
        let result = apus_epoll_add(state.pointee.descriptor, descriptor, interest, token)
        invariant(result == 0, "epoll_ctl: \(System.describe(-result))")
    }

    func wait(_ nanoseconds: Int64) {
        // What the last turn did not handle is handled first: an edge is told only once.
        guard state.pointee.position == state.pointee.count else { return }
        let count = apus_epoll_wait(
            state.pointee.descriptor, events, state.pointee.limit, nanoseconds)
        if count < 0, -count != System.interrupted { System.check(-count, "epoll_wait") }
        state.pointee.count = max(count, 0)
        state.pointee.position = 0
    }

    func next() -> PollEvent? {
        guard state.pointee.position < state.pointee.count else { return nil }
        let event = events[Int(state.pointee.position)]
        state.pointee.position += 1
        let payload = Poller.payload(of: event.token)
        switch Poller.subject(of: event.token) {
        case .connection:
            let failed = UInt32(APUS_EPOLL_ERROR | APUS_EPOLL_HANGUP)
            let ended = failed | UInt32(APUS_EPOLL_READ_HANGUP)
            let readable = ended | UInt32(APUS_EPOLL_READ)
            return .ready(
                ConnectionID(rawValue: payload), read: event.events & readable != 0,
                write: event.events & UInt32(APUS_EPOLL_WRITE) != 0,
                ended: event.events & ended != 0)
        case .listener: return .acceptable(listener: Int(payload))
        case .wake: return .woken
        case .send, .cancel, .connecting, .ignored: return .nothing
        }
    }
}
