import Base
import Inbox
import MQTT

/// QoS 1 and 2 messages sent to a client and not yet finished, by sequence.
///
/// The packet id is a function of the sequence (`PushMessage.packetID`), so it needs no table and,
/// for a stored session, no write: every owner computes the same. The ids above are for messages
/// that a stored session holds for a shared group, which are not of its own queue.
/// ```
///   base                                next
///    | PUBACK | finished | PUBREC | ... |         one byte each; the front is cut while finished
/// ```
/// Owned by its session. Span and count are at most `span`; the count is bounded by the client's
/// receive maximum [MQTT-3.3.4-9].
package struct OutboundWindow: ~Copyable {
    /// What a message waits for.
    package enum Phase: UInt8, BitwiseCopyable {
        case finished
        case awaitsPuback
        case awaitsPubrec
        /// PUBREC came; the stored session has not yet committed that fact.
        case awaitsCommit
        case awaitsPubcomp
    }

    /// Sequences that may be open between the oldest and the newest.
    package static let span = Int(InboxLimits.packetIDWindow)

    private var phases = RingQueue<Phase>()
    /// Stands behind the ring, whose last four bytes would be padding.
    private var openCount: UInt32 = 0
    /// Sequence of the first phase in the ring.
    package private(set) var base: UInt64
    /// Messages not finished.
    package var inFlight: Int { Int(openCount) }

    package init(firstSequence: UInt64 = 1) { base = firstSequence }

    /// The sequence that follows the newest.
    package var next: UInt64 { base + UInt64(phases.count) }

    package static func packetID(of sequence: UInt64) -> UInt16 {
        PushMessage.packetID(ofSequence: sequence)
    }

    /// Whether `sequence` can be opened without two open messages sharing a packet id.
    package func hasRoom(for sequence: UInt64) -> Bool {
        phases.isEmpty || sequence < base + UInt64(Self.span)
    }

    /// Opens the message with this sequence, which is not below `next`; gaps count as finished.
    package mutating func open(_ sequence: UInt64, _ phase: Phase) {
        invariant(sequence >= next && hasRoom(for: sequence), "open \(sequence), next \(next)")
        if phases.isEmpty { base = sequence }
        while next < sequence { phases.append(.finished) }
        phases.append(phase)
        openCount += 1
    }

    /// The open sequence with this packet id.
    package func sequence(of packetID: UInt16) -> UInt64? {
        guard packetID > 0, packetID < InboxLimits.leasedPacketIDs.lowerBound else { return nil }
        let cycle = InboxLimits.packetIDWindow + 1
        let offset = (UInt64(packetID) + cycle - UInt64(Self.packetID(of: base))) % cycle
        guard offset < UInt64(phases.count), phases[Int(offset)] != .finished else { return nil }
        return base + offset
    }

    package func phase(of sequence: UInt64) -> Phase {
        guard sequence >= base, sequence < next else { return .finished }
        return phases[Int(sequence - base)]
    }

    package mutating func advance(_ sequence: UInt64, to phase: Phase) {
        invariant(sequence >= base && sequence < next, "advance \(sequence) in \(base)..<\(next)")
        phases[Int(sequence - base)] = phase
    }

    /// Takes back the newest: its message was not sent after all.
    package mutating func finishNewest() { finish(next - 1) }

    /// The exchange has ended; its packet id may be used again.
    package mutating func finish(_ sequence: UInt64) {
        guard phase(of: sequence) != .finished else { return }
        phases[Int(sequence - base)] = .finished
        openCount -= 1
        while !phases.isEmpty, phases[0] == .finished {
            phases.removeFirst()
            base += 1
        }
    }
}
