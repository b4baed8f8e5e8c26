import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// Shared subscriptions, from the publisher's side: which member of a group gets a message.
///
/// | group | its message goes to |
/// |---|---|
/// | `$share` | the next member in turn with room, of this node; else into the group's inbox |
/// | `$oshare` | the member with the highest hash of (publisher, member), whatever its room |
///
/// A stored member's turn means the group's inbox, too: its leader knows which of them are online.
/// A member of another worker that has gone, or has no room, returns the message, and then it goes
/// into the group's inbox; so it does if the member's connection ends before it is acknowledged.
extension Worker {
    func share(
        _ message: inout Message, _ plan: RoutePlan, _ index: Int, _ origin: PublishOrigin,
        _ groups: inout GroupCount
    ) {
        let group = plan.groups[index]
        guard group.memberCount > 0 else { return }
        let member: PlanMember? =
            switch group.kind {
            case .ordered:
                plan.members[plan.orderedMember(of: group, publisherHash: message.publisherHash)]
            case .unordered: nextMember(message.qos, plan, index)
            }
        guard let member else {
            return storeForGroup(&message, groupID(plan, group), origin, &groups)
        }
        if member.isStored {
            storeForMember(&message, member, plan, origin, &groups)
        } else if member.place != place {
            sendToMember(&message, member, groupID(plan, group), &groups)
        } else if !deliverToMember(&message, FilterToken(member.token), isOrdered: group.isOrdered)
        {
            storeForGroup(&message, groupID(plan, group), origin, &groups)
        }
    }

    /// The next member in turn that can take a message; nil if it is a stored one's turn, or none
    /// has room.
    private func nextMember(_ qos: QoS, _ plan: RoutePlan, _ index: Int) -> PlanMember? {
        let group = plan.groups[index]
        let near = Int(group.nodeCount > 0 ? group.nodeCount : group.transientCount)
        let count = near + Int(group.memberCount - group.transientCount)
        let turn = Int(group.cursor) % count
        for step in 0..<count {
            let position = (turn + step) % count
            plan.groups[index].cursor = UInt32(position) &+ 1
            if position >= near { return nil }
            let member = plan.members[Int(group.firstMember) + position]
            // How much room those of other workers have is known there.
            if member.place != place || hasRoom(FilterToken(member.token), qos) { return member }
        }
        plan.groups[index].cursor = UInt32(turn) &+ 1
        return nil
    }

    private func hasRoom(_ token: FilterToken, _ qos: QoS) -> Bool {
        guard let subscriber = filters.subscribers(token).first else { return false }
        let session = sessions[pointer: subscriber.session]
        guard session.pointee.phase == .live, !isOutputFull(session) else {
            return false
        }
        return qos == .atMostOnce
            || session.pointee.machine.queue.isEmpty && session.pointee.machine.hasSendQuota
    }

    private func groupID(_ plan: RoutePlan, _ group: PlanGroup) -> [UInt8] {
        InboxKeys.groupID(
            share: group.isOrdered ? "$oshare" : "$share", group: [UInt8](plan.string(group.name)),
            filter: [UInt8](plan.string(group.filter)))
    }

    /// A message for the group as a whole: its inbox's leader finds a member that has room.
    func storeForGroup(
        _ message: inout Message, _ groupID: [UInt8], _ origin: PublishOrigin,
        _ groups: inout GroupCount
    ) {
        groupID.withUnsafeBytes { id in
            // Each member has its own maximum QoS, identifier and retain option.
            let receiver = StoredReceiver(
                clientID: id, incarnation: 0, maximumQoS: .exactlyOnce, retainAsPublished: true,
                subscriptionIDs: [])
            store(&message, [receiver], origin, &groups)
        }
    }

    /// A message for one stored member of an ordered group.
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

    // MARK: Members of other workers

