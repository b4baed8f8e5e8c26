import Base
import Broker
import Foundation
import MQTT
import Policy
import TestKit
import Testing

@Suite("The query door of a node", .serialized)
struct QueryDoorTests {
    /// Asks and waits for the answer on this thread.
    private func ask(
        _ door: QueryDoor, _ request: DoorRequest, _ target: QueryDoor.Target = .any(0)
    ) -> DoorAnswer? {
        let answers = Guarded<[DoorAnswer]>([])
        let isThere = DispatchSemaphore(value: 0)
        door.ask(request, target) { answer in
            answers.withLock { $0.append(answer) }
            isThere.signal()
        }
        guard isThere.wait(timeout: .now() + 10) == .success else { return nil }
        return answers.withLock { $0.first }
    }

    @Test("a request from another thread is answered, and leaves nothing open")
    func answers() throws {
        let node = try ServingNode()
        let client = WireClient(port: node.port)
        client.send(Greeting.connect(.v5, "watched"))
        #expect(HostileRow.answer(client, .v5) == .connack(0))
        let name = DoorSessionName(tenant: .standard, clientID: Array("watched".utf8))
        guard case .session(let session) = ask(node.door, .session(name)),
            let owner = session.owner
        else {
            Issue.record("the session is not found")
            return
        }
        let connection = DoorConnectionName(session: name, token: owner.token)
        guard
            case .connection(let shown) = ask(
                node.door, .connection(connection), .place(owner.place))
        else {
            Issue.record("its connection is not found")
            return
        }
        #expect(shown.peer.hasPrefix("127.0.0.1:"))
        #expect(shown.listener == "tcp")
        #expect(!shown.isWebSocket)
        guard case .figures(let figures) = ask(node.door, .figures, .place(owner.place)) else {
            Issue.record("no figures")
            return
        }
        #expect(figures[.sessionsLive] >= 1)
        #expect(figures[.bytesIn] > 0)
        #expect(figures[.turns] > 0)
        #expect(ask(node.door, .disconnect(connection), .place(owner.place)) == .done)
        #expect(HostileRow.answer(client, .v5) == .disconnect(0x98))
        #expect(node.door.openCount == 0)
    }

    @Test("what is too large, for another node or beyond the limit is refused at once")
    func limits() throws {
        let node = try ServingNode()
        var message = DoorMessage(topic: [0x61])
        message.payload = [UInt8](repeating: 0, count: DoorLimits.requestBytesMax)
        let publish = DoorRequest.publish(DoorPublish(tenant: .standard, message: message))
        #expect(ask(node.door, publish) == .refused(.tooLarge))
        let elsewhere = Place(node: NodeID(99), worker: WorkerIndex(0))
        #expect(ask(node.door, .health, .place(elsewhere)) == .refused(.moved))
        let absent = Place(node: node.door.node, worker: WorkerIndex(999))
        #expect(ask(node.door, .health, .place(absent)) == .refused(.moved))
        // Large requests one after the other fill the door before the loops take them, or they are
        // answered: never more is open than may be, and all are answered in the end.
        message.payload = [UInt8](repeating: 0, count: DoorLimits.requestBytesMax / 4)
        let large = DoorRequest.publish(DoorPublish(tenant: .standard, message: message))
        let count = Guarded(0)
        let isDone = DispatchSemaphore(value: 0)
        for _ in 0..<100 {
            node.door.ask(large, .any(0)) { _ in
                if count.withLock({
                    $0 += 1; return $0 == 100
                }) {
                    isDone.signal()
                }
            }
        }
        #expect(isDone.wait(timeout: .now() + 10) == .success)
        #expect(node.door.openCount == 0)
    }

    @Test("a node that has ended refuses what is asked")
    func stopped() throws {
        let node = try ServingNode()
        let door = node.door
        node.stop()
        #expect(ask(door, .health) == .refused(.stopped))
    }
}
