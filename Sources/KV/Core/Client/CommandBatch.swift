import Base

/// Commands of one range that travel together, under one number of the lane.
///
/// Collected as an envelope from the first byte, so that sending is one copy. Belongs to one
/// `ClientRoute` at a time; emptied and used again afterwards.
final class CommandBatch {
    /// Head (filled in when sent) and commands.
    @exclusivity(unchecked)
    var bytes = ByteWriter(capacity: 1024)
    /// One per command, in order.
    @exclusivity(unchecked)
    var tokens: [UInt64] = []
    /// Where it is sent: fixed with the number, since a number names it only there.
    @exclusivity(unchecked)
    var range = RangeID(store: .system, number: 0)
    @exclusivity(unchecked)
    var boundaryVersion: UInt64 = 0
    /// Number in the lane; 0 while it waits.
    @exclusivity(unchecked)
    var number: UInt64 = 0
    /// When its first command came.
    @exclusivity(unchecked)
    var createdAt = Instant.zero
    /// When it was first sent; meaningless while it waits.
    @exclusivity(unchecked)
    var proposedAt = Instant.zero
    /// The callers have been told that the outcome is unknown; the lane still needs the answer.
    @exclusivity(unchecked)
    var isAbandoned = false

    var isFull: Bool {
        tokens.count >= RangeLimits.batchCommandsMax || bytes.count >= RangeLimits.batchBytesMax
    }

    /// Makes an empty batch of this one.
    func start(at now: Instant) {
        bytes.removeAll()
        tokens.removeAll(keepingCapacity: true)
        number = 0
        createdAt = now
        isAbandoned = false
        CommandEnvelope(
            range: range, boundaryVersion: 0,
            lane: LaneID(node: NodeID(0), epoch: LivenessEpoch(0), worker: WorkerIndex(0)),
            number: 0, time: .zero, count: 0
        ).encode(into: &bytes)
    }

    /// Gives it its number in the lane, and with it the range and version it is valid for.
    func seal(number: UInt64, lane: LaneID, descriptor: RangeDescriptor, now: Instant) {
        self.number = number
        range = descriptor.id
        boundaryVersion = descriptor.boundaryVersion
        proposedAt = now
        writeHead(lane: lane)
    }

    func writeHead(lane: LaneID) {
        bytes.patch(bigEndian: range.store.rawValue, at: CommandEnvelope.rangeOffset)
        bytes.patch(bigEndian: range.number, at: CommandEnvelope.rangeOffset + 1)
        let version = CommandEnvelope.boundaryVersionOffset
        bytes.patch(bigEndian: boundaryVersion, at: version)
        bytes.patch(bigEndian: lane.node.rawValue, at: version + 8)
        bytes.patch(bigEndian: lane.epoch.rawValue, at: version + 16)
        bytes.patch(bigEndian: lane.worker.rawValue, at: version + 24)
        bytes.patch(bigEndian: number, at: CommandEnvelope.numberOffset)
        bytes.patch(
            bigEndian: UInt32(truncatingIfNeeded: tokens.count), at: CommandEnvelope.countOffset)
    }

    /// Deals the commands out to the parts of a range that was cut. Order within a part is kept.
    func cut(into parts: [(bounds: KeyBounds, batch: CommandBatch)]) {
        let span = RawSpan(_unsafeBytes: bytes.bytes)
        var reader = ByteReader(offset: CommandEnvelope.headBytes, end: span.byteCount)
        do throws(ByteShortage) {
            for index in 0..<tokens.count {
                let start = reader.offset
                let key = try reader.takeLengthPrefixed32(span)
                _ = try reader.takeLengthPrefixed32(span)
                for (bounds, batch) in parts where bounds.contains(span.extracting(key.range)) {
                    batch.bytes.append(span.extracting(start..<reader.offset))
                    batch.tokens.append(tokens[index])
                    break
                }
            }
        } catch {
            invariantFailed("a batch of \(bytes.count) bytes cannot be read back")
        }
    }
}
