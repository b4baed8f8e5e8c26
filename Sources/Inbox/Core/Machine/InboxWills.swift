import Base
import KV

/// Wills: kept with the connection, published through the outbox, exactly once.
///
/// | event | will without delay | will with delay |
/// |---|---|---|
/// | DISCONNECT 0x00 | deleted | deleted |
/// | connection lost, session lives on | published | published after the delay |
/// | connection lost, session ends with it | published | published |
/// | taken over, resumed | published | deleted |
/// | taken over, clean start | published | published |
/// | session expires while delayed | | published |
extension InboxMachine {
    /// The delay counts only as long as the session lives on without its connection.
    private func effectiveDelay(_ index: Int32, _ will: SessionExtras.Will) -> UInt32 {
        let session = sessions[index]
        return session.pointee.kind == .stored
            ? min(will.delaySeconds, session.pointee.expirySeconds) : 0
    }

    /// Another connection takes the session while there is a will of the one before.
    func settleWillAtTakeover(
        _ index: Int32, _ cleanStart: Bool, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        guard let will = sessions[index].pointee.extras?.will else { return }
        let isDue = will.dueAt == 0 && effectiveDelay(index, will) == 0
        if cleanStart || isDue {
            publishWill(index, position, output)
        } else {
            discardWill(index, output)
        }
    }

    func settleWillAtDetach(
        _ index: Int32, _ reason: DetachReason, _ position: ApplyPosition, _ output: MachineOutput
    ) -> WillOutcome {
        guard let extras = sessions[index].pointee.extras, let will = extras.will else {
            return .none
        }
        switch reason {
        case .discardWill:
            discardWill(index, output)
            return .discarded
        case .willNow:
            publishWill(index, position, output)
            return .published
        case .connectionLost:
            let delay = effectiveDelay(index, will)
            if delay == 0 {
                publishWill(index, position, output)
                return .published
            }
            extras.will?.dueAt = time.advanced(bySeconds: UInt64(delay)).milliseconds
            return .delayed
        }
    }

    /// Stores the will of a connection; the caller writes the meta row.
    func putWill(_ index: Int32, _ will: StoredWill, _ output: MachineOutput) {
        let number = nextNumber(index)
        extras(index).will = SessionExtras.Will(
            number: number, delaySeconds: will.delaySeconds, dueAt: 0,
            byteCount: UInt32(will.record.count))
        beginKey(index, .will, number)
        beginValue()
        value.append(will.record)
        put(output)
    }

    func discardWill(_ index: Int32, _ output: MachineOutput) {
        guard let extras = sessions[index].pointee.extras, let will = extras.will else { return }
        beginKey(index, .will, will.number)
        delete(output)
        extras.will = nil
    }

    /// The will becomes an outbox entry, which refers to its row; the caller writes the meta row.
    func publishWill(_ index: Int32, _ position: ApplyPosition, _ output: MachineOutput) {
        guard let extras = sessions[index].pointee.extras, let will = extras.will else { return }
        extras.will = nil
        appendOutbox(
            index, willNumber: will.number, byteCount: will.byteCount, record: nil, position,
            output)
    }

    /// Numbers intents and wills of a record.
    func nextNumber(_ index: Int32) -> UInt64 {
        let session = sessions[index]
        defer { session.pointee.nextNumber += 1 }
        return session.pointee.nextNumber
    }
}
