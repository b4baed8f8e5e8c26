import Base
import KV

/// Which members of a shared group are online and what they hold: the leader's, volatile.
final class GroupLeases {
    /// A member that is online.
    struct Member {
        /// The name it joined under.
        let name: [UInt8]
        let place: Place
        /// Of its connection, unique at its place.
        let token: UInt64
        /// Tells it apart here.
        let number: UInt64
        /// Messages it may hold unacknowledged.
        var credit: UInt32
        /// Messages it holds.
        var held: UInt32 = 0
    }

    /// In the order of going online.
    private(set) var members: [Member] = []
    /// Number of the member that an entry is leased to; looked up, never walked for output.
    private var holders: [UInt64: UInt64] = [:]
    /// Entries before it are leased, or wait for a member that has taken them.
    var nextUnleased: UInt64 = 0
    var isReading = false
    private var lastNumber: UInt64 = 0
    /// Whose turn it is to get a message that is not stored.
    private var turn = 0

    /// The next member online, for a message that is not stored; nil if there is none.
    func nextOnline() -> Member? {
        guard !members.isEmpty else { return nil }
        turn = (turn + 1) % members.count
        return members[turn]
    }

    func isLeased(_ sequence: UInt64) -> Bool { holders[sequence] != nil }

    func holder(of sequence: UInt64) -> Member? {
        guard let number = holders[sequence] else { return nil }
        return members.first { $0.number == number }
    }

    func lease(_ sequence: UInt64, to member: Int) {
        holders[sequence] = members[member].number
        members[member].held += 1
    }

    func end(_ sequence: UInt64) {
        guard let number = holders.removeValue(forKey: sequence),
            let member = members.firstIndex(where: { $0.number == number })
        else { return }
        members[member].held -= 1
    }

    /// A member is online and may hold so much. Another connection under its name has gone.
    func grant(_ credit: UInt32, to name: [UInt8], _ place: Place, token: UInt64) {
        if let at = members.firstIndex(where: { $0.name == name }) {
            if members[at].place == place, members[at].token == token {
                members[at].credit = credit
                return
            }
            remove(name)
        }
        lastNumber += 1
        members.append(
            Member(name: name, place: place, token: token, number: lastNumber, credit: credit))
        // It may have taken entries that were passed over.
        nextUnleased = 0
    }

    /// A member has gone: what it holds goes to others.
    func remove(_ name: [UInt8]) {
        guard let at = members.firstIndex(where: { $0.name == name }) else { return }
        let number = members.remove(at: at).number
        for (sequence, holder) in holders where holder == number {
            nextUnleased = min(nextUnleased, sequence)
        }
        holders = holders.filter { $0.value != number }
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
/// | 0 | sent to one of those online, in turn, unlogged | | |
///
/// A member is named by bytes that mean nothing here: one life of a session, so that the leave of
/// an earlier life takes nothing from a later one.
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
        sessions[index].pointee.leases?.remove(command.member)
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
        guard let queue = sessions[index].pointee.queue else { return }
        let sequence = queue.entries[at].sequence
        if let leases = sessions[index].pointee.leases {
            leases.nextUnleased = min(leases.nextUnleased, sequence)
        }
        guard queue.entries[at].isReleased else { return }
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
        if credit.credit > 0 {
            leases.grant(
                min(credit.credit, UInt32(InboxLimits.groupLeasesPerMember)), to: credit.member,
                place, token: credit.connectionToken)
        } else if leases.members.contains(where: {
            $0.name == credit.member && $0.place == place && $0.token == credit.connectionToken
        }) {
            leases.remove(credit.member)
        }
        dispatchGroup(index, output)
    }

    /// QoS 0 that is not stored: for one of the members online.
    func pushUnloggedToMember(
        _ index: Int32, _ receiver: InsertReceiver, _ record: UnsafeRawBufferPointer,
        _ output: MachineOutput
    ) {
        guard let member = sessions[index].pointee.leases?.nextOnline() else {
            return reportDropped(index, .qos0Offline, 1, output)
        }
        let incarnation = sessions[index].pointee.incarnation
        let name = name(index)
        output.outbox.send(.groupPush, to: member.place) { writer in
            writer.append(InboxLimits.formatVersion)
            name.encode(into: &writer)
            writer.append(bigEndian: incarnation)
            writer.append(bigEndian: member.token)
            writer.append(bigEndian: UInt16(1))
            writer.append(bigEndian: UInt64(0))
            writer.append(receiver.options.stored)
            writer.append(UInt8(0))
            writer.append(bytes32: record)
        }
    }

    /// Leases what waits to members with room, oldest first; the bodies are read then.
    func dispatchGroup(_ index: Int32, _ output: MachineOutput) {
        guard leaderTerm != nil, let leases = sessions[index].pointee.leases,
            let queue = sessions[index].pointee.queue, !leases.isReading, !leases.members.isEmpty
        else { return }
        var page = EntryPage()
        var at = queue.firstIndex(atOrAfter: leases.nextUnleased)
        while at < queue.entries.count, page.hasRoom {
            let entry = queue.entries[at]
            if !entry.isGone, !leases.isLeased(entry.sequence) {
                // What was taken goes to its member alone, which may not have it after all.
                let member =
                    entry.isReleased ? taker(index, entry.sequence, leases) : leases.best
                if member == nil, !entry.isReleased { break }
                if let member, entry.isReleased || !isExpired(entry) {
                    leases.lease(entry.sequence, to: member)
                    add(entry, of: index, to: &page)
                }
            }
            leases.nextUnleased = entry.sequence + 1
            at += 1
        }
        guard !page.entries.isEmpty else { return }
        leases.isReading = true
        _ = read(index, page.keys, .group(page.entries), output)
    }

    /// The member online that has taken an entry.
    private func taker(_ index: Int32, _ sequence: UInt64, _ leases: GroupLeases) -> Int? {
        guard let taken = extras(index).taken.first(where: { $0.sequence == sequence }) else {
            return nil
        }
        return leases.members.firstIndex { $0.name == taken.member }
    }

    func completeGroupRead(
        _ read: PendingRead, _ entries: [EntryRead], _ values: [[UInt8]?], _ output: MachineOutput
    ) {
        guard let leases = sessions[read.session].pointee.leases else { return }
        leases.isReading = false
        var isWhole = true
        let name = name(read.session)
        let incarnation = sessions[read.session].pointee.incarnation
        for one in entries {
            guard let member = leases.holder(of: one.sequence) else { continue }
            guard let queue = sessions[read.session].pointee.queue,
                let at = queue.index(of: one.sequence)
            else {
                leases.end(one.sequence)
                continue
            }
            let entry = queue.entries[at]
            output.outbox.send(.groupPush, to: member.place) { writer in
                writer.append(InboxLimits.formatVersion)
                name.encode(into: &writer)
                writer.append(bigEndian: incarnation)
                writer.append(bigEndian: member.token)
                let countAt = writer.count
                writer.append(bigEndian: UInt16(1))
                let bytes = writer.append(
                    entry, one, values, owesPubrel: false, isRedelivery: false)
                if bytes == nil {
                    // Not readable yet: the next credit tries again.
                    writer.patch(bigEndian: UInt16(0), at: countAt)
                    leases.end(one.sequence)
                    leases.nextUnleased = min(leases.nextUnleased, one.sequence)
                    isWhole = false
                }
            }
        }
        if isWhole { dispatchGroup(read.session, output) }
    }
}
