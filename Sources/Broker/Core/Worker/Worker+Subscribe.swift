import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// SUBSCRIBE and UNSUBSCRIBE: what a filter may be, its route, and the answer once it holds.
///
/// ```
///  transient: filter table -> dist route (unless it holds already) -> SUBACK -> retained messages
///  stored:    inbox (subscription and intent) -> dist route -> intent completed -> SUBACK -> ...
/// ```
/// The connection is held back until the answer has left, so that changes of one filter keep their
/// order.
extension Worker {
    func handleSubscribe(
        _ packet: SubscribePacket, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let settings = tenants[session.pointee.tenant].pointee.settings
        if packet.entryCount > settings.topicFiltersPerSubscribeMax {
            disconnect(
                session, index, .quotaExceeded,
                .disconnect(
                    .tooLargeSubscription(
                        max: settings.topicFiltersPerSubscribeMax, actual: packet.entryCount)))
            return
        }
        let task = SubscribeTask(
            session: ref(session, index), packetID: packet.packetID, isSubscribe: true,
            subscriptionID: packet.subscriptionID)
        var position = 0
        while let entry = packet.next(bytes, &position) {
            if entry.filter.isEmpty, session.pointee.machine.version == .v5 {
                // Not a filter that is refused, but none [MQTT-4.7.3-1].
                let statement = "empty topic filter [MQTT-4.7.3-1]"
                disconnect(
                    session, index, .protocolError,
                    .disconnect(.protocolViolation(statement: statement)))
                return
            }
            let code = judge(entry, packet, bytes, settings, session, index)
            if contradictsConnack(code, session) {
                refuseContradiction(code, bytes.array(entry.filter), session, index)
                return
            }
            task.entries.append(
                SubscribeTask.Entry(
                    filter: bytes.array(entry.filter), options: entry.options, code: code))
        }
        guard askFilters(task, session, index) else { return }
        reportDisallowed(task, session)
        limitSubscribing(task, settings, session)
        setBusy(session)
        for entry in task.entries { cancelReplays(of: entry.filter, session) }
        if session.pointee.machine.isStored {
            subscribeStored(task, session, index)
        } else {
            subscribeTransient(task, session, index)
        }
    }

    /// Whether the client asks for something of which CONNACK said that it is not there.
    private func contradictsConnack(
        _ code: ReasonCode, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let flags = session.pointee.flags
        return code == .wildcardSubscriptionsNotSupported && flags.contains(.toldNoWildcards)
            || code == .sharedSubscriptionsNotSupported && flags.contains(.toldNoShares)
            || code == .subscriptionIdentifiersNotSupported
                && flags.contains(.toldNoSubscriptionIDs)
    }

    private func refuseContradiction(
        _ code: ReasonCode, _ filter: [UInt8], _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let event: DisconnectEvent =
            code == .subscriptionIdentifiersNotSupported
            ? .protocolViolation(statement: "subscription: \(code)")
            : .invalidTopicFilter(filter: String(decoding: filter, as: UTF8.self))
        disconnect(session, index, code, .disconnect(event))
    }

    /// A packet identifier that a PUBLISH of the client still uses. 3.x has no word for it.
    private func isInUse(
        _ packetID: UInt16, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        session.pointee.machine.version == .v5
            && session.pointee.machine.inbound.isOpen(packetID)
    }

