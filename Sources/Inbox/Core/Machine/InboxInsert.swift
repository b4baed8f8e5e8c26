import Base
import KV

/// Messages entering queues: the hot command of the range, read in place.
///
/// First walk: the whole command is checked, receivers are looked up and the lowest bucket of each
/// message's receivers is found, so that a shared body lies left of everything that refers to it.
/// Second walk: entries are stored, and pushed to owners that are caught up with the bytes at hand.
extension InboxMachine {
    /// What one message of the command needs while its receivers are stored.
    private struct Insertion {
        var head: InsertMessageHead
        var bucket: UInt16
        var bodyID: BodyID
        /// More than one receiver: the body is stored once.
        var isShared: Bool
        /// The shared body, once it is stored.
        var body: Int32 = -1
        var expiresAt: UInt64
        var isLeader: Bool
    }

    func insert(_ fields: FieldReader, _ position: ApplyPosition, _ output: MachineOutput) {
        guard findReceivers(fields) else {
            return output.result.append(status: .malformed)
        }
        output.result.append(status: .ok)
        output.result.append(bigEndian: UInt32(foundSessions.count))
        var dropped: [InsertResult.Dropped] = []
        var fields = fields
        _ = fields.slice16()
        var receiver = 0
        for ordinal in 0..<Int(fields.u16()) {
            var insertion = begin(&fields, ordinal, position)
            for _ in 0..<insertion.head.receiverCount {
                let one = InsertReceiver(&fields)
                var oldest = 0
                let outcome = store(
                    foundSessions[receiver], one, &insertion, droppedOldest: &oldest, position,
                    output)
                output.result.append(outcome.rawValue)
                if oldest > 0 {
                    dropped.append(.init(receiver: UInt32(receiver), count: UInt32(oldest)))
                }
                receiver += 1
            }
        }
        output.result.append(bigEndian: UInt32(dropped.count))
        for one in dropped {
            output.result.append(bigEndian: one.receiver)
            output.result.append(bigEndian: one.count)
        }
    }

    /// Checks the command and fills the scratch tables; false if the bytes are damaged.
    func findReceivers(_ fields: FieldReader) -> Bool {
        var fields = fields
        foundSessions.removeAll(keepingCapacity: true)
        foundBuckets.removeAll(keepingCapacity: true)
        let tenant = tenants.find(fields.slice16())
        var messages = fields.u16()
        while fields.isFine, messages > 0 {
            var left = InsertMessageHead(&fields).receiverCount
            if foundSessions.count + left > InboxLimits.receiversPerCommandMax { return false }
            var bucket = UInt16.max
            while fields.isFine, left > 0 {
                let receiver = InsertReceiver(&fields)
                var index: Int32 = -1
                if let tenant, fields.isFine { index = sessions.find(tenant, receiver.clientID) }
                if index >= 0 {
                    let session = sessions[index]
                    // A group is found by its name: its publishers do not know its life.
                    if session.pointee.hasQueue,
                        session.pointee.incarnation == receiver.incarnation
                            || session.pointee.kind == .group && receiver.incarnation == 0
                    {
                        bucket = min(bucket, session.pointee.bucket)
                    } else {
                        index = -1
                    }
                }
                foundSessions.append(index)
                left -= 1
            }
            foundBuckets.append(bucket)
            messages -= 1
        }
        return fields.isComplete
    }

    private func begin(
        _ fields: inout FieldReader, _ ordinal: Int, _ position: ApplyPosition
    ) -> Insertion {
        let head = InsertMessageHead(&fields)
        let expiresAt =
            head.expirySeconds.map { time.advanced(bySeconds: UInt64($0)).milliseconds } ?? 0
        return Insertion(
            head: head, bucket: foundBuckets[ordinal],
            bodyID: BodyID(
                stamp: BodyID.stamp(time, position), ordinal: UInt16(ordinal)),
            isShared: head.receiverCount > 1, expiresAt: expiresAt, isLeader: position.isLeader)
    }

    private func store(
        _ index: Int32, _ receiver: InsertReceiver, _ insertion: inout Insertion,
        droppedOldest: inout Int, _ position: ApplyPosition, _ output: MachineOutput
    ) -> InsertOutcome {
        guard index >= 0 else { return .noSession }
        if receiver.options.qos == 0, !receiver.options.queuesQoS0 {
            if insertion.isLeader {
                pushUnlogged(index, receiver, insertion.head.record, output)
            }
            return .qos0NotQueued
        }
        if insertion.head.expirySeconds == 0 { return .expired }
        if let source = insertion.head.source, isRepeat(index, source) { return .duplicate }
        let size = UInt32(insertion.head.record.count)
        if let refusal = makeRoom(
            index, receiver.options.qos, size, &droppedOldest, output)
        {
            return refusal
        }
        if let source = insertion.head.source { mark(index, source, output) }
        let session = sessions[index]
        let sequence = session.pointee.nextSequence
        session.pointee.nextSequence = sequence + 1
        if insertion.isShared { retainBody(&insertion, output) }
        let entry = SessionQueue.Entry(
            sequence: sequence, expiresAt: insertion.expiresAt, body: insertion.body,
            byteCount: size,
            flags: receiver.options.stored
                | (receiver.subscriptionIDs.isEmpty ? 0 : SessionQueue.Entry.hasIDs))
        putEntry(index, entry, receiver.subscriptionIDs, insertion.head.record, output)
        append(index, entry)
        if insertion.isLeader {
            pushAtApply(index, entry, receiver.subscriptionIDs, insertion.head.record, output)
        }
        return droppedOldest > 0 ? .storedDroppingOldest : .stored
    }

