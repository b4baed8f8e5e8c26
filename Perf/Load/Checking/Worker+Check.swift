import Base
import Glibc

/// What a received message is: ours or not, expected here or not, whole, new, in order, how late.
extension LoadWorker {
    @inline(__always)
    func isMeasured(_ intended: UInt64) -> Bool {
        intended >= state.pointee.measureFrom && intended < state.pointee.measureUntil
    }

    @inline(__always)
    func check(
        _ client: UnsafeMutablePointer<LoadClient>, _ payload: UnsafeRawBufferPointer,
        _ now: UInt64
    ) {
        guard payload.count >= MessageStamp.size, let start = payload.baseAddress else {
            state.pointee.counters.foreign += 1
            return
        }
        let stamp = MessageStamp(start)
        guard stamp.tag == tag else {
            state.pointee.counters.foreign += 1
            return
        }
        let group = groups + Int(client.pointee.group)
        if group.pointee.checks.kind != .anything {
            guard note(client, group, stamp) else { return }
        }
        if !isWhole(payload, start) { state.pointee.counters.corrupt += 1 }
        state.pointee.counters.received += 1
        if isMeasured(stamp.intended) {
            let latency = now > stamp.intended ? now - stamp.intended : 0
            state.pointee.latency.record(latency)
            state.pointee.interval.record(latency)
        }
        if exchange.streamCount > 0 { noteProgress(Int(stamp.stream)) }
    }

    /// Notes the message with its stream; false if it does not count as received.
    private func note(
        _ client: UnsafeMutablePointer<LoadClient>, _ group: UnsafeMutablePointer<GroupState>,
        _ stamp: MessageStamp
    ) -> Bool {
        let index = UInt32(bitPattern: client.pointee.index)
        guard let position = group.pointee.checks.position(stamp.stream, index: index) else {
            state.pointee.counters.misrouted += 1
            return false
        }
        let isShared = group.pointee.checks.kind == .shared
        let base = isShared ? group.pointee.checks.sharedBase : client.pointee.tracker
        switch trackers[Int(base) + Int(position)].note(stamp.sequence) {
        case .inOrder: break
        case .late:
            if !isShared, !group.pointee.checks.ignoresOrder {
                state.pointee.counters.late += 1
            }
        case .duplicate:
            state.pointee.counters.duplicates += 1
            return false
        case .impossible:
            state.pointee.counters.corrupt += 1
            return false
        }
        if isShared { noteMember(client, group.pointee, stamp) }
        return true
    }

    /// Of a shared group each member must see each stream in order, whoever sees what.
    private func noteMember(
        _ client: UnsafeMutablePointer<LoadClient>, _ group: GroupState, _ stamp: MessageStamp
    ) {
        guard let seen = group.checks.lastSeen else { return }
        let row = Int(client.pointee.index) / plan.loops * Int(group.checks.streams)
        let place = seen + row + Int(stamp.stream &- group.checks.first)
        if stamp.sequence &+ 1 <= place.pointee, !group.checks.ignoresOrder {
            state.pointee.counters.late += 1
        }
        place.pointee = max(place.pointee, stamp.sequence &+ 1)
    }

    private func isWhole(
        _ payload: UnsafeRawBufferPointer, _ start: UnsafeRawPointer
    ) -> Bool {
        guard payload.count == payloadBytes || payloadBytes == 0 && payload.count <= fillingCount
        else { return false }
        guard plan.comparesPayload, payload.count > MessageStamp.size else { return true }
        return memcmp(
            start + MessageStamp.size, filling + MessageStamp.size,
            payload.count - MessageStamp.size) == 0
    }

    // MARK: Lag

    /// Lets the stream's publisher know, wherever it lives.
    @inline(__always)
    private func noteProgress(_ stream: Int) {
        guard stream < exchange.streamCount else { return }
        let cell = number * exchange.streamCount + stream
        // Only this loop writes the cell.
        exchange.progress.publish(cell, exchange.progress.load(cell) &+ 1)
        let home = homeOfStream(stream)
        if home.loop == number {
            activate(home.publisher)
        } else {
            state.pointee.tells |= 1 << UInt64(home.loop)
        }
    }

    /// The loop of a stream's publisher, and the publisher's place there.
    private func homeOfStream(_ stream: Int) -> (loop: Int, publisher: Int32) {
        for index in plan.groups.indices {
            let group = groups + index
            guard group.pointee.publisherBase >= 0 else { continue }
            let first = Int(group.pointee.firstStream)
            guard stream >= first, stream < first + Int(group.pointee.total) else { continue }
            let place = stream - first
            return (
                place % plan.loops, group.pointee.publisherBase + Int32(place / plan.loops)
            )
        }
        return (number, -1)
    }

    /// Messages of a stream that all subscribers have received.
    func receivedCount(_ stream: UInt32) -> UInt32 {
        var sum: UInt64 = 0
        for loop in 0..<plan.loops {
            sum &+= exchange.progress.acquire(loop * exchange.streamCount + Int(stream))
        }
        return UInt32(truncatingIfNeeded: sum)
    }
}