    /// The SUBACK code of one filter, as far as it can be said before anything is done.
    private func judge(
        _ entry: SubscribeEntry, _ packet: SubscribePacket, _ bytes: RawSpan,
        _ settings: TenantSettings, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> ReasonCode {
        if isInUse(packet.packetID, session) { return .packetIdentifierInUse }
        if packet.subscriptionID != 0, !settings.subscriptionIdentifierEnabled {
            return .subscriptionIdentifiersNotSupported
        }
        let filter: TopicFilter
        do throws(TopicFault) {
            filter = try TopicFilter.parse(bytes, entry.filter, settings.topicLimits)
        } catch {
            return .topicFilterInvalid
        }
        if filter.hasWildcard, !settings.wildcardSubscriptionEnabled {
            return .wildcardSubscriptionsNotSupported
        }
        if filter.share != .none {
            let isEnabled =
                settings.sharedSubscriptionEnabled
                && (session.pointee.machine.version == .v5
                    || settings.mqtt3SharedSubscriptionEnabled)
            if !isEnabled { return .sharedSubscriptionsNotSupported }
        }
        let qos = min(
            entry.options.maximumQoS, QoS(rawValue: UInt8(settings.maximumQoS)) ?? .exactlyOnce)
        let code = ReasonCode.granted(qos)
        let inner = bytes.extracting(filter.filter.range)
        return permitsSubscribe(inner, qos, session, index) ? code : .notAuthorized
    }

    func handleUnsubscribe(
        _ packet: UnsubscribePacket, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let most = tenants[session.pointee.tenant].pointee.settings.topicFiltersPerSubscribeMax
        if packet.entryCount > most {
            disconnect(
                session, index, .quotaExceeded,
                .disconnect(.tooLargeUnsubscription(max: most, actual: packet.entryCount)))
            return
        }
        let task = SubscribeTask(
            session: ref(session, index), packetID: packet.packetID, isSubscribe: false)
        let isInUse = isInUse(packet.packetID, session)
        var position = 0
        while let filter = packet.next(bytes, &position) {
            let code: ReasonCode =
                isInUse
                ? .packetIdentifierInUse : isFilter(bytes, filter) ? .success : .topicFilterInvalid
            task.entries.append(
                SubscribeTask.Entry(
                    filter: bytes.array(filter), options: SubscriptionOptions(rawValue: 0),
                    code: code))
        }
        guard askFilters(task, session, index), !endsForRefusal(task, session, index) else {
            return
        }
        guard limitUnsubscribing(task, session, index) else { return }
        setBusy(session)
        for entry in task.entries { cancelReplays(of: entry.filter, session) }
        if session.pointee.machine.isStored {
            unsubscribeStored(task, session, index)
        } else {
            unsubscribeTransient(task, session, index)
        }
    }

    /// Reports the filters that the rules refuse.
    private func reportDisallowed(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>
    ) {
        for entry in task.entries where entry.code == .notAuthorized {
            if task.isSubscribe {
                report(.subActionDisallow, session) {
                    .access(
                        .subActionDisallow(
                            filter: String(decoding: entry.filter, as: UTF8.self),
                            qos: Int(entry.options.maximumQoS.rawValue)))
                }
            } else {
                report(.unsubActionDisallow, session) {
                    .access(
                        .unsubActionDisallow(
                            filter: String(decoding: entry.filter, as: UTF8.self)))
                }
            }
        }
    }

    /// An UNSUBSCRIBE that is not permitted: 3.x has no word for it, so the connection ends.
    private func endsForRefusal(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        reportDisallowed(task, session)
        let isRefused = task.entries.contains {
            $0.code == .notAuthorized || $0.code == .implementationSpecificError
        }
        guard isRefused, session.pointee.machine.version != .v5 else { return false }
        end(session, index, .disconnect(.byServer))
        return true
    }

    private func isFilter(_ bytes: RawSpan, _ filter: ByteRange) -> Bool {
        (try? TopicFilter.parse(bytes, filter, .protocolLimits)) != nil
    }

    // MARK: Transient sessions

    func subscribeTransient(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let settings = tenants[session.pointee.tenant].pointee.settings
        task.waiting = 1
        for position in task.entries.indices where !task.entries[position].code.isFailure {
            let filter = task.entries[position].filter
            let isFull = session.pointee.filters.count >= settings.topicFiltersPerSessionMax
            let exhausted = isFull ? nil : takeSubscription(filter, session)
            let isTaken = !isFull && exhausted == nil
            guard isTaken || isSubscribed(filter, session) else {
                if let exhausted { reportExhausted(exhausted, session) }
                task.entries[position].code = .quotaExceeded
                continue
            }
            let change = enterFilter(task.entries[position], task.subscriptionID, session, index)
            task.entries[position].isNew = !change.wasReplaced
            if change.wasReplaced {
                if isTaken { giveBackSubscription(filter, session) }
            } else {
                session.pointee.filters.append(change.token.slot)
                metrics.subscriptions &+= 1
            }
            addRoute(task, position, change.token, session)
            join(task, position, slot: change.token.slot, session, index)
        }
        arrived(task)
    }

    /// Whether the filter is there already, so that a new subscription only replaces it.
    private func isSubscribed(
        _ filter: [UInt8], _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        session.pointee.filters.contains { slot in
            filters.filter(slot: slot).map { $0.filter.elementsEqual(filter) } ?? false
        }
    }

    private func enterFilter(
        _ entry: SubscribeTask.Entry, _ subscriptionID: UInt32,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> FilterTable.Change {
        let granted = entry.code.rawValue & 3
        let subscriber = Subscriber(
            session: index, options: entry.options.rawValue & 0xFC | granted,
            subscriptionID: subscriptionID)
        let tenant = UInt32(bitPattern: session.pointee.tenant.index)
        return entry.filter.withUnsafeBytes { filter in
            SharedName(entry.filter) == nil
                ? filters.subscribe(tenant: tenant, filter: filter, subscriber: subscriber)
                : filters.subscribeMember(tenant: tenant, filter: filter, subscriber: subscriber)
        }
    }

    /// Puts the route of a filter into dist, or makes sure that it holds: another session's may be
    /// on its way only. A route that is there already costs one command that changes nothing.
    private func addRoute(
        _ task: SubscribeTask, _ position: Int, _ token: FilterToken,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let route = transientRoute(
            tenantBytes(session.pointee.tenant), task.entries[position].filter, token)
        let members = UInt32(
            clamping: tenants[session.pointee.tenant].pointee.settings.sharedGroupMembersMax)
        task.waiting += 1
        let accepted = changeRoute(route, .route(task, entry: position)) {
            $0.add(route, membersMax: members)
        }
        if !accepted {
            task.waiting -= 1
            task.entries[position].code = .quotaExceeded
            reportRoute(task, position, session)
        }
    }

    private func transientRoute(
        _ tenant: [UInt8], _ filter: [UInt8], _ token: FilterToken
    ) -> Route {
        let receiver = RouteReceiver.transient(place: place, epoch: epoch, token: token.rawValue)
        if let shared = SharedName(filter) {
            return Route(
                tenant: tenant, filter: shared.filter, group: shared.group, receiver: receiver)
        }
        return Route(tenant: tenant, filter: filter, receiver: receiver)
    }

    func changeRoute(
        _ route: Route, _ operation: Operation, _ write: (inout RouteCommandEncoder) -> Void
    ) -> Bool {
        var encoder = RouteCommandEncoder()
        write(&encoder)
        let key = DistKeys.routingKey(tenant: route.tenant, filter: route.filter)
        return propose(.dist, key, operation) { $0.append(encoder.writer.bytes) }
    }

    func unsubscribeTransient(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let tenant = UInt32(bitPattern: session.pointee.tenant.index)
        task.waiting = 1
        for position in task.entries.indices where !task.entries[position].code.isFailure {
            let filter = task.entries[position].filter
            leaveGroup(filter, session)
            let removal = filter.withUnsafeBytes {
                filters.unsubscribe(
                    tenant: tenant, filter: $0, session: index,
                    isMember: SharedName(filter) != nil)
            }
            switch removal {
            case .notSubscribed: task.entries[position].code = .noSubscriptionExisted
            case .left(let slot):
                forget(slot, session)
                giveBackSubscription(filter, session)
                reportRoute(task, position, session)
            case .last(let vacated):
                forget(vacated.token.slot, session)
                giveBackSubscription(filter, session)
                if !removeRoute(vacated) {
                    reportLeftBehind(task.entries[position].filter, session)
                }
                reportRoute(task, position, session)
            }
        }
        arrived(task)
    }

    private func forget(_ slot: UInt32, _ session: UnsafeMutablePointer<Session>) {
        metrics.subscriptions &-= 1
        if let position = session.pointee.filters.firstIndex(of: slot) {
            session.pointee.filters.swapAt(position, session.pointee.filters.count - 1)
            session.pointee.filters.removeLast()
        }
    }

    /// False if the removal was refused.
    @discardableResult
    private func removeRoute(_ vacated: FilterTable.Vacated) -> Bool {
        let tenant = tenantNames[Int(vacated.tenant)]
        let route = transientRoute(tenant, vacated.filter, vacated.token)
        let accepted = changeRoute(route, .routeRemoval) { $0.remove(route) }
        // A route that stays behind leads to a token that nobody has: it costs, but delivers
        // nothing. It goes with the node's epoch.
        if !accepted { metrics.routesLeftBehind &+= 1 }
        return accepted
    }

    private func reportLeftBehind(_ filter: [UInt8], _ session: UnsafeMutablePointer<Session>) {
        report(.unmatchError, session) {
            .dist(
                .unmatchError(
                    filter: String(decoding: filter, as: UTF8.self),
                    receiver: String(decoding: session.pointee.clientID, as: UTF8.self),
                    reason: "the route's removal was refused"))
        }
    }

    /// A session that ends leaves a filter.
    func dropFilter(
        _ slot: UInt32, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        metrics.subscriptions &-= 1
        if let filter = filters.filter(slot: slot)?.filter {
            giveBackSubscription([UInt8](filter), session)
        }
        if case .last(let vacated) = filters.remove(session: index, slot: slot) {
            removeRoute(vacated)
        }
    }

    // MARK: Stored sessions

    private func subscribeStored(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let open = task.entries.indices.filter { !task.entries[$0].code.isFailure }
        let settings = tenants[session.pointee.tenant].pointee.settings
        var adding: [Int] = []
        var replacing: [Int] = []
        for position in open {
            if reserveSubscription(task, position, session) {
                adding.append(position)
            } else {
                replacing.append(position)
            }
        }
        // `noneNew` is another word.
        let most = min(
            UInt32(clamping: settings.topicFiltersPerSessionMax), SubscribeCommand.noneNew - 1)
        task.waiting = 1
        putSubscriptions(task, adding, filtersMax: most, session)
        putSubscriptions(task, replacing, filtersMax: SubscribeCommand.noneNew, session)
        arrived(task)
    }

    private func putSubscriptions(
        _ task: SubscribeTask, _ positions: [Int], filtersMax: UInt32,
        _ session: UnsafeMutablePointer<Session>
    ) {
        guard !positions.isEmpty else { return }
        let name = sessionName(session)
        let command = SubscribeCommand(
            session: name, ownerEpoch: session.pointee.ownerEpoch, filtersMax: filtersMax,
            subscriptions: positions.map {
                let entry = task.entries[$0]
                return StoredSubscription(
                    filter: entry.filter,
                    options: entry.options.rawValue & 0xFC | entry.code.rawValue & 3,
                    subscriptionID: task.subscriptionID)
            })
        task.waiting += 1
        let tenant = session.pointee.tenant
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name), .storedSubscription(task, positions, tenant)
        ) { InboxCommand.subscribe(command).encode(into: &$0) }
        if !accepted {
            giveBackReservations(task, positions, tenant)
            failStored(task, positions)
        }
    }