    private func append(_ index: Int32, _ entry: SessionQueue.Entry) {
        let session = sessions[index]
        if let queue = session.pointee.queue {
            queue.append(entry)
        } else {
            let queue = SessionQueue(queueTotals, line(index))
            queue.append(entry)
            session.pointee.queue = queue
        }
        if entry.expiresAt != 0 { schedule(index) }
    }

    /// Sees to the limits of the queue: nil if there is room now. QoS 0 has room for as many
    /// messages of its own, so that it drives out nothing that was promised.
    private func makeRoom(
        _ index: Int32, _ qos: UInt8, _ size: UInt32, _ droppedOldest: inout Int,
        _ output: MachineOutput
    ) -> InsertOutcome? {
        let limits = sessions[index].pointee.limits
        let messagesMax = limits.messagesMax == 0 ? .max : limits.messagesMax
        let bytesMax = limits.bytesMax == 0 ? .max : UInt64(limits.bytesMax)
        guard let queue = sessions[index].pointee.queue else {
            return UInt64(size) > bytesMax ? .droppedFullBytes : nil
        }
        let isQoS0 = qos == 0
        let policy =
            isQoS0 ? (limits.dropsOldestQoS0 ? .dropOldest : .dropNewest) : limits.policy
        while true {
            let isLong =
                (isQoS0 ? queue.qos0Messages : queue.messages - queue.qos0Messages) >= messagesMax
            let isLarge = queue.bytes + UInt64(size) > bytesMax
            if !isLong, !isLarge { return nil }
            switch policy {
            case .dropNewest: return isLong ? .droppedFullMessages : .droppedFullBytes
            case .reject: return .rejected
            case .dropOldest:
                guard UInt64(size) <= bytesMax,
                    let oldest = isQoS0
                        ? queue.oldestDroppable(isQoS0: true)
                        : queue.oldestDroppable(isQoS0: isLong ? false : nil)
                else { return .droppedFullBytes }
                removeEntry(index, oldest, output)
                droppedOldest += 1
            }
        }
    }

    private func retainBody(_ insertion: inout Insertion, _ output: MachineOutput) {
        if insertion.body >= 0 {
            bodies[insertion.body].pointee.count += 1
            return
        }
        insertion.body = bodies.insert(
            BodyTable.Body(
                id: insertion.bodyID, bucket: insertion.bucket, count: 1,
                byteCount: UInt32(insertion.head.record.count)))
        key.removeAll()
        InboxKeys.appendBody(&key, bucket: insertion.bucket, id: insertion.bodyID)
        beginValue()
        value.append(insertion.head.record)
        put(output)
    }

    /// ```
    ///  version u8 | flags u8 | expires at u64 | ids u8 | subscription id u32 ... | kind u8 | rest
    ///  kind 0: the record                   kind 1: bucket u16, stamp u64, ordinal u16, bytes u32
    /// ```
    private func putEntry(
        _ index: Int32, _ entry: SessionQueue.Entry, _ ids: UnsafeRawBufferPointer,
        _ record: UnsafeRawBufferPointer, _ output: MachineOutput
    ) {
        beginKey(index, .entry, entry.sequence)
        beginValue()
        value.append(entry.flags)
        value.append(bigEndian: entry.expiresAt)
        value.append(UInt8(ids.count / 4))
        value.append(ids)
        if entry.body < 0 {
            value.append(0)
            value.append(record)
        } else {
            let body = bodies[entry.body].pointee
            value.append(1)
            value.append(bigEndian: body.bucket)
            value.append(bigEndian: body.id.stamp)
            value.append(bigEndian: body.id.ordinal)
            value.append(bigEndian: body.byteCount)
        }
        put(output)
    }

    private func isRepeat(_ index: Int32, _ source: OutboxSource) -> Bool {
        guard let extras = sessions[index].pointee.extras else { return false }
        let (at, isThere) = extras.source(source)
        return isThere && extras.sources[at].has(source.sequence)
    }

    /// Remembers that the receiver has this entry of the publisher's outbox.
    private func mark(_ index: Int32, _ source: OutboxSource, _ output: MachineOutput) {
        let extras = extras(index)
        let (at, isThere) = extras.source(source)
        var mark = SessionExtras.SourceMark(
            identity: source.identity, origin: source.origin, sequence: source.sequence,
            usedAt: time.milliseconds)
        if isThere {
            mark = extras.sources[at]
            mark.add(source.sequence)
            mark.usedAt = time.milliseconds
            extras.sources[at] = mark
        } else {
            extras.sources.insert(mark, at: at)
            if extras.sources.count > InboxLimits.sourceMarksMax { forgetOldest(index, output) }
        }
        beginSourceKey(index, mark.identity, mark.origin)
        beginValue()
        value.append(bigEndian: mark.sequence)
        value.append(bigEndian: mark.usedAt)
        value.append(bigEndian: mark.earlier)
        put(output)
    }

    private func forgetOldest(_ index: Int32, _ output: MachineOutput) {
        let extras = extras(index)
        var oldest = 0
        for at in extras.sources.indices
        where extras.sources[at].usedAt < extras.sources[oldest].usedAt {
            oldest = at
        }
        let gone = extras.sources.remove(at: oldest)
        beginSourceKey(index, gone.identity, gone.origin)
        delete(output)
    }

    func beginSourceKey(_ index: Int32, _ identity: UInt64, _ origin: UInt64) {
        beginKey(index, .source, identity)
        key.append(bigEndian: origin)
    }
}
