import Base
import Inbox
import KV
import MQTT
import Policy
import Retain

/// What of a request waits for the answer of a range.
enum DoorStep {
    case retainedList(DoorList, key: [UInt8])
    case retainedShow
    case retainedClear
    case storedSessions(DoorList, key: [UInt8])
    /// The session's record is asked for, then its owner.
    case record(DoorSessionName)
    case owner(DoorSession?, clientID: [UInt8])
    case subscriptions
    case terminate(wasOnline: Bool)
    case terminateOwner(DoorSessionName, publishesWill: Bool)
    case subscribe(DoorStoredChange)
    case route(DoorStoredChange)
}

/// A request on its way through the ranges: its ticket, and what follows the next answer.
struct DoorTask {
    let ticket: UInt64
    let step: DoorStep
}

/// The query door: requests from outside the loops, each answered once through the port.
///
/// They are carried out like a client's: asked of ranges, proposed, published. Whoever asks is
/// bounded by `QueryDoor`; a request that a worker has taken is always answered, because ranges
/// always answer, with `unavailable` or `unknown` if need be.
extension Worker {
    /// A letter of a thread outside the loops. An empty one is only a reason to take a turn.
    package func receiveOutside(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        guard let letter = DoorRequest.decode(letter: RawSpan(_unsafeBytes: bytes)) else {
            metrics.damagedFrames &+= 1
            return
        }
        metrics.doorRequests &+= 1
        guard let request = letter.request else {
            return answerDoor(letter.ticket, .refused(.malformed))
        }
        carryOut(request, letter.ticket)
    }

    func answerDoor(_ ticket: UInt64, _ answer: DoorAnswer) {
        port.answerDoor(ticket, answer.encoded)
    }

    private func carryOut(_ request: DoorRequest, _ ticket: UInt64) {
        switch request {
        case .publish(let publish): publishForDoor(publish, ticket)
        case .retainedList(let list): listRetained(list, ticket)
        case .retainedShow(let tenant, let topic): showRetained(tenant, topic, ticket)
        case .retainedClear(let tenant, let topic): clearRetained(tenant, topic, ticket)
        case .storedSessions(let list): listStored(list, ticket)
        case .connectedSessions(let list): listConnected(list, ticket)
        case .session(let name):
            askInbox(.show(name.inboxName), name, DoorTask(ticket: ticket, step: .record(name)))
        case .connection(let name):
            withConnection(name, ticket) { session, index in
                answerDoor(ticket, .connection(describe(session)))
            }
        case .subscriptions(let name, let skip):
            askInbox(
                .subscriptions(name.inboxName, skip: skip), name,
                DoorTask(ticket: ticket, step: .subscriptions))
        case .connectionSubscriptions(let name, let skip):
            withConnection(name, ticket) { session, index in
                answerDoor(ticket, subscriptionPage(session, index, skip: Int(skip)))
            }
        case .disconnect(let name):
            withConnection(name, ticket) { session, index in
                disconnect(
                    session, index, .administrativeAction,
                    .disconnect(.kicked(kicker: "administrator")))
                answerDoor(ticket, .done)
            }
        case .terminate(let name, let publishesWill):
            askInbox(
                .owner(name.inboxName), name,
                DoorTask(
                    ticket: ticket, step: .terminateOwner(name, publishesWill: publishesWill)))
        case .subscribe(let name, let subscription):
            changeStored(name, .add(subscription), ticket)
        case .unsubscribe(let name, let filter): changeStored(name, .remove(filter), ticket)
        case .subscribeConnection(let name, let subscription):
            subscribeConnection(name, subscription, ticket)
        case .unsubscribeConnection(let name, let filter):
            unsubscribeConnection(name, filter, ticket)
        case .figures: answerDoor(ticket, .figures(figures))
        case .health: answerDoor(ticket, .health(health))
        }
    }

    // MARK: Ranges

    func askInbox(_ question: InboxQuestion, _ name: DoorSessionName, _ task: DoorTask) {
        let key = InboxKeys.sessionPrefix(name.inboxName)
        if !ask(.inbox, key, .door(task), question.encoded) {
            answerDoor(task.ticket, .refused(.busy))
        }
    }