    private func unsubscribeStored(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let name = sessionName(session)
        let valid = task.entries.indices.filter { !task.entries[$0].code.isFailure }
        guard !valid.isEmpty else {
            answer(task, session, index)
            return
        }
        let command = UnsubscribeCommand(
            session: name, ownerEpoch: session.pointee.ownerEpoch,
            filters: valid.map { task.entries[$0].filter })
        task.waiting = 1
        let accepted = propose(
            .inbox, InboxKeys.sessionPrefix(name),
            .storedSubscription(task, valid, session.pointee.tenant)
        ) { InboxCommand.unsubscribe(command).encode(into: &$0) }
        if !accepted { failStored(task, valid) }
    }

    private func failStored(_ task: SubscribeTask, _ positions: [Int]) {
        for position in positions { task.entries[position].code = .implementationSpecificError }
        arrived(task)
    }

    /// The inbox has the subscriptions and their intents; now the routes.
    func storedSubscriptionDone(
        _ task: SubscribeTask, _ positions: [Int], _ tenant: TenantSlot,
        _ result: SubscriptionResult?
    ) {
        giveBackReservations(task, positions, tenant)
        guard let session = find(task.session) else { return }
        guard let result, result.items.count == positions.count else {
            failStored(task, positions)
            return
        }
        task.incarnation = result.incarnation
        for (position, item) in zip(positions, result.items) {
            task.entries[position].intent = item.intent
            switch item.outcome {
            case .changed: break
            case .replaced: task.entries[position].isNew = false
            case .quotaExceeded:
                task.entries[position].code = .quotaExceeded
                if let exhausted = task.exhausted { reportExhausted(exhausted, session) }
            case .absent: task.entries[position].code = .noSubscriptionExisted
            }
            if item.intent != 0 { changeStoredRoute(task, position, session) }
            guard !task.entries[position].code.isFailure else { continue }
            if task.isSubscribe {
                join(task, position, slot: nil, session, task.session.index)
            } else {
                leaveGroup(task.entries[position].filter, session)
            }
        }
        arrived(task)
    }

