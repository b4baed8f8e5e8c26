import Base
import Inbox
import MQTT

/// What the client acknowledges of a stored session's queue, on its way into the inbox.
extension Worker {
    /// How far the client's acknowledgement of an entry went.
    enum StoredAcknowledgement {
        case finished
        case received
    }

    func acknowledgeStored(
        _ sequence: UInt64, _ kind: StoredAcknowledgement,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard let stored = session.pointee.rare?.stored else { return }
        switch kind {
        case .finished:
            let size = stored.openSizes.removeValue(forKey: sequence) ?? 0
            finishStored(sequence, size: size, session, index)
        case .received:
            stored.unreleased.append(sequence)
            stored.acknowledgements.append(
                AcknowledgeCommand.Entry(sequence: sequence, kind: .pubrecReceived))
            markAcknowledging(session, index)
        }
    }

    func finishStored(
        _ sequence: UInt64, size: Int, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard let stored = session.pointee.rare?.stored else { return }
        stored.messagesFinished += 1
        if stored.replayDebt > 0 {
            stored.replayDebt -= 1
            resumeReplays(session)
        }
        if !stored.transferred.isEmpty {
            let oldest = stored.transferred.removeFirst()
            acknowledge(oldest.membership, oldest.sequence, .acknowledged)
        }
        stored.bytesFinished += UInt64(size)
        guard sequence != 0 else { return }
        stored.acknowledgements.append(
            AcknowledgeCommand.Entry(sequence: sequence, kind: .acknowledged))
        markAcknowledging(session, index)
    }

    private func markAcknowledging(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard let stored = session.pointee.rare?.stored, !stored.isMarked else { return }
        stored.isMarked = true
        acknowledging.append(ref(session, index))
    }

    /// End of turn: one command for each session that acknowledged something, and more credit for
    /// those that have used half of theirs.
    func flushAcknowledgements() {
        for ref in acknowledging {
            guard let session = find(ref), let stored = session.pointee.rare?.stored else {
                continue
            }
            proposeAcknowledgements(stored, session, ref)
            if session.pointee.flags.contains(.outputHeld) { continue }
            let messagesLeft = Int(stored.messagesGranted) - Int(stored.messagesFinished)
            let bytesLeft = Int(stored.bytesGranted) - Int(stored.bytesFinished)
            if messagesLeft <= creditMessages(session) / 2 || bytesLeft <= creditBytes(session) / 2
            {
                grantCredit(session, restarts: false)
            }
        }
        acknowledging.removeAll(keepingCapacity: true)
    }

    private func proposeAcknowledgements(
        _ stored: StoredState, _ session: UnsafeMutablePointer<Session>, _ ref: SessionRef
    ) {
        stored.isMarked = false
        guard !stored.acknowledgements.isEmpty else { return }
        let name = sessionName(session)
        let entries = stored.acknowledgements
        stored.acknowledgements.removeAll(keepingCapacity: true)
        let received = entries.filter { $0.kind == .pubrecReceived }.map(\.sequence)
        let command = AcknowledgeCommand(
            tenant: name.tenant,
            items: [
                AcknowledgeCommand.Item(
                    clientID: name.clientID, ownerEpoch: session.pointee.ownerEpoch,
                    entries: entries)
            ])
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name), .acknowledge(ref, received: received)
        ) { InboxCommand.acknowledge(command).encode(into: &$0) }
        if !accepted {
            // The range takes nothing now: keep them for the next turn.
            stored.acknowledgements = entries + stored.acknowledgements
            retryAcknowledging.append(ref)
        }
    }

    /// PUBREC is committed: PUBREL may be sent, and is owed from now on. Without a commit the
    /// connection ends: its next one finds every exchange where the inbox has it.
    func acknowledged(
        _ sequences: [UInt64], _ result: BatchResult?, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        guard result?.statuses.first == .ok else {
            metrics.outcomesUnknown &+= 1
            disconnect(
                session, index, .serverBusy,
                .disconnect(.inboxTransientError(reason: "acknowledgement")))
            return
        }
        guard let stored = session.pointee.rare?.stored else { return }
        // Answers may overtake each other; PUBREL keeps the order of PUBREC [MQTT-4.6.0-4].
        stored.committed.formUnion(sequences)
        while let sequence = stored.unreleased.first,
            stored.committed.remove(sequence) != nil
        {
            stored.unreleased.removeFirst()
            guard session.pointee.machine.completeReceived(sequence) else { continue }
            sendAcknowledgement(
                .pubrel, session, packetID: OutboundWindow.packetID(of: sequence),
                reasonCode: .success)
        }
    }
}
