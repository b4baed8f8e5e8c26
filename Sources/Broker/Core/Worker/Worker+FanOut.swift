import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// From a plan to its receivers, by place and never by subscriber: own sessions directly, another
/// worker by one frame of the turn's mail, stored sessions by one command per range.
extension Worker {
    func fanOut(_ message: inout Message, _ plan: RoutePlan, _ origin: PublishOrigin) {
        noteDisted(message, plan)
        guard !plan.isEmpty else {
            metrics.unmatched &+= 1
            finish(origin, .noMatchingSubscribers)
            if case .outbox(let task) = origin { outboxFannedOut(task) }
            return
        }
        var groups = GroupCount(origin: origin, waits: message.qos != .atMostOnce)
        if case .outbox = origin { groups.waits = true }
        if !plan.stored.isEmpty {
            var receivers = StoredReceivers(
                plan, publisherHash: message.publisherHash, tenant: tenantBytes(message.tenant))
            var list: [StoredReceiver] = []
            while let receiver = receivers.next() { list.append(receiver) }
            limitFanOut(&list, message)
            store(&message, list, origin, &groups)
        }
        for place in plan.places { send(&message, plan, to: place, &groups) }
        if !plan.ownTokens.isEmpty, deliverOwn(&message, plan.ownTokens) == .later, groups.waits {
            endNewestFanOut(.publish(track(&groups)))
        }
        if !plan.groups.isEmpty {
            for index in 0..<servedGroups(plan.groups.count, message) {
                share(&message, plan, index, origin, &groups)
            }
        }
        if groups.tracker == nil { finish(origin, .success) }
        if case .outbox(let task) = origin { outboxFannedOut(task) }
    }

    // MARK: Own sessions

    /// Sessions of this worker, by the tokens of their filters: at once, or many in slices.
    @discardableResult
    func deliverOwn(
        _ message: inout Message, _ tokens: UnsafeBufferPointer<UInt64>
    ) -> FanOutVerdict {
        frames.removeAll()
        noteDelivered(message.tenant, tokens.count)
        if tokens.count == 1 {
            let subscribers = filters.subscribers(FilterToken(tokens[0]))
            if subscribers.count > sliceAbove {
                let verdict = defers(&message, tokens, subscribers)
                if verdict != .now { return verdict }
            }
            isFanOut = subscribers.count > 1
            deliverAll(&message, subscribers)
        } else {
            let verdict = deliverMerged(&message, tokens)
            if verdict != .now { return verdict }
        }
        isFanOut = false
        return .now
    }

    /// `isFanOut` is set: whether there are more receivers than one.
    @inline(__always)
    func deliverAll(
        _ message: inout Message, _ subscribers: UnsafeBufferPointer<Subscriber>
    ) {
        let isShared = isFanOut || message.original.variant >= 0
        if isShared, message.expirySeconds == nil, !isRejudging, !isDebugging {
            deliverCopies(&message, subscribers)
        } else {
            for subscriber in subscribers { deliver(&message, to: subscriber) }
        }
    }

    /// The receivers of a message that nothing sets apart have its frame copied, one after the
    /// other; the others go the long way.
    private func deliverCopies(
        _ message: inout Message, _ subscribers: UnsafeBufferPointer<Subscriber>
    ) {
        let isSmall = message.payload.count < WorkerLimits.sharedPayloadMin
        var frame = PlacedFrame()
        var copied = 0
        var copiedBytes = 0
        for subscriber in subscribers {
            let session = sessions[pointer: subscriber.session]
            let options = SubscriptionOptions(rawValue: subscriber.options)
            let qos = min(message.qos, options.maximumQoS)
            guard qos == .atMostOnce, isSmall, session.pointee.takesCopies, !options.noLocal,
                subscriber.subscriptionID == 0
            else {
                deliver(&message, to: subscriber)
                // It may have moved the frames.
                frame.variant = -1
                continue
            }
            let retain = options.retainAsPublished && message.retain
            let variant = FrameCache.variant(session.pointee.machine.version, qos, retain: retain)
            if variant != frame.variant {
                let delivery = Delivery(
                    qos: qos, retain: retain, subscriptionIDs: SubscriptionIDs())
                frame = place(variant, message, delivery, nil, session)
            }
            guard frame.count <= Int(session.pointee.packetSizeMax) else {
                dropOversize(message, session)
                continue
            }
            frame.copy(to: reserve(frame.count, session))
            wrote(frame.count, session)
            copied &+= 1
            copiedBytes &+= frame.count
            checkOutput(session)
        }
        metrics.publishesOut &+= UInt64(copied)
        metrics.bytesOut &+= UInt64(copiedBytes)
        events.metrics.count(.qos0Pushed, message.tenant, by: copied)
    }