    private func changeStoredRoute(
        _ task: SubscribeTask, _ position: Int, _ session: UnsafeMutablePointer<Session>
    ) {
        let entry = task.entries[position]
        let options =
            task.isSubscribe ? entry.options.rawValue & 0xFC | entry.code.rawValue & 3 : 0
        let route = storedRoute(
            sessionName(session), task.incarnation, entry.filter, options, task.subscriptionID)
        let members = UInt32(
            clamping: tenants[session.pointee.tenant].pointee.settings.sharedGroupMembersMax)
        task.waiting += 1
        let accepted = changeRoute(route, .route(task, entry: position)) {
            if task.isSubscribe {
                $0.add(route, membersMax: members)
            } else {
                $0.remove(route)
            }
        }
        // The intent stays: the inbox's leader carries the change out later.
        if !accepted {
            task.waiting -= 1
            task.entries[position].intent = 0
            task.entries[position].code = .implementationSpecificError
            reportRoute(task, position, session)
        }
    }

    func storedRoute(
        _ name: SessionName, _ incarnation: UInt64, _ filter: [UInt8], _ options: UInt8,
        _ subscriptionID: UInt32
    ) -> Route {
        let receiver = RouteReceiver.stored(
            clientID: name.clientID, incarnation: incarnation, options: options,
            subscriptionID: subscriptionID)
        if let shared = SharedName(filter) {
            return Route(
                tenant: name.tenant, filter: shared.filter, group: shared.group,
                receiver: receiver)
        }
        return Route(tenant: name.tenant, filter: filter, receiver: receiver)
    }

