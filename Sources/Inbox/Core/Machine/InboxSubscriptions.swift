import Base
import KV

/// Subscriptions of stored sessions, and the intents that bring their routes to dist.
///
/// An intent is recorded in the commit that changes the subscription and lives until
/// `completeIntents`: so a route change survives whoever was to carry it out. Whoever changed
/// subscriptions by a command carries out its intents; those of a session's end go to the home
/// worker, as do all that are open when leadership changes or a retry is due.
extension InboxMachine {
    /// The session that a command of its owner, or of an administrator, is for.
    func owned(
        _ name: SessionName, _ epoch: OwnerEpoch, _ output: MachineOutput
    ) -> Int32? {
        let index = find(name)
        guard index >= 0, sessions[index].pointee.kind == .stored else {
            output.result.append(status: .noSession)
            return nil
        }
        guard epoch == .none || epoch.rawValue == sessions[index].pointee.ownerEpoch else {
            output.result.append(status: .staleOwner)
            return nil
        }
        return index
    }

    func subscribe(
        _ command: SubscribeCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        guard let index = owned(command.session, command.ownerEpoch, output) else { return }
        let session = sessions[index]
        var result = SubscriptionResult(incarnation: session.pointee.incarnation, items: [])
        for subscription in command.subscriptions {
            let old = session.pointee.bytes.subscription(subscription.filter)
            if old == nil,
                isFull(session.pointee.subscriptionCount, command.filtersMax)
                    || openIntents(index) >= InboxLimits.intentsMax
            {
                result.items.append(.init(outcome: .quotaExceeded, intent: 0))
                continue
            }
            let isKnown = old == subscription && !hasOpenIntent(index, subscription.filter)
            var intent: UInt64 = 0
            if !isKnown {
                putSubscription(index, subscription, isNew: old == nil, output)
                intent = addIntent(index, isAddition: true, subscription, output)
            }
            result.items.append(.init(outcome: old == nil ? .changed : .replaced, intent: intent))
        }
        finishSubscriptions(index, result, output)
    }

    private func isFull(_ count: UInt32, _ most: UInt32) -> Bool {
        most == SubscribeCommand.noneNew || most > 0 && count >= most
    }

    func unsubscribe(
        _ command: UnsubscribeCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        guard let index = owned(command.session, command.ownerEpoch, output) else { return }
        let session = sessions[index]
        var result = SubscriptionResult(incarnation: session.pointee.incarnation, items: [])
        for filter in command.filters {
            guard let old = session.pointee.bytes.subscription(filter) else {
                result.items.append(.init(outcome: .absent, intent: 0))
                continue
            }
            session.pointee.bytes.removeSubscription(filter)
            session.pointee.subscriptionCount -= 1
            subscriptionTotal -= 1
            countSubscription(index, filter, -1)
            beginKey(index, .subscription, filter)
            delete(output)
            let intent = addIntent(index, isAddition: false, old, output)
            result.items.append(.init(outcome: .changed, intent: intent))
        }
        finishSubscriptions(index, result, output)
    }

