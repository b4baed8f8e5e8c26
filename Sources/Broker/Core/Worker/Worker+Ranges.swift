import Base
import Inbox
import KV
import MQTT
import Policy

/// Asking ranges and taking their answers.
extension Worker {
    /// Proposes a command; `operation` is carried out with its result. False if it was refused:
    /// nothing happened then, and `operation` is forgotten.
    @discardableResult
    func propose(
        _ store: StoreKind, _ key: [UInt8], _ operation: Operation,
        _ write: (inout ByteWriter) -> Void
    ) -> Bool {
        guard operations.count < WorkerLimits.operationsMax else { return false }
        let token = operations.insert(operation)
        let refusal = client.propose(store, key: key, token: UInt64(token), now: now, write)
        if refusal != nil { operations.remove(token) }
        return refusal == nil
    }

    /// Asks the range of `key`.
    @discardableResult
    func ask(
        _ store: StoreKind, _ key: [UInt8], _ operation: Operation, _ question: [UInt8]
    ) -> Bool {
        guard operations.count < WorkerLimits.operationsMax else { return false }
        let token = operations.insert(operation)
        let refusal = client.query(store, key: key, token: UInt64(token), now: now) {
            $0.append(question)
        }
        if refusal != nil { operations.remove(token) }
        return refusal == nil
    }

    /// Carries out what the answers of this turn lead to.
    func drainCompletions() {
        while !completions.isEmpty {
            // An answer's consequences may add completions only through the client's next call,
            // never to this list.
            completions.forEach { completion, result in
                let token = Int32(truncatingIfNeeded: completion.token)
                let operation = operations[pointer: token].pointee
                if completion.outstanding == 0 { operations.remove(token) }
                complete(operation, completion, result)
            }
            completions.removeAll()
        }
    }

    private func complete(_ operation: Operation, _ completion: Completion, _ result: RawSpan) {
        let isDone = completion.status == .done
        switch operation {
        case .claim(let ref, let name):
            let answer = isDone ? ClaimAnswer.decode(result.array) : nil
            guard let session = find(ref) else {
                // The client has gone while it waited: the id is free again.
                if let answer, answer.status == .ok { release(name, answer.ownerEpoch) }
                return
            }
            if let answer {
                claimed(answer, session, ref.index)
            } else {
                connectFailed(session, ref.index, "claim")
            }
        case .attach(let ref):
            withSession(ref) { session, index in
                guard isDone, let attached = AttachResult.decode(result.array) else {
                    attachFailed(InboxResult.status(of: result.array), session, index)
                    return
                }
                self.attached(attached, session, index)
            }
        case .storedSubscription(let task, let positions, let tenant):
            storedSubscriptionDone(
                task, positions, tenant,
                isDone ? SubscriptionResult.decode(result.array) : nil)
        case .route(let task, let entry): routeDone(task, entry, isDone ? result.array : nil)
        case .intentRoute(let task): intentRouteDone(task, isDone: isDone)
        case .match(let id, let attempt, let part):
            matchAnswered(id, attempt: attempt, part: part, completion, result)
        case .insert(let task):
            insertDone(
                task, completion.status, isDone ? InsertResult.decode(result.array) : nil)
        case .acknowledge(let ref, let received):
            withSession(ref) { session, index in
                acknowledged(
                    received, isDone ? BatchResult.decode(result.array) : nil, session, index)
            }
        case .outboxPut(let ref, let serial):
            withSession(ref) { session, index in
                outboxPutDone(
                    serial, isDone ? OutboxPutResult.decode(result.array) : nil, session, index)
            }
        case .retain(let task): retainDone(task, completion.status, result)
        case .retainedMatch(let task): retainedPage(task, completion, result)
        case .door(let task): doorAnswered(task, completion, result)
        case .departure(let name, let epoch, let token):
            freeClientID(name, epoch, token)
        case .groupJoin(let task, let entry):
            joined(task, entry, isDone ? InboxResult.status(of: result.array) : nil)
        case .groupLeave(let command): groupLeft(command, isDone: isDone)
        case .groupTake(let lease):
            taken(lease, isDone ? BatchResult.decode(result.array) : nil)
        case .groupAcknowledge(let membership, let entries):
            groupAcknowledged(membership, entries, isDone: isDone)
        case .sessionSubscriptions(let ref, let skip):
            withSession(ref) { session, index in
                guard isDone, let page = SubscriptionsAnswer.decode(result.array) else { return }
                restoreMemberships(
                    page.subscriptions, skip: skip, hasMore: page.hasMore, session, index)
            }
        case .detach, .routeRemoval, .intentsCompleted, .outboxDone, .pubrel, .limits: break
        }
    }

    /// Calls `body` if the session is still there.
    func withSession(
        _ ref: SessionRef, _ body: (UnsafeMutablePointer<Session>, Int32) -> Void
    ) {
        guard let session = find(ref) else { return }
        body(session, ref.index)
    }

    func find(_ ref: SessionRef) -> UnsafeMutablePointer<Session>? {
        guard ref.index >= 0, Int(ref.index) < liveGenerations.count,
            liveGenerations[Int(ref.index)] == ref.generation
        else { return nil }
        let session = sessions[pointer: ref.index]
        return session.pointee.phase == .closing ? nil : session
    }

    func ref(_ session: UnsafeMutablePointer<Session>, _ index: Int32) -> SessionRef {
        SessionRef(index: index, generation: session.pointee.generation)
    }

    /// The connection token of a session: its slab index and generation, unique on this worker.
    func connectionToken(_ session: UnsafeMutablePointer<Session>, _ index: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: index)) << 32 | UInt64(session.pointee.generation)
    }

    func sessionRef(ofToken token: UInt64) -> SessionRef {
        SessionRef(
            index: Int32(truncatingIfNeeded: token >> 32),
            generation: UInt32(truncatingIfNeeded: token))
    }

    func sessionName(_ session: UnsafeMutablePointer<Session>) -> SessionName {
        SessionName(
            tenant: tenantBytes(session.pointee.tenant), clientID: session.pointee.clientID)
    }

    private func connectFailed(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, _ step: String
    ) {
        refuseConnect(
            session, index, .serverUnavailable,
            .disconnect(.inboxTransientError(reason: step)))
    }

    private func attachFailed(
        _ status: InboxStatus?, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard status == .quotaExceeded else {
            connectFailed(session, index, "attach: \(status.map { "\($0)" } ?? "no answer")")
            return
        }
        refuseConnect(
            session, index, .quotaExceeded,
            .session(
                .outOfTenantResource(
                    resource: session.pointee.rare?.exhausted ?? .totalPersistentSessions)))
    }
}