    // MARK: Answer

    /// A route holds everywhere, or was refused.
    func routeDone(_ task: SubscribeTask, _ position: Int, _ result: [UInt8]?) {
        let code = result?.withRawSpan { RouteResultDecoder.codes($0) }?.first
        if task.isSubscribe, code?.isDone != true {
            task.entries[position].code =
                code == .groupFull ? .quotaExceeded : .implementationSpecificError
            task.entries[position].intent = 0
        }
        withSession(task.session) { session, _ in
            if task.isSubscribe || code?.isDone == true {
                reportRoute(task, position, session)
            } else {
                reportLeftBehind(task.entries[position].filter, session)
            }
        }
        arrived(task)
    }

    func arrived(_ task: SubscribeTask) {
        task.waiting -= 1
        guard task.waiting == 0 else { return }
        if let ticket = task.door { return answerDoor(ticket, task) }
        completeIntents(task)
        withSession(task.session) { session, index in answer(task, session, index) }
    }

    private func completeIntents(_ task: SubscribeTask) {
        let intents = task.entries.filter { $0.intent != 0 }.map {
            CompleteIntentsCommand.Completed(number: $0.intent, filter: $0.filter)
        }
        guard !intents.isEmpty, let session = find(task.session) else { return }
        let name = sessionName(session)
        propose(.inbox, InboxKeys.sessionPrefix(name), .intentsCompleted(nil)) {
            InboxCommand.completeIntents(
                CompleteIntentsCommand(session: name, intents: intents)
            ).encode(into: &$0)
        }
    }

    private func answer(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let version = session.pointee.machine.version
        let hasFailed = task.entries.contains { $0.code == .implementationSpecificError }
        if !task.isSubscribe, hasFailed, version != .v5 {
            // UNSUBACK of 3.x says nothing, and would promise what was not done.
            end(session, index, .disconnect(.inboxTransientError(reason: "unsubscribe")))
            return
        }
        let packet = SubackPacket(
            packetID: task.packetID, reasonCodes: task.entries.map(\.code))
        let limit = Int(session.pointee.packetSizeMax)
        let isSent = send(session) {
            packet.encode(
                task.isSubscribe ? .suback : .unsuback, version, limit: limit, into: &$0)
        }
        guard isSent else {
            disconnect(
                session, index, .implementationSpecificError,
                .disconnect(.protocolViolation(statement: "no answer fits the packet size")))
            return
        }
        reportAnswer(task, session)
        if task.isSubscribe { grantJoined(task, session) }
        // The retained messages follow their SUBACK before anything else is read, as far as the
        // client takes them at once.
        task.replaying = 1
        if task.isSubscribe {
            for entry in task.entries where !entry.code.isFailure {
                startReplay(entry, task, session, index)
            }
        }
        replaySettled(task, session)
    }

