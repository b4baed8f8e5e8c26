import Base
import Inbox
import KV
import MQTT
import Policy
import Retain

/// Retained messages for a new subscription: range by range and page by page, as fast as the client
/// takes them. Nothing is cut off; a client that is slow is simply asked for later.
extension Worker {
    func startReplay(
        _ entry: SubscribeTask.Entry, _ holder: SubscribeTask,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let settings = tenants[session.pointee.tenant].pointee.settings
        guard settings.retainEnabled, SharedName(entry.filter) == nil,
            session.pointee.phase == .live
        else { return }
        switch entry.options.retainHandling {
        case .send: break
        case .sendIfNew: if !entry.isNew { return }
        case .doNotSend: return
        }
        let task = ReplayTask(
            session: ref(session, index), filter: entry.filter,
            maximumQoS: QoS(rawValue: entry.code.rawValue & 3) ?? .atMostOnce,
            subscriptionID: holder.subscriptionID, left: settings.retainedMatchesMax)
        if !task.isWildcard {
            task.key = RetainKeys.routingKey(
                tenant: tenantBytes(session.pointee.tenant), topic: entry.filter)
        }
        task.holder = holder
        holder.replaying += 1
        session.pointee.flags.insert(.replays)
        replays[session.pointee.generation, default: SessionReplays()].active.append(task)
        askRetained(task, session)
    }

    /// The subscription has ended or begun anew.
    func cancelReplays(of filter: [UInt8], _ session: UnsafeMutablePointer<Session>) {
        guard session.pointee.flags.contains(.replays),
            var own = replays.removeValue(forKey: session.pointee.generation)
        else { return }
        for task in own.active where task.filter == filter { task.isCancelled = true }
        own.active.removeAll(where: \.isCancelled)
        own.waiting.removeAll(where: \.isCancelled)
        keep(own, of: session)
    }

    private func keep(_ own: SessionReplays, of session: UnsafeMutablePointer<Session>) {
        if own.active.isEmpty {
            session.pointee.flags.remove(.replays)
        } else {
            replays[session.pointee.generation] = own
        }
    }

    /// The session has ended.
    func dropReplays(_ session: UnsafeMutablePointer<Session>) {
        guard session.pointee.flags.contains(.replays) else { return }
        session.pointee.flags.remove(.replays)
        replays[session.pointee.generation] = nil
    }

    /// A replay has ended, or waits for the client: it does not hold the connection back any more.
    private func settle(_ task: ReplayTask, _ session: UnsafeMutablePointer<Session>) {
        guard let holder = task.holder else { return }
        task.holder = nil
        replaySettled(holder, session)
    }

    /// A replayed message is in the session's inbox, and was pushed if there was credit.
    func replayInserted(_ task: ReplayTask) {
        task.inserting -= 1
        guard task.inserting == 0, task.hasEnded, let session = find(task.session) else { return }
        settle(task, session)
    }

    func replaySettled(_ holder: SubscribeTask, _ session: UnsafeMutablePointer<Session>) {
        holder.replaying -= 1
        if holder.replaying == 0 { clearBusy(session) }
    }

    /// Asks for the next page, or waits until the client has taken what it has.
    private func askRetained(_ task: ReplayTask, _ session: UnsafeMutablePointer<Session>) {
        let room = replayRoom(session)
        guard room > 0 else {
            if task.beginSurvey(behind: nextRange(task)) {
                askVersion(task, session)
            } else {
                wait(task, session)
            }
            return
        }
        let tenant = tenantBytes(session.pointee.tenant)
        var question = ByteWriter(capacity: 64)
        RetainQuestion.writeMatch(
            tenant: tenant, filter: task.filter, cursor: task.cursor,
            messagesMax: UInt32(min(room, task.left, WorkerLimits.retainedPageMessages)),
            bytesMax: UInt32(WorkerLimits.retainedPageBytes), into: &question)
        if !ask(.retain, task.key, .retainedMatch(task), question.array) {
            replayFailed(task, session)
        }
    }

