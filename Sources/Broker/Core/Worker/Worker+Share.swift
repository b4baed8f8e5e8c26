import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// Shared subscriptions: which member of a group gets a message.
///
/// `$share`: members in turn, those of this node first, those without room passed over; stored
/// sessions that may be offline only if nobody is connected. `$oshare`: one member per publisher,
/// by the highest hash, so that its order is kept while members are stable.
extension Worker {
    func share(
        _ message: inout Message, _ plan: RoutePlan, _ index: Int, _ origin: PublishOrigin,
        _ groups: inout GroupCount
    ) {
        let group = plan.groups[index]
        guard group.memberCount > 0 else { return }
        let position: Int
        switch group.kind {
        case .ordered:
            position = plan.orderedMember(of: group, publisherHash: message.publisherHash)
        case .unordered:
            position = nextMember(plan, group)
            plan.groups[index].cursor = UInt32(position - Int(group.firstMember)) &+ 1
        }
        let member = plan.members[position]
        if member.isStored {
            storeForMember(&message, member, plan, origin, &groups)
        } else {
            withUnsafePointer(to: member.token) { token in
                let tokens = UnsafeBufferPointer(start: token, count: 1)
                if member.place == place {
                    deliverOwn(&message, tokens)
                } else {
                    sendTokens(&message, tokens, to: member.place, &groups)
                }
            }
        }
    }

    /// The next member in turn that can take a message: near ones before far ones, far ones before
    /// stored ones. If none of the near ones has room, the next in turn queues it.
    private func nextMember(_ plan: RoutePlan, _ group: PlanGroup) -> Int {
        let first = Int(group.firstMember)
        let (start, count): (Int, Int)
        if group.nodeCount > 0 {
            (start, count) = (0, Int(group.nodeCount))
        } else if group.transientCount > 0 {
            (start, count) = (0, Int(group.transientCount))
        } else {
            (start, count) = (0, Int(group.memberCount))
        }
        let turn = Int(group.cursor) % count
        for step in 0..<count {
            let position = first + start + (turn + step) % count
            if hasRoom(plan.members[position]) { return position }
        }
        return first + start + turn
    }

    /// Members of other workers are taken to have room: theirs is not known here.
    private func hasRoom(_ member: PlanMember) -> Bool {
        guard !member.isStored, member.place == place else { return true }
        guard let subscriber = filters.subscribers(FilterToken(member.token)).first else {
            return false
        }
        let session = sessions[pointer: subscriber.session]
        return session.pointee.phase == .live && session.pointee.machine.queue.isEmpty
            && session.pointee.machine.hasSendQuota
            && !session.pointee.flags.contains(.outputFull)
    }

    private func storeForMember(
        _ message: inout Message, _ member: PlanMember, _ plan: RoutePlan,
        _ origin: PublishOrigin, _ groups: inout GroupCount
    ) {
        let options = SubscriptionOptions(rawValue: member.options)
        let receiver = StoredReceiver(
            clientID: plan.string(member.clientID), incarnation: member.incarnation,
            maximumQoS: options.maximumQoS, retainAsPublished: options.retainAsPublished,
            subscriptionIDs: member.subscriptionID == 0 ? [] : [member.subscriptionID])
        store(&message, [receiver], origin, &groups)
    }

    /// A message that a group's inbox leased to one of our members. None is expected: the Broker
    /// joins no group's inbox yet, so what comes is counted and left to its lease.
    func receiveGroupPush(_ body: RawSpan) {
        guard let push = body.withUnsafeBytes({ GroupPushMessage.decode($0) }) else {
            metrics.damagedFrames &+= 1
            return
        }
        metrics.groupPushes &+= UInt64(push.entries.count)
    }
}
