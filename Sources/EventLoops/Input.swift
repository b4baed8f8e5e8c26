import Base
import CLinux

/// Input: from sockets through the pipeline to the handler, and what the handler leaves.
///
/// ```
///  epoll:  | kept tail (small) | recv ................ |  the loop's read buffer, or recv straight
///                                                         into the kept block when it is large
///  uring:  | kept tail (small) | provided buffer |        in the buffer's headroom, or appended to
///                                                         the kept block
/// ```
extension EventLoop {
    /// Unconsumed input that a connection may keep; beyond it, it is closed with `inputLimit`.
    package func setInputLimit(_ connection: ConnectionID, _ limit: Int) {
        table.find(connection)?.pointee.inputLimit = UInt32(clamping: limit)
    }

    /// No more bytes are read or presented until `resumeReading`.
    package func pauseReading(_ connection: ConnectionID) {
        guard let record = table.find(connection),
            record.pointee.flags.isDisjoint(with: [.doomed, .paused])
        else { return }
        record.pointee.flags.insert(.paused)
        if case .uring(let poller) = poller,
            record.pointee.flags.contains(.receiveArmed),
            !record.pointee.flags.contains(.receiveCancelled)
        {
            record.pointee.flags.insert(.receiveCancelled)
            record.pointee.operations += 1
            poller.cancelReceive(connection)
        }
    }

    /// What was kept is presented again, in the next turn, and reading goes on.
    package func resumeReading(_ connection: ConnectionID) {
        guard let record = table.find(connection),
            record.pointee.flags.contains(.paused)
        else { return }
        record.pointee.flags.remove(.paused)
        record.pointee.flags.formUnion([.presents, .readable])
        enlistReady(record, connection)
    }

    func enlistReady(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ id: ConnectionID
    ) {
        if record.pointee.flags.contains(.ready) { return }
        record.pointee.flags.insert(.ready)
        ready.append(id)
    }

    /// Connections that have something to read or present although the kernel will not say so.
    func handleReady() {
        let count = ready.count
        for position in 0..<count {
            let id = ready[position]
            guard let record = table.find(id) else { continue }
            record.pointee.flags.remove(.ready)
            if record.pointee.flags.contains(.lingering) {
                discardInput(id.index)
                continue
            }
            if !record.pointee.flags.isDisjoint(with: [.doomed, .paused]) { continue }
            if record.pointee.flags.contains(.presents) {
                record.pointee.flags.remove(.presents)
                if record.pointee.pendingCount > 0 { presentPending(id.index) }
                finishPeerEnd(id.index)
            }
            if !record.pointee.flags.isDisjoint(with: [.doomed, .paused]) { continue }
            continueReading(id.index)
        }
        ready.removeFirst(count)
    }

    private func continueReading(_ index: Int32) {
        switch poller {
        case .epoll:
            if table[index].pointee.flags.contains(.readable) { readSocket(index) }
        case .uring:
            table[index].pointee.flags.remove(.readable)
            if !table[index].pointee.flags.contains(.receiveArmed) { armReceive(index) }
        }
    }

    // MARK: epoll

    func handleReadiness(_ id: ConnectionID, read: Bool, write: Bool, ended: Bool) {
        guard let record = table.find(id) else { return }
        if write, record.pointee.flags.contains(.writeBlocked) {
            record.pointee.flags.remove(.writeBlocked)
            if record.pointee.stage == .connecting {
                finishConnect(id.index)
            } else {
                markDirty(record, id)
            }
        }
        guard read else { return }
        // An end that came with bytes has no edge of its own: read until it shows.
        if ended { record.pointee.flags.insert(.hungUp) }
        if record.pointee.flags.contains(.lingering) { return discardInput(id.index) }
        // What was kept is presented first, or it would grow with every edge.
        if !record.pointee.flags.isDisjoint(with: [.doomed, .paused, .presents]) {
            record.pointee.flags.insert(.readable)
            return
        }
        readSocket(id.index)
    }

