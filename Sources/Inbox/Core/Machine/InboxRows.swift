import Base
import KV

/// Writing the rows of a session; `InboxLoad` reads them. Layouts: Docs/FORMATS.md.
extension InboxMachine {
    /// Begins a row's key in the scratch.
    func beginKey(_ index: Int32, _ kind: InboxKeys.RowKind) {
        let session = sessions[index]
        key.removeAll()
        InboxKeys.appendSession(
            &key, bucket: session.pointee.bucket, tenant: tenants.name(session.pointee.tenant),
            clientID: session.pointee.bytes.clientID)
        key.append(kind.rawValue)
    }

    func beginKey(_ index: Int32, _ kind: InboxKeys.RowKind, _ number: UInt64) {
        beginKey(index, kind)
        key.append(bigEndian: number)
    }

    func beginKey(_ index: Int32, _ kind: InboxKeys.RowKind, _ suffix: [UInt8]) {
        beginKey(index, kind)
        key.append(suffix)
    }

    /// Begins a value in the scratch.
    func beginValue() {
        value.removeAll()
        value.append(InboxLimits.formatVersion)
    }

    /// Puts the scratch key with the scratch value.
    func put(_ output: MachineOutput) {
        key.withSpan { key in value.withSpan { output.writes.put(key: key, value: $0) } }
    }

    /// Deletes the scratch key.
    func delete(_ output: MachineOutput) {
        key.withSpan { output.writes.delete(key: $0) }
    }

    func putMeta(_ index: Int32, _ output: MachineOutput) {
        let session = sessions[index]
        beginKey(index, .meta)
        beginValue()
        let will = session.pointee.extras?.will
        value.append(session.pointee.kind.rawValue)
        value.append((session.pointee.connection >= 0 ? 1 : 0) | (will == nil ? 0 : 2))
        value.append(bigEndian: session.pointee.incarnation)
        value.append(bigEndian: session.pointee.ownerEpoch)
        value.append(bytes16: session.pointee.bytes.principal)
        value.append(bigEndian: session.pointee.expirySeconds)
        value.append(bigEndian: session.pointee.expiresAt)
        session.pointee.limits.encode(into: &value)
        if session.pointee.connection >= 0 {
            let connection = connections[pointer: session.pointee.connection].pointee
            value.append(place: connection.place)
            value.append(bigEndian: connection.token)
        }
        if let will {
            value.append(bigEndian: will.number)
            value.append(bigEndian: will.delaySeconds)
            value.append(bigEndian: will.dueAt)
            value.append(bigEndian: will.byteCount)
        }
        put(output)
    }

    /// Numbers that the other rows do not show once those with the highest ones are deleted.
    func putCounters(_ index: Int32, _ output: MachineOutput) {
        let session = sessions[index]
        beginKey(index, .counters)
        beginValue()
        value.append(bigEndian: session.pointee.nextSequence)
        value.append(bigEndian: session.pointee.sentThrough)
        value.append(bigEndian: session.pointee.nextNumber)
        value.append(bigEndian: session.pointee.extras?.outboxOrigin ?? 0)
        value.append(bigEndian: session.pointee.extras?.outboxNext ?? 1)
        put(output)
    }

    /// The extras of a record, made if it has none.
    func extras(_ index: Int32) -> SessionExtras {
        if let extras = sessions[index].pointee.extras { return extras }
        let extras = SessionExtras()
        sessions[index].pointee.extras = extras
        return extras
    }

    /// Gives back what an idle session does not need. An outbox keeps its origin and its next
    /// sequence: receivers know it by them.
    func trim(_ index: Int32) {
        let session = sessions[index]
        if let extras = session.pointee.extras, extras.isEmpty, extras.outboxOrigin == 0 {
            session.pointee.extras = nil
        }
        if session.pointee.queue?.isEmpty == true { session.pointee.queue = nil }
    }

    /// The name of a record, for messages.
    func name(_ index: Int32) -> SessionName {
        let session = sessions[index]
        return SessionName(
            tenant: tenants.name(session.pointee.tenant),
            clientID: [UInt8](session.pointee.bytes.clientID))
    }

    /// The record of a session, or -1.
    func find(_ name: SessionName) -> Int32 {
        guard let tenant = tenants.find(name.tenant) else { return -1 }
        return name.clientID.withUnsafeBytes { sessions.find(tenant, $0) }
    }