    /// A range has answered a request's question or command.
    func doorAnswered(_ task: DoorTask, _ completion: Completion, _ result: RawSpan) {
        switch completion.status {
        case .done: break
        case .unavailable: return answerDoor(task.ticket, .refused(.unavailable))
        case .unknown: return answerDoor(task.ticket, .refused(.unknown))
        }
        let ticket = task.ticket
        switch task.step {
        case .retainedList(let list, let key): retainedListed(list, key, ticket, result)
        case .retainedShow: retainedShown(ticket, result)
        case .retainedClear: retainedCleared(ticket, result)
        case .storedSessions(let list, let key): storedListed(list, key, ticket, result)
        case .record(let name): recordShown(name, ticket, result)
        case .owner(let record, let clientID): ownerShown(record, clientID, ticket, result)
        case .subscriptions: subscriptionsShown(ticket, result)
        case .terminateOwner(let name, let publishesWill):
            ownerToEnd(name, publishesWill, ticket, result)
        case .terminate(let wasOnline): terminated(wasOnline, ticket, result)
        case .subscribe(let change): storedChanged(change, result)
        case .route(let change): storedRouteChanged(change, result)
        }
    }

    // MARK: Publish

    private func publishForDoor(_ publish: DoorPublish, _ ticket: UInt64) {
        guard tenantStore.admits(publish.tenant) else {
            return answerDoor(ticket, .refused(.tenantUnknown))
        }
        guard !isDraining else { return answerDoor(ticket, .refused(.stopped)) }
        guard nodeLoad.pressure != .over, let tenant = tenantSlot(publish.tenant) else {
            return answerDoor(ticket, .refused(.busy))
        }
        let settings = tenants[tenant].pointee.settings
        if let fault = publish.message.fault(settings, isSystem: publish.isSystem) {
            return answerDoor(ticket, .refused(fault))
        }
        withDoorMessage(publish.message, tenant) { message in
            self.publish(&message, .door(ticket))
        }
    }

    private func withDoorMessage(
        _ source: DoorMessage, _ tenant: TenantSlot, _ body: (inout Message) -> Void
    ) {
        var topic = ByteWriter(capacity: source.topic.count + 2)
        topic.append(lengthPrefixed16: source.topic)
        let hash = MessageRecord.publisherHash(
            tenant: tenantBytes(tenant), clientID: source.publisher)
        source.properties.encoded.withUnsafeBytes { properties in
            source.payload.withUnsafeBytes { payload in
                tenantNames[Int(tenant.index)].withUnsafeBytes { tenantName in
                    source.publisher.withUnsafeBytes { publisher in
                        var message = Message(
                            topic: topic.bytes, forwarded: properties, payload: payload,
                            qos: source.qos, retain: source.retain, tenant: tenant,
                            publisherHash: hash, publishedAt: wallTime,
                            expirySeconds: source.expirySeconds, tenantName: tenantName,
                            publisher: publisher)
                        body(&message)
                    }
                }
            }
        }
    }

    func finishDoor(_ ticket: UInt64, _ outcome: PublishOutcome) {
        switch outcome {
        case .success: answerDoor(ticket, .published(.delivered))
        case .noMatchingSubscribers: answerDoor(ticket, .published(.noMatchingSubscribers))
        case .refused(let code): answerDoor(ticket, .published(.refused(code)))
        case .unknown: answerDoor(ticket, .refused(.unknown))
        }
    }

    // MARK: Figures

    private var health: WorkerHealth {
        var health = WorkerHealth(worker: place.worker)
        health.isDraining = isDraining
        health.isLate = now < lateUntil
        health.isShortOfMemory = nodeLoad.pressure != .none
        health.leaderless = leaderless.prefix(100).map { $0 }
        return health
    }

    /// Ranges that nobody leads, and stores with keys that no range is known for.
    private var leaderless: [String] {
        StoreKind.allCases.flatMap { store -> [String] in
            let unled = client.map[store].filter { $0.leader == nil }.map {
                "\(store) range \($0.id.number)"
            }
            let hasHole = client.map.tiling(store, .all) == nil
            return unled + (hasHole ? ["\(store): a part of the keys"] : [])
        }
    }

    private var figures: WorkerFigures {
        var figures = WorkerFigures(worker: place.worker)
        fillWork(&figures)
        fillRanges(&figures)
        fillMemory(&figures)
        port.fill(&figures)
        fillTenants(&figures)
        return figures
    }

