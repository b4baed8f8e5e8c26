import Base
import Broker
import EventLoops
import Inbox
import MQTT
import Simulation
import Testing

@Suite("Memory of an idle connection")
struct MemoryTests {
    /// A part of what each connection costs, and how large it may be.
    struct Part: CustomTestStringConvertible, Sendable {
        var name: String
        var bytes: Int
        var ceiling: Int
        var testDescription: String { name }
    }

    static let parts = [
        Part(name: "Session", bytes: IdleSizes.session, ceiling: 264),
        Part(name: "SessionMachine", bytes: IdleSizes.sessionMachine, ceiling: 120),
        Part(name: "ConnectionRecord", bytes: EventLoop.recordSize, ceiling: 72),
        Part(name: "a timer", bytes: TimerWheel.nodeBytes, ceiling: 32),
        Part(name: "an owner", bytes: InboxMachine.ownerCellBytes, ceiling: 32),
    ]

    @Test("no part of a connection grows unnoticed", arguments: parts)
    func layout(part: Part) {
        #expect(
            part.bytes <= part.ceiling,
            """
            each of a million idle connections pays for it: put the new field where padding is, or \
            into RareState if few sessions need it, or raise the ceiling and the table in \
            Docs/PERFORMANCE.md with it
            """)
    }

    /// Bytes by owner over all workers.
    private func memory(_ door: RigDoor, workers: Int) -> [Figure: Int] {
        var sums: [Figure: Int] = [:]
        for worker in 0..<workers {
            guard case .figures(let figures) = door.ask(.figures, worker: worker) else {
                Issue.record("worker \(worker) tells no figures")
                continue
            }
            for row in FigureTable.memoryRows {
                sums[row.figure, default: 0] += Int(figures[row.figure])
            }
        }
        return sums
    }

    @Test("what a thousand sessions take is told by owner, and given back when they go")
    func comeAndGo() throws {
        let stage = try RigStage(workers: 2)
        let door = RigDoor(stage.rig)
        let before = memory(door, workers: 2)
        let count = 1_000
        let clients = (0..<count).map { RigClient(stage.rig, "client-\($0)", version: .v311) }
        for (index, client) in clients.enumerated() {
            client.connect(to: index % 2) { $0.keepAlive = 60 }
        }
        stage.settle(clients) { clients.allSatisfy(\.isConnected) }
        for (index, client) in clients.enumerated() {
            _ = client.subscribe(["state/\(index)"], qos: .atMostOnce)
        }
        stage.settle(clients) { clients.allSatisfy { $0.answers.count == 1 } }
        stage.pass(clients)
        let held = memory(door, workers: 2)
        func more(_ figure: Figure) -> Int { (held[figure] ?? 0) - (before[figure] ?? 0) }
        // A chunk more for each worker is in order, and arrays that have doubled.
        for (figure, least, most) in [
            (Figure.memorySessions, IdleSizes.session, IdleSizes.session * 3 / 2 + 8),
            (.memoryNames, 32, 48), (.memoryTimers, 32, 48), (.memorySubscriptions, 40, 110),
            (.memoryRoutes, 40, 110), (.memoryOwners, 45, 110),
        ] {
            #expect(
                (least * count...most * count).contains(more(figure)),
                "\(figure): \(more(figure) / count) bytes a session")
        }
        #expect(held[.memoryRareStates] == 0, "idle sessions keep what only CONNECT needs")
        for client in clients { client.leave() }
        stage.pass(clients, turns: 60)
        let after = memory(door, workers: 2)
        #expect(after[.memoryNames] == 0)
        #expect(after[.memorySessions] == held[.memorySessions])
    }
}
