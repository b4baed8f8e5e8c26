import Base
import Dist
import Inbox
import MQTT
import Policy

/// Events: those of every message, which are counted always and built only for tenants that are
/// being debugged, and those of a session's life.
extension Worker {
    // MARK: Messages

    /// Whether anything must be built for single messages: looked at once per message.
    func noteDebugging() {
        isDebugging = (0..<tenants.count).contains { isDebugged(TenantSlot(Int32($0))) }
    }

    /// A message was written to its receiver.
    @inline(__always)
    func notePushed(
        _ message: borrowing Message, _ options: Delivery,
        _ session: UnsafeMutablePointer<Session>
    ) {
        events.metrics.count(options.qos.pushed, session.pointee.tenant)
        if isDebugging { describePush(message, options, session) }
    }

    private func describePush(
        _ message: borrowing Message, _ options: Delivery,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let topic = message.topicText
        let filter = matchedFilter(message.topicName, session)
        let size = message.payload.count
        let packetID = Int(options.packetID)
        describe(options.qos.pushed, session) {
            switch options.qos {
            case .atMostOnce: .push(.qos0Pushed(topic: topic, filter: filter, size: size))
            case .atLeastOnce:
                .push(
                    .qos1Pushed(
                        packetID: packetID, isDup: options.dup, topic: topic, filter: filter,
                        size: size))
            case .exactlyOnce:
                .push(
                    .qos2Pushed(
                        packetID: packetID, isDup: options.dup, topic: topic, filter: filter,
                        size: size))
            }
        }
    }

    /// Builds an event that was counted already.
    private func describe(
        _ kind: EventKind, _ session: UnsafeMutablePointer<Session>, _ event: () -> Event
    ) {
        guard events.isWanted(kind, debugMode: isDebugged(session.pointee.tenant)) else { return }
        events.append(record(session, event))
    }

    private func describe(
        _ kind: EventKind, _ tenant: TenantSlot, _ publisher: UnsafeRawBufferPointer,
        _ event: () -> Event
    ) {
        guard events.isWanted(kind, debugMode: isDebugged(tenant)) else { return }
        events.append(record(tenant, [UInt8](publisher), event))
    }

    /// The client has a QoS 1 or 2 message, or has refused it.
    func noteConfirmed(
        _ type: PacketType, _ packetID: UInt16, isRefused: Bool,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let kind: EventKind = type == .puback ? .qos1Confirmed : .qos2Confirmed
        events.metrics.count(kind, session.pointee.tenant)
        guard isDebugging else { return }
        let number = Int(packetID)
        describe(kind, session) {
            type == .puback
                ? .push(.qos1Confirmed(packetID: number, delivered: !isRefused))
                : .push(.qos2Confirmed(packetID: number, delivered: !isRefused))
        }
    }

    /// PUBREC came.
    func noteReceived(_ packetID: UInt16, _ session: UnsafeMutablePointer<Session>) {
        events.metrics.count(.qos2Received, session.pointee.tenant)
        guard isDebugging else { return }
        describe(.qos2Received, session) { .push(.qos2Received(packetID: Int(packetID))) }
    }

    /// A message has its receivers.
    @inline(__always)
    func noteDisted(_ message: borrowing Message, _ plan: RoutePlan) {
        events.metrics.count(.disted, message.tenant)
        if isDebugging { describeDist(message, plan) }
    }

    private func describeDist(_ message: borrowing Message, _ plan: RoutePlan) {
        let topic = message.topicText
        let fanout =
            plan.ownTokens.count + plan.otherTokens.count + plan.stored.count + plan.groups.count
        describe(.disted, message.tenant, message.publisher) {
            .dist(.disted(topic: topic, messages: 1, fanout: fanout))
        }
    }

    /// A group of receivers has a message: sessions of this worker, or inboxes of one range.
    @inline(__always)
    func noteDelivered(_ tenant: TenantSlot, _ count: Int) {
        events.metrics.count(.delivered, tenant)
        if isDebugging { describeDelivery(tenant, count) }
    }

    private func describeDelivery(_ tenant: TenantSlot, _ count: Int) {
        let receiver = "worker \(place.worker.rawValue) of node \(place.node.rawValue)"
        describe(.delivered, tenant, UnsafeRawBufferPointer(start: nil, count: 0)) {
            .dist(.delivered(receiver: receiver, messages: count))
        }
    }