    @inline(__always)
    private func deliver(_ message: inout Message, to subscriber: Subscriber) {
        let options = SubscriptionOptions(rawValue: subscriber.options)
        if options.noLocal,
            sessions[pointer: subscriber.session].pointee.publisherHash == message.publisherHash
        {
            return
        }
        let delivery = Delivery(
            qos: min(message.qos, options.maximumQoS),
            retain: options.retainAsPublished && message.retain,
            subscriptionIDs: SubscriptionIDs(one: subscriber.subscriptionID))
        deliver(&message, delivery, to: subscriber.session)
    }

    /// Several filters match: a session that has more than one of them gets one copy, with the
    /// highest QoS and all identifiers [MQTT-3.3.4-2] to [MQTT-3.3.4-4].
    private func deliverMerged(
        _ message: inout Message, _ tokens: UnsafeBufferPointer<UInt64>
    ) -> FanOutVerdict {
        merging.begin()
        for token in tokens {
            for subscriber in filters.subscribers(FilterToken(token)) {
                let session = sessions[pointer: subscriber.session]
                let options = SubscriptionOptions(rawValue: subscriber.options)
                if options.noLocal, session.pointee.publisherHash == message.publisherHash {
                    continue
                }
                merging.add(
                    subscriber.session, &session.pointee.mergeStamp, &session.pointee.mergeIndex,
                    options, subscriber.subscriptionID)
            }
        }
        if merging.count > sliceAbove {
            let verdict = defersMerged(&message, tokens)
            if verdict != .now { return verdict }
        }
        isFanOut = merging.count > 1
        for position in 0..<merging.count {
            let entry = merging[position]
            let delivery = Delivery(
                qos: min(message.qos, entry.maximumQoS),
                retain: entry.retainAsPublished && message.retain,
                subscriptionIDs: merging.subscriptionIDs(entry))
            deliver(&message, delivery, to: entry.session)
            delivery.subscriptionIDs.free()
        }
        return .now
    }

    // MARK: Other workers

    /// ```
    ///  delivery:      flags u8 | tokens u16 | token u64 ... | record
    ///                 flags 1: acknowledge; 2: to a group's member, see Worker+Share
    ///  deliveryDone:  count u32: so many acknowledged deliveries, in the order of sending
    /// ```
    private func send(
        _ message: inout Message, _ plan: RoutePlan, to place: PlanPlace,
        _ groups: inout GroupCount
    ) {
        let tokens = plan.otherTokens
        var first = Int(place.firstToken)
        let end = first + Int(place.tokenCount)
        while first < end {
            let next = min(end, first + Int(UInt16.max))
            sendTokens(
                &message, UnsafeBufferPointer(rebasing: tokens[first..<next]), to: place.place,
                &groups)
            first = next
        }
    }