    private func fillWork(_ figures: inout WorkerFigures) {
        figures[.connectionsAccepted] = metrics.connectionsAccepted
        figures[.connectionsClosed] = metrics.connectionsClosed
        figures[.connectionsOpen] = UInt64(sessions.count)
        figures[.sessionsLive] = metrics.sessionsLive
        figures[.storedSessionsAttached] = metrics.storedLive
        figures[.subscriptions] = metrics.subscriptions
        figures[.packetsIn] = metrics.packetsIn
        figures[.packetsOut] = metrics.packetsOut
        figures[.badPackets] = metrics.badPackets
        figures[.publishesIn] = metrics.publishesIn
        figures[.publishesOut] = metrics.publishesOut
        figures[.publishBytesOut] = metrics.bytesOut
        figures[.unmatched] = metrics.unmatched
        figures[.queued] = metrics.queued
        figures[.parked] = metrics.parked
        figures[.parkedBytes] = UInt64(parkedBytes)
        figures[.strayAcknowledgements] = metrics.strayAcknowledgements
        figures[.deliveriesSent] = metrics.deliveriesSent
        figures[.deliveriesReceived] = metrics.deliveriesReceived
        figures[.groupPushes] = metrics.groupPushes
        figures[.staleRoutes] = metrics.staleRoutes
        figures[.insertsRefused] = metrics.insertsRefused
        figures[.routesLeftBehind] = metrics.routesLeftBehind
        figures[.outcomesUnknown] = metrics.outcomesUnknown
        figures[.damagedFrames] = metrics.damagedFrames
        figures[.retainedSet] = metrics.retainedSet
        figures[.publishesOpen] = UInt64(trackers.count)
        figures[.operationsOpen] = UInt64(operations.count)
        figures[.routeQuestionsOpen] = UInt64(matches.count)
        figures[.eventsOverflowed] = UInt64(events.overflowed)
        figures[.doorRequests] = metrics.doorRequests
        figures[.connectsShed] = metrics.connectsShed
        figures[.clientsShed] = metrics.clientsShed
        figures[.lateTurns] = metrics.lateTurns
    }

    private func fillRanges(_ figures: inout WorkerFigures) {
        figures[.rangesWithoutLeader] = UInt64(leaderless.count)
        host.forEachMachine { descriptor, machine in
            if descriptor.leader == place { figures[.rangesLed] += 1 }
            if let inbox = machine as? InboxMachine {
                figures[.storedSessions] += inbox.storedSessions
                figures[.storedSubscriptions] += inbox.subscriptionTotal
                figures[.storedMessages] += inbox.queueTotals.messages
                figures[.storedMessageBytes] += inbox.queueTotals.bytes
            } else if let retain = machine as? RetainMachine {
                figures[.retainedTopics] += UInt64(retain.topicCount)
                figures[.retainedBytes] += UInt64(retain.byteCount)
            }
        }
    }

    private func fillTenants(_ figures: inout WorkerFigures) {
        let totals = events.metrics.snapshot(tenants)
        for index in 0..<Int32(tenants.count) {
            let record = tenants[TenantSlot(index)]
            var tenant = WorkerFigures.Tenant(name: record.pointee.name.text)
            tenant.connections = UInt64(record.pointee.account.used(.totalConnections))
            if let row = totals.tenants[record.pointee.name] {
                tenant.events = Self.counted(row.events)
                tenant.drops = Self.counted(row.drops)
            }
            if figures.tenants.count < DoorLimits.tenantsInFigures {
                figures.tenants.append(tenant)
            } else {
                figures.hide(tenant)
            }
        }
    }

    private static func counted(_ values: [UInt64]) -> [UInt8: UInt64] {
        var counts: [UInt8: UInt64] = [:]
        for (index, value) in values.enumerated() where value > 0 { counts[UInt8(index)] = value }
        return counts
    }
}

extension WorkerFigures {
    /// Adds a tenant to those that are not told apart.
    mutating func hide(_ tenant: Tenant) {
        if hiddenTenants == 0 { tenants.append(Tenant(name: "")) }
        hiddenTenants += 1
        let last = tenants.count - 1
        tenants[last].connections += tenant.connections
        tenants[last].events.merge(tenant.events, uniquingKeysWith: +)
        tenants[last].drops.merge(tenant.drops, uniquingKeysWith: +)
    }
}
