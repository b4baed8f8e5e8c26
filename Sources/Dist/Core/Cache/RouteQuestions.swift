import Base
import KV

/// One open question of a route cache: what has come of its answer so far.
struct OpenQuestion {
    /// What one of the ranges that were asked has answered.
    struct Part {
        /// Range and patch number of the first page: patches up to it are in the answer.
        var answered: (range: RangeID, number: UInt64)?
        var cursor: [UInt8] = []
        var isDone = false
    }

    var generation: UInt32
    var tenant: UInt32
    var tenantName: [UInt8]
    var topic: [UInt8]
    var parts: [Part]
    var draft = PlanDraft()
    /// Number of the last wildcard patch before the question began.
    var wildcardStart: UInt64
    /// Patches of the exact filter equal to the topic.
    var patches: [CachedPatch] = []
    var mustBeginAgain = false
    var pages = 0
}

/// Open questions in slots with generations, so that an answer that comes too late finds nothing.
struct QuestionTable {
    private var slots: [OpenQuestion?] = []
    private var free: [Int] = []
    private var generation: UInt32 = 0
    private(set) var count = 0

    mutating func insert(_ make: (_ generation: UInt32) -> OpenQuestion) -> QuestionID {
        generation &+= 1
        let slot: Int
        if let freed = free.popLast() {
            slot = freed
        } else {
            slot = slots.count
            slots.append(nil)
        }
        slots[slot] = make(generation)
        count += 1
        return QuestionID(UInt64(generation) << 32 | UInt64(slot))
    }

    private func slot(_ id: QuestionID) -> Int? {
        let slot = Int(id.rawValue & 0xFFFF_FFFF)
        guard slot < slots.count, let question = slots[slot],
            question.generation == UInt32(id.rawValue >> 32)
        else { return nil }
        return slot
    }

    subscript(id: QuestionID) -> OpenQuestion? {
        guard let slot = slot(id) else { return nil }
        return slots[slot]
    }

    mutating func change<R>(_ id: QuestionID, _ body: (inout OpenQuestion) -> R) -> R? {
        guard let slot = slot(id), slots[slot] != nil else { return nil }
        return body(&slots[slot]!)
    }

    mutating func remove(_ id: QuestionID) -> OpenQuestion? {
        guard let slot = slot(id) else { return nil }
        defer { slots[slot] = nil }
        free.append(slot)
        count -= 1
        return slots[slot]
    }

    mutating func keep(_ patch: CachedPatch, with id: QuestionID, max: Int) {
        _ = change(id) { question in
            if question.patches.count < max {
                question.patches.append(patch)
            } else {
                question.mustBeginAgain = true
            }
        }
    }

    mutating func beginAllAgain() {
        for index in slots.indices where slots[index] != nil {
            slots[index]!.mustBeginAgain = true
        }
    }
}

/// What an answer came to.
package enum QuestionProgress: Equatable, Sendable {
    /// Other parts are still to be answered.
    case waiting
    /// This part goes on: ask the same bounds again with `writeTopic`.
    case more
    /// What was answered so far is void: `restartQuestion`, then ask every part anew.
    case beginAgain
    /// The plan is in the cache: what waited may go.
    case done
    /// The answer cannot be understood, or has too many pages: `failQuestion`.
    case failed
    /// No such question: it was answered or given up before.
    case unknown
}

/// Asking: the cache keeps the question, the caller carries it to the ranges and back.
///
/// ```
///  lookup -> miss      beginQuestion(parts) ; for each part: writeTopic -> range
///  lookup -> pending   wait
///  answer of a part -> receiveAnswer -> waiting | more | beginAgain | done | failed
/// ```
extension RouteCache {
    /// Opens a question about a topic that was a miss. `parts` is the number of ranges (or bounds)
    /// to be asked. Nil if too many questions are open.
    package mutating func beginQuestion(
        tenant: UInt32, tenantName: [UInt8], topic: UnsafeRawBufferPointer, parts: Int
    ) -> QuestionID? {
        guard questions.count < limits.openQuestionsMax else { return nil }
        tenants.learn(tenantName, tenant)
        let start = wildcardSequence
        let id = questions.insert { generation in
            OpenQuestion(
                generation: generation, tenant: tenant, tenantName: tenantName,
                topic: [UInt8](topic),
                parts: Array(repeating: OpenQuestion.Part(), count: parts),
                wildcardStart: start)
        }
        insert(tenant, topic, pending: id)
        metrics.questions += 1
        return id
    }

