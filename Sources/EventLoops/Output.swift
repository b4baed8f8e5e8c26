import Base
import CLinux

/// A part of a connection's output: bytes of a pooled block or of a shared one.
///
/// ```
///  chain:  pooled [start ..< end] -> shared [start ..< end] -> pooled ...
/// ```
/// Two pooled segments may lie in one block (what is behind a large shared payload goes on in the
/// block in front of it): the later one then owns it, because segments end in order.
struct OutputSegment {
    var base: UnsafeMutableRawPointer
    /// Bytes still to send: `start ..< end` from `base`.
    var start: Int32
    var end: Int32
    /// Bytes of the pooled block; 0 for shared bytes.
    var capacity: Int32
    var next: Int32
    /// The pooled segment before this shared one in whose block there is room; -1 if none.
    var spare: Int32
    var isOwner: Bool
    /// Bytes as the peer will see them, in a block of their own that takes no more; set apart from
    /// bytes that TLS has not seen yet.
    var isSealed = false
    /// Address of the shared block, or 0.
    var shared: UInt

    /// Bytes that may still be put behind its own.
    var room: Int { Int(capacity) &- Int(end) }
}

/// Output: appended to pooled blocks during the turn, flushed once at its end.
extension EventLoop {
    /// Parts of one vectored send.
    private static var partsPerSend: Int { 64 }
    /// Shared bytes up to this count are copied: cheaper than a part of their own.
    private static var shareMin: Int { 1024 }
    /// The largest block that is taken before it is known to be needed.
    private static var blockMax: Int { 64 * 1024 }

    /// Bytes queued on a connection and not yet taken by the kernel.
    package func outputCount(_ connection: ConnectionID) -> Int {
        table.find(connection)?.pointee.outputCount ?? 0
    }

    /// The handler's own index of a connection, -1 until it is set.
    package func slot(of connection: ConnectionID) -> Int32 {
        table.find(connection)?.pointee.slot ?? -1
    }

    package func setSlot(_ connection: ConnectionID, _ slot: Int32) {
        table.find(connection)?.pointee.slot = slot
    }

    /// Whether the handler was told of the connection and it is not ending.
    package func isOpen(_ connection: ConnectionID) -> Bool { findOpen(connection) != nil }

    func findOpen(_ id: ConnectionID) -> UnsafeMutablePointer<ConnectionRecord>? {
        guard let record = table.find(id),
            record.pointee.flags.intersection([.announced, .doomed]) == .announced
        else { return nil }
        return record
    }

    /// Room for at least `count` bytes of the connection's output, to be encoded in place: all that
    /// its last block has. It is the caller's until `commitOutput`, at the latest in `turnEnding`
    /// or in `closed`; no other call for the connection's output comes between. What is written
    /// for a dead id goes nowhere.
    package func claimOutput(
        _ connection: ConnectionID, atLeast count: Int
    ) -> UnsafeMutableRawBufferPointer {
        guard let record = findOpen(connection) else { return scratchRoom(count) }
        invariant(!record.pointee.flags.contains(.claimed), "output is claimed twice")
        record.pointee.flags.insert(.claimed)
        let tail = record.pointee.outputTail
        if tail < 0 || segments[pointer: tail].pointee.room < count { openSegment(record, count) }
        let segment = segments[pointer: record.pointee.outputTail]
        return UnsafeMutableRawBufferPointer(
            start: segment.pointee.base + Int(segment.pointee.end), count: segment.pointee.room)
    }

    /// The first `count` bytes claimed are output; the rest is given back. Of a connection whose
    /// end is decided they still count, until `closed` has returned.
    package func commitOutput(_ connection: ConnectionID, _ count: Int) {
        guard let record = table.find(connection), record.pointee.flags.contains(.claimed)
        else { return }
        record.pointee.flags.remove(.claimed)
        let segment = segments[pointer: record.pointee.outputTail]
        invariant(count >= 0 && count <= segment.pointee.room, "more committed than claimed")
        guard count > 0 else { return dropEmptyHead(record) }
        segment.pointee.end &+= Int32(count)
        outputGrew(record, connection, count)
    }

    /// A claim that came to nothing leaves no block with an idle connection.
    private func dropEmptyHead(_ record: UnsafeMutablePointer<ConnectionRecord>) {
        let segment = segments[pointer: record.pointee.outputHead]
        if segment.pointee.start == segment.pointee.end, segment.pointee.next < 0 {
            dropHead(record)
        }
    }

    package func append(_ connection: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        claimOutput(connection, atLeast: bytes.count).baseAddress.unsafelyUnwrapped
            .copyMemory(from: start, byteCount: bytes.count)
        commitOutput(connection, bytes.count)
    }

