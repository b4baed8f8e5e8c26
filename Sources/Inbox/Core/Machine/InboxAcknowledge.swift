import Base
import KV

/// Entries leaving queues.
extension InboxMachine {
    func acknowledge(
        _ command: AcknowledgeCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        var result = BatchResult(statuses: [])
        for item in command.items {
            result.statuses.append(acknowledge(command.tenant, item, output))
        }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func acknowledge(
        _ tenant: [UInt8], _ item: AcknowledgeCommand.Item, _ output: MachineOutput
    ) -> InboxStatus {
        let index = find(SessionName(tenant: tenant, clientID: item.clientID))
        guard index >= 0, sessions[index].pointee.hasQueue else { return .noSession }
        let session = sessions[index]
        let isGroup = session.pointee.kind == .group
        guard isGroup || item.ownerEpoch.rawValue == session.pointee.ownerEpoch else {
            return .staleOwner
        }
        guard let queue = session.pointee.queue else { return .ok }
        for entry in item.entries {
            if isGroup { endLease(index, entry.sequence) }
            guard let at = queue.index(of: entry.sequence) else { continue }
            switch entry.kind {
            case .acknowledged: removeEntry(index, at, output)
            case .pubrecReceived:
                if isGroup {
                    removeEntry(index, at, output)
                } else if queue.entries[at].qos == 2, !queue.entries[at].isReleased {
                    releaseEntry(index, at, output)
                }
            case .released: if isGroup { giveBack(index, at, output) }
            }
        }
        if isGroup { dispatchGroup(index, output) } else { pump(index, output) }
        return .ok
    }

    /// Takes an entry out of queue and store.
    func removeEntry(_ index: Int32, _ at: Int, _ output: MachineOutput) {
        guard let queue = sessions[index].pointee.queue else { return }
        let entry = queue.entries[at]
        beginKey(
            index, entry.isReleased && sessions[index].pointee.kind != .group ? .inFlight : .entry,
            entry.sequence)
        delete(output)
        if entry.isReleased, sessions[index].pointee.kind == .group {
            beginKey(index, .inFlight, entry.sequence)
            delete(output)
        }
        releaseBody(entry.body, output)
        queue.remove(at: at)
        if entry.sequence + 1 == sessions[index].pointee.nextSequence {
            putCounters(index, output)
        }
    }

    /// PUBREC: the message is no longer needed, only its number.
    private func releaseEntry(_ index: Int32, _ at: Int, _ output: MachineOutput) {
        guard let queue = sessions[index].pointee.queue else { return }
        let entry = queue.entries[at]
        beginKey(index, .entry, entry.sequence)
        delete(output)
        releaseBody(entry.body, output)
        queue.release(at: at)
        beginKey(index, .inFlight, entry.sequence)
        beginValue()
        value.append(queue.entries[at].flags)
        put(output)
    }

    func releaseBody(_ body: Int32, _ output: MachineOutput) {
        guard body >= 0 else { return }
        bodies[body].pointee.count -= 1
        guard bodies[body].pointee.count == 0 else { return }
        key.removeAll()
        InboxKeys.appendBody(
            &key, bucket: bodies[body].pointee.bucket, id: bodies[body].pointee.id)
        delete(output)
        bodies.remove(body)
    }

    /// Takes everything out; returns how many messages that were.
    func removeQueue(_ index: Int32, _ output: MachineOutput) -> Int {
        let session = sessions[index]
        guard let queue = session.pointee.queue else { return 0 }
        let messages = Int(queue.messages)
        var at = queue.head
        while at < queue.entries.count {
            let entry = queue.entries[at]
            at += 1
            if entry.isGone { continue }
            if !entry.isReleased || session.pointee.kind == .group {
                beginKey(index, .entry, entry.sequence)
                delete(output)
            }
            if entry.isReleased {
                beginKey(index, .inFlight, entry.sequence)
                delete(output)
            }
            releaseBody(entry.body, output)
        }
        queue.forgetBytes()
        session.pointee.queue = nil
        return messages
    }
}
