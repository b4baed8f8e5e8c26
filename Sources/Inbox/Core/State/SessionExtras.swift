import Base

/// What few sessions have: a will, an outbox, route changes under way, group members.
///
/// Made when first needed and kept while any of it is; `isEmpty` says when it may go.
final class SessionExtras {
    /// The will of a connection; its record lies in the row of its number.
    struct Will: Equatable {
        var number: UInt64
        var delaySeconds: UInt32
        /// Range time in milliseconds; 0 while its connection lives.
        var dueAt: UInt64
        var byteCount: UInt32
    }

    /// A message to be fanned out; its record lies in its row, or in that of a will.
    struct OutboxEntry: Equatable {
        var sequence: UInt64
        /// Number of the will whose row holds the record, 0 if this entry's does.
        var willNumber: UInt64
        var byteCount: UInt32
    }

    /// A QoS 2 packet id between PUBLISH and PUBREL.
    struct Inbound: Equatable {
        var packetID: UInt16
        var sequence: UInt64
    }

    /// A route change that dist does not have yet.
    struct Intent: Equatable {
        var number: UInt64
        var isAddition: Bool
        var incarnation: UInt64
        var subscription: StoredSubscription
    }

    /// The entries of a publisher's outbox that this receiver has.
    ///
    /// They come out of order: each is routed by its topic, and one may be sent again after others.
    /// An outbox sends none that is `InboxLimits.outboxWindow` ahead of its oldest, which is less
    /// than there are bits: what lies behind them is done.
    struct SourceMark: Equatable {
        var identity: UInt64
        var origin: UInt64
        /// The highest.
        var sequence: UInt64
        /// Range time of the last use, in milliseconds.
        var usedAt: UInt64
        /// Bit n: `sequence - 1 - n` is here too.
        var earlier: UInt64 = 0

        func has(_ other: UInt64) -> Bool {
            if other >= sequence { return other == sequence }
            let back = sequence - other - 1
            return back >= 64 || earlier & 1 << back != 0
        }

        mutating func add(_ other: UInt64) {
            if other > sequence {
                let step = other - sequence
                earlier = earlier << step | 1 << (step - 1)
                sequence = other
            } else if other < sequence {
                earlier |= 1 << (sequence - other - 1)
            }
        }
    }

    /// An idempotency key and the outbox entry it made.
    struct IdempotencyMark: Equatable {
        var key: [UInt8]
        var sequence: UInt64
        var expiresAt: UInt64
    }

    /// A group's QoS 2 message that a member has committed itself to.
    struct Taken: Equatable {
        var sequence: UInt64
        var member: [UInt8]
    }

    var will: Will?
    /// Which life of the outbox it is: set with the first entry, told to receivers with each.
    var outboxOrigin: UInt64 = 0
    /// Sequence of the next outbox entry; from 1.
    var outboxNext: UInt64 = 1
    /// In the order of sequences.
    var outbox: [OutboxEntry] = []
    /// In the order of packet ids.
    var inbound: [Inbound] = []
    /// In the order of numbers.
    var intents: [Intent] = []
    /// In the order of (identity, origin).
    var sources: [SourceMark] = []
    /// Their names, sorted.
    var members: [[UInt8]] = []
    /// In the order of sequences.
    var taken: [Taken] = []
    /// In the order of expiry.
    var idempotency: [IdempotencyMark] = []

    /// Leader's: outbox entries up to here were sent to be fanned out; 0 for none.
    var emittedThrough: UInt64 = 0
    /// Leader's: when outbox and intents were last sent, in range time.
    var emittedAt: UInt64 = 0
    /// Leader's: a read of outbox records is under way.
    var isReadingOutbox = false
    /// Position in the machine's list of sessions with work for dist or fan-out, -1 if not there.
    var workPosition: Int32 = -1

    var hasWork: Bool { !outbox.isEmpty || !intents.isEmpty }
    var isEmpty: Bool {
        will == nil && !hasWork && inbound.isEmpty && sources.isEmpty && members.isEmpty
            && idempotency.isEmpty && taken.isEmpty
    }

    func addTaken(_ one: Taken) {
        let at = taken.firstIndex { $0.sequence > one.sequence } ?? taken.count
        taken.insert(one, at: at)
    }

    func source(_ source: OutboxSource) -> (index: Int, isThere: Bool) {
        var low = 0
        var high = sources.count
        while low < high {
            let middle = (low + high) / 2
            let mark = sources[middle]
            if (mark.identity, mark.origin) < (source.identity, source.origin) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let isThere =
            low < sources.count && sources[low].identity == source.identity
            && sources[low].origin == source.origin
        return (low, isThere)
    }
}