    /// Adds part of a shared block by reference; small parts are copied. The caller's reference
    /// stays the caller's.
    package func appendShared(
        _ connection: ConnectionID, _ block: SharedBlock, _ range: Range<Int>
    ) {
        invariant(
            range.lowerBound >= 0 && range.upperBound <= block.count,
            "\(range) of \(block.count) shared bytes")
        if range.count <= Self.shareMin {
            return append(connection, UnsafeRawBufferPointer(rebasing: block.bytes[range]))
        }
        guard let record = findOpen(connection) else { return }
        invariant(!record.pointee.flags.contains(.claimed), "a shared block inside a claim")
        block.retain()
        let tail = record.pointee.outputTail
        link(
            record,
            OutputSegment(
                base: UnsafeMutableRawPointer(
                    mutating: block.bytes.baseAddress.unsafelyUnwrapped),
                start: Int32(range.lowerBound), end: Int32(range.upperBound), capacity: 0,
                next: -1, spare: spare(behind: tail), isOwner: false, shared: block.address))
        outputGrew(record, connection, range.count)
    }

    private func spare(behind tail: Int32) -> Int32 {
        if tail < 0 { return -1 }
        let segment = segments[pointer: tail].pointee
        if segment.shared != 0 { return segment.spare }
        return segment.end < segment.capacity ? tail : -1
    }

    /// A segment with room for `count` bytes at the end of the chain.
    private func openSegment(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ count: Int
    ) {
        let tail = record.pointee.outputTail
        var size = count
        if tail >= 0 {
            let last = segments[pointer: tail].pointee
            if last.spare >= 0, carve(record, from: last.spare, count) { return }
            // Each block of a chain is of the next larger class than the one before.
            size = max(count, min(Int(last.capacity) * 2, Self.blockMax))
        }
        let block = pool.take(atLeast: size)
        let base = block.baseAddress.unsafelyUnwrapped
        invariant(block.count <= Int32.max, "\(count) bytes of output at once")
        link(
            record,
            OutputSegment(
                base: base, start: 0, end: 0, capacity: Int32(block.count), next: -1,
                spare: -1, isOwner: true, shared: 0))
    }

    /// A segment in the room that `index`, a pooled segment before shared ones, has left; false if
    /// that is less than `count`.
    private func carve(
        _ record: UnsafeMutablePointer<ConnectionRecord>, from index: Int32, _ count: Int
    ) -> Bool {
        let before = segments[pointer: index]
        guard before.pointee.isOwner,
            Int(before.pointee.end) + count <= Int(before.pointee.capacity)
        else { return false }
        before.pointee.isOwner = false
        let start = before.pointee.end
        let segment = OutputSegment(
            base: before.pointee.base, start: start, end: start,
            capacity: before.pointee.capacity, next: -1, spare: -1, isOwner: true, shared: 0)
        link(record, segment)
        return true
    }

    func link(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ segment: OutputSegment
    ) {
        let index = segments.insert(segment)
        if record.pointee.outputTail >= 0 {
            segments[pointer: record.pointee.outputTail].pointee.next = index
        } else {
            record.pointee.outputHead = index
        }
        record.pointee.outputTail = index
    }

    private func outputGrew(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ id: ConnectionID, _ count: Int
    ) {
        record.pointee.outputCount &+= count
        if record.pointee.outputCount > options.outputHigh {
            record.pointee.flags.insert(.aboveHigh)
        }
        if record.pointee.flags.isDisjoint(with: [.dirty, .writeBlocked, .sendInFlight]) {
            markDirty(record, id)
        }
    }

    func markDirty(_ record: UnsafeMutablePointer<ConnectionRecord>, _ id: ConnectionID) {
        if record.pointee.flags.contains(.dirty) { return }
        record.pointee.flags.insert(.dirty)
        dirty.append(id)
    }

    /// Output of dead connections; what was given out before stays until the turn's end.
    private func scratchRoom(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if scratch.count < count {
            outgrown.append(scratch)
            scratch = .allocate(byteCount: count, alignment: 16)
        }
        return UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
    }

    func freeOutgrown() {
        if outgrown.isEmpty { return }
        for buffer in outgrown { buffer.deallocate() }
        outgrown.removeAll()
    }

    // MARK: Flushing

    /// Sends the output of every connection that got some.
    func flushDirty() {
        let count = dirty.count
        for position in 0..<count {
            let id = dirty[position]
            guard let record = table.find(id) else { continue }
            record.pointee.flags.remove(.dirty)
            if record.pointee.flags.contains(.tearing) { continue }
            seal(id.index)
            switch poller {
            case .epoll: flushNow(id.index)
            case .uring(let poller): flushThrough(poller, id.index)
            }
        }
        dirty.removeFirst(count)
    }

    /// epoll: sends until the socket refuses or the turn's share is used.
    private func flushNow(_ index: Int32) {
        let record = table[index]
        var budget = options.writeMax
        while record.pointee.outputCount > 0, budget > 0 {
            let result = sendOnce(record)
            counters.sends += 1
            if result < 0 {
                if Int32(-result) == System.again {
                    record.pointee.flags.insert(.writeBlocked)
                } else {
                    doom(index, .reset(errno: Int32(-result)), flush: false)
                }
                return
            }
            budget -= result
            counters.bytesOut += UInt64(result)
            advance(record, result)
        }
        outputShrank(record, index)
        if record.pointee.outputCount > 0, record.pointee.flags.contains(.live) {
            markDirty(record, table.id(of: index))
        }
    }

