import Base
import KV

/// From rows back to memory, when a replica starts or has received a snapshot.
extension InboxMachine {
    package func load(key: RawSpan, value: RawSpan) {
        key.withUnsafeBytes { rawKey in
            value.withUnsafeBytes { rawValue in
                var fields = FieldReader(rawKey)
                let bucket = fields.u16()
                let area = fields.u8()
                if area == Self.markerArea { cuts.append(bucket) }
                guard area == InboxKeys.sessionArea else { return }
                let tenant = fields.keyString()
                let clientID = fields.keyString()
                let kind = InboxKeys.RowKind(rawValue: fields.u8())
                var row = FieldReader(rawValue)
                invariant(
                    fields.isFine && kind != nil && row.u8() == InboxLimits.formatVersion,
                    "a stored row of \(rawKey.count) and \(rawValue.count) bytes is not ours")
                guard let kind else { return }
                let name = SessionName(tenant: tenant, clientID: clientID)
                var index = find(name)
                if index < 0 {
                    // Meta comes first in key order; a record without it holds nothing.
                    guard kind == .meta else { return }
                    index = create(name, .residue)
                }
                load(index, kind, &fields, &row)
                schedule(index)
                invariant(row.isFine, "a stored row of kind \(kind) is cut short")
            }
        }
    }

    private func load(
        _ index: Int32, _ kind: InboxKeys.RowKind, _ suffix: inout FieldReader,
        _ row: inout FieldReader
    ) {
        switch kind {
        case .meta: loadMeta(index, &row)
        case .counters: loadCounters(index, &row)
        case .subscription:
            let subscription = StoredSubscription(
                filter: [UInt8](suffix.slice(suffix.remaining)), options: row.u8(),
                subscriptionID: row.u32())
            sessions[index].pointee.bytes.putSubscription(subscription)
            sessions[index].pointee.subscriptionCount += 1
            subscriptionTotal += 1
            countSubscription(index, subscription.filter, 1)
        case .entry: loadEntry(index, suffix.u64(), &row)
        case .inFlight: loadInFlight(index, suffix.u64(), &row)
        case .outbox: loadOutbox(index, suffix.u64(), &row)
        case .intent:
            extras(index).intents.append(
                .init(
                    number: suffix.u64(), isAddition: row.flag(), incarnation: row.u64(),
                    subscription: StoredSubscription(&row)))
            addWork(index)
        case .inbound:
            extras(index).inbound.append(.init(packetID: suffix.u16(), sequence: row.u64()))
        case .source:
            extras(index).sources.append(
                .init(
                    identity: suffix.u64(), origin: suffix.u64(), sequence: row.u64(),
                    usedAt: row.u64(), earlier: row.u64()))
        case .will: break  // Its record stays in the engine; meta or outbox refers to it.
        case .member: extras(index).members.append([UInt8](suffix.slice(suffix.remaining)))
        case .idempotency:
            let extras = extras(index)
            let mark = SessionExtras.IdempotencyMark(
                key: [UInt8](suffix.slice(suffix.remaining)), sequence: row.u64(),
                expiresAt: row.u64())
            let at = extras.idempotency.firstIndex {
                ($0.expiresAt, $0.sequence) > (mark.expiresAt, mark.sequence)
            }
            extras.idempotency.insert(mark, at: at ?? extras.idempotency.count)
        }
    }

    private func loadMeta(_ index: Int32, _ row: inout FieldReader) {
        let session = sessions[index]
        guard let kind = Session.Kind(rawValue: row.u8()) else { return row.fail() }
        let flags = row.u8()
        session.pointee.incarnation = row.u64()
        session.pointee.ownerEpoch = row.u64()
        session.pointee.bytes.setPrincipal(row.bytes16())
        session.pointee.expirySeconds = row.u32()
        session.pointee.expiresAt = row.u64()
        session.pointee.limits = QueueLimits(&row)
        epochMax = max(epochMax, session.pointee.ownerEpoch)
        setKind(index, kind)
        if flags & 1 != 0 {
            setAttached(index, SessionConnection(place: row.place(), token: row.u64()))
        }
        if flags & 2 != 0 {
            extras(index).will = SessionExtras.Will(
                number: row.u64(), delaySeconds: row.u32(), dueAt: row.u64(),
                byteCount: row.u32())
        }
    }

    private func loadCounters(_ index: Int32, _ row: inout FieldReader) {
        let session = sessions[index]
        session.pointee.nextSequence = row.u64()
        session.pointee.sentThrough = row.u64()
        session.pointee.nextNumber = row.u64()
        let origin = row.u64()
        let next = row.u64()
        if origin != 0 || next > 1 {
            let extras = extras(index)
            extras.outboxOrigin = origin
            extras.outboxNext = next
        }
    }

    private func queue(_ index: Int32) -> SessionQueue {
        if let queue = sessions[index].pointee.queue { return queue }
        let queue = SessionQueue(queueTotals, line(index))
        sessions[index].pointee.queue = queue
        return queue
    }

    private func loadEntry(_ index: Int32, _ sequence: UInt64, _ row: inout FieldReader) {
        var entry = SessionQueue.Entry(
            sequence: sequence, expiresAt: 0, body: -1, byteCount: 0, flags: row.u8())
        let expiresAt = row.u64()
        // The counters come before the entries; what was sent expires no more.
        entry.expiresAt = sequence <= sessions[index].pointee.sentThrough ? 0 : expiresAt
        _ = row.slice(Int(row.u8()) * 4)
        if row.u8() == 0 {
            entry.byteCount = UInt32(row.remaining)
        } else {
            let bucket = row.u16()
            let id = BodyID(stamp: row.u64(), ordinal: row.u16())
            entry.byteCount = row.u32()
            entry.body = bodies.retainLoaded(
                id, bucket: effectiveBucket(bucket, of: index), byteCount: entry.byteCount)
        }
        queue(index).insertSorted(entry)
        noteSequence(index, sequence)
    }

    private func noteSequence(_ index: Int32, _ sequence: UInt64) {
        sessions[index].pointee.nextSequence = max(
            sessions[index].pointee.nextSequence, sequence + 1)
    }

    /// After the entries in key order: a group's row marks an entry as taken, a session's stands
    /// for an entry whose PUBREL is owed.
    private func loadInFlight(_ index: Int32, _ sequence: UInt64, _ row: inout FieldReader) {
        let flags = row.u8()
        let queue = queue(index)
        if let at = queue.index(of: sequence) {
            queue.take(at: at)
            extras(index).addTaken(
                .init(sequence: sequence, member: [UInt8](row.slice(row.remaining))))
        } else {
            queue.insertSorted(
                .init(sequence: sequence, expiresAt: 0, body: -1, byteCount: 0, flags: flags))
        }
        noteSequence(index, sequence)
    }

    private func loadOutbox(_ index: Int32, _ sequence: UInt64, _ row: inout FieldReader) {
        let extras = extras(index)
        extras.outbox.append(
            .init(sequence: sequence, willNumber: row.u64(), byteCount: row.u32()))
        extras.outboxNext = max(extras.outboxNext, sequence + 1)
        addWork(index)
    }
}
