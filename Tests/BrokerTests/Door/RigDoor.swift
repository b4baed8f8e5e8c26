import Broker
import Simulation

/// The query door of a rig: letters go straight to a worker, answers are read from its port.
final class RigDoor {
    private let rig: Rig
    private var nextTicket: UInt64 = 1

    init(_ rig: Rig) { self.rig = rig }

    /// Hands a request over; its answer is found with `answer`.
    func post(_ request: DoorRequest, to worker: Int) -> UInt64 {
        let ticket = nextTicket
        nextTicket += 1
        let place = rig.places[worker]
        place.worker.beginTurn(now: rig.now, wallTime: rig.wallTime)
        request.letter(ticket: ticket).withUnsafeBytes { place.worker.receiveOutside($0) }
        return ticket
    }

    /// Every answer with this ticket: there must be one.
    func answers(_ ticket: UInt64) -> [DoorAnswer] {
        rig.places.flatMap(\.port.doorAnswers).filter { $0.ticket == ticket }
            .compactMap { DoorAnswer.decode($0.answer) }
    }

    /// Asks and waits; nil if no answer comes.
    func ask(_ request: DoorRequest, worker: Int = 0, while clients: [RigClient] = [])
        -> DoorAnswer?
    {
        let ticket = post(request, to: worker)
        let isAnswered = rig.run {
            for client in clients { client.receive() }
            return !self.answers(ticket).isEmpty
        }
        return isAnswered ? answers(ticket).first : nil
    }

    /// All pages of a list.
    func sessions(_ list: DoorList, workers: Int) -> [DoorSession] {
        var found = pages(of: list, worker: 0) { .storedSessions($0) }
        for worker in 0..<workers {
            found += pages(of: list, worker: worker) { .connectedSessions($0) }
        }
        return found
    }

    private func pages(
        of list: DoorList, worker: Int, _ request: (DoorList) -> DoorRequest
    ) -> [DoorSession] {
        var list = list
        var found: [DoorSession] = []
        for _ in 0..<1_000 {
            guard case .sessionPage(let page) = ask(request(list), worker: worker) else {
                return found
            }
            found += page.sessions
            if page.cursor.isEmpty { return found }
            list.cursor = page.cursor
        }
        return found
    }
}
