import Base

/// One range as this worker has it: the machine, its lanes, and what is under way.
///
/// Owned by a `RangeHost`. Replicated: descriptor's boundaries, lanes, index, time, machine.
/// Volatile: everything else; a new leader starts without it.
final class RangeReplica {
    @exclusivity(unchecked)
    var descriptor: RangeDescriptor
    let machine: any RangeMachine
    let engine: any Engine
    @exclusivity(unchecked)
    var lanes: LaneTable
    /// Index of the last applied entry.
    @exclusivity(unchecked)
    var appliedIndex: UInt64
    /// The range's time: the largest leader's time in the log so far.
    @exclusivity(unchecked)
    var time: WallTime
    @exclusivity(unchecked)
    var queue = HostQueue()
    /// In the host's list of replicas with something to do.
    @exclusivity(unchecked)
    var isActive = false
    /// What the machine said after the last call of it.
    @exclusivity(unchecked)
    var nextDue = WallTime.distantFuture
    /// A `due` entry is on its way through the log.
    @exclusivity(unchecked)
    var isDueProposed = false
    /// Every number up to this one is released.
    @exclusivity(unchecked)
    var releasedThrough: UInt64 = 0
    /// Answers that wait for a release. At most `RangeLimits.heldAnswersMax`.
    @exclusivity(unchecked)
    var held: [HeldAnswer] = []
    /// Reads that the machine asked for, answered in a later turn.
    @exclusivity(unchecked)
    var reads: [(token: UInt64, keys: [[UInt8]])] = []

    struct HeldAnswer {
        /// Goes out when the release reaches this number.
        var until: UInt64
        var envelope: CommandEnvelope
        var place: Place
    }

    init(
        descriptor: RangeDescriptor, machine: any RangeMachine, engine: any Engine,
        lanes: LaneTable = LaneTable(), appliedIndex: UInt64 = 0, time: WallTime = .zero
    ) {
        self.descriptor = descriptor
        self.machine = machine
        self.engine = engine
        self.lanes = lanes
        self.appliedIndex = appliedIndex
        self.time = time
    }

    var position: ApplyPosition {
        ApplyPosition(
            index: appliedIndex, time: time, term: descriptor.leaderTerm, isLeader: true)
    }

    var hasWork: Bool { !queue.isEmpty || !reads.isEmpty }

    /// Keeps an answer back, or moves it to where the last repeat came from.
    func hold(_ envelope: CommandEnvelope, until: UInt64, for place: Place) {
        let answer = HeldAnswer(until: until, envelope: envelope, place: place)
        let known = held.firstIndex {
            $0.envelope.number == envelope.number && $0.envelope.lane == envelope.lane
        }
        if let known {
            held[known] = answer
        } else if held.count < RangeLimits.heldAnswersMax {
            held.append(answer)
        }
    }
}

/// The open questions of a host, by ticket.
///
/// ```
///  ticket: generation u32 | slot u32
/// ```
/// At most `RangeLimits.openQuestionsMax`.
struct TicketTable {
    struct Ticket {
        var question: Question
        var place: Place
    }

    private var slots: [Ticket?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []

    var isFull: Bool {
        free.isEmpty && slots.count >= RangeLimits.openQuestionsMax
    }

    mutating func insert(_ question: Question, from place: Place) -> QueryTicket {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = Ticket(question: question, place: place)
        } else {
            slot = slots.count
            slots.append(Ticket(question: question, place: place))
            generations.append(0)
        }
        return QueryTicket(UInt64(generations[slot]) << 32 | UInt64(slot))
    }

    /// The question, once; nil for a ticket that was answered before.
    mutating func remove(_ ticket: QueryTicket) -> Ticket? {
        let slot = Int(ticket.rawValue & 0xFFFF_FFFF)
        guard slot < slots.count, generations[slot] == UInt32(ticket.rawValue >> 32),
            let open = slots[slot]
        else { return nil }
        slots[slot] = nil
        generations[slot] &+= 1
        free.append(slot)
        return open
    }
}
