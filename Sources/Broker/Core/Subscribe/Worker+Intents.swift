import Base
import Inbox
import Policy

/// Intents of sessions that are not here: route changes that an inbox remembers and nobody
/// completed, because the session's worker or connection has gone.
extension Worker {
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
