import Base
import MQTT

/// What a run's clients have sent, heard and received, and what must hold between these: nothing
/// of the broker's own is looked at.
///
/// Payloads are `publisher topic qos serial`: a lane, in which serials rise by one.
package struct Journal: Sendable {
    /// One PUBLISH as its publisher sent it.
    private struct Sent {
        var topic: String
        var qos: QoS
        var step: Int
        /// The publisher's, from 1.
        var connection: Int
        var code: ReasonCode?
    }

    private var sent: [String: Sent] = [:]
    package private(set) var failures: [String] = []
    package private(set) var acknowledgedCount = 0
    /// Deliveries that had to have happened, and were looked for.
    package private(set) var owedCount = 0

    private static let failuresMax = 20

    package init() {}

    package var sentCount: Int { sent.count }

    package mutating func fail(_ text: String) {
        if failures.count < Self.failuresMax { failures.append(text) }
    }

    package mutating func noteSent(
        _ payload: String, topic: String, qos: QoS, step: Int, connection: Int
    ) {
        sent[payload] = Sent(topic: topic, qos: qos, step: step, connection: connection)
    }

    package mutating func noteAcknowledged(_ actor: SimulatedActor) {
        for (payload, code) in actor.client.acknowledged {
            sent[payload]?.code = code
            acknowledgedCount += 1
            // A PUBREL that is repeated after its PUBCOMP was lost finds the exchange ended.
            let isEnded = code == .packetIdentifierNotFound
            if code.isFailure, !isEnded { fail("\(payload) was refused: \(code)") }
        }
    }

    // MARK: What a client has received

    private struct Lane: Hashable {
        var name: Substring
        /// 0 for a stored session, whose connections are one; else the connection.
        var connection: Int
        /// QoS 0 that waits on one worker may be overtaken by what its publisher sends through
        /// another after a reconnect: its order holds for one connection. 0 for other QoS.
        var publisherConnection: Int
    }

    /// Exactly once for QoS 2, at most once for QoS 0, and the order of each lane.
    package mutating func judgeReceived(_ actor: SimulatedActor) {
        var newest: [Lane: Int] = [:]
        var seen: [Lane: Set<Int>] = [:]
        let isMember = !actor.isPlainSubscriber
        for message in actor.client.received {
            guard let space = message.payload.lastIndex(of: " "),
                let original = sent[message.payload],
                let serial = Int(message.payload[message.payload.index(after: space)...])
            else {
                fail("\(actor.client.clientID) received \(message), which nobody sent")
                continue
            }
            let lane = Lane(
                name: message.payload[..<space],
                connection: actor.isStored ? 0 : message.connection,
                publisherConnection: original.qos == .atMostOnce ? original.connection : 0)
            let isFirst = seen[lane, default: []].insert(serial).inserted
            if !isFirst, message.qos != .atLeastOnce {
                fail("\(actor.client.clientID) received \(message.payload) twice")
            }
            // A group's messages come in the order of its members' turns. What was sent before the
            // subscription may come late, by a repeat of the publisher's.
            let isLater =
                original.step > actor.firstSubscribed[lane.connection] ?? .max
            if isFirst, !isMember, isLater, serial < newest[lane, default: -1] {
                fail(
                    "\(actor.client.clientID) received \(message.payload) behind "
                        + "\(newest[lane, default: -1])")
            }
            newest[lane] = max(serial, newest[lane, default: -1])
        }
    }

    /// Everything acknowledged that was sent after the SUBACK has arrived.
    package mutating func judgeDelivered(_ actor: SimulatedActor) {
        guard let since = actor.subscribedSince else { return }
        let received = Set(actor.client.received.map(\.payload))
        for (payload, one) in sent.sorted(by: { $0.key < $1.key })
        where one.step > since && one.code != nil {
            guard Self.matches(actor.filter, one.topic) else { continue }
            owedCount += 1
            if !received.contains(payload) {
                fail(
                    "\(actor.client.clientID) never received \(payload), acknowledged with "
                        + "\(one.code.map { "\($0)" } ?? ""), subscribed at step \(since), "
                        + "sent at \(one.step)")
            }
        }
    }

    /// What was acknowledged of the topics of a filter, with the step of sending.
    package func acknowledged(_ filter: String) -> [(payload: String, qos: QoS, step: Int)] {
        sent.filter { $0.value.code != nil && Self.matches(filter, $0.value.topic) }
            .map { ($0.key, $0.value.qos, $0.value.step) }.sorted { $0.0 < $1.0 }
    }

    /// Enough for the filters of the workload: `+` for a level, `#` at the end.
    private static func matches(_ filter: String, _ topic: String) -> Bool {
        let levels = topic.split(separator: "/")
        let wanted = filter.split(separator: "/")
        for (position, level) in wanted.enumerated() {
            if level == "#" { return true }
            guard position < levels.count, level == "+" || level == levels[position] else {
                return false
            }
        }
        return wanted.count == levels.count
    }
}
