import Base

/// What arrives at a host: each frame goes into its range's queue, or is refused at once. Nothing
/// is applied here.
extension RangeHost {
    /// Takes a frame. Nothing is applied or answered yet, refusals apart.
    package func receive(
        _ kind: MessageKind, _ body: RawSpan, from sender: Place, now: Instant
    ) {
        do throws(ByteShortage) {
            if kind == .proposal {
                try receiveProposal(body, from: sender)
            } else if kind == .query {
                try receiveQuestion(body, from: sender)
            } else if kind == .rangeMap {
                map.insert(try RangeMapMessage.decode(body))
            } else {
                try receiveMessage(kind, body, from: sender)
            }
        } catch {
            damagedFrames += 1
        }
    }

    // Not inlined: the compiler (6.3.1) fails on it inside loops.
    @inline(never)
    func enqueue(
        _ kind: EntryKind, from sender: Place, _ replica: RangeReplica,
        _ write: (inout ByteWriter) -> Void
    ) {
        replica.queue.append(kind, from: sender, write)
        activate(replica)
    }

    private func receiveProposal(_ body: RawSpan, from sender: Place) throws(ByteShortage) {
        var reader = ByteReader(body)
        let envelope = try CommandEnvelope(body, reader: &reader)
        guard envelope.isWhole(body, reader: reader), envelope.number > 0 else {
            throw ByteShortage()
        }
        guard let replica = replicaByID[envelope.range] else {
            refuse(envelope, .notLeader, to: sender)
            return
        }
        switch replica.queue.isFull ? .busy : fault?.arrival() ?? .taken {
        case .taken: enqueue(.commands, from: sender, replica) { $0.append(body) }
        case .lost: break
        case .busy: refuse(envelope, .busy, to: sender)
        case .notLeader: refuse(envelope, .notLeader, to: sender)
        case .staleBoundary: refuse(envelope, .staleBoundary, to: sender)
        }
    }

    private func receiveQuestion(_ body: RawSpan, from sender: Place) throws(ByteShortage) {
        var reader = ByteReader(body)
        let question = try Question(body, reader: &reader)
        guard let replica = replicaByID[question.range] else {
            refuse(question, .notLeader, to: sender)
            return
        }
        switch replica.queue.isFull ? .busy : fault?.arrival() ?? .taken {
        case .taken: enqueue(.question, from: sender, replica) { $0.append(body) }
        case .lost: break
        case .busy: refuse(question, .busy, to: sender)
        case .notLeader: refuse(question, .notLeader, to: sender)
        case .staleBoundary: refuse(question, .staleBoundary, to: sender)
        }
    }

    private func receiveMessage(
        _ kind: MessageKind, _ body: RawSpan, from sender: Place
    ) throws(ByteShortage) {
        var reader = ByteReader(body)
        let message = try MachineMessage(body, reader: &reader)
        guard let replica = replicaByID[message.range], !replica.queue.isFull else {
            passOn(kind, message, body, from: sender)
            return
        }
        enqueue(.message, from: sender, replica) { writer in
            writer.append(kind.rawValue)
            writer.append(body)
        }
    }

    /// Sends a message after the range that has its key now.
    func passOn(
        _ kind: MessageKind, _ message: MachineMessage, _ body: RawSpan, from sender: Place
    ) {
        let key = body.array(message.key)
        guard message.hops < RangeLimits.messageHopsMax,
            let heir = map.descriptor(message.range.store, at: key), let leader = heir.leader
        else {
            droppedMessages += 1
            return
        }
        if let replica = replicaByID[heir.id] {
            guard !replica.queue.isFull else {
                droppedMessages += 1
                return
            }
            // The sender stays the one who wrote it; another host sees the one who passed it on.
            enqueue(.message, from: sender, replica) { writer in
                writer.append(kind.rawValue)
                Self.write(message, body, to: heir, into: &writer)
            }
        } else {
            outbox.send(kind, to: leader) { Self.write(message, body, to: heir, into: &$0) }
        }
    }

    static func write(
        _ message: MachineMessage, _ body: RawSpan, to heir: RangeDescriptor,
        into writer: inout ByteWriter
    ) {
        MachineMessage.encodeHead(
            hops: message.hops + 1, range: heir.id, boundaryVersion: heir.boundaryVersion,
            key: body.extracting(message.key.range), into: &writer)
        writer.append(body.extracting(message.key.end..<body.byteCount))
    }
}