    /// A new record; its incarnation is set by the caller.
    func create(_ name: SessionName, _ kind: Session.Kind) -> Int32 {
        let tenant = retainTenant(name.tenant)
        let bucket = InboxKeys.bucket(tenant: name.tenant, clientID: name.clientID)
        return name.clientID.withUnsafeBytes {
            sessions.insert(tenant: tenant, bucket: bucket, clientID: $0, kind: kind)
        }
    }

    /// A tenant's number with one more user, and room for its counts.
    func retainTenant(_ name: [UInt8]) -> UInt32 {
        let tenant = tenants.retain(name)
        if Int(tenant) >= tenantCounts.count {
            let line = options.usage.line(of: name)
            while tenantCounts.count <= Int(tenant) {
                tenantCounts.append(TenantCounts(line: line))
            }
        } else if tenantCounts[Int(tenant)].line.tenant != name {
            tenantCounts[Int(tenant)].line = options.usage.line(of: name)
        }
        return tenant
    }

    /// Takes a record out of memory and store: nothing refers to it any more.
    func removeRecord(_ index: Int32, _ output: MachineOutput) {
        beginKey(index, .meta)
        delete(output)
        beginKey(index, .counters)
        delete(output)
        setKind(index, .residue)
        setAttached(index, nil)
        dropWork(index)
        let session = sessions.remove(index)
        tenants.release(session.tenant)
    }

    /// Removes the record if nothing keeps it, otherwise stores its meta row.
    func putMetaOrRemove(_ index: Int32, _ output: MachineOutput) {
        let session = sessions[index]
        let isKept = session.pointee.extras.map { !$0.isEmpty } ?? false
        if session.pointee.kind == .residue, !isKept {
            removeRecord(index, output)
        } else {
            putMeta(index, output)
        }
    }

    func setKind(_ index: Int32, _ kind: Session.Kind) {
        let session = sessions[index]
        let tenant = Int(session.pointee.tenant)
        if session.pointee.kind == .stored { countStored(tenant, -1) }
        if kind == .stored { countStored(tenant, 1) }
        session.pointee.kind = kind
    }

    private func countStored(_ tenant: Int, _ change: Int) {
        tenantCounts[tenant].stored = UInt64(Int(tenantCounts[tenant].stored) + change)
        let line = tenantCounts[tenant].line
        line.amounts.storedSessions += change
        line.amounts.storedBytes += change * InboxLimits.sessionBytes
    }

    /// Where what the tenant of a record holds is counted.
    func line(_ index: Int32) -> UsageLedger.Line {
        tenantCounts[Int(sessions[index].pointee.tenant)].line
    }

    /// Counts subscriptions of a session that come or go.
    func countSubscription(_ index: Int32, _ filter: [UInt8], _ change: Int) {
        let line = line(index)
        line.amounts.subscriptions += change
        if filter.first == 0x24,
            filter.starts(with: "$share/".utf8) || filter.starts(with: "$oshare/".utf8)
        {
            line.amounts.sharedSubscriptions += change
        }
    }

    /// Sets or ends the connection of a record, as the log says.
    func setAttached(_ index: Int32, _ connection: SessionConnection?) {
        let session = sessions[index]
        let tenant = Int(session.pointee.tenant)
        if session.pointee.connection >= 0 {
            connections.remove(session.pointee.connection)
            session.pointee.connection = -1
            tenantCounts[tenant].attached -= 1
        }
        if let connection {
            session.pointee.connection = connections.insert(connection)
            tenantCounts[tenant].attached += 1
        }
    }

    /// Tells the home worker of dropped messages, to be counted and evented.
    func reportDropped(
        _ index: Int32, _ reason: InboxDropReason, _ count: Int, _ output: MachineOutput
    ) {
        guard count > 0 || reason.endsSession, leaderTerm != nil else { return }
        let name = name(index)
        output.outbox.send(.inboxDropped, to: options.home) { writer in
            writer.append(InboxLimits.formatVersion)
            name.encode(into: &writer)
            writer.append(reason.rawValue)
            writer.append(bigEndian: UInt32(clamping: count))
            writer.append(lengthPrefixed16: [UInt8](sessions[index].pointee.bytes.principal))
        }
    }
}
