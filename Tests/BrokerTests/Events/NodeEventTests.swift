import Base
import Broker
import Policy
import Simulation
import TestKit
import Testing

/// Events that concern a node and no client.
@Suite("Events of the node", .serialized)
struct NodeEventTests {
    @Test(
        "[event acceptPaused, acceptResumed] no descriptor is left, and then there are some again")
    func descriptors() async {
        await #expect(processExitsWith: .success) {
            let notes = EventNotes()
            let node = try ServingNode { $0.sinks = [notes] }
            var taken = Descriptors.takeAll()
            // One for the client's side; there is none for the server's.
            Descriptors.giveBack([taken.removeLast()])
            let client = WireClient(port: node.port)
            for _ in 0..<10_000 where notes.count(.acceptPaused) == 0 {
                node.checkThatOthersAreServed()
            }
            // Accepting is tried again and again; that is told once.
            for _ in 0..<50 { node.checkThatOthersAreServed() }
            #expect(notes.count(.acceptPaused) >= 1 && notes.count(.acceptResumed) == 0)
            Descriptors.giveBack(taken)
            client.send(Greeting.connect(.v5, "late"))
            #expect(client.next()?.first == 0x20)
            for _ in 0..<10_000 where notes.count(.acceptResumed) == 0 {
                node.checkThatOthersAreServed()
            }
            let events = notes.all.map(\.event)
            #expect(events.contains(.node(.acceptPaused(listener: "tcp", reason: "errno 24"))))
            #expect(events.contains(.node(.acceptResumed(listener: "tcp"))))
        }
    }

    @Test("[event overloadStarted, overloadEnded] a late loop, and memory that is used up")
    func overload() throws {
        var limits = NodeLimits()
        limits.memory = 1_000
        limits.loopLag = .milliseconds(200)
        let wanted = limits
        let stage = try RigStage(workers: 1) { $0.limits = NodeLimitStore(wanted) }
        let client = stage.client("client")
        let worker = stage.rig.places[0].worker
        worker.noteTurn(.milliseconds(250))
        stage.pass([client])
        stage.rig.skip(.seconds(60))
        stage.settle([client]) { stage.count(.overloadEnded) == 1 }
        worker.noteMemory(1_200)
        worker.noteMemory(1_300)
        worker.noteMemory(100)
        stage.pass([client])
        let told = stage.rig.events.map(\.event).filter {
            $0.kind == .overloadStarted || $0.kind == .overloadEnded
        }
        #expect(
            told == [
                .node(.overloadStarted(resource: "loop 0", value: 250, limit: 200)),
                .node(.overloadEnded(resource: "loop 0")),
                .node(.overloadStarted(resource: "memory", value: 1_200, limit: 1_000)),
                .node(.overloadEnded(resource: "memory")),
            ])
    }
}
