import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// A publish that waits for the answer about its topic's routes.
struct ParkedPublish {
    /// One reference is the holder's.
    var record: SharedBlock
    var origin: PublishOrigin
    var tenant: TenantSlot
}

/// An open question about a topic: its attempt, and who waits behind it.
struct MatchState {
    /// Answers of an earlier attempt are ignored.
    var attempt: UInt32 = 1
    /// The part of the question that the next answer about wildcards fills.
    var nextPart = 1
    var partCount: Int
    var parked: [ParkedPublish] = []
}

/// From a message to the plan of its topic: a look-up, or one question per range that may know.
extension Worker {
    func route(_ message: inout Message, _ origin: PublishOrigin) {
        let tenant = UInt32(bitPattern: message.tenant.index)
        switch routes.lookup(tenant: tenant, topic: message.topicName) {
        case .hit(let plan): fanOut(&message, plan, origin)
        case .pending(let id): park(&message, origin, behind: id)
        case .miss:
            guard let id = openQuestion(message) else {
                refuseUnrouted(message, origin, .resourceExhausted)
                return
            }
            park(&message, origin, behind: id)
        }
    }

    /// Routes a packet of a run, and remembers the plan for those that follow.
    func routeRun(_ message: inout Message, _ origin: PublishOrigin) {
        let tenant = UInt32(bitPattern: message.tenant.index)
        let known = routes.lookup(tenant: tenant, topic: message.topicName)
        guard case .hit(let plan) = known else { return route(&message, origin) }
        run.remember(plan, at: routes.changes)
        fanOut(&message, plan, origin)
    }

    private func park(
        _ message: inout Message, _ origin: PublishOrigin, behind id: QuestionID
    ) {
        let record = message.record()
        guard parkedBytes + record.count <= WorkerLimits.parkedBytesMax else {
            refuseUnrouted(message, origin, .resourceExhausted)
            return
        }
        record.retain()
        parkedBytes += record.count
        metrics.parked &+= 1
        matches[id]?.parked.append(
            ParkedPublish(record: record, origin: origin, tenant: message.tenant))
    }

    /// Nothing was done with the message: its publisher is told, or it is counted.
    private func refuseUnrouted(
        _ message: borrowing Message, _ origin: PublishOrigin, _ reason: DropReason
    ) {
        let tenant = message.tenant
        let topic = message.topicText
        events.drop(reason, kind: .distError, tenant) {
            record(tenant, []) { .dist(.distError(topic: topic, messages: 1, code: reason.name)) }
        }
        finish(origin, .refused(.implementationSpecificError))
    }

    // MARK: Questions

    private func openQuestion(_ message: borrowing Message) -> QuestionID? {
        let name = tenantBytes(message.tenant)
        let ranges = client.map.overlapping(.dist, DistKeys.wildcardBounds(tenant: name))
        let id = routes.beginQuestion(
            tenant: UInt32(bitPattern: message.tenant.index), tenantName: name,
            topic: message.topicName, parts: 1 + ranges.count)
        guard let id else { return nil }
        matches[id] = MatchState(partCount: 1 + ranges.count)
        askParts(of: id)
        return id
    }

    /// Asks the range of the exact filter, and every range of the tenant's wildcards.
    private func askParts(of id: QuestionID) {
        guard let state = matches[id], let (tenant, topic) = routes.topic(of: id) else { return }
        let exact = DistKeys.exactKey(tenant: tenant, topic: topic)
        let isAsked =
            ask(
                .dist, exact, .match(id, attempt: state.attempt, part: 0),
                matchQuestion(id, part: 0, .exact))
            && askWildcards(id, tenant, state)
        if !isAsked { giveUp(id) }
    }

    private func askWildcards(_ id: QuestionID, _ tenant: [UInt8], _ state: MatchState) -> Bool {
        guard operations.count < WorkerLimits.operationsMax else { return false }
        let token = operations.insert(.match(id, attempt: state.attempt, part: -1))
        let question = matchQuestion(id, part: 1, .wildcard)
        let refusal = client.queryOverlapping(
            .dist, DistKeys.wildcardBounds(tenant: tenant), token: UInt64(token), now: now
        ) { $0.append(question) }
        if refusal != nil { operations.remove(token) }
        return refusal == nil
    }

