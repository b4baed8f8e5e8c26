import Base
import MQTT
import Policy

/// QoS 1 and 2: acknowledgements from the client, and those that we owe.
extension Worker {
    func handleAcknowledgement(
        _ type: PacketType, _ packet: AckPacket, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let packetID = packet.packetID
        if type == .pubrel {
            handlePubrel(packetID, session, index)
            return
        }
        if type == .puback, session.pointee.machine.isStored, finishLeased(packetID, session) {
            sendQueued(session, index)
            return
        }
        let verdict =
            type == .puback
            ? session.pointee.machine.receivePuback(
                packetID: packetID, reasonCode: packet.reasonCode)
            : type == .pubrec
                ? session.pointee.machine.receivePubrec(
                    packetID: packetID, reasonCode: packet.reasonCode)
                : session.pointee.machine.receivePubcomp(packetID: packetID)
        switch verdict {
        case .finished(let sequence, let isRefused):
            noteConfirmed(type, packetID, isRefused: isRefused, session)
            if isRefused { countRefused(type, session) }
            if session.pointee.machine.isStored {
                acknowledgeStored(sequence, .finished, session, index)
            } else if let share = session.pointee.rare?.share {
                finishFlight(sequence, share)
            }
            sendQueued(session, index)
        case .release(let sequence):
            if let share = session.pointee.rare?.share { finishFlight(sequence, share) }
            noteReceived(packetID, session)
            sendAcknowledgement(
                .pubrel, session, packetID: OutboundWindow.packetID(of: sequence),
                reasonCode: .success)
        case .commitReceived(let sequence):
            noteReceived(packetID, session)
            acknowledgeStored(sequence, .received, session, index)
        case .releaseUnknown:
            sendAcknowledgement(
                .pubrel, session, packetID: packetID, reasonCode: .packetIdentifierNotFound)
        case .ignore: metrics.strayAcknowledgements &+= 1
        case .wrongKind:
            disconnect(
                session, index, .protocolError,
                .disconnect(.protocolViolation(statement: "\(type) for another QoS")))
        }
    }

    /// The receiver took the message and wants nothing of it: nobody else gets it instead.
    private func countRefused(_ type: PacketType, _ session: UnsafeMutablePointer<Session>) {
        let reason = DropReason.receiverRefused
        let isAtLeastOnce = type == .puback
        events.drop(
            reason, kind: isAtLeastOnce ? .qos1Dropped : .qos2Dropped, session.pointee.tenant
        ) {
            record(session) {
                .push(
                    isAtLeastOnce
                        ? .qos1Dropped(topic: "", filter: "", size: 0, reason: reason)
                        : .qos2Dropped(topic: "", filter: "", size: 0, reason: reason))
            }
        }
    }

    private func handlePubrel(
        _ packetID: UInt16, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let reasonCode = session.pointee.machine.receivePubrel(packetID: packetID)
        if session.pointee.machine.isStored, reasonCode == .success {
            releaseStored(packetID, session, index)
        }
        sendAcknowledgement(.pubcomp, session, packetID: packetID, reasonCode: reasonCode)
        resumeInputIfHeld(session, index)
    }

    /// The outcome of a publish. 3.x has no word for a failure, and nobody has one for an outcome
    /// that is not known: the connection ends without the acknowledgement, so that the client
    /// publishes again.
    func finishPublish(
        _ serial: UInt32, _ outcome: PublishOutcome, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        if case .unknown = outcome {
            metrics.outcomesUnknown &+= 1
            disconnect(
                session, index, .serverBusy,
                .disconnect(.serverBusy(reason: "the outcome of a publish is not known")))
        } else if outcome.reasonCode.isFailure, session.pointee.machine.version != .v5 {
            end(session, index, .disconnect(.serverBusy(reason: "\(outcome.reasonCode)")))
        } else {
            completePublish(serial, outcome.reasonCode, session, index)
        }
    }

    /// A publish has its outcome: sends every acknowledgement whose turn it is.
    func completePublish(
        _ serial: UInt32, _ reasonCode: ReasonCode, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        session.pointee.machine.inbound.complete(serial, reasonCode)
        while let entry = session.pointee.machine.inbound.popDone() {
            if entry.reasonCode.isFailure, session.pointee.machine.version != .v5 {
                // 3.x has no word for a refusal, and PUBACK would promise what was not done.
                end(
                    session, index,
                    .disconnect(.resourceThrottled(reason: "publish: \(entry.reasonCode)")))
                return
            }
            sendAcknowledgement(
                entry.qos == .atLeastOnce ? .puback : .pubrec, session, packetID: entry.packetID,
                reasonCode: entry.reasonCode)
            noteAcknowledged(entry, session)
        }
        // Keep alive does not run against a client that waits for us.
        session.pointee.lastReceived = now
        resumeInputIfHeld(session, index)
    }

    /// Sends what waits in a transient session's queue, as far as window and socket allow.
    func sendQueued(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        defer { resumeReplays(session) }
        if let stored = session.pointee.rare?.stored, !stored.waiting.isEmpty {
            sendWaiting(stored, session, index)
            guard stored.waiting.isEmpty else { return }
        }
        while !session.pointee.machine.queue.isEmpty {
            let isQoS0 = session.pointee.machine.queue.first.qos == .atMostOnce
            if isQoS0 ? isOutputFull(session) : isOutputBlocked(session) { return }
            if !isQoS0, !session.pointee.machine.hasSendQuota { return }
            let queued = session.pointee.machine.queue.removeFirst()
            countMemory(-queued.record.count, session.pointee.tenant)
            deliverQueued(queued, session, index)
            queued.releaseAll()
        }
        if !session.pointee.flags.contains(.outputFull) { session.pointee.flags.remove(.slow) }
    }
}
