import Base
import EventLoops
import TestKit
import Testing

@Suite("Who is let in")
struct AdmissionTests {
    @Test(
        "a connection that is not let in is closed and owes nothing", arguments: PollerKind.backends
    )
    func refused(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        rig.handler.onArrived = { [unowned rig] _ in rig.handler.arrivals.count != 2 }
        let first = rig.connect()
        let second = LoopbackClient(port: rig.port)
        rig.run {
            second.read()
            return second.isEnded || second.failure != nil
        }
        #expect(rig.handler.open == [first.id])
        #expect(rig.handler.left == [])
        #expect(rig.loop.counters.refused == 1)
        let third = rig.connect()
        #expect(rig.handler.open == [first.id, third.id])
        rig.loop.close(first.id, afterFlush: false)
        rig.run { rig.handler.left == [first.id] }
        rig.shutDown()
        #expect(Set(rig.handler.left) == [first.id, third.id])
    }

    @Test(
        "a handler pauses a listener, and who waits there is taken afterwards",
        arguments: PollerKind.backends)
    func paused(poller: PollerKind) throws {
        let rig = try LoopRig(poller)
        rig.handler.onArrived = { [unowned rig] _ in
            rig.loop.pauseAccepting(0, for: .milliseconds(5))
            return true
        }
        let clients = (0..<20).map { _ in LoopbackClient(port: rig.port) }
        #expect(rig.run { rig.handler.open.count == clients.count })
        // The ring may have taken several before the kernel heard of the pause.
        #expect(rig.handler.pauses.count > 0)
        #expect(poller == .uring || rig.handler.pauses.count >= clients.count - 1)
        #expect(rig.handler.pauses.allSatisfy { $0 == .asked })
        #expect(rig.run { rig.handler.resumes == rig.handler.pauses.count })
        let late = rig.connect()
        #expect(rig.handler.open.contains(late.id))
    }
}
