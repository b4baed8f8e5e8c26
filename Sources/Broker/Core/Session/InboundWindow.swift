import Base
import MQTT

/// Publishes of one client that are not yet acknowledged, in the order they came.
///
/// ```
///   base                         base + entries.count
///    | done | open | done | open |          PUBACK and PUBREC leave from the front only, so
///      ^ leaves next                        that they keep the order of arrival
/// ```
/// Owned by its session. [MQTT-4.6.0-2] asks for the order of PUBACKs, [MQTT-4.6.0-3] of PUBRECs.
/// The caller bounds the number of entries by the receive maximum.
package struct InboundWindow: ~Copyable {
    /// One unacknowledged QoS 1 or 2 PUBLISH.
    package struct Entry: BitwiseCopyable {
        package var packetID: UInt16
        package var qos: QoS
        /// Meaningful once `isDone`.
        package var reasonCode: ReasonCode
        package var isDone: Bool
    }

    /// Serial of the first entry; serials rise by one per PUBLISH and wrap around.
    private var base: UInt32 = 0
    private var entries = RingQueue<Entry>()
    /// QoS 2 packet ids from PUBLISH to PUBREL: a repeat is not published again [MQTT-4.3.3-10].
    package private(set) var unreleased = PacketIDSet()

    package init() {}

    /// What counts against the receive maximum: QoS 1 until PUBACK, QoS 2 until PUBCOMP.
    package var unacknowledgedCount: Int { Int(openQoS1) + unreleased.count }
    private var openQoS1: UInt32 = 0

    package var isEmpty: Bool { entries.isEmpty }
    /// Publishes whose PUBACK or PUBREC has not left.
    package var waitingCount: Int { entries.count }

    /// One of those, by place: 0 is the oldest.
    package func waiting(at position: Int) -> Entry { entries[position] }

    /// Takes a PUBLISH and returns its serial; nil for a QoS 2 repeat. `isAnswered` then
    /// tells whether PUBREC is owed at once, or will leave when the first copy is done.
    package mutating func open(packetID: UInt16, qos: QoS) -> UInt32? {
        if qos == .exactlyOnce {
            guard unreleased.insert(packetID) else { return nil }
        } else {
            openQoS1 += 1
        }
        entries.append(
            Entry(packetID: packetID, qos: qos, reasonCode: .success, isDone: false))
        return base &+ UInt32(entries.count - 1)
    }

    /// Whether an exchange with this id has not ended.
    package func isOpen(_ packetID: UInt16) -> Bool {
        if unreleased.contains(packetID) { return true }
        return isOpenQoS1(packetID)
    }

    /// Whether a QoS 1 PUBLISH with this id has not had its PUBACK.
    package func isOpenQoS1(_ packetID: UInt16) -> Bool {
        guard openQoS1 > 0 else { return false }
        for position in 0..<entries.count where entries[position].packetID == packetID {
            if entries[position].qos == .atLeastOnce { return true }
        }
        return false
    }

    /// Whether the first copy of a repeated QoS 2 PUBLISH has had its PUBREC.
    package func isAnswered(_ packetID: UInt16) -> Bool {
        for position in 0..<entries.count where entries[position].packetID == packetID {
            if entries[position].qos == .exactlyOnce { return false }
        }
        return true
    }

    /// The publish with this serial has its outcome. Stale serials are ignored.
    package mutating func complete(_ serial: UInt32, _ reasonCode: ReasonCode) {
        let position = Int(serial &- base)
        guard position < entries.count else { return }
        entries[position].reasonCode = reasonCode
        entries[position].isDone = true
    }

    /// The next acknowledgement that may leave, if the front of the window is done.
    package mutating func popDone() -> Entry? {
        guard !entries.isEmpty, entries[0].isDone else { return nil }
        let entry = entries.removeFirst()
        base &+= 1
        if entry.qos == .exactlyOnce {
            if entry.reasonCode.isFailure { _ = unreleased.remove(entry.packetID) }
        } else {
            openQoS1 -= 1
        }
        return entry
    }

    /// PUBREL: ends the QoS 2 exchange. False if the id is unknown.
    package mutating func release(_ packetID: UInt16) -> Bool { unreleased.remove(packetID) }

    /// On resume: ids that the stored session had not released.
    package mutating func restore(unreleased packetID: UInt16) { _ = unreleased.insert(packetID) }
}