    /// `member`: what a delivery to a shared group's member says besides.
    func sendTokens(
        _ message: inout Message, _ tokens: UnsafeBufferPointer<UInt64>, to place: Place,
        _ groups: inout GroupCount, member: ((inout ByteWriter) -> Void)? = nil
    ) {
        if !groups.waits, port.backlog(to: place) > WorkerLimits.mailBacklogMax {
            dropBeforeReceivers(.mailboxFull, message, tokens.count)
            return
        }
        metrics.deliveriesSent &+= 1
        let block = outbox.block(to: place)
        let start = block.bytes.count
        block.bytes.append(bigEndian: UInt32(0))
        block.bytes.append(MessageKind.delivery.rawValue)
        block.bytes.append((groups.waits ? 1 : 0) | (member == nil ? 0 : 2))
        block.bytes.append(bigEndian: UInt16(truncatingIfNeeded: tokens.count))
        for token in tokens { block.bytes.append(bigEndian: token) }
        member?(&block.bytes)
        message.appendRecord(into: &block.bytes)
        block.bytes.patch(bigEndian: UInt32(block.bytes.count - start - 4), at: start)
        if groups.waits { awaited.append(track(&groups), to: place) }
    }

    /// QoS 0 that a worker which does not keep up has no room for.
    func dropBeforeReceivers(
        _ reason: DropReason, _ message: borrowing Message, _ count: Int
    ) {
        let topic = message.topicText
        let qos = Int(message.qos.rawValue)
        let publisher = [UInt8](message.publisher)
        let tenant = message.tenant
        events.metrics.count(reason, tenant, by: count)
        events.report(.messageDropped, tenant) {
            record(tenant, publisher) {
                .session(.messageDropped(topic: topic, qos: qos, reason: reason))
            }
        }
    }

    /// The tenant of a filter in this worker's table.
    private func tenant(ofToken token: UInt64) -> TenantSlot {
        filters.filter(slot: FilterToken(token).slot).map {
            TenantSlot(Int32(bitPattern: $0.tenant))
        } ?? TenantSlot(0)
    }

    func receiveDelivery(_ body: RawSpan, from sender: Place) {
        var reader = ByteReader(body)
        do throws(ByteShortage) {
            let flags = try reader.readUInt8(body)
            let count = Int(try reader.readUInt16(body))
            let tokens = try reader.take(count * 8)
            metrics.deliveriesReceived &+= 1
            if flags & 2 != 0, count == 1 {
                let token = body.unsafeLoadUnaligned(
                    fromByteOffset: Int(tokens.offset), as: UInt64.self)
                try receiveSharedDelivery(
                    body, &reader, UInt64(bigEndian: token), isAwaited: flags & 1 != 0,
                    from: sender)
                return
            }
            var verdict = FanOutVerdict.now
            body.withUnsafeBytes { bytes in
                withTokens(bytes, tokens, count) { tokens in
                    guard !tokens.isEmpty else { return }
                    var message = Message(
                        record: UnsafeRawBufferPointer(rebasing: bytes[reader.offset...]),
                        tenant: tenant(ofToken: tokens[0]))
                    verdict = deliverOwn(&message, tokens)
                }
            }
            guard flags & 1 != 0 else { return }
            if verdict == .later {
                deferAnswer(to: sender)
            } else {
                awaited.countReceived(from: sender)
            }
        } catch {
            metrics.damagedFrames &+= 1
        }
    }

