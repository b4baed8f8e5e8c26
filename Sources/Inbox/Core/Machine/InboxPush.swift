import Base
import KV

/// Who is online for a session, and how far it was pushed to: the leader's, volatile.
final class Pusher {
    let place: Place
    let token: UInt64
    let epoch: UInt64
    /// Everything before it was pushed (or is no longer there).
    var nextSequence: UInt64
    /// Granted since the start, and pushed of it.
    var messagesTotal: UInt64 = 0
    var bytesTotal: UInt64 = 0
    var messagesPushed: UInt64 = 0
    var bytesPushed: UInt64 = 0
    /// The read that is under way, 0 if none: nothing is pushed past it.
    var readToken: UInt64 = 0

    init(place: Place, token: UInt64, epoch: UInt64, nextSequence: UInt64) {
        self.place = place
        self.token = token
        self.epoch = epoch
        self.nextSequence = nextSequence
    }

    var hasCredit: Bool { messagesPushed < messagesTotal && bytesPushed < bytesTotal }
}

/// Entries on their way to owners: at apply with the bytes at hand, or read in pages.
extension InboxMachine {
    func credit(_ credit: CreditMessage, _ place: Place, _ output: MachineOutput) {
        let index = find(credit.session)
        guard index >= 0 else { return }
        let session = sessions[index]
        guard session.pointee.kind == .stored, session.pointee.connection >= 0,
            session.pointee.ownerEpoch == credit.ownerEpoch.rawValue
        else { return }
        let pusher: Pusher
        if credit.restarts {
            let connection = connections[pointer: session.pointee.connection].pointee
            pusher = Pusher(
                place: place, token: connection.token, epoch: credit.ownerEpoch.rawValue,
                nextSequence: credit.cursor &+ 1)
            session.pointee.pusher = pusher
        } else if let known = session.pointee.pusher, known.epoch == credit.ownerEpoch.rawValue {
            pusher = known
        } else {
            return
        }
        pusher.messagesTotal = max(pusher.messagesTotal, credit.messagesTotal)
        pusher.bytesTotal = max(pusher.bytesTotal, credit.bytesTotal)
        pump(index, output)
    }

    /// Whether an entry fits the window in which packet ids are unique.
    private func fitsWindow(_ queue: SessionQueue?, _ sequence: UInt64) -> Bool {
        guard let oldest = queue?.oldestSequence else { return true }
        return sequence < oldest || sequence - oldest < InboxLimits.packetIDWindow
    }

    /// A new entry goes straight to an owner that has everything before it.
    func pushAtApply(
        _ index: Int32, _ entry: SessionQueue.Entry, _ ids: UnsafeRawBufferPointer,
        _ record: UnsafeRawBufferPointer, _ output: MachineOutput
    ) {
        let session = sessions[index]
        if session.pointee.kind == .group { return dispatchGroup(index, output) }
        guard let pusher = session.pointee.pusher, pusher.readToken == 0, pusher.hasCredit,
            fitsWindow(session.pointee.queue, entry.sequence)
        else { return }
        // Something before it was not pushed, as after a cut of the range: it comes with that.
        if pusher.nextSequence < entry.sequence { return pump(index, output) }
        guard pusher.nextSequence == entry.sequence else { return }
        pusher.nextSequence = entry.sequence + 1
        push(pusher, sequence: entry.sequence, flags: entry.flags & 7, ids, record, output)
    }

    /// QoS 0 that is not stored: for an owner, whose own bounds decide what becomes of it. It takes
    /// no part in the order of the queue, so neither does it wait for what is behind there.
    func pushUnlogged(
        _ index: Int32, _ receiver: InsertReceiver, _ record: UnsafeRawBufferPointer,
        _ output: MachineOutput
    ) {
        let session = sessions[index]
        if session.pointee.kind == .group {
            return pushUnloggedToMember(index, receiver, record, output)
        }
        guard let pusher = session.pointee.pusher else {
            return reportDropped(index, .qos0Offline, 1, output)
        }
        push(
            pusher, sequence: 0, flags: receiver.options.stored, receiver.subscriptionIDs, record,
            output)
    }

