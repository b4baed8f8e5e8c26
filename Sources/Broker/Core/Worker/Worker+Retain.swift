import Base
import Inbox
import KV
import MQTT
import Policy
import Retain

/// Retained messages on their way in: committed in their range first, matched afterwards, so that
/// whoever subscribes sees the last one by replay or live.
///
/// Later publishes of a connection on a topic wait behind its retained one; other topics go on.
extension Worker {
    /// A publish of the same publisher on the topic is being retained: this one waits behind it.
    @inline(__always)
    func mustWaitForRetain(_ message: borrowing Message, _ origin: PublishOrigin) -> Bool {
        retainLanes.isEmpty ? false : isRetaining(message, origin)
    }

    private func isRetaining(_ message: borrowing Message, _ origin: PublishOrigin) -> Bool {
        retainLanes[lane(message, origin)]?.retaining.contains(hash.hash(message.topicName))
            ?? false
    }

    /// An outbox is a publisher apart: its messages are ordered among themselves.
    private func lane(
        _ message: borrowing Message, _ origin: PublishOrigin
    ) -> RetainLaneKey {
        if case .outbox = origin {
            return RetainLaneKey(publisherHash: message.publisherHash, isOutbox: true)
        }
        return RetainLaneKey(publisherHash: message.publisherHash, isOutbox: false)
    }

    /// Retains a message, or queues it behind the topic's retained one. Returns false if so much
    /// waits that the publisher is not to be read on.
    @discardableResult
    func retain(_ message: inout Message, _ origin: PublishOrigin) -> Bool {
        let key = lane(message, origin)
        let topicHash = hash.hash(message.topicName)
        if retainLanes[key]?.retaining.contains(topicHash) == true {
            let record = message.record()
            record.retain()
            let parked = ParkedPublish(record: record, origin: origin, tenant: message.tenant)
            retainLanes[key]?.waiters.append(RetainWaiter(topicHash: topicHash, parked: parked))
            return (retainLanes[key]?.waiters.count ?? 0) < WorkerLimits.retainingMax
        }
        retainLanes[key, default: RetainLane()].retaining.append(topicHash)
        commitRetained(&message, origin, key, topicHash)
        return true
    }

    private func commitRetained(
        _ message: inout Message, _ origin: PublishOrigin, _ lane: RetainLaneKey,
        _ topicHash: UInt64
    ) {
        let tenant = tenantBytes(message.tenant)
        let topic = [UInt8](message.topicName)
        let record = message.record()
        let settings = tenants[message.tenant].pointee.settings
        let expiry = message.remainingSeconds(wallTime)
        var command = RetainCommandEncoder()
        let task = RetainTask(
            record: record, origin: origin, lane: lane, topicHash: topicHash,
            tenant: message.tenant)
        if message.payload.isEmpty {
            command.clear(tenant: tenant, topic: topic)
        } else {
            if let resource = exceedsRetainRate(record.count, message.tenant) {
                reportExhausted(resource, task)
                retainRefused(task, .retainRefused)
                return
            }
            reserveRetained(task, settings)
            command.set(
                tenant: tenant, topic: topic, record: RawSpan(_unsafeBytes: record.bytes),
                expirySeconds: expiry ?? RetainCommandEncoder.never,
                topicsMax: task.exhausted == .totalRetainTopics ? 0 : .max,
                bytesMax: task.exhausted == .totalRetainMessageSpaceBytes ? 0 : .max)
        }
        let key = RetainKeys.routingKey(tenant: tenant, topic: topic)
        let accepted = propose(.retain, key, .retain(task)) { $0.append(command.writer.bytes) }
        if !accepted {
            giveBackRetained(task)
            retainRefused(task, .storeError)
        }
    }

    /// The rates of retained messages: which of them is used up, if one is.
    private func exceedsRetainRate(_ size: Int, _ tenant: TenantSlot) -> ResourceType? {
        guard take(.totalRetainedMessagesPerSeconds, 1, tenant) else {
            return .totalRetainedMessagesPerSeconds
        }
        guard take(.totalRetainedBytesPerSecond, size, tenant) else {
            return .totalRetainedBytesPerSecond
        }
        return nil
    }

    /// Counts a message as retained until its range has counted it. Where there is no room for one
    /// more, its topic must be retained already, and the message no larger than the one there.
    private func reserveRetained(_ task: RetainTask, _ settings: TenantSettings) {
        if settings.totalRetainTopics != 0 {
            if take(.totalRetainTopics, 1, task.tenant) {
                task.reservedTopics = 1
            } else {
                task.exhausted = .totalRetainTopics
            }
        }
        if settings.totalRetainMessageSpaceBytes != 0 {
            if take(.totalRetainMessageSpaceBytes, task.record.count, task.tenant) {
                task.reservedBytes = task.record.count
            } else {
                task.exhausted = task.exhausted ?? .totalRetainMessageSpaceBytes
            }
        }
    }

    private func giveBackRetained(_ task: RetainTask) {
        giveBack(.totalRetainTopics, task.reservedTopics, task.tenant)
        giveBack(.totalRetainMessageSpaceBytes, task.reservedBytes, task.tenant)
        task.reservedTopics = 0
        task.reservedBytes = 0
    }

    private func reportExhausted(_ resource: ResourceType, _ task: RetainTask) {
        let message = Message(record: task.record.bytes, tenant: task.tenant, block: task.record)
        let publisher = message.publisher
        events.report(.outOfTenantResource, task.tenant) {
            record(task.tenant, [UInt8](publisher)) {
                .session(.outOfTenantResource(resource: resource))
            }
        }
    }

