import Base
import KV

/// The machine of one inbox range: stored sessions, their queues, outboxes, wills and owners.
///
/// Decides who owns a client id, what a session has subscribed to, what is queued for it and how
/// far each entry got; when sessions and messages expire and wills are published. Owned by the
/// worker loop that is the replica's home. In memory: one compact record per session and 32 bytes
/// per queued entry; message bytes only in the engine. It leaves routes to dist (told by intents),
/// fan-out of outbox messages to a worker of its node, and packets to the Broker.
///
/// Parts: `InboxAttach` (connections, wills, ends), `InboxSubscriptions`, `InboxInsert`,
/// `InboxAcknowledge`, `InboxPush`, `InboxOutbox`, `InboxOwners`, `InboxGroups`, `InboxDue`,
/// `InboxQueries`, `InboxLoad` (rows to memory), `InboxSplit`.
package final class InboxMachine: RangeMachine {
    /// What a replica knows of its node.
    package struct Options {
        /// The replica's home: fan-out and route changes are sent there.
        package var home: Place
        /// Seed of tables in memory, from the system.
        package var hashSeed: UInt64
        /// Where what tenants hold is counted.
        package var usage: UsageLedger

        package init(home: Place, hashSeed: UInt64, usage: UsageLedger = UsageLedger()) {
            self.home = home
            self.hashSeed = hashSeed
            self.usage = usage
        }
    }

    let options: Options
    let hash: TableHash
    var tenants: TenantTable
    /// Counts of each tenant by its number.
    var tenantCounts: [TenantCounts] = []
    /// Subscriptions of all sessions.
    package internal(set) var subscriptionTotal: UInt64 = 0
    /// Of all queues.
    package let queueTotals = QueueTotals()
    var sessions: SessionTable
    var connections = Slab<SessionConnection>()
    var bodies = BodyTable()
    var timers = TimerQueue()
    /// The range's time: the largest seen.
    var time = WallTime.zero
    /// No owner epoch was ever higher.
    var epochMax: UInt64 = 0

    /// Volatile: set while this replica leads.
    var leaderTerm: UInt64?
    var owners: OwnerTable
    /// Records with an outbox or intents. The order matters to nobody.
    var work: [Int32] = []
    /// When unfinished work is next looked at, in range time.
    var nextRetry = UInt64.max
    var reads: [UInt64: PendingRead] = [:]
    var lastReadToken: UInt64 = 0
    /// Bodies being copied to the right half of a split, by read.
    var copies: [UInt64: [BodyCopy]] = [:]
    /// Buckets at which this range was cut from another, rising; see `InboxSplit`.
    var cuts: [UInt16] = []

    /// Scratch for keys and values of rows, reused.
    var key = ByteWriter(capacity: 256)
    var value = ByteWriter(capacity: 1024)
    /// Scratch of `insert`: records of the receivers, and lowest buckets of the messages.
    var foundSessions: [Int32] = []
    var foundBuckets: [UInt16] = []

    package init(options: Options) {
        self.options = options
        hash = TableHash(seed: options.hashSeed)
        tenants = TenantTable(hash: hash)
        sessions = SessionTable(hash: hash)
        owners = OwnerTable(hash: hash)
    }

    /// What a tenant has in this range.
    struct TenantCounts {
        var stored: UInt64 = 0
        var attached: UInt64 = 0
        /// Of the whole worker.
        var line: UsageLedger.Line
    }

    package func apply(_ command: RawSpan, at position: ApplyPosition, output: MachineOutput) {
        advance(to: position)
        command.withUnsafeBytes { raw in
            var fields = FieldReader(raw)
            guard fields.u8() == InboxLimits.formatVersion,
                let kind = InboxCommand.Kind(rawValue: fields.u8())
            else { return output.result.append(status: .malformed) }
            if kind == .insert {
                insert(fields, position, output)
            } else if let command = InboxCommand.decode(kind, &fields), fields.isComplete {
                apply(command, position, output)
            } else {
                output.result.append(status: .malformed)
            }
        }
    }

    private func apply(
        _ command: InboxCommand, _ position: ApplyPosition, _ output: MachineOutput
    ) {
        switch command {
        case .attach(let command): attach(command, position, output)
        case .detach(let command): detach(command, position, output)
        case .subscribe(let command): subscribe(command, position, output)
        case .unsubscribe(let command): unsubscribe(command, position, output)
        case .completeIntents(let command): completeIntents(command, output)
        case .insert: output.result.append(status: .malformed)
        case .acknowledge(let command): acknowledge(command, position, output)
        case .outboxPut(let command): outboxPut(command, position, output)
        case .outboxPublish(let command): outboxPublish(command, position, output)
        case .outboxDone(let command): outboxDone(command, position, output)
        case .pubrelReceived(let command): pubrelReceived(command, output)
        case .terminate(let command): terminate(command, position, output)
        case .expireTenant(let command): expireTenant(command, position, output)
        case .groupJoin(let command): groupJoin(command, position, output)
        case .groupLeave(let command): groupLeave(command, position, output)
        case .groupTake(let command): groupTake(command, output)
        case .limits(let command): changeLimits(command, output)
        }
    }

    package func applyDue(at position: ApplyPosition, output: MachineOutput) {
        advance(to: position)
        carryOutDue(position, output)
        if position.isLeader { retryWork(output) }
    }

    package var nextDue: WallTime {
        let timer = timers.first?.due ?? .max
        return WallTime(milliseconds: leaderTerm == nil ? timer : min(timer, nextRetry))
    }

    package func query(_ question: RawSpan, ticket: QueryTicket, output: MachineOutput) {
        bodies.finishLoading()
        question.withUnsafeBytes { raw in
            switch InboxQuestion.decode(raw) {
            case .claim(let claim): self.claim(claim, ticket, output)
            case .list(let list): self.list(list, ticket, output)
            case .show(let session): show(session, ticket, output)
            case .subscriptions(let session, let skip):
                subscriptions(session, skip: Int(skip), ticket, output)
            case .counts(let tenant): counts(tenant, ticket, output)
            case .owner(let session): showOwner(session, ticket, output)
            case nil: output.answer(ticket) { $0.append(status: .malformed) }
            }
        }
    }

    package func receive(
        _ kind: MessageKind, _ body: RawSpan, from place: Place, output: MachineOutput
    ) {
        guard leaderTerm != nil else { return }
        body.withUnsafeBytes { raw in
            switch kind {
            case .inboxCredit:
                if let credit = CreditMessage.decode(raw) { self.credit(credit, place, output) }
            case .ownerReleased:
                if let released = OwnerReleasedMessage.decode(raw) {
                    ownerReleased(released, output)
                }
            case .ownerAnnounce:
                if let announced = OwnerAnnounceMessage.decode(raw) {
                    ownerAnnounced(announced, place)
                }
            case .ownersFenced: ownersFenced(raw, output)
            case .inboxUnlogged: deliverUnlogged(FieldReader(raw), output)
            case .groupCredit:
                if let credit = GroupCreditMessage.decode(raw) {
                    groupCredit(credit, place, output)
                }
            case .proposal, .proposalAnswer, .query, .queryAnswer, .rangeMap, .leaseRequest,
                .leaseGrant, .routePatch, .routePatchApplied, .inboxPush, .outboxReady, .ownerEvict,
                .groupPush, .delivery,
                .deliveryDone, .deliveryReturned, .deliveryDeferred, .deliveryFinished,
                .intentReady, .inboxDropped:
                break
            }
        }
    }

    package func completeRead(_ token: UInt64, values: [[UInt8]?], output: MachineOutput) {
        if let slice = copies.removeValue(forKey: token) {
            return completeCopy(slice, values, output)
        }
        guard let read = reads.removeValue(forKey: token) else { return }
        guard leaderTerm != nil, sessions.isCurrent(read.session, read.generation) else { return }
        switch read.purpose {
        case .push(let epoch, let entries):
            completePush(read, token, epoch, entries, values, output)
        case .outbox(let entries): completeOutboxRead(read, entries, values, output)
        case .group(let entries): completeGroupRead(read, entries, values, output)
        }
    }

    package func leadershipChanged(_ position: ApplyPosition?, output: MachineOutput) {
        bodies.finishLoading()
        reads = [:]
        forgetOwners()
        dropVolatileSessionState()
        leaderTerm = position?.term
        nextRetry = .max
        guard let position else { return }
        time = max(time, position.time)
        for session in work { emitWork(session, output) }
        scheduleRetry()
    }

    /// Range time moves with the log.
    private func advance(to position: ApplyPosition) {
        bodies.finishLoading()
        time = max(time, position.time)
    }

    private func dropVolatileSessionState() {
        for bucket in 0..<65_536 {
            sessions.forEach(inBucket: bucket) { index in
                sessions[index].pointee.pusher = nil
                sessions[index].pointee.leases = nil
                if let extras = sessions[index].pointee.extras {
                    extras.emittedThrough = 0
                    extras.isReadingOutbox = false
                }
            }
        }
    }
}

/// A read from the engine that is under way, and what it was for.
struct PendingRead {
    /// What is done with the values.
    enum Purpose {
        /// Entries for the owner of this epoch.
        case push(epoch: UInt64, [EntryRead])
        /// Outbox entries to be fanned out.
        case outbox([SessionExtras.OutboxEntry])
        /// Entries for a group's members.
        case group([EntryRead])
    }

    var session: Int32
    var generation: UInt32
    var purpose: Purpose
}

/// An entry whose row, body or both were asked for.
struct EntryRead {
    var sequence: UInt64
    /// Index of the row's value among those read, or -1.
    var rowValue: Int
    /// Index of the shared body's value, or -1.
    var bodyValue: Int
}