    private func push(
        _ pusher: Pusher, sequence: UInt64, flags: UInt8, _ ids: UnsafeRawBufferPointer,
        _ record: UnsafeRawBufferPointer, _ output: MachineOutput
    ) {
        pusher.messagesPushed += 1
        pusher.bytesPushed += UInt64(record.count)
        output.outbox.send(.inboxPush, to: pusher.place) { writer in
            writer.append(InboxLimits.formatVersion)
            writer.append(bigEndian: pusher.token)
            writer.append(bigEndian: pusher.epoch)
            writer.append(bigEndian: UInt16(1))
            writer.append(bigEndian: sequence)
            writer.append(flags)
            writer.append(UInt8(ids.count / 4))
            writer.append(ids)
            writer.append(bytes32: record)
        }
    }

    /// `MessageKind.inboxUnlogged`: the fields of an insert command.
    func deliverUnlogged(_ fields: FieldReader, _ output: MachineOutput) {
        var fields = fields
        guard fields.u8() == InboxLimits.formatVersion,
            fields.u8() == InboxCommand.Kind.insert.rawValue, findReceivers(fields)
        else { return }
        _ = fields.slice16()
        var next = 0
        for _ in 0..<Int(fields.u16()) {
            let head = InsertMessageHead(&fields)
            for _ in 0..<head.receiverCount {
                let receiver = InsertReceiver(&fields)
                if foundSessions[next] >= 0 {
                    pushUnlogged(foundSessions[next], receiver, head.record, output)
                }
                next += 1
            }
        }
    }

    /// Goes on pushing what the owner does not have, as far as its credit goes: one page is read.
    func pump(_ index: Int32, _ output: MachineOutput) {
        let session = sessions[index]
        guard leaderTerm != nil, let pusher = session.pointee.pusher, pusher.readToken == 0
        else { return }
        guard let queue = session.pointee.queue else {
            pusher.nextSequence = max(pusher.nextSequence, session.pointee.nextSequence)
            return
        }
        var page = EntryPage()
        var at = queue.firstIndex(atOrAfter: pusher.nextSequence)
        var isCaughtUp = true
        while at < queue.entries.count {
            let entry = queue.entries[at]
            if !entry.isGone {
                guard page.hasRoom,
                    pusher.messagesPushed + UInt64(page.entries.count) < pusher.messagesTotal,
                    pusher.bytesPushed + UInt64(page.bytes) < pusher.bytesTotal,
                    fitsWindow(queue, entry.sequence)
                else {
                    isCaughtUp = false
                    break
                }
                add(entry, of: index, to: &page)
            }
            at += 1
        }
        if page.entries.isEmpty {
            if isCaughtUp { pusher.nextSequence = session.pointee.nextSequence }
        } else {
            let purpose = PendingRead.Purpose.push(epoch: pusher.epoch, page.entries)
            pusher.readToken = read(index, page.keys, purpose, output)
        }
    }

    func isExpired(_ entry: SessionQueue.Entry) -> Bool {
        entry.expiresAt != 0 && entry.expiresAt <= time.milliseconds
    }

    /// Asks for what is needed to push an entry: its row, its shared body, both, or neither.
    func add(_ entry: SessionQueue.Entry, of index: Int32, to page: inout EntryPage) {
        var read = EntryRead(sequence: entry.sequence, rowValue: -1, bodyValue: -1)
        if !entry.isReleased || sessions[index].pointee.kind == .group {
            if entry.body < 0 || entry.hasIDs {
                beginKey(index, .entry, entry.sequence)
                read.rowValue = page.keys.count
                page.keys.append(key.array)
            }
            if entry.body >= 0 {
                key.removeAll()
                let body = bodies[entry.body].pointee
                InboxKeys.appendBody(&key, bucket: body.bucket, id: body.id)
                read.bodyValue = page.keys.count
                page.keys.append(key.array)
            }
        }
        page.entries.append(read)
        page.bytes += Int(entry.byteCount)
    }

    func read(
        _ index: Int32, _ keys: [[UInt8]], _ purpose: PendingRead.Purpose, _ output: MachineOutput
    ) -> UInt64 {
        lastReadToken += 1
        reads[lastReadToken] = PendingRead(
            session: index, generation: sessions[index].pointee.generation, purpose: purpose)
        output.read(lastReadToken, keys: keys)
        return lastReadToken
    }

