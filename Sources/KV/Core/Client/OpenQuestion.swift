import Base

/// A question that has no answer yet.
struct OpenQuestion {
    var token: UInt64
    var store: StoreKind
    /// For a question to all ranges of an interval: the part that this one still covers. For a
    /// question to one range the start is the routing key and there is no end.
    var bounds: KeyBounds
    /// Index of the group of questions with this token; nil for a question to one range.
    var group: Int?
    /// The question's bytes.
    var bytes: [UInt8]
    var askedAt: Instant
    var retryAt: Instant
    var attempts = 0
}

/// Open questions by request number, and how many answers each group still lacks.
///
/// ```
///  request: generation u32 | slot u32      a late answer to a slot used again finds no question
/// ```
/// At most `RangeLimits.openQuestionsMax`.
struct QuestionTable {
    private var slots: [OpenQuestion?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []
    private var groups: [UInt32] = []
    private var freeGroups: [Int] = []
    private(set) var count = 0

    /// No question is due before this; looked at again only when it is reached.
    var retryAt = Instant.distantFuture

    var isFull: Bool { count >= RangeLimits.openQuestionsMax }

    mutating func insert(_ question: OpenQuestion) -> UInt64 {
        count += 1
        retryAt = min(retryAt, question.retryAt)
        if let group = question.group { groups[group] += 1 }
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = question
        } else {
            slot = slots.count
            slots.append(question)
            generations.append(0)
        }
        return request(slot)
    }

    private func request(_ slot: Int) -> UInt64 { UInt64(generations[slot]) << 32 | UInt64(slot) }

    private func slot(of request: UInt64) -> Int? {
        let slot = Int(request & 0xFFFF_FFFF)
        guard slot < slots.count, generations[slot] == UInt32(request >> 32) else { return nil }
        return slot
    }

    func question(_ request: UInt64) -> OpenQuestion? {
        slot(of: request).flatMap { slots[$0] }
    }

    mutating func update(_ request: UInt64, _ change: (inout OpenQuestion) -> Void) {
        guard let slot = slot(of: request), slots[slot] != nil else { return }
        change(&slots[slot]!)
        retryAt = min(retryAt, slots[slot]!.retryAt)
    }

    /// Closes a question; returns it and how many of its group are still open.
    mutating func remove(_ request: UInt64) -> (question: OpenQuestion, outstanding: UInt32)? {
        guard let slot = slot(of: request), let question = slots[slot] else { return nil }
        slots[slot] = nil
        generations[slot] &+= 1
        free.append(slot)
        count -= 1
        guard let group = question.group else { return (question, 0) }
        groups[group] -= 1
        if groups[group] == 0 { freeGroups.append(group) }
        return (question, groups[group])
    }

    /// A group without members; it is freed with its last question.
    mutating func newGroup() -> Int {
        if let reused = freeGroups.popLast() { return reused }
        groups.append(0)
        return groups.count - 1
    }

    /// The requests that are due, and the next moment to look.
    mutating func takeDue(at now: Instant) -> [UInt64] {
        guard retryAt <= now else { return [] }
        var due: [UInt64] = []
        retryAt = .distantFuture
        for slot in slots.indices {
            guard let question = slots[slot] else { continue }
            if question.retryAt <= now {
                due.append(request(slot))
            } else {
                retryAt = min(retryAt, question.retryAt)
            }
        }
        return due
    }
}