    /// Remembers what a publish was about until its acknowledgement leaves; only for tenants that
    /// are debugged, at most the receive maximum.
    func noteOpened(
        _ packet: PublishPacket, _ topic: UnsafeRawBufferPointer,
        _ session: UnsafeMutablePointer<Session>
    ) {
        guard isDebugged(session.pointee.tenant) else { return }
        rareState(session).openPublishes[packet.packetID] = (
            String(decoding: UnsafeRawBufferPointer(rebasing: topic[2...]), as: UTF8.self),
            Int(packet.payload.count)
        )
    }

    /// PUBACK or PUBREC has left.
    @inline(__always)
    func noteAcknowledged(
        _ entry: InboundWindow.Entry, _ session: UnsafeMutablePointer<Session>
    ) {
        events.metrics.count(
            entry.qos == .atLeastOnce ? .pubAcked : .pubReced, session.pointee.tenant)
        if isDebugging { describeAcknowledged(entry, session) }
    }

    private func describeAcknowledged(
        _ entry: InboundWindow.Entry, _ session: UnsafeMutablePointer<Session>
    ) {
        let publish = session.pointee.rare?.openPublishes.removeValue(forKey: entry.packetID)
        let packetID = Int(entry.packetID)
        let topic = publish?.topic ?? ""
        let size = publish?.size ?? 0
        if entry.qos == .atLeastOnce {
            describe(.pubAcked, session) {
                .publish(.pubAcked(packetID: packetID, topic: topic, size: size))
            }
        } else {
            describe(.pubReced, session) {
                .publish(.pubReced(packetID: packetID, topic: topic, size: size))
            }
        }
    }

    /// One of the receiver's filters that match a topic, as it was subscribed to; empty where the
    /// filters are known to an inbox alone. Searched, so only for events that are wanted.
    func matchedFilter(
        _ topic: UnsafeRawBufferPointer, _ session: UnsafeMutablePointer<Session>
    ) -> String {
        let slots = session.pointee.filters.page(from: 0, limit: WorkerLimits.namedFiltersMax)
        for slot in slots {
            guard let whole = filters.filter(slot: slot).map({ [UInt8]($0.filter) }) else {
                continue
            }
            let filter = SharedName(whole)?.filter ?? whole
            if filter.withUnsafeBytes({ TopicMatch.matches(filter: $0, topic: topic) }) {
                return String(decoding: whole, as: UTF8.self)
            }
        }
        return ""
    }

    // MARK: The life of a session

    func noteStarted(_ session: UnsafeMutablePointer<Session>) {
        let isStored = session.pointee.machine.isStored
        report(.mqttSessionStart, session) {
            .session(.sessionStart(sessionID: sessionID(session), isStored: isStored))
        }
    }

    /// A live connection ends: what is lost with it is counted and told.
    func noteLeaving(_ session: UnsafeMutablePointer<Session>) {
        dropAcknowledgements(session)
        guard !session.pointee.machine.isStored else { return }
        while !session.pointee.machine.queue.isEmpty {
            let queued = session.pointee.machine.queue.removeFirst()
            countMemory(-queued.record.count, session.pointee.tenant)
            let message = Message(
                record: queued.record.bytes, tenant: session.pointee.tenant, block: queued.record)
            if queued.flight == 0 {
                drop(.sessionClosed, message, session)
            } else {
                giveBackWaiting(queued.flight, session)
            }
            queued.releaseAll()
        }
        reportUnconfirmed(session)
        report(.mqttSessionStop, session) {
            .session(.sessionStop(sessionID: sessionID(session), isStored: false))
        }
    }

    /// Publishes of the client whose PUBACK or PUBREC will never leave.
    private func dropAcknowledgements(_ session: UnsafeMutablePointer<Session>) {
        for position in 0..<session.pointee.machine.inbound.waitingCount {
            let entry = session.pointee.machine.inbound.waiting(at: position)
            let packetID = Int(entry.packetID)
            let topic = session.pointee.rare?.openPublishes[entry.packetID]?.topic ?? ""
            if entry.qos == .atLeastOnce {
                report(.pubAckDropped, session) {
                    .publish(.pubAckDropped(packetID: packetID, topic: topic))
                }
            } else {
                report(.pubRecDropped, session) {
                    .publish(.pubRecDropped(packetID: packetID, topic: topic))
                }
            }
        }
    }

