import Base

/// The slow end of a node that stops: every connection in good order, at the node's rate.
extension Worker {
    /// Ends every connection in good order, at the node's rate: SIGTERM.
    package func drain() {
        guard !isDraining else { return }
        isDraining = true
        drainSome()
    }

    /// Ends as many connections as the rate allows now.
    func drainSome() {
        drainsAt = .distantFuture
        guard isDraining else { return }
        while drainCursor < liveGenerations.count {
            let session = sessions[pointer: Int32(drainCursor)]
            if liveGenerations[drainCursor] != 0, session.pointee.phase != .closing {
                guard nodeLoad.leavers.take(1, limits.drainRate, now: now) else {
                    drainsAt = now + .milliseconds(10)
                    return
                }
                disconnect(
                    session, Int32(drainCursor), .serverShuttingDown, .disconnect(.byServer))
            }
            drainCursor += 1
        }
    }

    /// Draining, and every connection has ended and nothing is waited for.
    package var isDrained: Bool { isDraining && sessions.count == 0 && operations.count == 0 }
}
