import Base
import MQTT
import Policy

/// What a worker does when the node has too much to do: memory, loop lag, number of clients.
///
/// ```
///  memory high   new clients refused, publishers read ten times a second
///  memory over   besides: QoS 0 dropped, QoS 1 and 2 refused, who does not read disconnected
///  loop late     new clients refused, QoS 0 dropped
/// ```
/// While none of it holds, a publish costs one look at `isShedding`.
extension Worker {
    // MARK: State

    /// The limits and the pressure of this turn.
    func refreshLimits() {
        let epoch = limitStore.epoch
        if epoch != limitsEpoch {
            limitsEpoch = epoch
            limits = limitStore.current
        }
        pressure = nodeLoad.pressure
        if isLate, now >= lateUntil {
            isLate = false
            report(.overloadEnded(resource: "loop \(place.worker.rawValue)"))
        }
        isShedding = pressure != .none || isLate
        if pressure != .none { armOverloadTimer() }
    }

    /// The last turn took so long.
    package func noteTurn(_ length: Duration) {
        guard length >= limits.loopLag else { return }
        metrics.lateTurns &+= 1
        lateUntil = now + WorkerLimits.lateTime
        isShedding = true
        guard !isLate else { return }
        isLate = true
        report(
            .overloadStarted(
                resource: "loop \(place.worker.rawValue)",
                value: Int(length.nanoseconds / 1_000_000),
                limit: Int(limits.loopLag.nanoseconds / 1_000_000)))
    }

    /// A measurement of the node's memory, on the one loop that takes it.
    package func noteMemory(_ used: Int) {
        let before = nodeLoad.measured(used, limits)
        let after = nodeLoad.pressure
        if before == .none, after != .none {
            report(.overloadStarted(resource: "memory", value: used, limit: limits.memory))
        } else if before != .none, after == .none {
            report(.overloadEnded(resource: "memory"))
        }
    }

    /// Something that concerns the node.
    package func report(_ event: NodeEvent) {
        let event = Event.node(event)
        events.report(event.kind, TenantSlot(0)) {
            EventRecord(
                milliseconds: wallTime.milliseconds, tenant: "", subject: nil, event: event)
        }
    }

    // MARK: New clients

    /// Whether a CONNECT may go on; refuses it if not. Asked before anything costs.
    func mayEnter(_ session: UnsafeMutablePointer<Session>, _ index: Int32) -> Bool {
        if isDraining {
            refuseEntry(.serverUnavailable, "the node stops", session, index)
        } else if session.pointee.flags.contains(.tooFast) {
            refuseEntry(
                .connectionRateExceeded, "the address connects too often", session, index)
        } else if nodeLoad.pressure != .none, !mayResume(session) {
            refuseForMemory(session, index)
        } else if now < lateUntil {
            refuseEntry(.serverBusy, "the loop is late", session, index)
        } else if !nodeLoad.takeSeat(limits) {
            refuseEntry(.serverBusy, "the node has as many clients as it may", session, index)
        } else {
            session.pointee.flags.insert(.seated)
            return true
        }
        return false
    }

    /// What stored sessions have queued goes only when their clients come: they are let in while
    /// memory is short, if there turns out to be such a session.
    private func mayResume(_ session: UnsafeMutablePointer<Session>) -> Bool {
        session.pointee.rare?.connect?.cleanStart == false
    }

    /// Asked once it is known whether there is a stored session.
    func mayStay(
        _ hasSession: Bool, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        guard !hasSession, nodeLoad.pressure != .none else { return true }
        refuseForMemory(session, index)
        return false
    }

    private func refuseForMemory(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        refuseEntry(.serverBusy, "the node is short of memory", session, index)
    }

    private func refuseEntry(
        _ code: ReasonCode, _ reason: String, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        metrics.connectsShed &+= 1
        refuseConnect(
            session, index, code, .disconnect(.serverBusy(reason: reason)), reason: reason)
    }

    // MARK: Publishes

    /// Called while `isShedding`. True if the PUBLISH goes no further.
    func shed(
        _ packet: PublishPacket, _ topic: UnsafeRawBufferPointer,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        if packet.qos == .atMostOnce, now < lateUntil {
            dropIncoming(.loopLate, packet, Self.name(topic), session)
            return true
        }
        switch nodeLoad.pressure {
        case .none: return false
        case .high:
            slow(session, index)
            return false
        case .over:
            slow(session, index)
            refuseForMemory(packet, topic, session, index)
            return true
        }
    }

    private static func name(_ topic: UnsafeRawBufferPointer) -> String {
        String(decoding: UnsafeRawBufferPointer(rebasing: topic[2...]), as: UTF8.self)
    }

    private func refuseForMemory(
        _ packet: PublishPacket, _ topic: UnsafeRawBufferPointer,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        dropIncoming(.memoryPressure, packet, Self.name(topic), session)
        if packet.qos == .atMostOnce { return }
        guard session.pointee.machine.version == .v5 else {
            end(session, index, .disconnect(.serverBusy(reason: "the node is short of memory")))
            return
        }
        guard let serial = openPublish(packet, session, index) else { return }
        completePublish(serial, .implementationSpecificError, session, index)
    }

    /// Reads no more of a publisher until the next look at the memory.
    private func slow(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard !session.pointee.flags.contains(.slowed) else { return }
        setBusy(session)
        session.pointee.flags.insert(.slowed)
        slowed.append(ref(session, index))
    }

    // MARK: While memory is short

    private func armOverloadTimer() {
        guard !hasOverloadTimer else { return }
        hasOverloadTimer = true
        _ = timers.schedule(
            at: now + WorkerLimits.overloadInterval, token: 0,
            kind: TimerKind.overload.rawValue)
    }

    func lookAtMemory() {
        hasOverloadTimer = false
        let held = slowed
        slowed = []
        for ref in held {
            withSession(ref) { session, _ in
                session.pointee.flags.remove(.slowed)
                if session.pointee.flags.isDisjoint(with: [.inputPaused, .asking]) {
                    clearBusy(session)
                }
            }
        }
        if pressure == .over { shedSlowReaders() }
        if pressure != .none { armOverloadTimer() }
    }

    /// Clients that do not take what was written to them are what can be given up.
    private func shedSlowReaders() {
        var left = WorkerLimits.shedPerLook
        for index in liveGenerations.indices where liveGenerations[index] != 0 && left > 0 {
            let session = sessions[pointer: Int32(index)]
            guard session.pointee.phase == .live, session.pointee.flags.contains(.outputFull)
            else { continue }
            left -= 1
            metrics.clientsShed &+= 1
            disconnect(
                session, Int32(index), .serverBusy,
                .disconnect(.serverBusy(reason: "the node is short of memory")))
        }
    }
}
