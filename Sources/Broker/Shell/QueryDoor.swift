import Base
import EventLoops

/// The one way to ask a node something from outside its loops: requests become letters to a
/// worker, answers come back to whoever asked.
///
/// ```
///  any thread --ask--> letter in the worker's mail --> worker --> ranges --> ... --> complete
///       ^                                                                               |
///       +--------------------------- completion, on the loop's thread ------------------+
/// ```
/// Shared by all threads. Bounded by `DoorLimits.openMax` and `openBytesMax`: what is beyond is
/// refused at once. Decides nothing about the answers; which worker is asked follows from the
/// request alone, so that a later part may send it to another node.
package final class QueryDoor: Sendable {
    /// Takes an answer, on a loop's thread: it must return at once.
    package typealias Completion = @Sendable (DoorAnswer) -> Void

    /// Whom a request is for.
    package enum Target: Equatable, Sendable {
        /// Whichever worker the number falls on: the same for the same number, so that what is
        /// asked in order is done in order.
        case any(UInt64)
        case place(Place)
    }

    /// A request that waits for its answer.
    private struct Open {
        var byteCount: Int
        var completion: Completion
    }

    private struct Table {
        var open: [UInt64: Open] = [:]
        var byteCount = 0
        var nextTicket: UInt64 = 1
        var handles: [LoopHandle] = []
        var isClosed = false
    }

    private let table = Guarded(Table())
    package let node: NodeID
    package let workers: Int

    init(node: NodeID, workers: Int) {
        self.node = node
        self.workers = workers
    }

    /// The loops' handles, once they run.
    func connect(_ loops: [LoopHandle]) { table.withLock { $0.handles = loops } }

    /// Every worker of the node.
    package var places: [Place] {
        (0..<workers).map { Place(node: node, worker: WorkerIndex(UInt16($0))) }
    }

    /// Requests without an answer.
    package var openCount: Int { table.withLock { $0.open.count } }

    /// Asks. `completion` is called exactly once, here or on a loop's thread, unless the request is
    /// given up before. Returns its ticket.
    @discardableResult
    package func ask(
        _ request: DoorRequest, _ target: Target, _ completion: @escaping Completion
    ) -> UInt64? {
        let outcome = table.withLock { table in admit(request, target, completion, &table) }
        switch outcome {
        case .failure(let refusal):
            completion(.refused(refusal))
            return nil
        case .success(let letter):
            if !letter.handle.post(letter.bytes) { finish(letter.ticket, .refused(.busy)) }
            return letter.ticket
        }
    }

    /// A letter on its way to a loop.
    private struct Letter {
        var ticket: UInt64
        var bytes: [UInt8]
        var handle: LoopHandle
    }

    private func admit(
        _ request: DoorRequest, _ target: Target, _ completion: @escaping Completion,
        _ table: inout Table
    ) -> Result<Letter, DoorRefusal> {
        guard !table.isClosed, !table.handles.isEmpty else { return .failure(.stopped) }
        guard table.open.count < DoorLimits.openMax else { return .failure(.busy) }
        let ticket = table.nextTicket
        let bytes = request.letter(ticket: ticket)
        guard bytes.count <= DoorLimits.requestBytesMax else { return .failure(.tooLarge) }
        guard table.byteCount + bytes.count <= DoorLimits.openBytesMax else {
            return .failure(.busy)
        }
        let worker: WorkerIndex
        switch target {
        case .any(let number):
            worker = WorkerIndex(UInt16(truncatingIfNeeded: number % UInt64(workers)))
        case .place(let place):
            guard place.node == node else { return .failure(.moved) }
            worker = place.worker
        }
        guard let handle = table.handles.first(where: { $0.worker == worker }) else {
            return .failure(.moved)
        }
        table.nextTicket += 1
        table.byteCount += bytes.count
        table.open[ticket] = Open(byteCount: bytes.count, completion: completion)
        return .success(Letter(ticket: ticket, bytes: bytes, handle: handle))
    }

    /// Nobody waits for the answer any more; `completion` is not called.
    package func giveUp(_ ticket: UInt64) { _ = take(ticket) }

    /// A worker has answered.
    func complete(_ ticket: UInt64, _ answer: [UInt8]) {
        finish(ticket, DoorAnswer.decode(answer) ?? .refused(.malformed))
    }

    private func finish(_ ticket: UInt64, _ answer: DoorAnswer) {
        take(ticket)?.completion(answer)
    }

    private func take(_ ticket: UInt64) -> Open? {
        table.withLock { table in
            guard let open = table.open.removeValue(forKey: ticket) else { return nil }
            table.byteCount -= open.byteCount
            return open
        }
    }

    /// The loops have ended: what is open is refused, and whatever comes.
    func close() {
        let left = table.withLock { table in
            table.isClosed = true
            table.handles = []
            table.byteCount = 0
            defer { table.open = [:] }
            return table.open.values.map(\.completion)
        }
        for completion in left { completion(.refused(.stopped)) }
    }
}
