import Base
import MQTT

/// What the members of one shared group have received, judged by what MQTT promises a group: of
/// every message one member gets a copy.
///
/// A member that is never disturbed (`steady`) makes the group one that always has somebody: from
/// its SUBACK on nothing may be lost.
package struct GroupJournal: Sendable {
    /// One copy.
    private struct Copy {
        var step: Int
        var member: Int
        var connection: Int
        var qos: QoS
    }

    package let filter: String
    /// Copies by payload, in the order of coming.
    private var copies: [String: [Copy]] = [:]
    /// The step in which a member's connection was seen to have ended.
    private var ends: [[Int: Int]] = []
    /// The last step in which a member's connection was not settled: it had no CONNACK yet, so an
    /// older one may still have been served.
    private var unsettled: [Int] = []
    private var noted: [Int] = []
    private var open: [Int] = []
    /// The step of the steady member's SUBACK, while its connection lasts.
    package private(set) var since: Int?
    private var steadyConnection = 0
    /// Messages that had to reach a member, and were looked for.
    package private(set) var owedCount = 0

    package init(filter: String) { self.filter = filter }

    /// Looks at the members after they have received what came in this step.
    package mutating func note(_ members: [SimulatedActor], steady: SimulatedActor, _ step: Int) {
        while noted.count < members.count {
            noted.append(0)
            unsettled.append(0)
            open.append(0)
            ends.append([:])
        }
        for (number, member) in members.enumerated() {
            let current = member.client.link == nil ? 0 : member.client.connectionCount
            for message in member.client.received[noted[number]...] {
                copies[message.payload, default: []].append(
                    Copy(
                        step: step, member: number, connection: message.connection,
                        qos: message.qos))
            }
            noted[number] = member.client.received.count
            if !member.client.isConnected { unsettled[number] = step }
            if open[number] != 0, open[number] != current { ends[number][open[number]] = step }
            open[number] = current
        }
        noteSteady(steady)
    }

    private mutating func noteSteady(_ steady: SimulatedActor) {
        if since != nil, !steady.isStored, steady.client.connectionCount != steadyConnection {
            since = nil
        }
        guard since == nil, let step = steady.subscribedSince else { return }
        since = step
        steadyConnection = steady.client.connectionCount
    }

    // MARK: Judging

    /// No copy too many: QoS 2 exactly once; QoS 1 again only after the connection that had it has
    /// ended, or if its publisher sent it again.
    package func repeats(isRepeated: (String) -> Bool) -> [String] {
        var failures: [String] = []
        for (payload, list) in copies.sorted(by: { $0.key < $1.key }) where list.count > 1 {
            guard let qos = list.map(\.qos).max() else { continue }
            let isExcused: Bool
            switch qos {
            case .atMostOnce: isExcused = false
            case .exactlyOnce: isExcused = false
            case .atLeastOnce:
                isExcused =
                    isRepeated(payload)
                    || zip(list, list.dropFirst()).allSatisfy { one, next in
                        ends[one.member][one.connection].map { $0 <= next.step } ?? false
                    }
            }
            if !isExcused {
                failures.append(
                    "\(filter): \(payload) came \(list.count) times: "
                        + list.map { "member \($0.member) at \($0.step)" }
                        .joined(separator: ", "))
            }
        }
        return failures
    }

    /// None too few: of what was sent since the steady member's SUBACK and acknowledged. A QoS 2
    /// message may end with a member's session [MQTT-4.8.2-5]: it counts only if none ended later,
    /// as the server sees it.
    package mutating func losses(
        _ owed: [(payload: String, qos: QoS, step: Int)], isStored: [Bool]
    ) -> [String] {
        guard let since else { return [] }
        let lastEnd = zip(unsettled, isStored).filter { !$0.1 }.map(\.0).max() ?? 0
        var failures: [String] = []
        for (payload, qos, step) in owed where step > since {
            if qos == .exactlyOnce, step <= lastEnd { continue }
            owedCount += 1
            if copies[payload] == nil {
                failures.append("\(filter): nobody received \(payload), sent at \(step)")
            }
        }
        return failures
    }
}
