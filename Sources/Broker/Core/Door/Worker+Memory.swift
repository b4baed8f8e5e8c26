import Dist
import Inbox
import Retain

/// What the worker's tables hold, by owner: a few sums when somebody asks, nothing before.
extension Worker {
    func fillMemory(_ figures: inout WorkerFigures) {
        figures[.memorySessions] = UInt64(
            sessions.byteCount + liveGenerations.capacity * MemoryLayout<UInt32>.stride)
        figures[.memoryNames] = UInt64(clamping: nameBytes)
        figures[.memoryRareStates] = UInt64(clamping: rareCount * RareState.byteCount)
        figures[.memoryTimers] = UInt64(timers.byteCount)
        figures[.memorySubscriptions] = UInt64(filters.byteCount)
        figures[.memoryRouteCache] = UInt64(routes.byteCount)
        figures[.memoryPublishes] = UInt64(
            trackers.byteCount + operations.byteCount + parkedBytes)
        host.forEachMachine { _, machine in
            if let inbox = machine as? InboxMachine {
                figures[.memoryOwners] += UInt64(inbox.ownerBytes)
                figures[.memoryStoredSessions] += UInt64(inbox.recordBytes)
            } else if let retain = machine as? RetainMachine {
                figures[.memoryRetained] += UInt64(retain.byteCount)
            } else if let dist = machine as? DistMachine {
                figures[.memoryRoutes] += UInt64(dist.byteCount)
            }
        }
    }
}

/// Bytes that an idle connection costs in the tables of its worker: a test holds them.
package enum IdleSizes {
    package static var session: Int { MemoryLayout<Session>.stride }
    package static var sessionMachine: Int { MemoryLayout<SessionMachine>.stride }
}
