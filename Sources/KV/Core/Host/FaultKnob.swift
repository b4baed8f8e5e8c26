import Base

/// Makes a host behave like a bad day of a cluster, from a seed: for tests and the simulator.
///
/// Everything above the host must stay exactly right under it: it only does what a network and a
/// change of leaders may do as well. Messages between machines are left alone: they are
/// unconfirmed, and their own tests lose them.
package struct FaultKnob: Sendable {
    /// What may befall a proposal or a question before it is taken.
    enum Arrival {
        case taken, lost, busy, notLeader, staleBoundary
    }

    /// What may befall an answer.
    enum Departure: Equatable {
        case sent, lost
        /// Goes out that many turns later.
        case delayed(turns: UInt64)
    }

    /// How often, in per cent: of arrivals, and of departures.
    package var percent: Int
    /// Cuts a range in mid-traffic, in one of a thousand turns times `percent`, until this many
    /// were cut.
    package var splitsMax: Int
    private var random: SeededRandom

    package init(percent: Int, splitsMax: Int, seed: UInt64) {
        self.percent = percent
        self.splitsMax = splitsMax
        random = SeededRandom(seed: seed)
    }

    mutating func arrival() -> Arrival {
        guard random.chance(percent: percent) else { return .taken }
        let kinds: [Arrival] = [.lost, .busy, .notLeader, .staleBoundary]
        return kinds[random.below(kinds.count)]
    }

    mutating func departure() -> Departure {
        guard random.chance(percent: percent) else { return .sent }
        return random.chance(percent: 50)
            ? .lost : .delayed(turns: UInt64(1 + random.below(20)))
    }

    /// Index of the replica to cut in this turn.
    mutating func split(of count: Int) -> Int? {
        guard splitsMax > 0, count > 0, random.below(1000) < percent else { return nil }
        return random.below(count)
    }
}

/// Answers that a knob holds back, each until its turn.
struct DelayedFrames {
    private var frames: [(turn: UInt64, kind: MessageKind, place: Place, bytes: [UInt8])] = []
    /// Beyond this many the next ones are lost.
    static let framesMax = 4_096

    var isEmpty: Bool { frames.isEmpty }

    mutating func append(turn: UInt64, _ kind: MessageKind, to place: Place, _ bytes: [UInt8]) {
        if frames.count < Self.framesMax { frames.append((turn, kind, place, bytes)) }
    }

    mutating func send(through turn: UInt64, _ outbox: Outbox) {
        // Removing nothing from nothing would allocate, in every turn.
        guard !frames.isEmpty else { return }
        for frame in frames where frame.turn <= turn {
            outbox.send(frame.kind, to: frame.place) { $0.append(frame.bytes) }
        }
        frames.removeAll { $0.turn <= turn }
    }
}
