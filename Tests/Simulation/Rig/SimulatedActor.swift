import Base
import MQTT

/// A client of the simulation with what it does for a living.
package final class SimulatedActor {
    package enum Kind: Equatable, Sendable {
        case publisher
        case subscriber(String)
    }

    package let client: RigClient
    package let kind: Kind
    package let isStored: Bool
    /// Nobody cuts it or sends it away.
    package let isLeftAlone: Bool
    private let rig: Rig
    /// Connections that this one has left open for the server to close.
    private var abandoned: [Rig.Link] = []
    private var wasGreeted = false
    private var asked: UInt16?
    /// The step of the SUBACK since which the session has had its subscription without a gap.
    package private(set) var subscribedSince: Int?
    /// The step of the first SUBACK by connection; 0 stands for all of a stored session's.
    package private(set) var firstSubscribed: [Int: Int] = [:]
    private var serials: [String: Int] = [:]

    package init(
        _ rig: Rig, _ name: String, _ kind: Kind, isStored: Bool, isLeftAlone: Bool = false
    ) {
        self.rig = rig
        self.kind = kind
        self.isStored = isStored
        self.isLeftAlone = isLeftAlone
        client = RigClient(rig, name)
    }

    /// A subscriber of its own, not a member of a group.
    package var isPlainSubscriber: Bool {
        switch kind {
        case .publisher: false
        case .subscriber(let filter): !filter.hasPrefix("$")
        }
    }

    package var filter: String {
        switch kind {
        case .publisher: ""
        case .subscriber(let filter): filter
        }
    }

    package var canAct: Bool { client.isConnected && wasGreeted }

    package var isSettled: Bool {
        canAct && client.sending.isEmpty && asked == nil
            && (kind == .publisher || subscribedSince != nil)
    }

    // MARK: Acting

    package func connect(to worker: Int) {
        wasGreeted = false
        asked = nil
        if !isStored { subscribedSince = nil }
        client.connect(to: worker, cleanStart: !isStored, expirySeconds: isStored ? 3_600 : 0)
    }

    /// Connects elsewhere while the old connection is still open.
    package func takeOver(_ worker: Int) {
        if let link = client.link { abandoned.append(link) }
        connect(to: worker)
    }

    /// Retains a message on a topic that only this client writes, or clears it.
    package func retain(
        _ topic: String, _ qos: QoS, isClearing: Bool, _ journal: inout RetainedJournal
    ) {
        let serial = serials[topic, default: 0]
        serials[topic] = serial + 1
        let payload = isClearing ? "" : "\(client.clientID) \(topic) \(serial)"
        journal.noteWrite(topic, payload)
        client.publish(topic, payload, qos: qos, retain: true)
    }

    package func publish(
        _ topic: String, _ qos: QoS, _ step: Int, _ journal: inout Journal
    ) {
        let lane = "\(client.clientID) \(topic) \(qos.rawValue)"
        let serial = serials[lane, default: 0]
        serials[lane] = serial + 1
        let payload = "\(lane) \(serial)"
        journal.noteSent(
            payload, topic: topic, qos: qos, step: step, connection: client.connectionCount)
        client.publish(topic, payload, qos: qos)
    }

    // MARK: Receiving

    package func receive(_ step: Int, _ journal: inout Journal) {
        client.receive()
        for link in abandoned { _ = rig.take(link) }
        let stillOpen = abandoned.filter { rig.isOpen($0) }
        if client.isConnected, !stillOpen.isEmpty {
            journal.fail("\(client.clientID) has two owners at step \(step)")
        }
        abandoned = stillOpen
        if client.isConnected, !wasGreeted { greet(&journal) }
        if let asked, let codes = client.answers[asked] {
            self.asked = nil
            if codes.allSatisfy({ !$0.isFailure }) {
                subscribedSince = step
                let lifetime = isStored ? 0 : client.connectionCount
                firstSubscribed[lifetime] = firstSubscribed[lifetime] ?? step
            } else {
                subscribe()
            }
        }
    }

    private func greet(_ journal: inout Journal) {
        wasGreeted = true
        let isResumed = client.connack?.sessionPresent == true
        if isResumed {
            client.resumeSending()
        } else {
            if isStored, client.connectionCount > 1, subscribedSince != nil {
                journal.fail("\(client.clientID) lost its stored session")
            }
            client.forgetSession()
            subscribedSince = nil
        }
        if kind != .publisher, subscribedSince == nil { subscribe() }
    }

    private func subscribe() { asked = client.subscribe([filter]) }
}