    /// Goes on when the client has taken something.
    private func wait(_ task: ReplayTask, _ session: UnsafeMutablePointer<Session>) {
        replays[session.pointee.generation]?.waiting.append(task)
        settle(task, session)
    }

    /// Asks the range whose turn the survey has where its versions stand.
    private func askVersion(_ task: ReplayTask, _ session: UnsafeMutablePointer<Session>) {
        guard let key = task.survey else { return }
        var question = ByteWriter(capacity: 64)
        RetainQuestion.writeList(
            tenant: tenantBytes(session.pointee.tenant), filter: task.filter, messagesMax: 1,
            into: &question)
        if !ask(.retain, key, .retainedMatch(task), question.array) { replayFailed(task, session) }
    }

    /// Messages that may be sent or queued now without a bound being touched.
    private func replayRoom(_ session: UnsafeMutablePointer<Session>) -> Int {
        let most = tenants[session.pointee.tenant].pointee.settings.sessionQueueMessagesMax / 2
        if isOutputFull(session) { return 0 }
        let waiting =
            session.pointee.rare?.stored?.replayDebt ?? session.pointee.machine.queue.count
        return max(most, 1) - waiting
    }

    /// The client has taken something: pages that waited for that are asked for.
    func resumeReplays(_ session: UnsafeMutablePointer<Session>) {
        guard session.pointee.flags.contains(.replays),
            let waiting = replays[session.pointee.generation]?.waiting, !waiting.isEmpty,
            replayRoom(session) > 0
        else { return }
        replays[session.pointee.generation]?.waiting = []
        for task in waiting { askRetained(task, session) }
    }

    func retainedPage(_ task: ReplayTask, _ completion: Completion, _ result: RawSpan) {
        guard !task.isCancelled, let session = find(task.session),
            session.pointee.phase == .live
        else { return }
        guard completion.status == .done, let answer = RetainAnswer(result) else {
            replayFailed(task, session)
            return
        }
        if let key = task.survey {
            task.surveyed(answer.lastVersion, next: task.isWildcard ? range(behind: key) : nil)
            task.survey == nil ? askRetained(task, session) : askVersion(task, session)
            return
        }
        if answer.isBusy {
            askRetained(task, session)
            return
        }
        let snapshot = task.snapshot(at: task.key, answer.lastVersion)
        for item in answer.items where item.version <= snapshot {
            task.sent += 1
            replay(result, item, task, session)
            guard session.pointee.phase == .live else { return }
        }
        meterMatches(answer, session)
        task.left -= answer.items.count
        if answer.hasMore, task.left > 0 {
            task.cursor = answer.cursor
            askRetained(task, session)
        } else if task.left > 0, let next = nextRange(task) {
            task.cursor = []
            task.key = next
            askRetained(task, session)
        } else {
            forget(task, session)
            task.hasEnded = true
            if task.inserting == 0 { settle(task, session) }
            report(.retainMsgMatched, session) {
                .retain(
                    .retainMsgMatched(
                        filter: String(decoding: task.filter, as: UTF8.self),
                        qos: Int(task.maximumQoS.rawValue), count: task.sent))
            }
        }
    }

    /// Retained messages read count towards the tenant's rates; who comes later pays.
    private func meterMatches(_ answer: RetainAnswer, _ session: UnsafeMutablePointer<Session>) {
        let tenant = tenants[session.pointee.tenant]
        let bytes = answer.items.reduce(0) { $0 + Int($1.record.count) }
        _ = tenant.pointee.account.force(
            .totalRetainMatchPerSeconds, answer.items.count,
            limit: tenant.pointee.settings.totalRetainMatchPerSecond, now: now)
        _ = tenant.pointee.account.force(
            .totalRetainMatchBytesPerSecond, bytes,
            limit: tenant.pointee.settings.totalRetainMatchBytesPerSecond, now: now)
    }