    func completePush(
        _ read: PendingRead, _ token: UInt64, _ epoch: UInt64, _ entries: [EntryRead],
        _ values: [[UInt8]?], _ output: MachineOutput
    ) {
        let session = sessions[read.session]
        guard let pusher = session.pointee.pusher, pusher.epoch == epoch,
            pusher.readToken == token
        else { return }
        pusher.readToken = 0
        var done = session.pointee.queue == nil ? entries.count : 0
        if let queue = session.pointee.queue {
            let sentThrough = session.pointee.sentThrough
            output.outbox.send(.inboxPush, to: pusher.place) { writer in
                writer.append(InboxLimits.formatVersion)
                writer.append(bigEndian: pusher.token)
                writer.append(bigEndian: pusher.epoch)
                let countAt = writer.count
                writer.append(bigEndian: UInt16(0))
                var count: UInt16 = 0
                for one in entries {
                    if let at = queue.index(of: one.sequence) {
                        let entry = queue.entries[at]
                        let bytes = writer.append(
                            entry, one, values, owesPubrel: entry.isReleased,
                            isRedelivery: entry.qos > 0 && entry.sequence <= sentThrough)
                        // Not readable yet: the push stops here, and the next credit tries again.
                        guard let bytes else { break }
                        pusher.messagesPushed += 1
                        pusher.bytesPushed += UInt64(bytes)
                        count += 1
                    }
                    done += 1
                    pusher.nextSequence = max(pusher.nextSequence, one.sequence + 1)
                }
                writer.patch(bigEndian: count, at: countAt)
            }
        }
        if done == entries.count { pump(read.session, output) }
    }
}

/// Entries that are read together; bounded by `InboxLimits.pushPageEntries` and `pushPageBytes`.
struct EntryPage {
    var entries: [EntryRead] = []
    var keys: [[UInt8]] = []
    var bytes = 0

    var hasRoom: Bool {
        entries.count < InboxLimits.pushPageEntries && bytes < InboxLimits.pushPageBytes
    }
}

extension ByteWriter {
    /// Appends a pushed entry from the values read for it; returns its record's bytes, or nil if
    /// nothing was appended because its row is gone.
    mutating func append(
        _ entry: SessionQueue.Entry, _ read: EntryRead, _ values: [[UInt8]?], owesPubrel: Bool,
        isRedelivery: Bool
    ) -> Int? {
        var row = StoredEntry()
        if owesPubrel {
            append(bigEndian: entry.sequence)
            append((entry.flags & 7) | (isRedelivery ? 8 : 0) | 16)
            append(UInt8(0))
            append(bigEndian: UInt32(0))
            return 0
        }
        if read.rowValue >= 0 {
            guard let value = values[read.rowValue], let stored = StoredEntry.decode(value)
            else { return nil }
            row = stored
        }
        if read.bodyValue >= 0 {
            guard let value = values[read.bodyValue], value.count > 0 else { return nil }
            row.record = value[1...]
        }
        append(bigEndian: entry.sequence)
        append((entry.flags & 7) | (isRedelivery ? 8 : 0))
        append(UInt8(row.idBytes.count / 4))
        append(row.idBytes)
        append(bigEndian: UInt32(row.record.count))
        row.record.withUnsafeBytes { append($0) }
        return row.record.count
    }
}

/// The value of an entry's row.
struct StoredEntry {
    var flags: UInt8 = 0
    var expiresAt: UInt64 = 0
    /// Big-endian subscription ids of four bytes each.
    var idBytes: [UInt8] = []
    var record: ArraySlice<UInt8> = []
    /// The shared body, if the record is not here.
    var body: (bucket: UInt16, id: BodyID, byteCount: UInt32)?

    static func decode(_ value: [UInt8]) -> StoredEntry? {
        value.withUnsafeBytes { raw in
            var fields = FieldReader(raw)
            guard fields.u8() == InboxLimits.formatVersion else { return nil }
            var entry = StoredEntry()
            entry.flags = fields.u8()
            entry.expiresAt = fields.u64()
            entry.idBytes = [UInt8](fields.slice(Int(fields.u8()) * 4))
            if fields.u8() == 0 {
                guard fields.isFine else { return nil }
                entry.record = value[fields.offset...]
            } else {
                let bucket = fields.u16()
                let id = BodyID(stamp: fields.u64(), ordinal: fields.u16())
                entry.body = (bucket, id, fields.u32())
            }
            return fields.isFine ? entry : nil
        }
    }
}
