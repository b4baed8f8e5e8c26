import Base
import Inbox
import MQTT
import Policy

/// Changed settings on their way to the sessions that live already.
///
/// What is read from the tenant's record with each packet needs nothing. What a session keeps of
/// the settings (its meters, its window, the bounds of its stored queue) is brought up to date by a
/// walk through all sessions, some in each turn; what CONNACK announced stays (`AgreedLimits`).
struct SettingsSweep {
    /// Tenants that changed since their sessions were last looked at.
    var tenants: Set<TenantSlot> = []
    /// The cell that is looked at next.
    var next: Int32 = 0
}

extension Worker {
    func refreshTenants() {
        reportChangedSettings()
        let epoch = tenantStore.epoch
        guard epoch != tenants.epoch else { return }
        let changed = tenants.refresh(epoch: epoch) { tenantStore.settings(for: $0) }
        noteDebugging()
        guard !changed.isEmpty else { return }
        // Another change meanwhile: the walk begins anew, for both.
        sweep.tenants.formUnion(changed)
        sweep.next = 0
    }

    /// True if there is more to do at once.
    func sweepSettings() -> Bool {
        guard !sweep.tenants.isEmpty else { return false }
        var budget = WorkerLimits.sweptPerTurn
        while budget > 0, Int(sweep.next) < liveGenerations.count {
            let index = sweep.next
            budget -= 1
            if liveGenerations[Int(index)] != 0 {
                let session = sessions[pointer: index]
                if session.pointee.phase == .live, sweep.tenants.contains(session.pointee.tenant),
                    !applySettings(session, index)
                {
                    // Its range takes nothing now.
                    return true
                }
            }
            sweep.next += 1
        }
        guard Int(sweep.next) >= liveGenerations.count else { return true }
        sweep.tenants.removeAll()
        return false
    }

    /// False if it has to be tried again.
    private func applySettings(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        guard bringUpToDate(session, index) else { return false }
        if session.pointee.phase == .live { resumeOutput(session, index) }
        return true
    }

    /// What a live session keeps of its tenant's settings. False if its range takes nothing now.
    @discardableResult
    func bringUpToDate(_ session: UnsafeMutablePointer<Session>, _ index: Int32) -> Bool {
        let settings = tenants[session.pointee.tenant].pointee.settings
        guard isEnabled(session.pointee.machine.version, settings) else {
            disconnect(
                session, index, .administrativeAction,
                .disconnect(.kicked(kicker: "settings of the tenant")))
            return true
        }
        guard applyQueueLimits(settings, session) else { return false }
        refreshMeters(session, index)
        session.pointee.machine.receiveMaximum = min(
            session.pointee.agreed.clientReceiveMaximum, UInt16(clamping: settings.sendWindowMax))
        return true
    }

    func isEnabled(_ version: ProtocolVersion, _ settings: TenantSettings) -> Bool {
        switch version {
        case .v31: settings.mqtt31Enabled
        case .v311: settings.mqtt311Enabled
        case .v5: settings.mqtt5Enabled
        }
    }

    /// Tells the inbox of a stored session what its queue may hold from now on.
    private func applyQueueLimits(
        _ settings: TenantSettings, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard let stored = session.pointee.rare?.stored, session.pointee.machine.isStored else {
            return true
        }
        let limits = queueLimits(settings)
        if limits == stored.limits { return true }
        let name = sessionName(session)
        let command = LimitsCommand(
            session: name, ownerEpoch: session.pointee.ownerEpoch, limits: limits)
        let isAccepted = propose(.inbox, InboxKeys.sessionPrefix(name), .limits) {
            InboxCommand.limits(command).encode(into: &$0)
        }
        if isAccepted { stored.limits = limits }
        return isAccepted
    }

    /// Which bytes of a session are counted: a flag each, so that nobody else pays for it.
    func refreshMeters(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        let settings = tenants[session.pointee.tenant]
        let input =
            settings.pointee.settings.inboundBytesPerSecond
            | settings.pointee.settings.totalInboundBytesPerSecond
        let output = settings.pointee.settings.outboundBytesPerSecond
        let fanOut = settings.pointee.settings.totalTransientFanOutBytesPerSecond
        set(.metersInput, input != 0 || gate.isGuarded, session)
        set(.metersFanOut, fanOut != 0 && !session.pointee.machine.isStored, session)
        // QoS 0 messages that wait keep their place before later ones.
        set(
            .metersOutput,
            output != 0
                || !session.pointee.machine.queue.isEmpty
                    && session.pointee.flags.contains(.metersOutput),
            session)
        if session.pointee.flags.contains(.metersOutput) {
            rareState(session).bandwidth.index = index
        }
        if session.pointee.flags.contains(.inputHeld) { inputDue(session, index) }
        if session.pointee.flags.contains(.outputHeld) { outputDue(session, index) }
    }

    private func set(
        _ flag: Session.Flags, _ isOn: Bool, _ session: UnsafeMutablePointer<Session>
    ) {
        if isOn {
            session.pointee.flags.insert(flag)
        } else {
            session.pointee.flags.remove(flag)
        }
    }
}