    /// ```
    ///  delivery:          as for other receivers, with flag 2; before the record
    ///                     ordered u8 | group's inbox bytes16
    ///  deliveryReturned:  group's inbox bytes16 | record
    /// ```
    private func sendToMember(
        _ message: inout Message, _ member: PlanMember, _ groupID: [UInt8],
        _ groups: inout GroupCount
    ) {
        let isOrdered = groupID.count > 2 && groupID[2] == UInt8(ascii: "o")
        withUnsafePointer(to: member.token) { token in
            sendTokens(
                &message, UnsafeBufferPointer(start: token, count: 1), to: member.place, &groups
            ) { writer in
                writer.append(isOrdered ? 1 : 0)
                writer.append(lengthPrefixed16: groupID)
            }
        }
    }

    /// A delivery of another worker to one of our members: false if it is to be returned.
    func receiveSharedDelivery(
        _ body: RawSpan, _ reader: inout ByteReader, _ token: UInt64, isAwaited: Bool,
        from sender: Place
    ) throws(ByteShortage) {
        let isOrdered = try reader.readUInt8(body) != 0
        let nameSize = Int(try reader.readUInt16(body))
        let name = try reader.take(nameSize)
        body.withUnsafeBytes { bytes in
            let record = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
            var message = Message(record: record, tenant: TenantSlot(0))
            let isDelivered = deliverToMember(&message, FilterToken(token), isOrdered: isOrdered)
            guard isAwaited else {
                if !isDelivered {
                    returnUnlogged(record, UnsafeRawBufferPointer(rebasing: bytes[name.range]))
                }
                return
            }
            if isDelivered {
                awaited.countReceived(from: sender)
                return
            }
            metrics.deliveriesReturned &+= 1
            // What came before it is acknowledged before it: the sender counts in that order.
            if let count = awaited.takeReceived(from: sender) {
                outbox.send(.deliveryDone, to: sender) { $0.append(bigEndian: count) }
            }
            outbox.send(.deliveryReturned, to: sender) {
                $0.append(bigEndian: UInt16(name.count))
                $0.append(UnsafeRawBufferPointer(rebasing: bytes[name.range]))
                $0.append(record)
            }
        }
    }

    /// QoS 0 that a member no longer takes: once to the group, which has it or drops it, counted.
    private func returnUnlogged(_ record: UnsafeRawBufferPointer, _ group: UnsafeRawBufferPointer) {
        var message = Message(record: record, tenant: TenantSlot(0))
        guard let tenant = tenantSlot(of: message) else { return }
        message.tenant = tenant
        var groups = GroupCount(origin: .none, waits: false)
        storeForGroup(&message, [UInt8](group), .none, &groups)
    }

    /// One of our deliveries came back: the group's inbox gets it, for the same publish.
    func receiveDeliveryReturned(_ body: RawSpan, from sender: Place) {
        guard let tracker = awaited.removeFirst(from: sender) else { return }
        var reader = ByteReader(body)
        do throws(ByteShortage) {
            let nameSize = Int(try reader.readUInt16(body))
            let name = try reader.take(nameSize)
            body.withUnsafeBytes { bytes in
                var message = Message(
                    record: UnsafeRawBufferPointer(rebasing: bytes[reader.offset...]),
                    tenant: TenantSlot(0))
                var groups = GroupCount(
                    origin: trackers[pointer: tracker.index].pointee.origin, waits: true)
                groups.tracker = tracker
                if let tenant = tenantSlot(of: message) {
                    message.tenant = tenant
                    storeForGroup(&message, [UInt8](bytes[name.range]), groups.origin, &groups)
                }
                groupDone(tracker)
            }
        } catch {
            metrics.damagedFrames &+= 1
            groupFailed(tracker, .unknown)
        }
    }

    /// The tenant that a record names.
    func tenantSlot(of message: borrowing Message) -> TenantSlot? {
        TenantName(bytes: RawSpan(_unsafeBytes: message.tenantName)).flatMap { tenantSlot($0) }
    }
}

extension PlanGroup {
    var isOrdered: Bool {
        switch kind {
        case .ordered: true
        case .unordered: false
        }
    }
}