    func retainDone(_ task: RetainTask, _ status: CompletionStatus, _ result: RawSpan) {
        giveBackRetained(task)
        switch status {
        case .unknown:
            reportRetainFailure(task)
            finish(task.origin, .unknown)
            advanceRetained(task)
        case .unavailable: retainRefused(task, .storeError)
        case .done:
            let first = RetainResultDecoder.results(result)?.first
            let code = first?.code ?? .malformed
            if code.isDone {
                metrics.retainedSet &+= 1
                reportRetained(task, code)
                MessageRecord.setRetainVersion(first?.version ?? 0, in: task.record.mutableBytes)
                routeRecord(task.record, task.tenant, task.origin)
                advanceRetained(task)
            } else {
                if let resource = task.exhausted { reportExhausted(resource, task) }
                retainRefused(task, .retainRefused)
            }
        }
    }

    /// Over quota: a message for which nobody waits, or that was promised already, is delivered all
    /// the same, and not retained; a publisher that waits for an answer is told, and nothing has
    /// happened.
    private func retainRefused(_ task: RetainTask, _ reason: DropReason) {
        let message = Message(record: task.record.bytes, tenant: task.tenant, block: task.record)
        let topic = message.topicText
        let isRefused = reason == .retainRefused
        events.drop(reason, kind: isRefused ? .retainedDropped : .msgRetainedError, task.tenant) {
            record(task.tenant, [UInt8](message.publisher)) {
                isRefused
                    ? .session(.retainedDropped(topic: topic, reason: reason))
                    : .retain(
                        .msgRetainedError(
                            topic: topic, isWill: task.isWill, reason: reason.name))
            }
        }
        let isQuota = reason == .retainRefused
        switch task.origin {
        case .none: routeRecord(task.record, task.tenant, task.origin)
        case .outbox where isQuota, .group where isQuota:
            routeRecord(task.record, task.tenant, task.origin)
        case .outbox, .session, .group, .door:
            finish(
                task.origin,
                .refused(isQuota ? .quotaExceeded : .implementationSpecificError))
        }
        advanceRetained(task)
    }

    private func reportRetainFailure(_ task: RetainTask) {
        let message = Message(record: task.record.bytes, tenant: task.tenant, block: task.record)
        let topic = message.topicText
        events.report(.msgRetainedError, task.tenant) {
            record(task.tenant, [UInt8](message.publisher)) {
                .retain(
                    .msgRetainedError(
                        topic: topic, isWill: task.isWill, reason: "the outcome is not known"))
            }
        }
    }

    private func reportRetained(_ task: RetainTask, _ code: RetainCode) {
        let message = Message(record: task.record.bytes, tenant: task.tenant, block: task.record)
        let topic = message.topicText
        let qos = Int(message.qos.rawValue)
        let size = message.payload.count
        let isCleared = code == .cleared || code == .absent
        let kind: EventKind = isCleared ? .retainMsgCleared : .msgRetained
        events.report(kind, task.tenant, debugMode: isDebugged(task.tenant)) {
            record(task.tenant, [UInt8](message.publisher)) {
                isCleared
                    ? .retain(.retainMsgCleared(topic: topic, isWill: task.isWill))
                    : .retain(.msgRetained(topic: topic, isWill: task.isWill, qos: qos, size: size))
            }
        }
    }

    private func routeRecord(_ block: SharedBlock, _ tenant: TenantSlot, _ origin: PublishOrigin) {
        var message = Message(record: block.bytes, tenant: tenant, block: block)
        route(&message, origin)
    }

    /// The topic's retained message is committed: what waited behind it goes on, up to the next
    /// retained one.
    private func advanceRetained(_ task: RetainTask) {
        retainLanes[task.lane]?.retaining.removeAll { $0 == task.topicHash }
        while let position = retainLanes[task.lane]?.waiters.firstIndex(where: {
            $0.topicHash == task.topicHash
        }), let waiter = retainLanes[task.lane]?.waiters.remove(at: position) {
            let parked = waiter.parked
            var message = Message(
                record: parked.record.bytes, tenant: parked.tenant, block: parked.record)
            let isRetained = message.retain
            if isRetained {
                retain(&message, parked.origin)
            } else {
                route(&message, parked.origin)
            }
            parked.record.release()
            if isRetained { break }
        }
        guard let lane = retainLanes[task.lane], lane.retaining.isEmpty, lane.waiters.isEmpty
        else { return }
        retainLanes[task.lane] = nil
        for ref in lane.held {
            withSession(ref) { session, index in resumeInputIfHeld(session, index) }
        }
        for owner in lane.leaving {
            departing.remove(owner.connectionToken)
            release(owner.name, owner.epoch)
        }
    }
}

/// A publisher whose retained messages are ordered: a session, or its outbox.
struct RetainLaneKey: Hashable {
    var publisherHash: UInt64
    var isOutbox: Bool
}

/// What one publisher has under commitment, and what waits behind it on the same topics.
struct RetainLane {
    /// Hashes of topics whose retained message is being committed.
    var retaining: [UInt64] = []
    /// In the order of publishing; at most `WorkerLimits.retainingMax`, then input is held.
    var waiters: [RetainWaiter] = []
    /// Connections that are not read until the lane is empty.
    var held: [SessionRef] = []
    /// Connections that have gone and keep their client id until the lane is empty: one, or none.
    var leaving: [LeavingOwner] = []
}

/// A connection that has gone and still has its client id.
struct LeavingOwner {
    var name: SessionName
    var epoch: OwnerEpoch
    var connectionToken: UInt64
}

/// A publish that waits for the retained one before it on its topic.
struct RetainWaiter {
    var topicHash: UInt64
    var parked: ParkedPublish
}
