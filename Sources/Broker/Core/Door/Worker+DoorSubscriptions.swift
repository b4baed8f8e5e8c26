import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// A change of a stored session's subscriptions, made by an administrator.
struct DoorStoredChange {
    /// What is changed.
    enum Kind {
        case add(DoorSubscription)
        case remove([UInt8])
    }

    let ticket: UInt64
    let name: DoorSessionName
    let kind: Kind
    let membersMax: UInt32
    // What the inbox has said.
    var incarnation: UInt64 = 0
    var intent: UInt64 = 0
    var isNew = true

    var filter: [UInt8] {
        switch kind {
        case .add(let subscription): subscription.filter
        case .remove(let filter): filter
        }
    }
}

/// Subscribing and unsubscribing on behalf of a session. The tenant's limits hold, the client's
/// rules do not: an administrator may subscribe it to what it could not. Retained messages are not
/// sent.
extension Worker {
    // MARK: Stored sessions

    /// The inbox records the change and the intent, dist gets the route, the intent is completed:
    /// the same steps as for a SUBSCRIBE, whether the session is connected or not.
    func changeStored(_ name: DoorSessionName, _ kind: DoorStoredChange.Kind, _ ticket: UInt64) {
        // A stored session joins a group's inbox too, which is its worker's to do.
        let filter =
            switch kind {
            case .add(let subscription): subscription.filter
            case .remove(let filter): filter
            }
        guard SharedName(filter) == nil else {
            return answerDoor(ticket, .refused(.sharesNotSupported))
        }
        let settings = tenantStore.settings(for: name.tenant)
        let change = DoorStoredChange(
            ticket: ticket, name: name, kind: kind,
            membersMax: UInt32(clamping: settings.sharedGroupMembersMax))
        let command: InboxCommand
        switch kind {
        case .add(let subscription):
            switch Self.granted(subscription, settings) {
            case .failure(let refusal): return answerDoor(ticket, .refused(refusal))
            case .success(let options):
                command = .subscribe(
                    SubscribeCommand(
                        session: name.inboxName, ownerEpoch: .none,
                        filtersMax: UInt32(clamping: settings.topicFiltersPerSessionMax),
                        subscriptions: [
                            StoredSubscription(
                                filter: subscription.filter, options: options.rawValue,
                                subscriptionID: subscription.subscriptionID)
                        ]))
            }
        case .remove(let filter):
            command = .unsubscribe(
                UnsubscribeCommand(
                    session: name.inboxName, ownerEpoch: .none, filters: [filter]))
        }
        let task = DoorTask(ticket: ticket, step: .subscribe(change))
        let key = InboxKeys.sessionPrefix(name.inboxName)
        if !propose(.inbox, key, .door(task), { command.encode(into: &$0) }) {
            answerDoor(ticket, .refused(.busy))
        }
    }

    /// The options that a subscription gets, within what the tenant allows.
    private static func granted(
        _ subscription: DoorSubscription, _ settings: TenantSettings
    ) -> Result<SubscriptionOptions, DoorRefusal> {
        let parsed = subscription.filter.withRawSpan {
            try? TopicFilter.parse($0, ByteRange(whole: $0), settings.topicLimits)
        }
        guard let filter = parsed else { return .failure(.filterInvalid) }
        if filter.hasWildcard, !settings.wildcardSubscriptionEnabled {
            return .failure(.wildcardsNotSupported)
        }
        if filter.share != .none, !settings.sharedSubscriptionEnabled {
            return .failure(.sharesNotSupported)
        }
        // No Local in a shared subscription is a protocol error [MQTT-3.8.3-4].
        if filter.share != .none, subscription.options.noLocal { return .failure(.filterInvalid) }
        if subscription.subscriptionID != 0, !settings.subscriptionIdentifierEnabled {
            return .failure(.subscriptionIDsNotSupported)
        }
        guard subscription.subscriptionID <= 268_435_455 else { return .failure(.propertyInvalid) }
        let qos = min(
            subscription.options.maximumQoS,
            QoS(rawValue: UInt8(clamping: settings.maximumQoS)) ?? .exactlyOnce)
        return .success(
            SubscriptionOptions(rawValue: subscription.options.rawValue & 0xFC | qos.rawValue))
    }

    func storedChanged(_ change: DoorStoredChange, _ result: RawSpan) {
        let bytes = result.array
        guard let answer = SubscriptionResult.decode(bytes), let item = answer.items.first else {
            let isAbsent = InboxResult.status(of: bytes) == .noSession
            return answerDoor(change.ticket, .refused(isAbsent ? .notFound : .unavailable))
        }
        var change = change
        change.incarnation = answer.incarnation
        change.intent = item.intent
        switch item.outcome {
        case .changed: break
        case .replaced: change.isNew = false
        case .quotaExceeded: return answerDoor(change.ticket, .refused(.quotaExceeded))
        case .absent: return answerDoor(change.ticket, .refused(.notFound))
        }
        guard change.intent != 0 else { return answerChanged(change) }
        proposeRoute(of: change)
    }

