import Policy
import TestKit
import Testing

/// Every kind of event that one node can raise, raised by what clients do.
///
/// Kinds that concern files, sockets and the process itself are provoked where those are: in the
/// tests of the program, of the listeners and of overload.
@Suite("Events")
struct EventTests {
    @Test("of connections that get no session", arguments: EventRow.channels)
    func channels(row: EventRow) throws { try row.check(seed: 31) }

    @Test("of sessions that lose their connection", arguments: EventRow.disconnects)
    func disconnects(row: EventRow) throws { try row.check(seed: 32) }

    @Test("of packets and of messages on their way in", arguments: EventRow.publishes)
    func publishes(row: EventRow) throws { try row.check(seed: 33) }

    @Test("of messages on their way out", arguments: EventRow.pushes)
    func pushes(row: EventRow) throws { try row.check(seed: 34) }

    @Test("of routes and of sessions", arguments: EventRow.sessions)
    func sessions(row: EventRow) throws { try row.check(seed: 35) }

    @Test("a tenant that is not debugged has its messages counted and nothing built of them")
    func countsOnly() throws {
        let stage = try RigStage(seed: 36, settings: ["DebugModeEnabled": "false"])
        let client = stage.client("client")
        #expect(stage.subscribe(client, "a") == [.grantedQoS2])
        for qos in [0, 1, 2] as [UInt8] {
            stage.publish(client, "a", "\(qos)", qos: .init(rawValue: qos) ?? .atMostOnce)
        }
        stage.settle([client]) { client.received.count == 3 }
        stage.pass([client])
        let counted: [EventKind: Int] = [
            .qos0Pushed: 1, .qos1Pushed: 1, .qos2Pushed: 1, .pubAcked: 1, .pubReced: 1,
            .qos1Confirmed: 1, .qos2Received: 1, .qos2Confirmed: 1, .disted: 3, .delivered: 3,
        ]
        for (kind, count) in counted {
            #expect(stage.counted(kind) == count, "\(kind)")
            #expect(stage.count(kind) == 0, "\(kind)")
        }
    }
}