    /// Writes the question's topic for one part, with the cursor where that part goes on. Several
    /// parts may go to one range, if their areas differ.
    package func writeTopic(
        _ id: QuestionID, part: Int, areas: MatchAreas, into writer: inout ByteWriter
    ) {
        guard let question = questions[id], part < question.parts.count else { return }
        question.topic.withUnsafeBytes {
            DistQuestion.appendTopic(
                tenant: question.tenantName, topic: $0, areas: areas,
                cursor: question.parts[part].cursor,
                into: &writer)
        }
    }

    /// The topic of an open question: where its ranges are found from.
    package func topic(of id: QuestionID) -> (tenantName: [UInt8], topic: [UInt8])? {
        questions[id].map { ($0.tenantName, $0.topic) }
    }

    /// Takes one page for one part.
    package mutating func receiveAnswer(
        _ id: QuestionID, part: Int, stamp: DistRangeStamp, patchNumber: UInt64,
        topic: TopicAnswer, bytes: RawSpan
    ) -> QuestionProgress {
        let pagesMax = limits.questionPagesMax
        let progress = questions.change(id) { question -> QuestionProgress in
            guard part < question.parts.count, !question.parts[part].isDone else {
                return .waiting
            }
            question.pages += 1
            if question.mustBeginAgain || topic.mustBeginAgain { return .beginAgain }
            if let before = question.parts[part].answered {
                if before.range != stamp.range { return .beginAgain }
            } else {
                question.parts[part].answered = (stamp.range, patchNumber)
            }
            guard question.draft.merge(bytes, topic.receivers), question.pages <= pagesMax
            else { return .failed }
            if topic.hasMore {
                question.parts[part].cursor = bytes.array(topic.cursor)
                return .more
            }
            question.parts[part].isDone = true
            return question.parts.allSatisfy(\.isDone) ? .done : .waiting
        }
        guard let progress else { return .unknown }
        return progress == .done ? finish(id) : progress
    }

    /// Begins an open question again, perhaps with another number of parts.
    package mutating func restartQuestion(_ id: QuestionID, parts: Int) {
        let start = wildcardSequence
        _ = questions.change(id) { question in
            question.parts = Array(repeating: OpenQuestion.Part(), count: parts)
            question.draft = PlanDraft()
            question.wildcardStart = start
            question.patches = []
            question.mustBeginAgain = false
        }
        metrics.questionsAgain += 1
    }

    /// Gives a question up; the topic is a miss again.
    package mutating func failQuestion(_ id: QuestionID) {
        guard let question = questions.remove(id) else { return }
        let entry = question.topic.withUnsafeBytes { find(question.tenant, $0) }
        if entry != 0 { drop(entry) }
    }

    /// Applies what was patched meanwhile and puts the plan into the entry.
    private mutating func finish(_ id: QuestionID) -> QuestionProgress {
        guard let question = questions[id] else { return .unknown }
        guard wildcardSequence - question.wildcardStart <= Self.ringSize else {
            return .beginAgain
        }
        let entry = question.topic.withUnsafeBytes { find(question.tenant, $0) }
        guard entry != 0, var removed = questions.remove(id) else { return .unknown }
        let missed = patches(
            since: removed.wildcardStart, tenant: removed.tenant, topic: topic(entry))
        for patch in removed.patches + missed where !removed.contains(patch) {
            patch.withItem { removed.draft.apply($0) }
        }
        setPlan(entry, removed.draft.plan(own: own))
        setChecked(entry)
        return .done
    }
}

extension OpenQuestion {
    /// Whether every answer of the patch's range already shows it.
    fileprivate func contains(_ patch: CachedPatch) -> Bool {
        var isShown = false
        for case let answered? in parts.map(\.answered) where answered.range == patch.range {
            guard patch.number <= answered.number else { return false }
            isShown = true
        }
        return isShown
    }
}