    /// The rate of retained matches that is used up, if one is.
    func exceedsMatchRate(_ tenant: TenantSlot) -> ResourceType? {
        let record = tenants[tenant]
        for resource in [
            ResourceType.totalRetainMatchPerSeconds, .totalRetainMatchBytesPerSecond,
        ] {
            let limit = resource.limit(record.pointee.settings)
            if record.pointee.account.force(resource, 0, limit: limit, now: now) > .zero {
                return resource
            }
        }
        return nil
    }

    /// A filter with wildcards is asked of every range in turn.
    private func nextRange(_ task: ReplayTask) -> [UInt8]? {
        task.isWildcard ? range(behind: task.key) : nil
    }

    private func range(behind key: [UInt8]) -> [UInt8]? {
        client.map.descriptor(.retain, at: key)?.bounds.end
    }

    private func forget(_ task: ReplayTask, _ session: UnsafeMutablePointer<Session>) {
        guard var own = replays.removeValue(forKey: session.pointee.generation) else { return }
        own.active.removeAll { $0 === task }
        keep(own, of: session)
    }

    private func replayFailed(_ task: ReplayTask, _ session: UnsafeMutablePointer<Session>) {
        forget(task, session)
        settle(task, session)
        report(.matchRetainError, session) {
            .retain(
                .matchRetainError(
                    filter: String(decoding: task.filter, as: UTF8.self),
                    reason: DropReason.storeError.name))
        }
        events.metrics.count(.storeError, session.pointee.tenant)
    }

    private func replay(
        _ page: RawSpan, _ item: RetainAnswer.Item, _ task: ReplayTask,
        _ session: UnsafeMutablePointer<Session>
    ) {
        page.withUnsafeBytes { bytes in
            let record = UnsafeRawBufferPointer(rebasing: bytes[item.record.range])
            var message = Message(record: record, tenant: session.pointee.tenant)
            let delivery = Delivery(
                qos: min(message.qos, task.maximumQoS), retain: true,
                subscriptionIDs: SubscriptionIDs(one: task.subscriptionID))
            if delivery.qos != .atMostOnce, let stored = session.pointee.rare?.stored,
                session.pointee.machine.isStored
            {
                storeReplayed(&message, delivery, task, stored, session)
            } else {
                deliver(&message, delivery, to: task.session.index)
            }
        }
    }

    /// Into the session's own queue, so that it survives the connection.
    private func storeReplayed(
        _ message: inout Message, _ delivery: Delivery, _ task: ReplayTask,
        _ stored: StoredState, _ session: UnsafeMutablePointer<Session>
    ) {
        stored.replayDebt += 1
        let options = DeliveryOptions(qos: delivery.qos.rawValue, retain: true)
        var batches = InsertBatches(
            tenant: tenantBytes(session.pointee.tenant), source: nil)
        let receiver = StoredReceiver(
            clientID: session.pointee.names.clientID, incarnation: stored.incarnation,
            maximumQoS: delivery.qos,
            retainAsPublished: true,
            subscriptionIDs: task.subscriptionID == 0 ? [] : [task.subscriptionID])
        let record = message.record()
        _ = batches.add(
            receiver, options, record: record.bytes,
            expiry: message.remainingSeconds(wallTime), map: client.map)
        for batch in batches.batches {
            batch.encoder.finish()
            let insert = InsertTask(
                tracker: nil, tenant: tenantBytes(session.pointee.tenant),
                slot: session.pointee.tenant)
            insert.receivers = batch.receivers
            insert.replay = task
            let accepted = propose(.inbox, batch.key, .insert(insert)) {
                $0.append(batch.encoder.bytes)
            }
            if accepted {
                task.inserting += 1
            } else {
                insertFailed(insert, .refused(.implementationSpecificError))
            }
        }
    }
}
