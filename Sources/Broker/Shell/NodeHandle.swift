import Base
import EventLoops

/// What threads other than its owner's may ask of a node.
package struct NodeHandle: Sendable {
    private let handles: [LoopHandle]
    private let beats: LoopBeats
    /// Replaced at a reload.
    package let limits: NodeLimitStore
    /// Clients, connections and memory as they are now.
    package let load: NodeLoad
    private let sysTopics: SysTopicPublisher?

    init(
        handles: [LoopHandle], beats: LoopBeats, limits: NodeLimitStore, load: NodeLoad,
        sysTopics: SysTopicPublisher?
    ) {
        self.handles = handles
        self.beats = beats
        self.limits = limits
        self.load = load
        self.sysTopics = sysTopics
    }

    /// Ends connections in good order, then the loops.
    package func drain() { for handle in handles { handle.requestDrain() } }

    /// Ends the loops at once.
    package func stop() { for handle in handles { handle.requestStop() } }

    /// How often the $SYS topics are published from now on; zero turns them off.
    package func setSysTopics(interval: Duration) { sysTopics?.set(interval: interval) }

    /// Asks every loop for a turn.
    package func wake() { for handle in handles { _ = handle.post([]) } }

    /// Turns that each loop has ended since its start.
    package var turns: [UInt64] { beats.all }
}

/// Turns of each loop, for the watchdog. Written by the loops, read by anyone.
final class LoopBeats: Sendable {
    /// Cells of one loop: two cache lines, so that loops do not slow each other.
    private static let stride = 16

    private let cells: AtomicCells
    private let workers: Int

    init(workers: Int) {
        self.workers = workers
        cells = AtomicCells(count: workers * Self.stride)
    }

    /// Called by the loop itself, once per turn.
    func beat(_ worker: WorkerIndex) {
        let index = Int(worker.rawValue) * Self.stride
        cells.publish(index, cells.load(index) &+ 1)
    }

    var all: [UInt64] { (0..<workers).map { cells.acquire($0 * Self.stride) } }
}

/// Ends the loops of a draining node together: as long as one of them has a client, it may ask
/// ranges that are homed on the others.
final class DrainGate: Sendable {
    private let drained = AtomicCells(count: 1)
    private let handles = Guarded<[LoopHandle]>([])

    /// The loops' handles, once they run.
    func connect(_ loops: [LoopHandle]) { handles.withLock { $0 = loops } }

    /// Called by each loop once, when it has nothing left to do.
    func pass() {
        let loops = handles.withLock { $0 }
        guard drained.add(0, 1) + 1 == UInt64(loops.count) else { return }
        for loop in loops { loop.requestStop() }
    }
}
