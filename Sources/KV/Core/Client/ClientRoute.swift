import Base

/// The proposer's side of one lane, with what waits to enter it.
///
/// ```
///  waiting (no number yet)          in flight (numbered, sent, not answered)
///  [open] [full] [full]   --seal-->  next-1 ... oldest      at most 16 apart
/// ```
/// Its descriptor is the one the lane was numbered under. News of a cut is taken up only when it
/// is certain which numbers were applied before it: with nothing in flight, or by the range's
/// own answer. Owned by a `RangeClient`; there is one for every part of the key space.
final class ClientRoute {
    /// The part of the key space this lane serves, and where it is sent.
    @exclusivity(unchecked)
    var descriptor: RangeDescriptor
    /// First bytes of the start, for quick search.
    let prefix: UInt64
    /// Number of the next batch. The range accepts no other after those in flight.
    @exclusivity(unchecked)
    var nextNumber: UInt64
    /// Ascending numbers; answers may come in any order.
    @exclusivity(unchecked)
    var inFlight: [CommandBatch] = []
    /// In order of arrival; the last one is open.
    @exclusivity(unchecked)
    var waiting: [CommandBatch] = []
    @exclusivity(unchecked)
    var waitingCommands = 0
    @exclusivity(unchecked)
    var waitingBytes = 0
    /// Questions to send at the next flush, by request.
    @exclusivity(unchecked)
    var questions: [UInt64] = []
    /// When what is in flight is sent again.
    @exclusivity(unchecked)
    var retryAt = Instant.distantFuture
    /// Sendings since the last sign of progress.
    @exclusivity(unchecked)
    var attempts = 0
    /// What is in flight goes out again at the next flush.
    @exclusivity(unchecked)
    var mustResend = false
    /// Refused: no new number before one in flight has been applied.
    @exclusivity(unchecked)
    var isStopped = false
    /// In the client's list of routes to flush.
    @exclusivity(unchecked)
    var isDirty = false

    init(descriptor: RangeDescriptor, nextNumber: UInt64) {
        self.descriptor = descriptor
        self.nextNumber = nextNumber
        prefix = descriptor.bounds.start.withUnsafeBytes { KeyOrder.prefix($0) }
    }

    /// Whether one more number stays within the ring of results, counted from the oldest number
    /// that may still be repeated.
    var hasWindow: Bool {
        guard let oldest = inFlight.first else { return true }
        return nextNumber - oldest.number < UInt64(RangeLimits.laneWindow)
    }

    /// The moment at which `RangeClient.tick` has something to do here.
    var deadline: Instant {
        var earliest = retryAt
        if let first = waiting.first {
            earliest = min(earliest, first.createdAt + RangeLimits.unproposedTimeMax)
        }
        for batch in inFlight where !batch.isAbandoned {
            earliest = min(earliest, batch.proposedAt + RangeLimits.outcomeTimeMax)
        }
        return earliest
    }

    /// The routes that take over when the range was cut into `tiles`.
    ///
    /// Batches below `next` were applied before the cut: they stay whole with the range that
    /// answers their repeats. Those from `next` on were not, and never will be under the old
    /// version: each is cut, and every part keeps the number, empty or not.
    func cut(into tiles: [RangeDescriptor], next: UInt64) -> [ClientRoute] {
        let routes = tiles.map { ClientRoute(descriptor: $0, nextNumber: nextNumber) }
        let keeper = routes.first { $0.descriptor.id == descriptor.id } ?? routes[0]
        for batch in inFlight {
            if batch.number < next {
                keeper.inFlight.append(batch)
                continue
            }
            for (route, part) in zip(routes, deal(batch, to: routes)) {
                part.number = batch.number
                part.proposedAt = batch.proposedAt
                part.isAbandoned = batch.isAbandoned
                part.range = route.descriptor.id
                part.boundaryVersion = route.descriptor.boundaryVersion
                route.inFlight.append(part)
            }
        }
        for batch in waiting {
            for (route, part) in zip(routes, deal(batch, to: routes)) where !part.tokens.isEmpty {
                route.waiting.append(part)
                route.waitingCommands += part.tokens.count
                route.waitingBytes += part.bytes.count
            }
        }
        for route in routes { route.mustResend = !route.inFlight.isEmpty }
        return routes
    }

    /// Forgets everything: its heirs have it.
    func retire() {
        inFlight = []
        waiting = []
        questions = []
        mustResend = false
        retryAt = .distantFuture
    }

    private func deal(_ batch: CommandBatch, to routes: [ClientRoute]) -> [CommandBatch] {
        let parts = routes.map { _ in CommandBatch() }
        for part in parts { part.start(at: batch.createdAt) }
        batch.cut(into: Array(zip(routes.map(\.descriptor.bounds), parts)))
        return parts
    }
}