    private func proposeRoute(of change: DoorStoredChange) {
        let task = DoorTask(ticket: change.ticket, step: .route(change))
        let accepted: Bool
        switch change.kind {
        case .add(let subscription):
            let settings = tenantStore.settings(for: change.name.tenant)
            guard case .success(let options) = Self.granted(subscription, settings) else {
                return answerDoor(change.ticket, .refused(.unknown))
            }
            let route = storedRoute(
                change.name.inboxName, change.incarnation, subscription.filter, options.rawValue,
                subscription.subscriptionID)
            accepted = changeRoute(route, .door(task)) {
                $0.add(route, membersMax: change.membersMax)
            }
        case .remove(let filter):
            let route = storedRoute(change.name.inboxName, change.incarnation, filter, 0, 0)
            accepted = changeRoute(route, .door(task)) { $0.remove(route) }
        }
        // The intent stays: the inbox's leader carries the change out later.
        if !accepted { answerDoor(change.ticket, .refused(.unknown)) }
    }

    func storedRouteChanged(_ change: DoorStoredChange, _ result: RawSpan) {
        let code = RouteResultDecoder.codes(result)?.first
        guard code?.isDone == true else {
            return answerDoor(
                change.ticket, .refused(code == .groupFull ? .quotaExceeded : .unknown))
        }
        propose(
            .inbox, InboxKeys.sessionPrefix(change.name.inboxName), .intentsCompleted(nil)
        ) {
            InboxCommand.completeIntents(
                CompleteIntentsCommand(
                    session: change.name.inboxName,
                    intents: [
                        CompleteIntentsCommand.Completed(
                            number: change.intent, filter: change.filter)
                    ])
            ).encode(into: &$0)
        }
        answerChanged(change)
    }

    private func answerChanged(_ change: DoorStoredChange) {
        switch change.kind {
        case .add(let subscription):
            let settings = tenantStore.settings(for: change.name.tenant)
            let options = try? Self.granted(subscription, settings).get()
            answerDoor(
                change.ticket,
                .subscribed(
                    maximumQoS: (options ?? subscription.options).maximumQoS,
                    isNew: change.isNew))
        case .remove: answerDoor(change.ticket, .done)
        }
    }

    // MARK: Transient sessions

    func subscribeConnection(
        _ name: DoorConnectionName, _ subscription: DoorSubscription, _ ticket: UInt64
    ) {
        withConnection(name, ticket) { session, index in
            let settings = tenants[session.pointee.tenant].pointee.settings
            guard !session.pointee.machine.isStored else {
                return answerDoor(ticket, .refused(.moved))
            }
            switch Self.granted(subscription, settings) {
            case .failure(let refusal): answerDoor(ticket, .refused(refusal))
            case .success(let options):
                let task = SubscribeTask(
                    session: ref(session, index), packetID: 0, isSubscribe: true,
                    subscriptionID: subscription.subscriptionID)
                task.door = ticket
                task.entries = [
                    SubscribeTask.Entry(
                        filter: subscription.filter, options: options,
                        code: .granted(options.maximumQoS))
                ]
                subscribeTransient(task, session, index)
            }
        }
    }

    func unsubscribeConnection(
        _ name: DoorConnectionName, _ filter: [UInt8], _ ticket: UInt64
    ) {
        withConnection(name, ticket) { session, index in
            guard !session.pointee.machine.isStored else {
                return answerDoor(ticket, .refused(.moved))
            }
            guard isFilter(filter) else {
                return answerDoor(ticket, .refused(.filterInvalid))
            }
            let task = SubscribeTask(
                session: ref(session, index), packetID: 0, isSubscribe: false)
            task.door = ticket
            task.entries = [
                SubscribeTask.Entry(
                    filter: filter, options: SubscriptionOptions(rawValue: 0), code: .success)
            ]
            cancelReplays(of: filter, session)
            unsubscribeTransient(task, session, index)
        }
    }

    private func isFilter(_ filter: [UInt8]) -> Bool {
        filter.withRawSpan {
            (try? TopicFilter.parse($0, ByteRange(whole: $0), .protocolLimits)) != nil
        }
    }

    /// The routes of a task that an administrator began are there, or were refused.
    func answerDoor(_ ticket: UInt64, _ task: SubscribeTask) {
        guard let entry = task.entries.first else { return }
        if !entry.code.isFailure, entry.code != .noSubscriptionExisted {
            let qos = QoS(rawValue: entry.code.rawValue & 3) ?? .atMostOnce
            answerDoor(
                ticket,
                task.isSubscribe ? .subscribed(maximumQoS: qos, isNew: entry.isNew) : .done)
        } else if entry.code == .quotaExceeded {
            answerDoor(ticket, .refused(.quotaExceeded))
        } else if entry.code == .noSubscriptionExisted {
            answerDoor(ticket, .refused(.notFound))
        } else {
            answerDoor(ticket, .refused(.unavailable))
        }
    }
}
