import Base
import MQTT

/// The protocol of one session: which packets may come, what is in flight both ways, what is owed.
///
/// One machine for all versions and both kinds (transient, stored): version and persistence are
/// values. Pure: packets and completions in, verdicts out; it knows no socket, clock, topic table
/// or store. Owned by a worker, in its session slab, from CONNECT until the session or its
/// connection ends. An idle machine holds no heap memory.
///
/// Bounds: inbound by the receive maximum that CONNACK announced, outbound by the client's, the
/// queue by the tenant's settings (`QueueLimits`).
package struct SessionMachine: ~Copyable {
    package let version: ProtocolVersion
    /// Whether the session outlives its connection; its queue then lives in an inbox range.
    package let isStored: Bool
    /// QoS 1 and 2 messages that the client takes at once [MQTT-3.3.4-7], and its tenant allows.
    package var receiveMaximum: UInt16
    /// Messages in flight that a stored session holds for shared groups.
    package var leasedCount: Int32 = 0
    package var inbound = InboundWindow()
    package var outbound = OutboundWindow()
    /// Messages of a transient session that wait for room in the window or in the socket.
    package var queue = MessageQueue()

    package init(
        version: ProtocolVersion, isStored: Bool, receiveMaximum: UInt16
    ) {
        self.version = version
        self.isStored = isStored
        self.receiveMaximum = receiveMaximum
    }

    // MARK: From the client: publishing

    /// What to do with a PUBLISH of QoS 1 or 2.
    package enum PublishVerdict: Equatable {
        /// Publish it; `complete(serial)` follows when its outcome is known. If it is the last that
        /// the window takes, a 3.x connection, which cannot know the limit, is not read on until
        /// an acknowledgement has left.
        case publish(serial: UInt32, isLast: Bool)
        /// A QoS 2 repeat whose PUBREC had left: send it again, publish nothing.
        case answerRepeat
        /// A QoS 2 repeat whose first copy is still under way: nothing to do.
        case ignoreRepeat
        /// More unacknowledged publishes than CONNACK allowed [MQTT-3.3.4-7].
        case exceedsReceiveMaximum
        /// Another exchange, of the other QoS, has this packet id [MQTT-2.2.1-3]. In 5.0
        /// `complete(serial)` with the refusal, whose turn it then is; 3.x has no word for it.
        case identifierInUse(serial: UInt32?)
    }

    /// `limit`: the receive maximum that was announced to this client.
    package mutating func receivePublish(packetID: UInt16, qos: QoS, limit: Int) -> PublishVerdict {
        if qos == .exactlyOnce, inbound.unreleased.contains(packetID) {
            return inbound.isAnswered(packetID) ? .answerRepeat : .ignoreRepeat
        }
        if version == .v5, inbound.unacknowledgedCount >= limit { return .exceedsReceiveMaximum }
        // A QoS 1 repeat of an open QoS 1 PUBLISH is no fault: it is published once more.
        let isInUse =
            qos == .atLeastOnce
            ? inbound.unreleased.contains(packetID) : inbound.isOpenQoS1(packetID)
        if isInUse {
            return .identifierInUse(
                serial: version == .v5 ? inbound.open(packetID: packetID, qos: qos) : nil)
        }
        guard let serial = inbound.open(packetID: packetID, qos: qos) else { return .ignoreRepeat }
        // Only acknowledgements that are ours to give may hold a client back: its QoS 2 exchanges
        // must be able to end.
        return .publish(serial: serial, isLast: version != .v5 && inbound.waitingCount >= limit)
    }

    /// What PUBREL is answered with [MQTT-4.3.3-11].
    package mutating func receivePubrel(packetID: UInt16) -> ReasonCode {
        inbound.release(packetID) ? .success : .packetIdentifierNotFound
    }

    // MARK: From the client: acknowledging

    /// What an acknowledgement leads to.
    package enum AckVerdict: Equatable {
        /// The exchange has ended; a stored session tells its inbox.
        case finished(sequence: UInt64, refused: Bool)
        /// Send PUBREL with this packet id.
        case release(sequence: UInt64)
        /// A stored session commits that PUBREC came, then PUBREL is sent.
        case commitReceived(sequence: UInt64)
        /// PUBREC for an unknown id in MQTT 5: PUBREL says so; in 3.x PUBREL ends the exchange.
        case releaseUnknown
        /// Nothing is known of this packet id: the acknowledgement is ignored.
        case ignore
        /// The message waits for an acknowledgement of another kind: a protocol error.
        case wrongKind
    }

    package mutating func receivePuback(packetID: UInt16, reasonCode: ReasonCode) -> AckVerdict {
        guard let sequence = outbound.sequence(of: packetID) else { return .ignore }
        guard outbound.phase(of: sequence) == .awaitsPuback else { return .wrongKind }
        outbound.finish(sequence)
        return .finished(sequence: sequence, refused: reasonCode.isFailure)
    }

    package mutating func receivePubrec(packetID: UInt16, reasonCode: ReasonCode) -> AckVerdict {
        guard let sequence = outbound.sequence(of: packetID) else { return .releaseUnknown }
        switch outbound.phase(of: sequence) {
        case .awaitsPubrec:
            if reasonCode.isFailure {
                outbound.finish(sequence)
                return .finished(sequence: sequence, refused: true)
            }
            outbound.advance(sequence, to: isStored ? .awaitsCommit : .awaitsPubcomp)
            return isStored ? .commitReceived(sequence: sequence) : .release(sequence: sequence)
        case .awaitsPubcomp: return .release(sequence: sequence)
        case .awaitsPuback: return .wrongKind
        case .awaitsCommit, .finished: return .ignore
        }
    }

    /// The inbox has committed PUBREC. True if PUBREL is to be sent now.
    package mutating func completeReceived(_ sequence: UInt64) -> Bool {
        guard outbound.phase(of: sequence) == .awaitsCommit else { return false }
        outbound.advance(sequence, to: .awaitsPubcomp)
        return true
    }

    package mutating func receivePubcomp(packetID: UInt16) -> AckVerdict {
        guard let sequence = outbound.sequence(of: packetID) else { return .ignore }
        guard outbound.phase(of: sequence) == .awaitsPubcomp else { return .wrongKind }
        outbound.finish(sequence)
        return .finished(sequence: sequence, refused: false)
    }

    // MARK: To the client

    /// Whether a QoS 1 or 2 message may be sent now.
    package var hasSendQuota: Bool {
        outbound.inFlight + Int(leasedCount) < Int(receiveMaximum)
            && outbound.hasRoom(for: outbound.next)
    }

    /// Takes the next packet id for a message of a transient session.
    package mutating func openOutbound(_ qos: QoS) -> UInt16 {
        let sequence = outbound.next
        outbound.open(sequence, qos == .atLeastOnce ? .awaitsPuback : .awaitsPubrec)
        return OutboundWindow.packetID(of: sequence)
    }
}
