import Base

/// The log of a range: an entry is committed, then applied, and only then answered.
extension RangeHost {
    /// Where Raft comes in. Here the one replica is its own majority: the entry gets the leader's
    /// time and the next index, and is committed. What follows is the same on every replica and
    /// in this order: apply, write to the engine with the index, and only then send. No effect
    /// leaves before the entry is committed.
    func commit(_ item: HostQueue.Item, to replica: RangeReplica) -> Int {
        replica.time = max(replica.time, wallTime)
        replica.appliedIndex += 1
        metrics.entries += 1
        if item.kind == .commands { replica.queue.setTime(replica.time, of: item) }
        let bytes = RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(
                rebasing: replica.queue.bytes[item.payload.range]))
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            switch item.kind {
            case .commands: return try applyCommands(bytes, &reader, from: item.from, replica)
            case .due: applyDue(replica)
            case .split: try applySplit(bytes, &reader, replica)
            case .fence:
                let node = NodeID(try reader.readUInt64(bytes))
                replica.lanes.fence(node, through: LivenessEpoch(try reader.readUInt64(bytes)))
            case .question, .message: break
            }
            return 1
        } catch {
            invariantFailed("an entry of kind \(item.kind) in \(replica.descriptor.id) is damaged")
        }
    }

    private func applyCommands(
        _ bytes: RawSpan, _ reader: inout ByteReader, from sender: Place, _ replica: RangeReplica
    ) throws(ByteShortage) -> Int {
        let envelope = try CommandEnvelope(bytes, reader: &reader)
        let isStale = envelope.boundaryVersion != replica.descriptor.boundaryVersion
        switch replica.lanes.verdict(on: envelope.number, of: envelope.lane) {
        case .fenced: refuse(envelope, .fenced, to: sender)
        case .full: refuse(envelope, .busy, to: sender)
        case .repeated:
            metrics.repeats += 1
            answerRepeat(envelope, to: sender, replica)
        case .gap: refuse(envelope, isStale ? .staleBoundary : .gap, to: sender, replica)
        case .accept where isStale: refuse(envelope, .staleBoundary, to: sender, replica)
        case .accept: try applyAll(envelope, bytes, &reader, from: sender, replica)
        }
        return max(envelope.count, 1)
    }

    private func applyAll(
        _ envelope: CommandEnvelope, _ bytes: RawSpan, _ reader: inout ByteReader,
        from sender: Place, _ replica: RangeReplica
    ) throws(ByteShortage) {
        var position = replica.position
        var hold: UInt64 = 0
        if results.count > RangeLimits.keptBytesMax { results = ByteWriter(capacity: 4096) }
        results.removeAll()
        results.append(bigEndian: UInt32(truncatingIfNeeded: envelope.count))
        for ordinal in 0..<envelope.count {
            position.ordinal = UInt32(truncatingIfNeeded: ordinal)
            _ = try reader.takeLengthPrefixed32(bytes)
            let command = try reader.takeLengthPrefixed32(bytes)
            replica.machine.apply(
                bytes.extracting(command.range), at: position, output: output)
            let size = output.result.count
            invariant(size <= RangeLimits.resultBytesMax, "a result of \(size) bytes")
            results.append(bigEndian: UInt32(truncatingIfNeeded: size))
            results.append(output.result.bytes)
            hold = max(hold, output.holdAnswerUntil ?? 0)
            output.result.removeAll()
            output.holdAnswerUntil = nil
        }
        metrics.commands += UInt64(envelope.count)
        replica.lanes.record(
            envelope.number, of: envelope.lane, result: results.bytes, hold: hold)
        if hold > replica.releasedThrough {
            replica.hold(envelope, until: hold, for: sender)
            carryOut(replica)
        } else {
            carryOut(replica)
            respond(.proposalAnswer, to: sender) { writer in
                ProposalAnswer(.applied, to: envelope, nextNumber: envelope.number + 1)
                    .encode(into: &writer)
                writer.append(results.bytes)
            }
        }
    }

    func answerRepeat(
        _ envelope: CommandEnvelope, to sender: Place, _ replica: RangeReplica
    ) {
        let next = replica.lanes.next(of: envelope.lane)
        replica.lanes.withResult(of: envelope.lane, number: envelope.number) { result, hold in
            if hold > replica.releasedThrough {
                replica.hold(envelope, until: hold, for: sender)
                return
            }
            respond(.proposalAnswer, to: sender) { writer in
                ProposalAnswer(.applied, to: envelope, nextNumber: next).encode(into: &writer)
                writer.append(result)
            }
        }
    }

    private func applyDue(_ replica: RangeReplica) {
        replica.isDueProposed = false
        replica.machine.applyDue(at: replica.position, output: output)
        carryOut(replica)
    }
}
