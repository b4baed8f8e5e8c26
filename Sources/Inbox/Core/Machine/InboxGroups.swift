import Base
import KV

/// Which members of a shared group are online and what they hold: the leader's, volatile.
final class GroupLeases {
    /// A member that is online.
    struct Member {
        var clientID: [UInt8]
        var place: Place
        var token: UInt64
        /// Messages it may hold unacknowledged.
        var credit: UInt32
        /// Messages it holds.
        var held: UInt32 = 0
    }

    /// In the order of going online.
    var members: [Member] = []
    /// Token of the member that an entry is leased to; looked up, never walked for output.
    private(set) var holders: [UInt64: UInt64] = [:]
    var isReading = false

    func lease(_ sequence: UInt64, to member: Int) {
        holders[sequence] = members[member].token
        members[member].held += 1
    }

    func end(_ sequence: UInt64) {
        guard let token = holders.removeValue(forKey: sequence),
            let member = members.firstIndex(where: { $0.token == token })
        else { return }
        members[member].held -= 1
    }

    /// A member has gone: what it holds goes to others.
    func remove(token: UInt64) {
        members.removeAll { $0.token == token }
        holders = holders.filter { $0.value != token }
    }

    /// The member with the most room, the first online of equals; nil if none has any.
    var best: Int? {
        var best: Int?
        for (at, member) in members.enumerated() where member.held < member.credit {
            guard let so = best else {
                best = at
                continue
            }
            if member.credit - member.held > members[so].credit - members[so].held { best = at }
        }
        return best
    }
}

/// Inboxes of shared groups: messages that found no member with room wait here, and are leased to
/// members as they come.
///
/// | QoS | before sending | connection ends | reason code 0x80 or above |
/// |---|---|---|---|
/// | 1 | leased | to another member [MQTT-4.8.2-4] | removed [MQTT-4.8.2-6] |
/// | 2 | taken, durably | stays that member's [MQTT-4.8.2-5] | removed [MQTT-4.8.2-6] |
/// | 2, not taken | leased | to another member | |
///
/// Leases are the leader's and go with it: a QoS 1 message may then reach a second member, a taken
/// QoS 2 message never does.
extension InboxMachine {
    private func group(_ name: SessionName, _ output: MachineOutput) -> Int32? {
        let index = find(name)
        guard index >= 0, sessions[index].pointee.kind == .group else {
            output.result.append(status: .noSession)
            return nil
        }
        return index
    }

    func groupJoin(
        _ command: GroupJoinCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        guard command.group.clientID.first == 0, command.group.clientID.dropFirst().first != 0
        else { return output.result.append(status: .malformed) }
        var index = find(command.group)
        if index < 0 {
            index = create(command.group, .group)
            sessions[index].pointee.incarnation = newIncarnation(index, position)
        }
        let extras = extras(index)
        let session = sessions[index]
        let at =
            extras.members.firstIndex { !$0.lexicographicallyPrecedes(command.member) }
            ?? extras.members.count
        if at == extras.members.count || extras.members[at] != command.member {
            guard extras.members.count < InboxLimits.groupMembersMax else {
                return output.result.append(status: .quotaExceeded)
            }
            extras.members.insert(command.member, at: at)
            beginKey(index, .member, command.member)
            beginValue()
            put(output)
        }
        session.pointee.messagesMax = command.limits.messagesMax
        session.pointee.bytesMax = command.limits.bytesMax
        session.pointee.policy = command.limits.policy
        putMeta(index, output)
        output.result.append(status: .ok)
        output.result.append(bigEndian: session.pointee.incarnation)
    }

    func groupLeave(
        _ command: GroupLeaveCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        guard let index = group(command.group, output) else { return }
        let extras = extras(index)
        if let at = extras.members.firstIndex(of: command.member) {
            extras.members.remove(at: at)
            beginKey(index, .member, command.member)
            delete(output)
        }
        removeTaken(index, by: command.member, output)
        let left = extras.members.count
        if let leases = sessions[index].pointee.leases {
            for member in leases.members where member.clientID == command.member {
                leases.remove(token: member.token)
            }
        }
        if left == 0 {
            let dropped = removeQueue(index, output)
            reportDropped(index, .groupEnded, dropped, output)
            removeRecord(index, output)
        } else {
            dispatchGroup(index, output)
        }
        output.result.append(status: .ok)
        output.result.append(bigEndian: UInt64(left))
    }

    /// A member's session has ended: nobody else gets what it may have sent [MQTT-4.8.2-5].
    private func removeTaken(_ index: Int32, by member: [UInt8], _ output: MachineOutput) {
        let extras = extras(index)
        let taken = extras.taken.filter { $0.member == member }
        for one in taken {
            if let at = sessions[index].pointee.queue?.index(of: one.sequence) {
                removeEntry(index, at, output)
            }
        }
        extras.taken.removeAll { $0.member == member }
        reportDropped(index, .groupEnded, taken.count, output)
    }