    private func matchQuestion(_ id: QuestionID, part: Int, _ areas: MatchAreas) -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        let mark = DistQuestion.beginMatch(&writer)
        routes.writeTopic(id, part: part, areas: areas, into: &writer)
        DistQuestion.endMatch(&writer, at: mark, count: 1)
        return writer.array
    }

    func matchAnswered(
        _ id: QuestionID, attempt: UInt32, part: Int, _ completion: Completion, _ result: RawSpan
    ) {
        guard var state = matches[id], state.attempt == attempt else { return }
        guard completion.status == .done, var answer = MatchAnswer(result),
            let topic = answer.nextTopic(result)
        else {
            giveUp(id)
            return
        }
        var part = part
        if part < 0 {
            part = state.nextPart
            state.nextPart += 1
            // A range was cut while it was asked: there are more parts than were thought.
            if part + Int(completion.outstanding) >= state.partCount {
                beginAgain(id)
                return
            }
            matches[id] = state
        }
        let progress = routes.receiveAnswer(
            id, part: part, stamp: answer.stamp, patchNumber: answer.patchNumber, topic: topic,
            bytes: result)
        switch progress {
        case .waiting, .unknown: break
        case .more: askMore(id, part: part, answer.stamp.range, attempt)
        case .beginAgain: beginAgain(id)
        case .done: unpark(id)
        case .failed: giveUp(id)
        }
    }

    private func askMore(_ id: QuestionID, part: Int, _ range: RangeID, _ attempt: UInt32) {
        guard let descriptor = client.map.descriptor(range) else {
            beginAgain(id)
            return
        }
        let areas: MatchAreas = part == 0 ? .exact : .wildcard
        let key: [UInt8]
        if part == 0, let (tenant, topic) = routes.topic(of: id) {
            key = DistKeys.exactKey(tenant: tenant, topic: topic)
        } else {
            key = descriptor.bounds.start
        }
        let isAsked = ask(
            .dist, key, .match(id, attempt: attempt, part: part),
            matchQuestion(id, part: part, areas))
        if !isAsked { giveUp(id) }
    }

    private func beginAgain(_ id: QuestionID) {
        guard var state = matches[id], let (tenant, _) = routes.topic(of: id) else { return }
        let ranges = client.map.overlapping(.dist, DistKeys.wildcardBounds(tenant: tenant))
        state.attempt += 1
        state.nextPart = 1
        state.partCount = 1 + ranges.count
        matches[id] = state
        routes.restartQuestion(id, parts: state.partCount)
        askParts(of: id)
    }

    /// No answer came in time: what waited has had no effect, and its publishers are told so.
    private func giveUp(_ id: QuestionID) {
        routes.failQuestion(id)
        guard let state = matches.removeValue(forKey: id) else { return }
        for parked in state.parked {
            parkedBytes -= parked.record.count
            let message = Message(
                record: parked.record.bytes, tenant: parked.tenant, block: parked.record)
            refuseUnrouted(message, parked.origin, .storeError)
            parked.record.release()
        }
    }

    private func unpark(_ id: QuestionID) {
        guard let state = matches.removeValue(forKey: id), let first = state.parked.first else {
            return
        }
        let sample = Message(record: first.record.bytes, tenant: first.tenant)
        let tenant = UInt32(bitPattern: first.tenant.index)
        guard case .hit(let plan) = routes.lookup(tenant: tenant, topic: sample.topicName) else {
            invariantFailed("no plan behind a question that is done")
        }
        plan.retain()
        for parked in state.parked {
            parkedBytes -= parked.record.count
            var message = Message(
                record: parked.record.bytes, tenant: parked.tenant, block: parked.record)
            fanOut(&message, plan, parked.origin)
            parked.record.release()
        }
        plan.release()
    }
}