    /// One receive; more follow in later turns if the socket had more.
    private func readSocket(_ index: Int32) {
        let record = table[index]
        record.pointee.flags.remove(.readable)
        let kept = Int(record.pointee.pendingCount)
        let isSmall = kept <= Self.smallTailMax
        let target: UnsafeMutableRawPointer
        let room: Int
        if isSmall {
            target = readBuffer + kept
            room = options.readSize - kept
        } else {
            makePendingRoom(record, Self.smallTailMax)
            let end = Int(record.pointee.pendingStart) + kept
            target = record.pointee.pending.unsafelyUnwrapped + end
            room = Int(record.pointee.pendingCapacity) - end
        }
        let count = System.receive(record.pointee.descriptor, target, room)
        guard count > 0 else { return readEnded(index, count) }
        counters.reads += 1
        counters.bytesIn += UInt64(count)
        if isSmall {
            presentFresh(index, start: readBuffer, room: kept, fresh: count)
        } else {
            record.pointee.pendingCount += UInt32(count)
            presentPending(index)
        }
        if count == room || record.pointee.flags.contains(.hungUp) {
            record.pointee.flags.insert(.readable)
            enlistReady(record, table.id(of: index))
        }
    }

    private func readEnded(_ index: Int32, _ result: Int) {
        if result == 0 {
            table[index].pointee.flags.insert(.peerEnded)
            doom(index, .peerClosed, flush: true)
        } else if Int32(-result) != System.again {
            doom(index, .reset(errno: Int32(-result)), flush: false)
        }
    }

    // MARK: io_uring

    func armReceive(_ index: Int32) {
        guard case .uring(let poller) = poller else { return }
        let record = table[index]
        record.pointee.flags.insert(.receiveArmed)
        record.pointee.operations += 1
        poller.receive(record.pointee.descriptor, table.id(of: index))
    }

    func completeReceive(_ id: ConnectionID, count: Int, buffer: UInt32, isLast: Bool) {
        guard case .uring(let poller) = poller else { return }
        if let record = table.find(id) {
            counters.reads += 1
            counters.bytesIn += UInt64(count)
            accept(id.index, poller.buffer(buffer), count)
            poller.returnBuffer(buffer)
            if isLast { receiveDisarmed(id.index, record) }
        } else {
            poller.returnBuffer(buffer)
        }
    }

    /// Bytes in a provided buffer, with its headroom in front.
    private func accept(_ index: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) {
        let record = table[index]
        if record.pointee.flags.contains(.doomed) { return }
        let kept = Int(record.pointee.pendingCount)
        let isPaused = record.pointee.flags.contains(.paused)
        if kept <= UringPoller.headroom, !isPaused {
            presentFresh(index, start: bytes - kept, room: kept, fresh: count)
            return
        }
        makePendingRoom(record, count)
        let end = Int(record.pointee.pendingStart) + kept
        (record.pointee.pending.unsafelyUnwrapped + end)
            .copyMemory(from: bytes, byteCount: count)
        record.pointee.pendingCount += UInt32(count)
        if !isPaused { presentPending(index) }
    }

    func endReceive(_ id: ConnectionID, result: Int32) {
        guard let record = table.find(id) else { return }
        if result == 0 {
            record.pointee.flags.insert(.peerEnded)
            if record.pointee.flags.contains(.lingering) {
                tearDown(id.index)
            } else if !record.pointee.flags.contains(.paused) {
                finishPeerEnd(id.index)
            }
        } else if -result == System.noBuffers {
            counters.bufferShortages += 1
        } else if -result != System.cancelled {
            System.check(-result, "recv")
            record.pointee.flags.insert(.peerEnded)
            doom(id.index, .reset(errno: -result), flush: false)
        }
        receiveDisarmed(id.index, record)
    }

    /// The multishot receive is over: again, unless the connection pauses or ends.
    private func receiveDisarmed(
        _ index: Int32, _ record: UnsafeMutablePointer<ConnectionRecord>
    ) {
        record.pointee.flags.subtract([.receiveArmed, .receiveCancelled])
        operationEnded(index)
        guard record.pointee.flags.contains(.live),
            record.pointee.flags.isDisjoint(with: [.tearing, .peerEnded])
        else { return }
        let lingers = record.pointee.flags.contains(.lingering)
        if lingers || record.pointee.flags.isDisjoint(with: [.doomed, .paused]) {
            armReceive(index)
        }
    }

    func completeCancel(_ id: ConnectionID) {
        if table.find(id) != nil { operationEnded(id.index) }
    }

