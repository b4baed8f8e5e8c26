import Base
import MQTT
import Policy

/// Small things that every part of the worker uses.
extension Worker {
    // MARK: Holding back a connection's input

    /// A control packet is being carried out: what follows waits, so that order holds.
    func setBusy(_ session: UnsafeMutablePointer<Session>) {
        guard !session.pointee.flags.contains(.busy) else { return }
        session.pointee.flags.insert(.busy)
        port.pauseInput(session.pointee.connection)
    }

    /// The rest of the connection's input waits for the next turn.
    @inline(never)
    func yieldInput(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard session.pointee.phase == .live, !session.pointee.flags.contains(.yielded) else {
            return
        }
        session.pointee.flags.insert(.yielded)
        if session.pointee.flags.isDisjoint(with: [.busy, .inputHeld]) {
            port.pauseInput(session.pointee.connection)
        }
        yielded.append(ref(session, index))
    }

    /// End of turn: whoever waited goes on, each with as much that a turn of all of them holds
    /// about `turnDeliveries`.
    func refreshInputQuantum() {
        let done = metrics.publishesOut &- deliveredBefore
        deliveredBefore = metrics.publishesOut
        let most = UInt64(fanOutLimits.turnDeliveries)
        if done > most {
            let least = min(most, UInt64(WorkerLimits.inputDeliveriesMin))
            inputQuantum = max(inputQuantum / 2, least)
        } else if inputQuantum < most {
            inputQuantum = min(inputQuantum * 2, most)
        }
        guard !yielded.isEmpty else { return }
        metrics.inputsYielded &+= UInt64(yielded.count)
        let waiting = yielded
        yielded.removeAll(keepingCapacity: true)
        for publisher in waiting {
            withSession(publisher) { session, _ in
                session.pointee.flags.remove(.yielded)
                guard session.pointee.flags.isDisjoint(with: [.busy, .inputHeld]) else { return }
                port.resumeInput(session.pointee.connection)
            }
        }
    }

    /// Stops reading a connection until one of its own unfinished publishes has ended.
    func holdInput(_ session: UnsafeMutablePointer<Session>) {
        session.pointee.flags.insert(.inputPaused)
        setBusy(session)
    }

    func clearBusy(_ session: UnsafeMutablePointer<Session>) {
        guard session.pointee.flags.contains(.busy),
            session.pointee.flags.isDisjoint(with: [.slowed, .deaf])
        else { return }
        session.pointee.flags.remove(.busy)
        session.pointee.lastReceived = now
        if !session.pointee.flags.isDisjoint(with: [.inputHeld, .yielded]) { return }
        port.resumeInput(session.pointee.connection)
    }

    /// A connection held for its own unfinished publishes goes on once one of them has ended.
    func resumeInputIfHeld(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard session.pointee.flags.contains(.inputPaused) else { return }
        session.pointee.flags.remove(.inputPaused)
        clearBusy(session)
    }

    // MARK: Tenants

    /// The slot of a tenant; nil if this worker serves as many as it may.
    func tenantSlot(_ name: TenantName) -> TenantSlot? {
        guard
            let slot = tenants.slot(
                of: name, settings: tenantStore.settings(for: name),
                account: accounts.account(of: name))
        else { return nil }
        while tenantNames.count <= Int(slot.index) { tenantNames.append([]) }
        if tenantNames[Int(slot.index)].isEmpty {
            tenantNames[Int(slot.index)] = Array(name.text.utf8)
            noteDebugging()
        }
        return slot
    }

    func tenantBytes(_ slot: TenantSlot) -> [UInt8] { tenantNames[Int(slot.index)] }

    // MARK: Events

    /// Events and drops of this worker so far, by tenant.
    package var eventTotals: EventTotals { events.metrics.snapshot(tenants) }

    /// Counts an event of a session and builds it if somebody listens.
    @inline(__always)
    func report(
        _ kind: EventKind, _ session: UnsafeMutablePointer<Session>, _ event: () -> Event
    ) {
        let tenant = session.pointee.tenant
        guard tenant.index >= 0 else { return }
        let debug = isDebugged(tenant)
        events.report(kind, tenant, debugMode: debug) { record(session, event) }
    }

    func isDebugged(_ tenant: TenantSlot) -> Bool {
        Int(tenant.index) < tenants.count
            && tenants[tenant].pointee.settings.debugModeEnabled
    }

    func record(
        _ session: UnsafeMutablePointer<Session>, _ event: () -> Event
    ) -> EventRecord {
        let tenant = session.pointee.tenant
        let name =
            Int(tenant.index) < tenants.count ? tenants[tenant].pointee.name.text : ""
        return EventRecord(
            milliseconds: wallTime.milliseconds, tenant: name,
            subject: EventSubject(
                user: String(decoding: session.pointee.principal, as: UTF8.self),
                clientID: String(decoding: session.pointee.clientID, as: UTF8.self),
                peer: peerText(session)),
            event: event())
    }

    /// Address and port of a client, as events and logs give it.
    private func peerText(_ session: UnsafeMutablePointer<Session>) -> String {
        if let peer = session.pointee.rare?.peer { return peer.text }
        guard let address = session.pointee.peerAddress else { return "" }
        let host = address.description
        let isV6 = host.utf8.contains(UInt8(ascii: ":"))
        return isV6
            ? "[\(host)]:\(session.pointee.peerPort)" : "\(host):\(session.pointee.peerPort)"
    }

    /// A session's name in events.
    func sessionID(_ session: UnsafeMutablePointer<Session>) -> String {
        String(decoding: session.pointee.principal, as: UTF8.self) + "/"
            + String(decoding: session.pointee.clientID, as: UTF8.self)
    }

    func record(_ tenant: TenantSlot, _ clientID: [UInt8], _ event: () -> Event) -> EventRecord {
        EventRecord(
            milliseconds: wallTime.milliseconds, tenant: tenants[tenant].pointee.name.text,
            subject: EventSubject(
                user: "", clientID: String(decoding: clientID, as: UTF8.self), peer: ""),
            event: event())
    }
}