    private func finishSubscriptions(
        _ index: Int32, _ result: SubscriptionResult, _ output: MachineOutput
    ) {
        // The proposer carries these out; only if it does not is the home worker asked.
        if let extras = sessions[index].pointee.extras, extras.hasWork {
            extras.emittedAt = time.milliseconds
        }
        putCounters(index, output)
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func openIntents(_ index: Int32) -> Int {
        sessions[index].pointee.extras?.intents.count ?? 0
    }

    private func hasOpenIntent(_ index: Int32, _ filter: [UInt8]) -> Bool {
        sessions[index].pointee.extras?.intents.contains { $0.subscription.filter == filter }
            ?? false
    }

    private func putSubscription(
        _ index: Int32, _ subscription: StoredSubscription, isNew: Bool, _ output: MachineOutput
    ) {
        let session = sessions[index]
        session.pointee.bytes.putSubscription(subscription)
        if isNew {
            session.pointee.subscriptionCount += 1
            subscriptionTotal += 1
            countSubscription(index, subscription.filter, 1)
        }
        beginKey(index, .subscription, subscription.filter)
        beginValue()
        value.append(subscription.options)
        value.append(bigEndian: subscription.subscriptionID)
        put(output)
    }

    private func addIntent(
        _ index: Int32, isAddition: Bool, _ subscription: StoredSubscription,
        _ output: MachineOutput
    ) -> UInt64 {
        let intent = SessionExtras.Intent(
            number: nextNumber(index), isAddition: isAddition,
            incarnation: sessions[index].pointee.incarnation, subscription: subscription)
        extras(index).intents.append(intent)
        addWork(index)
        beginKey(index, .intent, intent.number)
        beginValue()
        value.append(isAddition ? 1 : 0)
        value.append(bigEndian: intent.incarnation)
        subscription.encode(into: &value)
        put(output)
        return intent.number
    }

    func completeIntents(_ command: CompleteIntentsCommand, _ output: MachineOutput) {
        let index = find(command.session)
        var result = CompleteIntentsResult(incarnation: 0, items: [])
        guard index >= 0 else {
            result.items = command.intents.map { _ in .init(wasOpen: false, isWanted: false) }
            output.result.append(status: .ok)
            return result.encode(into: &output.result)
        }
        let session = sessions[index]
        result.incarnation = session.pointee.incarnation
        let isStored = session.pointee.kind == .stored
        for intent in command.intents {
            result.items.append(
                .init(
                    wasOpen: removeIntent(index, intent.number, output),
                    isWanted: isStored
                        && session.pointee.bytes.subscription(intent.filter) != nil))
        }
        if session.pointee.extras?.hasWork == false { dropWork(index) }
        trim(index)
        if session.pointee.kind == .residue { putMetaOrRemove(index, output) }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func removeIntent(
        _ index: Int32, _ number: UInt64, _ output: MachineOutput
    ) -> Bool {
        guard let extras = sessions[index].pointee.extras,
            let position = extras.intents.firstIndex(where: { $0.number == number })
        else { return false }
        extras.intents.remove(at: position)
        beginKey(index, .intent, number)
        delete(output)
        return true
    }

    /// The session ends: every route is to go, by the home worker.
    func removeAllSubscriptions(_ index: Int32, _ output: MachineOutput) {
        let session = sessions[index]
        var all: [StoredSubscription] = []
        session.pointee.bytes.forEachSubscription {
            all.append($0)
            return true
        }
        guard !all.isEmpty else { return }
        session.pointee.bytes.removeSubscriptions()
        subscriptionTotal -= UInt64(session.pointee.subscriptionCount)
        session.pointee.subscriptionCount = 0
        let firstNumber = session.pointee.nextNumber
        for subscription in all {
            countSubscription(index, subscription.filter, -1)
            beginKey(index, .subscription, subscription.filter)
            delete(output)
            _ = addIntent(index, isAddition: false, subscription, output)
        }
        emitIntents(index, from: firstNumber, output)
    }

    /// Sends open intents from a number on to the home worker.
    func emitIntents(_ index: Int32, from number: UInt64, _ output: MachineOutput) {
        guard leaderTerm != nil, let extras = sessions[index].pointee.extras else { return }
        let name = name(index)
        var rest = extras.intents.drop { $0.number < number }
        while !rest.isEmpty {
            let page = rest.prefix(InboxLimits.intentsPerMessage)
            rest = rest.dropFirst(page.count)
            output.outbox.send(.intentReady, to: options.home) { writer in
                writer.append(InboxLimits.formatVersion)
                name.encode(into: &writer)
                writer.append(list16: Array(page)) {
                    $0.append(bigEndian: $1.number)
                    $0.append($1.isAddition ? 1 : 0)
                    $0.append(bigEndian: $1.incarnation)
                    $1.subscription.encode(into: &$0)
                }
            }
        }
        extras.emittedAt = time.milliseconds
    }

    /// Subscriptions from the given one on, as many as fit a page.
    func subscriptionPage(_ index: Int32, skip: Int, bytesMax: Int) -> SubscriptionsAnswer {
        var answer = SubscriptionsAnswer(subscriptions: [], hasMore: false)
        var skipped = 0
        var bytes = 0
        sessions[index].pointee.bytes.forEachSubscription { subscription in
            if skipped < skip {
                skipped += 1
                return true
            }
            bytes += subscription.filter.count + 7
            if bytes > bytesMax {
                answer.hasMore = true
                return false
            }
            answer.subscriptions.append(subscription)
            return true
        }
        return answer
    }
}
