import Base
import KV

/// Outboxes: messages that must survive their node until they are fanned out.
///
/// ```
///  outboxPut --commit--> entry --outboxReady--> home worker: match, insert with source, deliver
///                          |                                          |
///                          +<-------------- outboxDone ---------------+
/// ```
/// Sent in the order of sequences, `InboxLimits.outboxWindow` at a time; sent again after a change
/// of leader or `retryMilliseconds`. Receivers drop repeats by source.
extension InboxMachine {
    func outboxPut(
        _ command: OutboxPutCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        var result = OutboxPutResult(items: [])
        for item in command.items {
            result.items.append(outboxPut(command.tenant, item, position, output))
        }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func outboxPut(
        _ tenant: [UInt8], _ item: OutboxPutCommand.Item, _ position: ApplyPosition,
        _ output: MachineOutput
    ) -> OutboxPutResult.Item {
        let index = find(SessionName(tenant: tenant, clientID: item.clientID))
        guard index >= 0, sessions[index].pointee.kind == .stored else {
            return .init(status: .noSession, sequence: 0)
        }
        guard item.ownerEpoch.rawValue == sessions[index].pointee.ownerEpoch else {
            return .init(status: .staleOwner, sequence: 0)
        }
        let extras = extras(index)
        let at = extras.inboundIndex(item.packetID)
        if at < extras.inbound.count, extras.inbound[at].packetID == item.packetID {
            return .init(status: .duplicate, sequence: extras.inbound[at].sequence)
        }
        guard extras.outbox.count < InboxLimits.outboxEntriesMax,
            extras.inbound.count < InboxLimits.inboundPacketIDsMax
        else {
            return .init(status: .quotaExceeded, sequence: 0)
        }
        let sequence = item.record.withUnsafeBytes {
            appendOutbox(
                index, willNumber: 0, byteCount: UInt32($0.count), record: $0, position, output)
        }
        extras.inbound.insert(.init(packetID: item.packetID, sequence: sequence), at: at)
        beginKey(index, .inbound)
        key.append(bigEndian: item.packetID)
        beginValue()
        value.append(bigEndian: sequence)
        put(output)
        return .init(status: .ok, sequence: sequence)
    }

    func outboxPublish(
        _ command: OutboxPublishCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        guard command.publisher.clientID.starts(with: [0, 0]) else {
            return output.result.append(status: .malformed)
        }
        var index = find(command.publisher)
        if index < 0 {
            index = create(command.publisher, .residue)
            sessions[index].pointee.incarnation = newIncarnation(index, position)
        }
        let extras = extras(index)
        var item = OutboxPutResult.Item(status: .ok, sequence: 0)
        if let known = extras.idempotency.first(where: { $0.key == command.idempotencyKey }) {
            item = .init(status: .duplicate, sequence: known.sequence)
        } else if extras.outbox.count >= InboxLimits.outboxEntriesMax
            || extras.idempotency.count >= InboxLimits.idempotencyKeysMax
        {
            item.status = .quotaExceeded
        } else {
            item.sequence = command.record.withUnsafeBytes {
                appendOutbox(
                    index, willNumber: 0, byteCount: UInt32($0.count), record: $0, position,
                    output)
            }
            remember(index, command.idempotencyKey, item.sequence, output)
        }
        putMetaOrRemove(index, output)
        output.result.append(status: .ok)
        OutboxPutResult(items: [item]).encode(into: &output.result)
    }

    private func remember(
        _ index: Int32, _ idempotencyKey: [UInt8], _ sequence: UInt64, _ output: MachineOutput
    ) {
        let expiresAt = time.milliseconds + InboxLimits.idempotencyMilliseconds
        extras(index).idempotency.append(
            .init(key: idempotencyKey, sequence: sequence, expiresAt: expiresAt))
        beginKey(index, .idempotency, idempotencyKey)
        beginValue()
        value.append(bigEndian: sequence)
        value.append(bigEndian: expiresAt)
        put(output)
        schedule(index)
    }

    /// Adds an entry, with its record or the number of the will that holds it.
    ///
    /// Value: version u8, will number u64 (0: the record follows), bytes u32, record.
    @discardableResult
    func appendOutbox(
        _ index: Int32, willNumber: UInt64, byteCount: UInt32, record: UnsafeRawBufferPointer?,
        _ position: ApplyPosition, _ output: MachineOutput
    ) -> UInt64 {
        let extras = extras(index)
        let sequence = extras.outboxNext
        extras.outboxNext += 1
        if extras.outboxOrigin == 0 {
            extras.outboxOrigin = BodyID.stamp(time, position)
            putCounters(index, output)
        }
        beginKey(index, .outbox, sequence)
        beginValue()
        value.append(bigEndian: willNumber)
        value.append(bigEndian: byteCount)
        if let record { value.append(record) }
        put(output)
        extras.outbox.append(
            .init(sequence: sequence, willNumber: willNumber, byteCount: byteCount))
        addWork(index)
        guard leaderTerm != nil else { return sequence }
        let isNext = extras.emittedThrough + 1 == sequence || extras.outbox.count == 1
        if let record, isNext, !extras.isReadingOutbox,
            isWithinWindow(sequence, of: extras)
        {
            emitOutbox(index, sequence, isWill: false, record, output)
        } else {
            pumpOutbox(index, output)
        }
        return sequence
    }

    /// Not so far ahead of the oldest open entry that receivers' marks could not tell them apart.
    private func isWithinWindow(_ sequence: UInt64, of extras: SessionExtras) -> Bool {
        guard let oldest = extras.outbox.first?.sequence else { return true }
        return sequence - oldest < UInt64(InboxLimits.outboxWindow)
    }

    /// Hands an entry to the home worker.
    private func emitOutbox(
        _ index: Int32, _ sequence: UInt64, isWill: Bool, _ record: UnsafeRawBufferPointer,
        _ output: MachineOutput
    ) {
        let extras = extras(index)
        let name = name(index)
        let source = OutboxSource(
            identity: InboxKeys.identity(tenant: name.tenant, clientID: name.clientID),
            origin: extras.outboxOrigin, sequence: sequence)
        extras.emittedThrough = sequence
        extras.emittedAt = time.milliseconds
        output.outbox.send(.outboxReady, to: options.home) { writer in
            writer.append(InboxLimits.formatVersion)
            name.encode(into: &writer)
            source.encode(into: &writer)
            writer.append(isWill ? 1 : 0)
            writer.append(bytes32: record)
        }
    }

    /// Reads the entries that may be sent and were not yet.
    func pumpOutbox(_ index: Int32, _ output: MachineOutput) {
        guard leaderTerm != nil, let extras = sessions[index].pointee.extras,
            !extras.isReadingOutbox
        else { return }
        let entries = extras.outbox.prefix(InboxLimits.outboxWindow).filter {
            $0.sequence > extras.emittedThrough && isWithinWindow($0.sequence, of: extras)
        }
        guard !entries.isEmpty else { return }
        var keys: [[UInt8]] = []
        for entry in entries {
            if entry.willNumber > 0 {
                beginKey(index, .will, entry.willNumber)
            } else {
                beginKey(index, .outbox, entry.sequence)
            }
            keys.append(key.array)
        }
        extras.isReadingOutbox = true
        _ = read(index, keys, .outbox(entries), output)
    }

    func completeOutboxRead(
        _ read: PendingRead, _ entries: [SessionExtras.OutboxEntry], _ values: [[UInt8]?],
        _ output: MachineOutput
    ) {
        guard let extras = sessions[read.session].pointee.extras else { return }
        extras.isReadingOutbox = false
        for (entry, value) in zip(entries, values) {
            guard entry.sequence > extras.emittedThrough,
                extras.outbox.contains(where: { $0.sequence == entry.sequence })
            else { continue }
            let head = entry.willNumber > 0 ? 1 : 13
            // Nothing overtakes an entry that cannot be read: it is tried again later.
            guard let value, value.count >= head else { return }
            value.withUnsafeBytes {
                emitOutbox(
                    read.session, entry.sequence, isWill: entry.willNumber > 0,
                    UnsafeRawBufferPointer(rebasing: $0[head...]), output)
            }
        }
        pumpOutbox(read.session, output)
    }

    func outboxDone(
        _ command: OutboxDoneCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        var result = BatchResult(statuses: [])
        for item in command.items {
            let index = find(SessionName(tenant: command.tenant, clientID: item.clientID))
            result.statuses.append(index < 0 ? .noSession : .ok)
            if index >= 0 { outboxDone(index, item.sequences, output) }
        }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func outboxDone(_ index: Int32, _ sequences: [UInt64], _ output: MachineOutput) {
        guard let extras = sessions[index].pointee.extras else { return }
        for sequence in sequences {
            guard let at = extras.outbox.firstIndex(where: { $0.sequence == sequence }) else {
                continue
            }
            let entry = extras.outbox.remove(at: at)
            beginKey(index, .outbox, sequence)
            delete(output)
            if entry.willNumber > 0 {
                beginKey(index, .will, entry.willNumber)
                delete(output)
            }
            if sequence + 1 == extras.outboxNext { putCounters(index, output) }
        }
        if !extras.hasWork { dropWork(index) }
        pumpOutbox(index, output)
        if sessions[index].pointee.kind == .residue { putMetaOrRemove(index, output) }
    }

    func pubrelReceived(_ command: PubrelReceivedCommand, _ output: MachineOutput) {
        var result = BatchResult(statuses: [])
        for item in command.items {
            result.statuses.append(pubrelReceived(command.tenant, item, output))
        }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func pubrelReceived(
        _ tenant: [UInt8], _ item: PubrelReceivedCommand.Item, _ output: MachineOutput
    ) -> InboxStatus {
        let index = find(SessionName(tenant: tenant, clientID: item.clientID))
        guard index >= 0, sessions[index].pointee.kind == .stored else { return .noSession }
        guard item.ownerEpoch.rawValue == sessions[index].pointee.ownerEpoch else {
            return .staleOwner
        }
        guard let extras = sessions[index].pointee.extras else { return .ok }
        for packetID in item.packetIDs {
            let at = extras.inboundIndex(packetID)
            guard at < extras.inbound.count, extras.inbound[at].packetID == packetID else {
                continue
            }
            extras.inbound.remove(at: at)
            beginKey(index, .inbound)
            key.append(bigEndian: packetID)
            delete(output)
        }
        return .ok
    }

    // MARK: Work that is not finished

    /// Puts a record on the list of those with an outbox or intents.
    func addWork(_ index: Int32) {
        let extras = extras(index)
        guard extras.workPosition < 0 else { return }
        extras.workPosition = Int32(work.count)
        work.append(index)
        scheduleRetry()
    }

    func dropWork(_ index: Int32) {
        guard let extras = sessions[index].pointee.extras, extras.workPosition >= 0 else { return }
        let position = Int(extras.workPosition)
        extras.workPosition = -1
        // A record that moves to the other half of a range goes on where it was.
        if extras.outbox.isEmpty { extras.emittedThrough = extras.outboxNext - 1 }
        guard let last = work.popLast(), last != index else { return }
        work[position] = last
        self.extras(last).workPosition = Int32(position)
    }

    /// Sends everything that is open for a record, from the start.
    func emitWork(_ index: Int32, _ output: MachineOutput) {
        guard let extras = sessions[index].pointee.extras else { return }
        extras.emittedThrough = 0
        extras.emittedAt = time.milliseconds
        emitIntents(index, from: 0, output)
        pumpOutbox(index, output)
    }

    func scheduleRetry() {
        guard leaderTerm != nil, !work.isEmpty, nextRetry == .max else { return }
        nextRetry = time.milliseconds + InboxLimits.retryMilliseconds
    }

    /// Sends again what was sent long ago and is still open.
    func retryWork(_ output: MachineOutput) {
        guard time.milliseconds >= nextRetry else { return }
        for index in work {
            guard let extras = sessions[index].pointee.extras,
                extras.emittedAt + InboxLimits.retryMilliseconds <= time.milliseconds
            else { continue }
            emitWork(index, output)
        }
        nextRetry = .max
        scheduleRetry()
    }
}

extension SessionExtras {
    /// Where a packet id is or belongs.
    func inboundIndex(_ packetID: UInt16) -> Int {
        var low = 0
        var high = inbound.count
        while low < high {
            let middle = (low + high) / 2
            if inbound[middle].packetID < packetID { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
