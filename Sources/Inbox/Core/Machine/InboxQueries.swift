import Base
import KV

/// Answers for the API and the console, from memory.
extension InboxMachine {
    func summary(_ index: Int32) -> SessionSummary {
        let session = sessions[index]
        var summary = SessionSummary()
        summary.clientID = [UInt8](session.pointee.bytes.clientID)
        summary.principal = [UInt8](session.pointee.bytes.principal)
        summary.incarnation = session.pointee.incarnation
        summary.isStored = session.pointee.kind == .stored
        summary.isAttached = session.pointee.connection >= 0
        summary.ownerEpoch = OwnerEpoch(session.pointee.ownerEpoch)
        if session.pointee.connection >= 0 {
            summary.owner = connections[pointer: session.pointee.connection].pointee.place
        }
        summary.expirySeconds = session.pointee.expirySeconds
        summary.expiresAt = WallTime(milliseconds: session.pointee.expiresAt)
        summary.subscriptionCount = session.pointee.subscriptionCount
        summary.limits = session.pointee.limits
        if let queue = session.pointee.queue {
            summary.queuedMessages = queue.messages
            summary.queuedBytes = queue.bytes
            summary.pubrelsOwed = queue.releasedCount
        }
        if let extras = session.pointee.extras {
            summary.hasWill = extras.will != nil
            summary.willDueAt = WallTime(milliseconds: extras.will?.dueAt ?? 0)
            summary.outboxEntries = UInt32(extras.outbox.count)
            summary.inboundPacketIDs = UInt32(extras.inbound.count)
            summary.openIntents = UInt32(extras.intents.count)
        }
        return summary
    }

    func show(_ session: SessionName, _ ticket: QueryTicket, _ output: MachineOutput) {
        let index = find(session)
        output.answer(ticket) { writer in
            writer.append(status: index < 0 ? .noSession : .ok)
            if index >= 0 { summary(index).encode(into: &writer) }
        }
    }

    func subscriptions(
        _ session: SessionName, skip: Int, _ ticket: QueryTicket, _ output: MachineOutput
    ) {
        let index = find(session)
        output.answer(ticket) { writer in
            writer.append(status: index < 0 ? .noSession : .ok)
            guard index >= 0 else { return }
            // A filter has up to 65,535 bytes: a page takes two of the longest.
            subscriptionPage(index, skip: skip, bytesMax: 160 << 10).encode(into: &writer)
        }
    }

    /// In the order of buckets, and of client ids within one. The cursor is the last bucket looked
    /// at and, if it was not finished, the last client id of it.
    func list(_ list: ListQuestion, _ ticket: QueryTicket, _ output: MachineOutput) {
        var answer = ListAnswer(sessions: [], cursor: [])
        let limit = max(1, min(Int(list.limit), InboxLimits.listPageMax))
        var bucket =
            list.cursor.count >= 2 ? Int(list.cursor[0]) << 8 | Int(list.cursor[1]) : 0
        var behind = Array(list.cursor.dropFirst(2))
        let tenant = tenants.find(list.tenant)
        var scanned = 0
        while let tenant, bucket < 65_536 {
            let found = sessionsOfBucket(bucket, tenant, behind: behind, &scanned)
            answer.sessions += found.prefix(limit - answer.sessions.count).map { summary($0.index) }
            if answer.sessions.count == limit, let last = answer.sessions.last {
                answer.cursor = InboxKeys.bucketStart(UInt16(bucket)) + last.clientID
                break
            }
            behind = []
            bucket += 1
            if scanned >= InboxLimits.listScanMax, bucket < 65_536 {
                answer.cursor = InboxKeys.bucketStart(UInt16(bucket))
                break
            }
        }
        output.answer(ticket) { writer in
            writer.append(status: .ok)
            answer.encode(into: &writer)
        }
    }

    /// A tenant's sessions of a bucket behind a client id, sorted.
    private func sessionsOfBucket(
        _ bucket: Int, _ tenant: UInt32, behind: [UInt8], _ scanned: inout Int
    ) -> [(clientID: [UInt8], index: Int32)] {
        var found: [(clientID: [UInt8], index: Int32)] = []
        sessions.forEach(inBucket: bucket) { index in
            scanned += 1
            let session = sessions[index]
            let kind = session.pointee.kind
            guard session.pointee.tenant == tenant, kind == .stored || kind == .willOnly else {
                return
            }
            let clientID = [UInt8](session.pointee.bytes.clientID)
            if behind.isEmpty || behind.lexicographicallyPrecedes(clientID) {
                found.append((clientID, index))
            }
        }
        return found.sorted { $0.clientID.lexicographicallyPrecedes($1.clientID) }
    }

    func counts(_ tenantName: [UInt8], _ ticket: QueryTicket, _ output: MachineOutput) {
        var counts = CountsAnswer()
        if let tenant = tenants.find(tenantName) {
            counts.storedSessions = tenantCounts[Int(tenant)].stored
            counts.attachedSessions = tenantCounts[Int(tenant)].attached
            for bucket in 0..<65_536 {
                sessions.forEach(inBucket: bucket) { index in
                    let session = sessions[index]
                    guard session.pointee.tenant == tenant else { return }
                    counts.subscriptions += UInt64(session.pointee.subscriptionCount)
                    counts.queuedMessages += UInt64(session.pointee.queue?.messages ?? 0)
                    counts.queuedBytes += session.pointee.queue?.bytes ?? 0
                }
            }
        }
        output.answer(ticket) { writer in
            writer.append(status: .ok)
            counts.encode(into: &writer)
        }
    }
}
