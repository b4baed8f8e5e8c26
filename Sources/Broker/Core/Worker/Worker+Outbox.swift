import Base
import Inbox
import KV
import MQTT
import Policy

/// Outboxes homed here: QoS 2 messages of stored publishers, wills, publishes of the API.
///
/// Receivers tell repeats apart by the highest sequence they have had from a source, so a source's
/// messages are fanned out strictly one after the other: the next one only when this one's inserts
/// are proposed. What fails before that is tried again, and nothing overtakes it.
extension Worker {
    /// A message of an outbox homed here: fan it out, in its turn.
    func receiveOutboxReady(_ bytes: RawSpan) {
        guard let ready = bytes.withUnsafeBytes({ OutboxReadyMessage.decode($0) }) else {
            metrics.damagedFrames &+= 1
            return
        }
        let source = ready.source
        var lane = outboxLanes[source.identity] ?? OutboxLane(origin: source.origin)
        if lane.origin != source.origin { lane = OutboxLane(origin: source.origin) }
        // Asked for again: it is under way, or it is done and the word of that was lost, or nobody
        // knows what became of it.
        if source.sequence <= lane.lastSequence, lane.unknown.remove(source.sequence) == nil {
            if !lane.unfinished.contains(source.sequence) {
                outboxFinished(OutboxTask(publisher: ready.publisher, source: source))
            }
            return
        }
        lane.lastSequence = max(lane.lastSequence, source.sequence)
        lane.unfinished.insert(source.sequence)
        lane.queue.append(ready)
        forgetOutboxLanes()
        outboxLanes[source.identity] = lane
        advanceOutbox(source.identity)
    }

    /// Starts the next message of a source, if none is on its way.
    private func advanceOutbox(_ identity: UInt64) {
        guard let lane = outboxLanes[identity], !lane.isBusy, let next = lane.queue.first else {
            return
        }
        outboxLanes[identity]?.isBusy = true
        outboxLanes[identity]?.queue.removeFirst()
        startOutbox(next)
    }

    private func startOutbox(_ ready: OutboxReadyMessage) {
        let name = ready.publisher.tenant.withRawSpan { TenantName(bytes: $0) }
        guard let name, let tenant = tenantSlot(name) else {
            metrics.damagedFrames &+= 1
            return
        }
        let task = OutboxTask(publisher: ready.publisher, source: ready.source)
        task.ready = ready
        ready.record.withUnsafeBytes { record in
            var message = Message(record: record, tenant: tenant)
            if ready.isWill {
                message.publishedAt = wallTime
                reportWill(message, ready.publisher)
            }
            publish(&message, .outbox(task))
        }
    }

    private func reportWill(_ message: borrowing Message, _ publisher: SessionName) {
        let topic = message.topicText
        let qos = Int(message.qos.rawValue)
        let size = message.payload.count
        events.report(.willDisted, message.tenant) {
            record(message.tenant, publisher.clientID) {
                .publish(.willDisted(topic: topic, qos: qos, size: size))
            }
        }
    }

    /// Everything about the message is proposed: the source's next one may go.
    func outboxFannedOut(_ task: OutboxTask) {
        let identity = task.source.identity
        guard outboxLanes[identity]?.origin == task.source.origin else { return }
        outboxLanes[identity]?.isBusy = false
        advanceOutbox(identity)
    }

    /// The end of a message of an outbox.
    func finishOutbox(_ task: OutboxTask, _ outcome: PublishOutcome) {
        switch outcome {
        case .success, .noMatchingSubscribers:
            outboxLanes[task.source.identity]?.unfinished.remove(task.source.sequence)
            outboxFinished(task)
        case .refused:
            // Nothing was done with it: again, before anything else of this source.
            outboxRetries.append(task)
            _ = timers.schedule(
                at: now + WorkerLimits.outboxRetryAfter, token: 0,
                kind: TimerKind.outbox.rawValue)
        case .unknown:
            // The inbox asks again after its time-out; receivers that have it drop the repeat.
            outboxLanes[task.source.identity]?.unfinished.remove(task.source.sequence)
            outboxLanes[task.source.identity]?.unknown.insert(task.source.sequence)
            metrics.outcomesUnknown &+= 1
        }
    }

    func retryOutboxes() {
        let retries = outboxRetries
        outboxRetries = []
        for task in retries {
            if let ready = task.ready { startOutbox(ready) }
        }
    }

    private func outboxFinished(_ task: OutboxTask) {
        let command = OutboxDoneCommand(
            tenant: task.publisher.tenant,
            items: [
                OutboxDoneCommand.Item(
                    clientID: task.publisher.clientID, sequences: [task.source.sequence])
            ])
        propose(.inbox, InboxKeys.sessionPrefix(task.publisher), .outboxDone) {
            InboxCommand.outboxDone(command).encode(into: &$0)
        }
    }

    /// Sources with nothing under way are forgotten when there are too many: a repeat of theirs
    /// would then reach online sessions twice, which QoS 2 towards them filters by packet id only
    /// within a connection. The limit makes that a matter of millions of publishers.
    private func forgetOutboxLanes() {
        guard outboxLanes.count >= WorkerLimits.outboxLanesMax else { return }
        outboxLanes = outboxLanes.filter {
            !$0.value.unfinished.isEmpty || !$0.value.unknown.isEmpty
        }
    }
}

/// One source whose messages are fanned out here.
struct OutboxLane {
    /// Life of the outbox; another one begins anew.
    var origin: UInt64
    /// Highest sequence that was taken in.
    var lastSequence: UInt64 = 0
    /// Taken in and not ended.
    var unfinished: Set<UInt64> = []
    /// Ended, but not all of its receivers have said that they have it.
    var unknown: Set<UInt64> = []
    /// In the order of their sequences; at most the inbox's window.
    var queue: [OutboxReadyMessage] = []
    /// One message is on its way to its proposals.
    var isBusy = false

    init(origin: UInt64) { self.origin = origin }
}