    func groupTake(_ command: GroupTakeCommand, _ output: MachineOutput) {
        guard let index = group(command.group, output) else { return }
        let extras = extras(index)
        guard extras.members.contains(command.member) else {
            return output.result.append(status: .notAuthorised)
        }
        var result = BatchResult(statuses: [])
        for sequence in command.sequences {
            result.statuses.append(take(index, sequence, command.member, output))
        }
        output.result.append(status: .ok)
        result.encode(into: &output.result)
    }

    private func take(
        _ index: Int32, _ sequence: UInt64, _ member: [UInt8], _ output: MachineOutput
    ) -> InboxStatus {
        let extras = extras(index)
        guard let queue = sessions[index].pointee.queue, let at = queue.index(of: sequence) else {
            return .noSession
        }
        if let known = extras.taken.first(where: { $0.sequence == sequence }) {
            return known.member == member ? .ok : .duplicate
        }
        queue.take(at: at)
        extras.addTaken(.init(sequence: sequence, member: member))
        beginKey(index, .inFlight, sequence)
        beginValue()
        value.append(queue.entries[at].flags)
        value.append(member)
        put(output)
        return .ok
    }

    /// A member gives an entry back that it did not send.
    func giveBack(_ index: Int32, _ at: Int, _ output: MachineOutput) {
        guard let queue = sessions[index].pointee.queue, queue.entries[at].isReleased else {
            return
        }
        let sequence = queue.entries[at].sequence
        extras(index).taken.removeAll { $0.sequence == sequence }
        beginKey(index, .inFlight, sequence)
        delete(output)
        queue.giveBack(at: at)
        schedule(index)
    }

    func endLease(_ index: Int32, _ sequence: UInt64) {
        sessions[index].pointee.leases?.end(sequence)
    }

    /// `MessageKind.groupCredit`.
    func groupCredit(
        _ credit: GroupCreditMessage, _ place: Place, _ output: MachineOutput
    ) {
        let index = find(credit.group)
        guard index >= 0, sessions[index].pointee.kind == .group,
            extras(index).members.contains(credit.member)
        else { return }
        let leases = sessions[index].pointee.leases ?? GroupLeases()
        sessions[index].pointee.leases = leases
        if credit.credit == 0 {
            leases.remove(token: credit.connectionToken)
        } else {
            let granted = min(credit.credit, UInt32(InboxLimits.groupLeasesPerMember))
            if let at = leases.members.firstIndex(where: { $0.token == credit.connectionToken }) {
                leases.members[at].credit = granted
            } else {
                leases.members.append(
                    .init(
                        clientID: credit.member, place: place, token: credit.connectionToken,
                        credit: granted))
            }
        }
        dispatchGroup(index, output)
    }

    /// Leases what waits to members with room, oldest first; the bodies are read then.
    func dispatchGroup(_ index: Int32, _ output: MachineOutput) {
        guard leaderTerm != nil, let leases = sessions[index].pointee.leases,
            let queue = sessions[index].pointee.queue, !leases.isReading, leases.best != nil
        else { return }
        var page = EntryPage()
        var at = queue.head
        while at < queue.entries.count, page.hasRoom {
            let entry = queue.entries[at]
            at += 1
            guard !entry.isGone, !entry.isReleased, !isExpired(entry),
                leases.holders[entry.sequence] == nil
            else { continue }
            guard let member = leases.best else { break }
            leases.lease(entry.sequence, to: member)
            add(entry, of: index, to: &page)
        }
        guard !page.entries.isEmpty else { return }
        leases.isReading = true
        _ = read(index, page.keys, .group(page.entries), output)
    }

    func completeGroupRead(
        _ read: PendingRead, _ entries: [EntryRead], _ values: [[UInt8]?], _ output: MachineOutput
    ) {
        guard let leases = sessions[read.session].pointee.leases else { return }
        leases.isReading = false
        let name = name(read.session)
        for one in entries {
            guard let token = leases.holders[one.sequence],
                let member = leases.members.first(where: { $0.token == token })
            else { continue }
            guard let queue = sessions[read.session].pointee.queue,
                let at = queue.index(of: one.sequence), !queue.entries[at].isReleased
            else {
                leases.end(one.sequence)
                continue
            }
            let entry = queue.entries[at]
            output.outbox.send(.groupPush, to: member.place) { writer in
                writer.append(InboxLimits.formatVersion)
                name.encode(into: &writer)
                writer.append(bigEndian: token)
                let countAt = writer.count
                writer.append(bigEndian: UInt16(1))
                let bytes = writer.append(
                    entry, one, values, owesPubrel: false, isRedelivery: false)
                if bytes == nil { writer.patch(bigEndian: UInt16(0), at: countAt) }
            }
        }
        dispatchGroup(read.session, output)
    }
}
