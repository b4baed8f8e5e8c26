import Base
import CLinux

/// io_uring: multishot accept and receive into provided buffers, sends through the ring, one
/// submit-and-wait per turn, cancel on close. Single issuer with deferred task run: completions
/// are made only inside this loop's own `wait`.
///
/// ```
///  provided buffer:  | headroom 2 KiB | received bytes ... |
/// ```
/// The headroom takes a small kept tail of the same connection, so that a packet cut by a read is
/// again in one piece without copying what follows. A plain handle on memory; owned by one loop.
struct UringPoller {
    private struct State {
        var uring: apus_uring
        /// Headers and vectors of sends that are prepared but not yet submitted.
        var messageCount: Int
        var partCount: Int
        /// Watched until the poller closes: watched again whenever its multishot poll ends.
        var wake: Int32
    }

    static var headroom: Int { 2048 }
    private static var messagesMax: Int { 256 }
    private static var partsMax: Int { 4096 }

    private let state: UnsafeMutablePointer<State>
    private let messages: UnsafeMutablePointer<msghdr>
    private let parts: UnsafeMutablePointer<iovec>

    /// Why io_uring cannot serve here, or nil if it can.
    static func probe() -> String? {
        var uring = apus_uring()
        let result = apus_uring_open(&uring, 4, 8, 2, 4096, 0)
        guard result < 0 else {
            apus_uring_close(&uring)
            return nil
        }
        return "io_uring: " + System.describe(-result)
    }

    init(options: LoopOptions) throws(LoopError) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(uring: apus_uring(), messageCount: 0, partCount: 0, wake: -1))
        let result = apus_uring_open(
            &state.pointee.uring, UInt32(options.uringEntries),
            UInt32(options.uringEntries * 4), UInt32(options.uringBufferCount),
            UInt32(options.uringBufferSize), UInt32(Self.headroom))
        guard result == 0 else {
            state.deallocate()
            throw .pollerUnavailable(.uring, reason: System.describe(-result))
        }
        messages = .allocate(capacity: Self.messagesMax)
        parts = .allocate(capacity: Self.partsMax)
    }

    func close() {
        apus_uring_close(&state.pointee.uring)
        state.deallocate()
        messages.deallocate()
        parts.deallocate()
    }

    // MARK: Submitting

    func watchWake(_ descriptor: Int32) {
        state.pointee.wake = descriptor
        makeRoom()
        apus_uring_poll(&state.pointee.uring, descriptor, Poller.token(.wake, 0))
    }

    func watchListener(_ descriptor: Int32, number: Int) {
        makeRoom()
        let token = Poller.token(.listener, UInt64(number))
        apus_uring_accept(&state.pointee.uring, descriptor, token)
    }

    func unwatchListener(number: Int) {
        makeRoom()
        apus_uring_cancel(
            &state.pointee.uring, Poller.token(.listener, UInt64(number)),
            Poller.token(.ignored, 0))
    }

    func watchConnecting(_ descriptor: Int32, _ id: ConnectionID) {
        makeRoom()
        apus_uring_poll_writable(
            &state.pointee.uring, descriptor, Poller.token(.connecting, id.rawValue))
    }

    func receive(_ descriptor: Int32, _ id: ConnectionID) {
        makeRoom()
        let token = Poller.token(.connection, id.rawValue)
        apus_uring_receive(&state.pointee.uring, descriptor, token)
    }

    func cancelReceive(_ id: ConnectionID) {
        makeRoom()
        apus_uring_cancel(
            &state.pointee.uring, Poller.token(.connection, id.rawValue),
            Poller.token(.cancel, id.rawValue))
    }

    func cancelAll(_ descriptor: Int32, _ id: ConnectionID) {
        makeRoom()
        apus_uring_cancel_all(
            &state.pointee.uring, descriptor, Poller.token(.cancel, id.rawValue))
    }

    func send(_ descriptor: Int32, _ id: ConnectionID, _ bytes: UnsafeRawPointer, _ count: Int) {
        makeRoom()
        let token = Poller.token(.send, id.rawValue)
        apus_uring_send(&state.pointee.uring, descriptor, bytes, UInt32(count), token)
    }

    /// Room for the parts of one vectored send: filled in, then handed to `send(parts:)`.
    func partsForSend(max count: Int) -> UnsafeMutablePointer<iovec> {
        if state.pointee.partCount + count > Self.partsMax
            || state.pointee.messageCount == Self.messagesMax
        {
            submit()
        }
        return parts + state.pointee.partCount
    }

    func send(
        _ descriptor: Int32, _ id: ConnectionID, parts: UnsafeMutablePointer<iovec>, count: Int
    ) {
        // Before the header is stored: making room may submit, which frees the headers.
        makeRoom()
        let message = messages + state.pointee.messageCount
        message.initialize(to: msghdr())
        message.pointee.msg_iov = parts
        message.pointee.msg_iovlen = count
        state.pointee.messageCount += 1
        state.pointee.partCount = (parts - self.parts) + count
        let token = Poller.token(.send, id.rawValue)
        apus_uring_send_vector(&state.pointee.uring, descriptor, message, token)
    }

    private func makeRoom() {
        if apus_uring_room(&state.pointee.uring) { return }
        submit()
        invariant(
            apus_uring_room(&state.pointee.uring), "the kernel takes no requests from the ring")
    }

    private func submit() {
        let result = apus_uring_submit(&state.pointee.uring)
        if result < 0 { System.check(-result, "io_uring_enter") }
        state.pointee.messageCount = 0
        state.pointee.partCount = 0
    }

    // MARK: Waiting and reaping

    func wait(_ nanoseconds: Int64) {
        // Completions of the last turn are handled before anything sleeps.
        let hasMore = apus_uring_has_completion(&state.pointee.uring)
        let result = apus_uring_wait(&state.pointee.uring, hasMore ? 0 : nanoseconds)
        if result < 0 { System.check(-result, "io_uring_enter") }
        state.pointee.messageCount = 0
        state.pointee.partCount = 0
    }

    func next() -> PollEvent? {
        var completion = apus_completion()
        guard apus_uring_next(&state.pointee.uring, &completion) else { return nil }
        let payload = Poller.payload(of: completion.token)
        let isLast = completion.flags & UInt32(APUS_URING_MORE) == 0
        switch Poller.subject(of: completion.token) {
        case .connection:
            let id = ConnectionID(rawValue: payload)
            guard completion.result > 0 else {
                return .receiveEnded(id, result: completion.result)
            }
            return .received(
                id, count: Int(completion.result),
                buffer: apus_uring_buffer_of(completion.flags), isLast: isLast)
        case .listener:
            return .accepted(
                listener: Int(payload), result: completion.result, isLast: isLast)
        case .wake:
            if isLast { watchWake(state.pointee.wake) }
            return .woken
        case .send: return .sent(ConnectionID(rawValue: payload), result: completion.result)
        case .connecting: return .connecting(ConnectionID(rawValue: payload))
        case .cancel: return .cancelEnded(ConnectionID(rawValue: payload))
        case .ignored: return .nothing
        }
    }

    func buffer(_ index: UInt32) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(apus_uring_buffer(&state.pointee.uring, index))
    }

    func returnBuffer(_ index: UInt32) {
        apus_uring_return_buffer(&state.pointee.uring, index)
    }
}