    private func reportAnswer(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>
    ) {
        let filters = { task.entries.map { String(decoding: $0.filter, as: UTF8.self) } }
        if task.isSubscribe {
            report(.subAcked, session) {
                .packet(
                    .subAcked(
                        packetID: Int(task.packetID), filters: filters(),
                        granted: task.entries.map { "\($0.code.rawValue)" }))
            }
        } else {
            report(.unsubAcked, session) {
                .packet(.unsubAcked(packetID: Int(task.packetID), filters: filters()))
            }
        }
    }

    // MARK: Intents of sessions that are not here

    /// An inbox asks for route changes that nobody completed: a new leader, or an ended session.
    func receiveIntentReady(_ body: RawSpan) {
        guard let message = body.withUnsafeBytes({ IntentReadyMessage.decode($0) }) else {
            metrics.damagedFrames &+= 1
            return
        }
        let task = IntentTask(message)
        for intent in message.intents {
            let route = storedRoute(
                message.session, intent.incarnation, intent.subscription.filter,
                intent.subscription.options, intent.subscription.subscriptionID)
            task.waiting += 1
            let accepted = changeRoute(route, .intentRoute(task)) {
                if intent.isAddition { $0.add(route) } else { $0.remove(route) }
            }
            // Not taken: the leader asks again after its time-out.
            if !accepted { return }
            changeMembership(intent, message.session, task)
        }
    }

    /// The group's inbox follows its members' routes.
    private func changeMembership(
        _ intent: IntentReadyMessage.Intent, _ session: SessionName, _ task: IntentTask
    ) {
        guard let shared = SharedName(intent.subscription.filter) else { return }
        let group = shared.inbox(session.tenant)
        let member = GroupMemberName.stored(session.clientID, incarnation: intent.incarnation)
        guard intent.isAddition else { return proposeGroupLeave(group, member) }
        guard let name = session.tenant.withRawSpan({ TenantName(bytes: $0) }),
            let tenant = tenantSlot(name)
        else { return }
        let command = GroupJoinCommand(
            group: group, member: member, limits: queueLimits(tenants[tenant].pointee.settings))
        task.waiting += 1
        let isAccepted = propose(.inbox, InboxKeys.sessionPrefix(group), .intentRoute(task)) {
            InboxCommand.groupJoin(command).encode(into: &$0)
        }
        if !isAccepted {
            task.waiting -= 1
            task.hasFailed = true
        }
    }

    func intentRouteDone(_ task: IntentTask, isDone: Bool) {
        if !isDone { task.hasFailed = true }
        task.waiting -= 1
        guard task.waiting == 0, !task.hasFailed else { return }
        let command = CompleteIntentsCommand(
            session: task.message.session,
            intents: task.message.intents.map {
                CompleteIntentsCommand.Completed(
                    number: $0.number, filter: $0.subscription.filter)
            })
        propose(
            .inbox, InboxKeys.sessionPrefix(task.message.session), .intentsCompleted(task)
        ) { InboxCommand.completeIntents(command).encode(into: &$0) }
    }
}

/// A shared subscription's filter taken apart: `$share/group/filter` or `$oshare/group/filter`.
/// Nil for any other filter; the filter was checked before.
struct SharedName {
    let group: RouteGroup
    let filter: [UInt8]

    init?(_ whole: [UInt8]) {
        guard whole.first == 0x24 else { return nil }
        let parsed = whole.withRawSpan { bytes -> TopicFilter? in
            let part = ByteRange(offset: 0, count: bytes.byteCount)
            return try? TopicFilter.parse(bytes, part, .protocolLimits)
        }
        guard let parsed else { return nil }
        let kind: GroupKind
        switch parsed.share {
        case .none: return nil
        case .unordered: kind = .unordered
        case .ordered: kind = .ordered
        }
        group = RouteGroup(kind: kind, name: Array(whole[parsed.group.range]))
        filter = Array(whole[parsed.filter.range])
    }

    /// The group's inbox.
    func inbox(_ tenant: [UInt8]) -> SessionName {
        let share =
            switch group.kind {
            case .unordered: "$share"
            case .ordered: "$oshare"
            }
        return SessionName(
            tenant: tenant,
            clientID: InboxKeys.groupID(share: share, group: group.name, filter: filter))
    }
}