    /// The peer's end, once everything before it has been presented.
    private func finishPeerEnd(_ index: Int32) {
        guard case .uring = poller else { return }
        let flags = table[index].pointee.flags
        if flags.contains(.peerEnded), flags.isDisjoint(with: [.doomed, .paused]) {
            doom(index, .peerClosed, flush: true)
        }
    }

    // MARK: Presenting and keeping

    /// Presents `fresh` bytes behind the kept tail, which is copied to the `room` in front of
    /// them; keeps what is left.
    private func presentFresh(
        _ index: Int32, start: UnsafeMutableRawPointer, room: Int, fresh: Int
    ) {
        let record = table[index]
        if room > 0, let kept = record.pointee.pending {
            start.copyMemory(
                from: kept + Int(record.pointee.pendingStart), byteCount: room)
            record.pointee.pendingCount = 0
            record.pointee.pendingStart = 0
        }
        let bytes = UnsafeMutableRawBufferPointer(start: start, count: room + fresh)
        let consumed = ingest(index, bytes)
        if record.pointee.flags.contains(.doomed) { return freePending(record) }
        keep(index, UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
    }

    /// Presents the kept input in its own block.
    private func presentPending(_ index: Int32) {
        let record = table[index]
        let consumed = ingest(
            index,
            UnsafeMutableRawBufferPointer(
                start: record.pointee.pending.unsafelyUnwrapped
                    + Int(record.pointee.pendingStart),
                count: Int(record.pointee.pendingCount)))
        record.pointee.pendingStart += UInt32(consumed)
        record.pointee.pendingCount -= UInt32(consumed)
        if record.pointee.pendingCount == 0 || record.pointee.flags.contains(.doomed) {
            freePending(record)
        } else {
            checkInputLimit(index)
        }
    }

    private func keep(_ index: Int32, _ tail: UnsafeRawBufferPointer) {
        let record = table[index]
        guard let start = tail.baseAddress, tail.count > 0 else { return freePending(record) }
        if tail.count > Int(record.pointee.pendingCapacity) {
            freePending(record)
            let block = pool.take(atLeast: tail.count)
            record.pointee.pending = block.baseAddress
            record.pointee.pendingCapacity = UInt32(block.count)
        }
        record.pointee.pending.unsafelyUnwrapped.copyMemory(
            from: start, byteCount: tail.count)
        record.pointee.pendingStart = 0
        record.pointee.pendingCount = UInt32(tail.count)
        checkInputLimit(index)
    }

    /// A paused connection keeps what was read in one go, whatever its limit.
    private func checkInputLimit(_ index: Int32) {
        let record = table[index]
        if Int(record.pointee.pendingCount) > keptMax(record),
            !record.pointee.flags.contains(.paused)
        {
            doom(index, .inputLimit, flush: true)
        }
    }

    /// Room for at least `more` bytes behind the kept ones, by moving them to the front or into a
    /// block of twice the size.
    private func makePendingRoom(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ more: Int
    ) {
        let count = Int(record.pointee.pendingCount)
        let start = Int(record.pointee.pendingStart)
        let capacity = Int(record.pointee.pendingCapacity)
        if start + count + more <= capacity { return }
        if let block = record.pointee.pending, start >= capacity / 2, count + more <= capacity {
            block.copyMemory(from: block + start, byteCount: count)
        } else {
            let larger = pool.take(atLeast: max(count + more, min(count * 2, 1 << 30)))
            let base = larger.baseAddress.unsafelyUnwrapped
            if let block = record.pointee.pending {
                base.copyMemory(from: block + start, byteCount: count)
                pool.give(block, capacity: capacity)
            }
            record.pointee.pending = base
            record.pointee.pendingCapacity = UInt32(larger.count)
        }
        record.pointee.pendingStart = 0
    }

    func freePending(_ record: UnsafeMutablePointer<ConnectionRecord>) {
        if let block = record.pointee.pending {
            pool.give(block, capacity: Int(record.pointee.pendingCapacity))
        }
        record.pointee.pending = nil
        record.pointee.pendingCapacity = 0
        record.pointee.pendingStart = 0
        record.pointee.pendingCount = 0
    }
}
