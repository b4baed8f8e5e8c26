import Base
import MQTT

/// A client that comes once, asks for everything retained and stays: what it finds must be what
/// was acknowledged before it asked, or newer.
package final class Prober {
    package static let filter = "r/#"

    package let client: RigClient
    /// The step in which it comes.
    package let start: Int
    private var asked: UInt16?
    private var settled: [String: Int] = [:]
    private var isAnswered = false

    package init(_ rig: Rig, _ name: String, start: Int) {
        client = RigClient(rig, name)
        self.start = start
    }

    package var isSettled: Bool { client.isConnected && isAnswered }

    /// `settled`: what is acknowledged now. A connection that fails is followed by another, which
    /// asks anew.
    package func act(_ step: Int, worker: Int, settled: @autoclosure () -> [String: Int]) {
        guard step >= start else { return }
        client.receive()
        if client.link == nil {
            (asked, isAnswered) = (nil, false)
            client.connect(to: worker)
        } else if client.isConnected, asked == nil {
            self.settled = settled()
            asked = client.subscribe([Self.filter])
        } else if let asked, let codes = client.answers[asked], !isAnswered {
            isAnswered = codes.allSatisfy { !$0.isFailure }
            if !isAnswered { self.asked = nil }
        }
    }

    package func judge(_ journal: inout RetainedJournal, isFinal: Bool) {
        let messages = client.received.filter { $0.connection == client.connectionCount }
        journal.judge(client.clientID, messages, settled: settled, isFinal: isFinal)
    }
}