    private func sendOnce(_ record: UnsafeMutablePointer<ConnectionRecord>) -> Int {
        let head = segments[pointer: record.pointee.outputHead].pointee
        let descriptor = record.pointee.descriptor
        if head.next < 0 {
            return System.send(
                descriptor, head.base + Int(head.start), Int(head.end - head.start))
        }
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.partsPerSend) {
            let start = $0.baseAddress.unsafelyUnwrapped
            let count = collect(record, into: start)
            return System.send(descriptor, parts: start, count: count)
        }
    }

    private func collect(
        _ record: UnsafeMutablePointer<ConnectionRecord>,
        into parts: UnsafeMutablePointer<iovec>
    ) -> Int {
        var count = 0
        var index = record.pointee.outputHead
        while index >= 0, count < Self.partsPerSend {
            let segment = segments[pointer: index].pointee
            (parts + count).initialize(
                to: iovec(
                    iov_base: segment.base + Int(segment.start),
                    iov_len: Int(segment.end - segment.start)))
            count += 1
            index = segment.next
        }
        return count
    }

    /// io_uring: prepares one send; the next wait submits it.
    private func flushThrough(_ poller: UringPoller, _ index: Int32) {
        let record = table[index]
        guard record.pointee.outputCount > 0,
            !record.pointee.flags.contains(.sendInFlight)
        else { return }
        counters.sends += 1
        record.pointee.flags.insert(.sendInFlight)
        record.pointee.operations += 1
        let id = table.id(of: index)
        let head = segments[pointer: record.pointee.outputHead].pointee
        if head.next < 0 {
            poller.send(
                record.pointee.descriptor, id, head.base + Int(head.start),
                Int(head.end - head.start))
        } else {
            let parts = poller.partsForSend(max: Self.partsPerSend)
            let count = collect(record, into: parts)
            poller.send(record.pointee.descriptor, id, parts: parts, count: count)
        }
    }

    func completeSend(_ id: ConnectionID, result: Int32) {
        guard let record = table.find(id) else { return }
        record.pointee.flags.remove(.sendInFlight)
        if record.pointee.flags.contains(.tearing) { return operationEnded(id.index) }
        operationEnded(id.index)
        if result >= 0 {
            counters.bytesOut += UInt64(result)
            advance(record, Int(result))
            if record.pointee.outputCount > 0 { markDirty(record, id) }
            outputShrank(record, id.index)
        } else if -result == System.again || -result == System.interrupted {
            markDirty(record, id)
        } else if -result != System.cancelled {
            System.check(-result, "send")
            doom(id.index, .reset(errno: -result), flush: false)
        }
    }

    /// `count` bytes of the chain are gone.
    private func advance(_ record: UnsafeMutablePointer<ConnectionRecord>, _ count: Int) {
        var left = count
        record.pointee.outputCount -= count
        while record.pointee.outputHead >= 0 {
            let index = record.pointee.outputHead
            let segment = segments[pointer: index]
            let size = Int(segment.pointee.end - segment.pointee.start)
            let isClaimed =
                segment.pointee.next < 0 && record.pointee.flags.contains(.claimed)
            if left < size || isClaimed {
                segment.pointee.start += Int32(left)
                return
            }
            left -= size
            dropHead(record)
        }
    }

    private func dropHead(_ record: UnsafeMutablePointer<ConnectionRecord>) {
        let index = record.pointee.outputHead
        let segment = segments.remove(index)
        freeBytes(of: segment)
        record.pointee.outputHead = segment.next
        if segment.next < 0 {
            record.pointee.outputTail = -1
        } else {
            // Only the last segment's spare is ever asked for.
            let tail = segments[pointer: record.pointee.outputTail]
            if tail.pointee.spare == index { tail.pointee.spare = -1 }
        }
    }

    func freeBytes(of segment: OutputSegment) {
        if segment.shared != 0 { SharedBlock(address: segment.shared).release() }
        guard segment.isOwner else { return }
        // A sealed segment's capacity is what it holds; its block has that size's class.
        pool.give(segment.base, capacity: BlockPool.capacity(holding: Int(segment.capacity)))
    }

    func freeOutput(_ index: Int32) {
        let record = table[index]
        while record.pointee.outputHead >= 0 { dropHead(record) }
        record.pointee.outputCount = 0
    }

    /// Output fell: tells of the low watermark in the next turn, ends what waited for the flush.
    private func outputShrank(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ index: Int32
    ) {
        if record.pointee.flags.contains(.aboveHigh),
            record.pointee.outputCount <= options.outputLow
        {
            record.pointee.flags.remove(.aboveHigh)
            if !record.pointee.flags.contains(.doomed) { drained.append(table.id(of: index)) }
        }
        if record.pointee.outputCount == 0,
            record.pointee.flags.isSuperset(of: [.reported, .flushesFirst]),
            record.pointee.flags.isDisjoint(with: [.lingering, .tearing])
        {
            outputFlushed(index)
        }
    }

    func reportDrained() {
        let count = drained.count
        for position in 0..<count where findOpen(drained[position]) != nil {
            handler?.outputDrained(drained[position])
        }
        drained.removeFirst(count)
    }
}
