import Base

/// The state machine that a range replicates: what Dist, Inbox and Retain are.
///
/// Owned by the worker loop on which the replica is homed; every call comes on that loop (or from
/// the simulator). A machine is a pure function of its committed commands: no clock, no chance, no
/// socket, no waiting. It keeps its index in memory and hands what must survive to
/// `MachineOutput.writes`; values that it does not keep in memory are asked for with `read` and
/// arrive in `completeRead`, in a later turn.
///
/// Two kinds of state, kept apart:
/// - replicated: changed only by `apply` and `applyDue`, equal on all replicas at an index;
/// - volatile: leader's or node's own knowledge (owners, credits, who has acknowledged a patch),
///   changed by `query` and `receive`, lost with leadership, never part of a result of `apply`.
package protocol RangeMachine: AnyObject {
    /// Applies one committed user command. The result is written to `output.result`; it must be a
    /// function of replicated state and arguments alone, since a repeat is answered from the
    /// lane's ring. Commands were encoded by this release or a neighbouring one; bytes that cannot
    /// be understood are answered with a refusal, never trapped on.
    func apply(_ command: RawSpan, at position: ApplyPosition, output: MachineOutput)

    /// Carries out what is due at `position.time` (expiry, wills), in bounded slices: a machine
    /// that has more to do keeps `nextDue` at or before that time.
    func applyDue(at position: ApplyPosition, output: MachineOutput)

    /// When `applyDue` is next wanted, in range time; the leader's host then proposes it.
    var nextDue: WallTime { get }

    /// Answers a read: `output.answer(ticket)`, at once or in any later call.
    func query(_ question: RawSpan, ticket: QueryTicket, output: MachineOutput)

    /// A message from a place that is neither a command nor a question: credit, an acknowledged
    /// patch, a released owner. Changes volatile state only.
    func receive(_ kind: MessageKind, _ body: RawSpan, from place: Place, output: MachineOutput)

    /// Values that were asked for with `output.read`; nil where the key is absent.
    func completeRead(_ token: UInt64, values: [[UInt8]?], output: MachineOutput)

    /// The replica became leader at this position, or stopped being it (nil). A new leader starts
    /// with empty volatile state.
    func leadershipChanged(_ position: ApplyPosition?, output: MachineOutput)

    /// The range's id and boundaries: said when the host takes the machine in, and after every
    /// split or merge.
    func rangeChanged(_ descriptor: RangeDescriptor)

    /// Rebuilds the index from one stored pair, in key order, before anything else is called.
    func load(key: RawSpan, value: RawSpan)

    /// The nearest key at or after `key` where this machine may be cut: between sessions, filters
    /// or topics, never inside one. Nil if there is none.
    func splitKey(near key: [UInt8]) -> [UInt8]?

    /// A key in the middle of this machine's load, already normalised; nil if it cannot be cut.
    var middleKey: [UInt8]? { get }

    /// Moves everything at and behind `key` into a new machine. Replicated state is cut exactly;
    /// volatile state goes with its keys or is rebuilt.
    ///
    /// The new machine leads at once if this one does: `leadershipChanged` is not called for it.
    /// The host has handed over every outstanding read before the call; an answer to a question
    /// asked before the cut, by whichever half, is turned into `stale boundary` and asked again;
    /// answers held back stay with this machine and its release numbers.
    func splitOff(at key: [UInt8], output: MachineOutput) -> any RangeMachine
}

extension RangeMachine {
    package func rangeChanged(_ descriptor: RangeDescriptor) {}
}

/// Where in its range's log a command stands.
package struct ApplyPosition: Sendable {
    /// Index of the entry; rises by at least one with every entry.
    package var index: UInt64
    /// Place of the command in its entry, from 0: with the index, what tells commands apart.
    package var ordinal: UInt32 = 0
    /// The range's time: the largest leader's time seen in the log. Never goes back.
    package var time: WallTime
    /// Term of the leader that proposed it; owner epochs start above `term << 32`.
    package var term: UInt64
    /// Whether this replica leads: only then may messages leave it.
    package var isLeader: Bool

    package init(index: UInt64, time: WallTime, term: UInt64, isLeader: Bool) {
        self.index = index
        self.time = time
        self.term = term
        self.isLeader = isLeader
    }
}

/// Names an open question, so that its answer may come in a later call.
package struct QueryTicket: Hashable, Sendable {
    package var rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What a machine wants done, collected during one call and carried out by the range host.
///
/// One object per host, reused; the host empties it after each call.
package final class MachineOutput {
    /// The result of `apply`, for the proposer and the lane's ring. At most
    /// `RangeLimits.resultBytesMax`.
    @exclusivity(unchecked)
    package var result = ByteWriter(capacity: 256)
    /// Puts and deletes of this call, persisted with the applied index.
    @exclusivity(unchecked)
    package var writes = WriteBatch()
    /// Messages to places; the host drops them on a replica that does not lead, except those of
    /// kinds that every replica sends to the workers of its own node (`MessageKind.isLocal`).
    package let outbox: Outbox
    /// Set by `apply`: the answer waits until `release(through:)` reaches this number (a route is
    /// answered only when every loop has seen it). The result itself is kept in the lane at once.
    @exclusivity(unchecked)
    package var holdAnswerUntil: UInt64?
    /// Highest number released so far in this call.
    @exclusivity(unchecked)
    package private(set) var releasedThrough: UInt64?
    /// Answers given in this call: ticket and range of `answerBytes`.
    @exclusivity(unchecked)
    package private(set) var answers: [(ticket: QueryTicket, bytes: ByteRange)] = []
    @exclusivity(unchecked)
    package private(set) var answerBytes = ByteWriter(capacity: 1024)
    /// Reads asked for in this call.
    @exclusivity(unchecked)
    package private(set) var reads: [(token: UInt64, keys: [[UInt8]])] = []

    package init(outbox: Outbox) { self.outbox = outbox }

    /// Answers a question; the body is written by `write`.
    package func answer(_ ticket: QueryTicket, _ write: (inout ByteWriter) -> Void) {
        let start = answerBytes.count
        write(&answerBytes)
        answers.append((ticket, ByteRange(offset: start, count: answerBytes.count - start)))
    }

    /// Lets every held answer with a number up to `number` go.
    package func release(through number: UInt64) {
        releasedThrough = max(releasedThrough ?? 0, number)
    }

    /// Asks for stored values; they arrive in `completeRead` with the same token.
    package func read(_ token: UInt64, keys: [[UInt8]]) {
        reads.append((token, keys))
    }

    /// Empties everything but the outbox, keeping memory.
    package func removeAll() {
        result.removeAll()
        writes.removeAll()
        holdAnswerUntil = nil
        releasedThrough = nil
        answers.removeAll(keepingCapacity: true)
        answerBytes.removeAll()
        reads.removeAll(keepingCapacity: true)
    }
}