    private func withTokens(
        _ bytes: UnsafeRawBufferPointer, _ range: ByteRange, _ count: Int,
        _ body: (UnsafeBufferPointer<UInt64>) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count) { tokens in
            for index in 0..<count {
                tokens[index] = UInt64(
                    bigEndian: bytes.loadUnaligned(
                        fromByteOffset: Int(range.offset) + index * 8, as: UInt64.self))
            }
            body(UnsafeBufferPointer(tokens))
        }
    }

    /// End of turn: tells each sender how many of its deliveries are in their sessions' queues.
    func sendDeliveryDone() {
        awaited.forEachReceived { place, count in
            outbox.send(.deliveryDone, to: place) { $0.append(bigEndian: count) }
        }
    }

    func receiveDeliveryDone(_ body: RawSpan, from sender: Place) {
        var reader = ByteReader(body)
        guard let count = try? reader.readUInt32(body) else {
            metrics.damagedFrames &+= 1
            return
        }
        for _ in 0..<count {
            guard let tracker = awaited.removeFirst(from: sender) else { return }
            groupDone(tracker)
        }
    }

    // MARK: Stored sessions

    func store(
        _ message: inout Message, _ receivers: [StoredReceiver], _ origin: PublishOrigin,
        _ groups: inout GroupCount
    ) {
        var batches = InsertBatches(
            tenant: tenantBytes(message.tenant), source: source(of: origin))
        let record = message.record()
        let expiry = message.remainingSeconds(wallTime)
        let settings = tenants[message.tenant].pointee.settings
        for receiver in receivers {
            if settings.totalPersistentFanOutBytesPerSecond != 0,
                exceedsStoredFanOut(record.count, message)
            {
                continue
            }
            let options = DeliveryOptions(
                qos: min(message.qos, receiver.maximumQoS).rawValue,
                retain: receiver.retainAsPublished && message.retain,
                queuesQoS0: settings.queueQoS0Offline)
            if !batches.add(
                receiver, options, record: record.bytes, expiry: expiry, map: client.map)
            {
                metrics.insertsRefused &+= 1
            }
        }
        let isLogged = groups.waits || settings.queueQoS0Offline
        for batch in batches.batches {
            batch.encoder.finish()
            if isLogged {
                propose(batch, message.tenant, &groups)
            } else {
                pushUnlogged(batch)
            }
        }
    }

    private func propose(
        _ batch: InsertBatches.Batch, _ tenant: TenantSlot, _ groups: inout GroupCount
    ) {
        let task = InsertTask(
            tracker: groups.waits ? track(&groups) : nil, tenant: tenantBytes(tenant),
            slot: tenant)
        task.receivers = batch.receivers
        let accepted = propose(.inbox, batch.key, .insert(task)) {
            $0.append(batch.encoder.bytes)
        }
        if !accepted { insertFailed(task, .refused(.implementationSpecificError)) }
    }

    /// QoS 0: to the leader without the log; pushed if the session is online, or dropped there.
    private func pushUnlogged(_ batch: InsertBatches.Batch) {
        _ = batch.key.withRawSpan { key in
            client.send(.inboxUnlogged, .inbox, key: key, outbox: outbox) {
                $0.append(batch.encoder.bytes)
            }
        }
    }

    private func source(of origin: PublishOrigin) -> OutboxSource? {
        if case .outbox(let task) = origin { return task.source }
        return nil
    }

    func insertFailed(_ task: InsertTask, _ outcome: PublishOutcome) {
        metrics.insertsRefused &+= 1
        reportUndelivered(task, outcome)
        if let tracker = task.tracker { groupFailed(tracker, outcome) }
    }

    /// A range has taken its receivers: stale routes go, drops are counted.
    func insertDone(
        _ task: InsertTask, _ status: CompletionStatus, _ result: InsertResult?
    ) {
        if let replay = task.replay { replayInserted(replay) }
        if let lease = task.lease { return transferred(lease, result?.outcomes.first) }
        guard let result, result.outcomes.count == task.receivers.count else {
            insertFailed(
                task,
                status == .unavailable ? .refused(.implementationSpecificError) : .unknown)
            return
        }
        var isRejected = false
        var storedCount = 0
        for (index, outcome) in result.outcomes.enumerated() {
            switch outcome {
            case .stored, .duplicate, .storedDroppingOldest: storedCount += 1
            case .noSession:
                // A group without an inbox has no members.
                if isGroup(task, index) {
                    countStored(.groupUnavailable, task, 1)
                } else {
                    staleRoute(task.receivers[index], task.tenant)
                }
            case .droppedFullMessages, .droppedFullBytes:
                countStored(fullReason(task, index), task, 1)
                reportOverflow(task, index, isOldest: false, 1)
            case .rejected: isRejected = true
            case .qos0NotQueued: break
            case .expired: countStored(.expired, task, 1)
            }
        }
        for dropped in result.droppedOldest {
            let receiver = Int(dropped.receiver)
            countStored(fullReason(task, receiver), task, Int(dropped.count))
            reportOverflow(task, receiver, isOldest: true, Int(dropped.count))
        }
        if storedCount > 0 { noteDelivered(task.slot, storedCount) }
        guard let tracker = task.tracker else { return }
        if isRejected {
            groupFailed(tracker, .refused(.quotaExceeded))
        } else {
            groupDone(tracker)
        }
    }

    private func isGroup(_ task: InsertTask, _ receiver: Int) -> Bool {
        task.receivers.indices.contains(receiver) && task.receivers[receiver].clientID.first == 0
    }

    /// A full queue is its client's doing; a full inbox of a group means that none of its members
    /// takes anything.
    private func fullReason(_ task: InsertTask, _ receiver: Int) -> DropReason {
        isGroup(task, receiver) ? .groupUnavailable : .overflow
    }

    /// The session has gone, or begun a new life: this route leads nowhere.
    private func staleRoute(
        _ receiver: (clientID: [UInt8], incarnation: UInt64), _ tenant: [UInt8]
    ) {
        // The session's own intents remove its routes; one that is seen here is only late.
        metrics.staleRoutes &+= 1
    }

    private func countStored(_ reason: DropReason, _ task: InsertTask, _ count: Int) {
        events.metrics.count(reason, task.slot, by: count)
    }

    private func reportOverflow(
        _ task: InsertTask, _ receiver: Int, isOldest: Bool, _ count: Int
    ) {
        guard task.receivers.indices.contains(receiver) else { return }
        events.report(.overflowed, task.slot) {
            record(task.slot, task.receivers[receiver].clientID) {
                .session(.overflowed(isOldest: isOldest, dropCount: count))
            }
        }
    }

    /// A range could not take a message for its receivers, or nobody knows whether it did.
    private func reportUndelivered(_ task: InsertTask, _ outcome: PublishOutcome) {
        let receiver = task.receivers.first.map { String(decoding: $0.clientID, as: UTF8.self) }
        events.report(.deliverError, task.slot) {
            record(task.slot, []) {
                .dist(
                    .deliverError(
                        receiver: receiver ?? "", messages: task.receivers.count,
                        reason: "\(outcome.reasonCode)"))
            }
        }
    }

    // MARK: Counting down

    /// One more group of receivers that will answer.
    func track(_ groups: inout GroupCount) -> TrackerRef {
        if let tracker = groups.tracker {
            trackers[pointer: tracker.index].pointee.remaining += 1
            return tracker
        }
        let generation = nextTracker
        nextTracker = nextTracker == .max ? 1 : nextTracker + 1
        let index = trackers.insert(
            PublishTracker(
                origin: groups.origin, remaining: 1, outcome: .success, generation: generation))
        let tracker = TrackerRef(index: index, generation: generation)
        groups.tracker = tracker
        return tracker
    }

    func groupDone(_ tracker: TrackerRef) {
        let cell = trackers[pointer: tracker.index]
        invariant(
            cell.pointee.generation == tracker.generation && cell.pointee.remaining > 0,
            "a group of publish \(tracker) answered twice")
        cell.pointee.remaining -= 1
        guard cell.pointee.remaining == 0 else { return }
        let done = trackers.remove(tracker.index)
        finish(done.origin, done.outcome)
    }

    /// A group could not take the message for good: no acknowledgement of success may follow.
    func groupFailed(_ tracker: TrackerRef, _ outcome: PublishOutcome) {
        trackers[pointer: tracker.index].pointee.outcome = outcome
        groupDone(tracker)
    }
}

/// Whether a publish waits for groups of receivers, and its tracker once one of them has to answer.
struct GroupCount {
    let origin: PublishOrigin
    /// QoS 1 and 2: every group answers.
    var waits: Bool
    var tracker: TrackerRef?

    init(origin: PublishOrigin, waits: Bool) {
        self.origin = origin
        self.waits = waits
    }
}