    /// Messages of a transient session that were sent, and of which nobody will learn whether they
    /// arrived.
    private func reportUnconfirmed(_ session: UnsafeMutablePointer<Session>) {
        let open = session.pointee.machine.outbound.base..<session.pointee.machine.outbound.next
        for sequence in open {
            let packetID = Int(OutboundWindow.packetID(of: sequence))
            switch session.pointee.machine.outbound.phase(of: sequence) {
            case .finished, .awaitsPubcomp, .awaitsCommit: continue
            case .awaitsPuback:
                report(.qos1PushError, session) {
                    .push(
                        .qos1PushError(
                            packetID: packetID, reason: "the connection ended before PUBACK"))
                }
            case .awaitsPubrec:
                report(.qos2PushError, session) {
                    .push(
                        .qos2PushError(
                            packetID: packetID, reason: "the connection ended before PUBREC"))
                }
            }
        }
    }

    // MARK: Slow clients

    /// A client does not take what it is sent: told once, until it has caught up.
    func noteSlow(_ session: UnsafeMutablePointer<Session>) {
        guard !session.pointee.flags.contains(.slow) else { return }
        session.pointee.flags.insert(.slow)
        let count = session.pointee.machine.queue.count
        let bytes = session.pointee.machine.queue.byteCount
        report(.slowConsumer, session) {
            .session(.slowConsumer(queuedMessages: count, queuedBytes: bytes))
        }
    }

    /// One message of a full queue was dropped; the sum is told at the end of the turn.
    func noteOverflow(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, isOldest: Bool
    ) {
        noteSlow(session)
        let rare = rareState(session)
        if rare.overflow.count == 0 { overflowing.append(ref(session, index)) }
        rare.overflow = (rare.overflow.count + 1, isOldest)
    }

    func reportOverflows() {
        guard !overflowing.isEmpty else { return }
        for ref in overflowing {
            withSession(ref) { session, _ in
                guard let rare = session.pointee.rare else { return }
                let (count, isOldest) = rare.overflow
                rare.overflow = (0, false)
                report(.overflowed, session) {
                    .session(.overflowed(isOldest: isOldest, dropCount: count))
                }
            }
        }
        overflowing.removeAll(keepingCapacity: true)
    }

    /// The client's socket takes nothing more for now.
    func noteStalled(_ session: UnsafeMutablePointer<Session>) {
        session.pointee.flags.insert(.outputFull)
        let bytes = outputCount(session)
        let unconfirmed = session.pointee.machine.outbound.inFlight
        report(.subStalled, session) {
            .packet(.subStalled(queuedBytes: bytes, unconfirmedCount: unconfirmed))
        }
    }

    // MARK: Routes

    /// The outcome of one filter of a SUBSCRIBE or UNSUBSCRIBE.
    func reportRoute(
        _ task: SubscribeTask, _ position: Int, _ session: UnsafeMutablePointer<Session>
    ) {
        let entry = task.entries[position]
        let filter = String(decoding: entry.filter, as: UTF8.self)
        let receiver = String(decoding: session.pointee.clientID, as: UTF8.self)
        let reason = "\(entry.code)"
        switch (task.isSubscribe, entry.code.isFailure) {
        case (true, false):
            report(.matched, session) { .dist(.matched(filter: filter, receiver: receiver)) }
        case (true, true):
            report(.matchError, session) {
                .dist(.matchError(filter: filter, receiver: receiver, reason: reason))
            }
        case (false, false):
            report(.unmatched, session) { .dist(.unmatched(filter: filter, receiver: receiver)) }
        case (false, true):
            report(.unmatchError, session) {
                .dist(.unmatchError(filter: filter, receiver: receiver, reason: reason))
            }
        }
    }

    // MARK: The node

    /// Settings that were changed; told by one worker of the node.
    func reportChangedSettings() {
        guard place.worker == WorkerIndex(0) else { return }
        for change in tenantStore.takeChanges(since: &tenantChangesSeen) {
            let tenant = tenantSlot(change.tenant) ?? TenantSlot(0)
            events.report(.settingsChanged, tenant) {
                EventRecord(
                    milliseconds: wallTime.milliseconds, tenant: change.tenant.text, subject: nil,
                    event: .node(.settingsChanged(settings: change.settings)))
            }
        }
    }
}

extension QoS {
    /// The event of a message with this QoS that was written to its receiver.
    @inline(__always)
    fileprivate var pushed: EventKind {
        switch self {
        case .atMostOnce: .qos0Pushed
        case .atLeastOnce: .qos1Pushed
        case .exactlyOnce: .qos2Pushed
        }
    }
}
