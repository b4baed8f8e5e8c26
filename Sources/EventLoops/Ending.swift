import Base
import CLinux

/// The end of connections: decided at any time, reported and carried out between callbacks, so
/// that no record disappears while something holds it.
extension EventLoop {
    /// Ends a connection. With `afterFlush`, what was appended before is sent first, and the peer
    /// is given time to read it; without, it is dropped. `closed` follows in this turn or the
    /// next. Calls for a connection that is already ending do nothing.
    package func close(_ connection: ConnectionID, afterFlush: Bool) {
        guard table.find(connection) != nil else { return }
        if afterFlush { table[connection.index].pointee.flags.insert(.lingers) }
        doom(connection.index, .closedByUs, flush: afterFlush)
    }

    /// Decides the end. With `flush`, queued output is still sent.
    func doom(_ index: Int32, _ reason: CloseReason, flush: Bool) {
        let record = table[index]
        if record.pointee.flags.contains(.doomed) {
            // A broken socket ends the flush of a connection that was ending in peace.
            if !flush { record.pointee.flags.remove(.flushesFirst) }
            if !flush, record.pointee.flags.contains(.reported) { tearDown(index) }
            return
        }
        record.pointee.flags.insert(.doomed)
        if flush { record.pointee.flags.insert(.flushesFirst) }
        doomed.append((table.id(of: index), reason))
    }

    /// Tells the handler of the ends decided so far, then carries them out.
    func reportDoomed() {
        while !doomed.isEmpty {
            let ended = doomed
            doomed.removeAll(keepingCapacity: true)
            for (id, reason) in ended {
                guard let record = table.find(id) else { continue }
                if record.pointee.flags.contains(.announced) {
                    counters.closed += 1
                    handler?.closed(id, reason: reason)
                } else {
                    reportTurnedAway(id.index, reason)
                }
                record.pointee.flags.insert(.reported)
                record.pointee.slot = -1
                freePending(record)
                carryOut(id, record)
            }
        }
    }

    private func carryOut(
        _ id: ConnectionID, _ record: UnsafeMutablePointer<ConnectionRecord>
    ) {
        guard record.pointee.flags.contains(.flushesFirst) else { return tearDown(id.index) }
        sealEnd(id.index)
        if record.pointee.outputCount == 0 { return outputFlushed(id.index) }
        timers.cancel(record.pointee.deadline)
        record.pointee.deadline = timers.schedule(
            at: now + options.flushTime, token: id.rawValue,
            kind: TimerKind.connection.rawValue)
        if record.pointee.flags.isDisjoint(with: [.writeBlocked, .sendInFlight]) {
            markDirty(record, id)
        }
    }

    /// The last byte of a connection that was to be flushed first has gone.
    func outputFlushed(_ index: Int32) {
        let record = table[index]
        timers.cancel(record.pointee.deadline)
        guard record.pointee.flags.contains(.lingers),
            !record.pointee.flags.contains(.peerEnded),
            apus_shutdown_write(record.pointee.descriptor) == 0
        else { return tearDown(index) }
        record.pointee.flags.insert(.lingering)
        let id = table.id(of: index)
        record.pointee.deadline = timers.schedule(
            at: now + options.lingerTime, token: id.rawValue,
            kind: TimerKind.connection.rawValue)
        switch poller {
        case .epoll:
            // Edges seen since the end was decided are still owed a read.
            record.pointee.flags.insert(.readable)
            enlistReady(record, id)
        case .uring:
            if !record.pointee.flags.contains(.receiveArmed) { armReceive(index) }
        }
    }

    /// epoll: reads and forgets, until the peer's end.
    func discardInput(_ index: Int32) {
        let record = table[index]
        guard case .epoll = poller, !record.pointee.flags.contains(.tearing) else { return }
        let count = System.receive(record.pointee.descriptor, readBuffer, options.readSize)
        if count > 0 {
            enlistReady(record, table.id(of: index))
        } else if Int32(-count) != System.again {
            tearDown(index)
        }
    }

    /// A deadline of the loop itself ran out.
    func connectionDeadline(_ id: ConnectionID) {
        guard let record = table.find(id) else { return }
        record.pointee.deadline = .none
        if record.pointee.flags.contains(.reported) {
            tearDown(id.index)
        } else {
            doom(id.index, .timeout, flush: false)
        }
    }

    /// Frees what the connection holds: at once, or when the ring has let go of it.
    func tearDown(_ index: Int32) {
        let record = table[index]
        if record.pointee.flags.contains(.tearing) { return }
        record.pointee.flags.insert(.tearing)
        timers.cancel(record.pointee.deadline)
        freePending(record)
        endPipeline(index)
        if case .uring(let poller) = poller, record.pointee.operations > 0 {
            record.pointee.operations += 1
            poller.cancelAll(record.pointee.descriptor, table.id(of: index))
        } else {
            release(index)
        }
    }

    /// io_uring: a request of this connection has ended.
    func operationEnded(_ index: Int32) {
        let record = table[index]
        invariant(record.pointee.operations > 0, "a request ended twice")
        record.pointee.operations -= 1
        if record.pointee.operations == 0, record.pointee.flags.contains(.tearing) {
            release(index)
        }
    }

    private func release(_ index: Int32) {
        freeOutput(index)
        System.close(table[index].pointee.descriptor)
        if table[index].pointee.flags.contains(.letIn) {
            handler?.left(
                table.id(of: index), listener: Int(table[index].pointee.listener))
        }
        table.release(index)
    }

    /// The loop ends: every connection is reported, what can be sent at once is sent.
    package func shutDown() {
        closeListeners()
        for index in 0..<table.highWater where table[index].pointee.flags.contains(.live) {
            doom(index, .closedByUs, flush: true)
        }
        reportDoomed()
        flushDirty()
        for index in 0..<table.highWater where table[index].pointee.flags.contains(.live) {
            tearDown(index)
        }
        // Requests in the ring refer to output blocks: they end before anything is freed.
        while table.count > 0 {
            poller.wait(10_000_000)
            while let event = poller.next() { finish(event) }
        }
        handler = nil
        poller.close()
    }

    /// Events after the end: only what holds records matters.
    private func finish(_ event: PollEvent) {
        switch event {
        case .received(let id, _, _, let isLast):
            if isLast, table.find(id) != nil { operationEnded(id.index) }
        case .receiveEnded(let id, _), .sent(let id, _), .cancelEnded(let id),
            .connecting(let id):
            if table.find(id) != nil { operationEnded(id.index) }
        case .accepted(_, let result, _):
            if result >= 0 { System.close(result) }
        case .ready, .acceptable, .woken, .nothing: break
        }
    }
}
