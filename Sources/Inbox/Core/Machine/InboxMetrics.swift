import Base
import KV

/// What an inbox range holds in memory, for the console and for tests.
package struct InboxMetrics: Sendable {
    /// Records, of whatever kind.
    package var sessions = 0
    /// Cells, table slots, timers and allocations of records, without queues and extras.
    package var sessionBytes = 0
    /// Records with entries queued, and with wills, outboxes or intents.
    package var queues = 0
    package var extras = 0
    /// Bodies that several queues share.
    package var bodies = 0
    package var owners = 0
    /// Cells and table slots of owners, with their client ids and principals.
    package var ownerBytes = 0
    /// Records with outbox entries or intents that are not done with.
    package var unfinished = 0
}

extension InboxMachine {
    /// Bytes of one owner's cell.
    package static var ownerCellBytes: Int { MemoryLayout<OwnerTable.Owner>.stride }

    /// Bytes of owners, client ids and principals included.
    package var ownerBytes: Int { owners.byteCount }

    /// Bytes of records' cells, table slots and timers, without what the records allocate: walks
    /// nothing.
    package var recordBytes: Int {
        sessions.byteCount + timers.count * MemoryLayout<TimerQueue.Entry>.stride
    }

    /// Walks all records: not for every turn.
    package var metrics: InboxMetrics {
        var metrics = InboxMetrics()
        metrics.sessions = sessions.count
        metrics.bodies = bodies.count
        metrics.owners = owners.count
        metrics.ownerBytes = owners.byteCount
        metrics.unfinished = work.count
        metrics.sessionBytes =
            sessions.byteCount + timers.count * MemoryLayout<TimerQueue.Entry>.stride
        for bucket in 0..<65_536 {
            sessions.forEach(inBucket: bucket) { index in
                let session = sessions[index]
                // An allocator rounds to 16 bytes and keeps 8 of its own.
                metrics.sessionBytes += (session.pointee.bytes.byteCount + 8 + 15) / 16 * 16
                if session.pointee.queue != nil { metrics.queues += 1 }
                if session.pointee.extras != nil { metrics.extras += 1 }
            }
        }
        return metrics
    }

    /// Stored sessions of all tenants.
    package var storedSessions: UInt64 { tenantCounts.reduce(0) { $0 + $1.stored } }

    /// The replicated state of a record in words, to compare replicas; nil if there is none.
    package func describe(_ session: SessionName) -> String? {
        let index = find(session)
        guard index >= 0 else { return nil }
        var lines = ["\(summary(index))"]
        sessions[index].pointee.bytes.forEachSubscription {
            lines.append("\($0)")
            return true
        }
        lines.append(
            "next \(sessions[index].pointee.nextSequence) \(sessions[index].pointee.nextNumber)")
        if let queue = sessions[index].pointee.queue {
            for entry in queue.entries[queue.head...] where !entry.isGone {
                lines.append(
                    "\(entry.sequence) \(entry.flags) \(entry.expiresAt) \(entry.byteCount)")
            }
        }
        if let extras = sessions[index].pointee.extras {
            lines.append("\(extras.intents) \(extras.inbound) \(extras.sources) \(extras.outbox)")
            lines.append("\(extras.taken) \(extras.members)")
            if let will = extras.will { lines.append("\(will)") }
        }
        return lines.joined(separator: "\n")
    }
}
