import Base
import MQTT
import Policy

/// Questions to an authoriser that wants to be asked for every action, until all are answered.
///
/// ```
///  token of a question:  number of the judgement << 16 | position
/// ```
final class AccessJudgement {
    /// What the verdicts are for.
    enum Purpose {
        /// CONNECT goes on, or is refused.
        case connect
        /// The packet at the head of the connection's input is handled again.
        case packet
        /// A live session after the rules have changed: nothing is held back for it.
        case standing
    }

    let session: SessionRef
    let purpose: Purpose
    /// By position; nil where the answer is still to come.
    var verdicts: [AccessVerdict?]
    var waiting = 0
    var timer = TimerID.none

    init(_ session: SessionRef, _ purpose: Purpose, count: Int) {
        self.session = session
        self.purpose = purpose
        verdicts = Array(repeating: nil, count: count)
    }
}

/// Asking the authoriser action by action.
///
/// The packet that needs an answer stays unread at the head of its connection's input, which is
/// held back until the verdicts are there; then it is handled again and finds them. So order is
/// kept, and no copy is made. What is not answered within the limit counts as failed, and so does
/// what cannot be asked: closed, unless the tenant says that errors are consent.
extension Worker {
    // MARK: Packets

    func askPublish(
        _ topic: UnsafeRawBufferPointer, _ packet: PublishPacket,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> PublishRefusal? {
        let verdicts = judge(session, index) {
            [
                .publish(
                    topic: String(decoding: topic, as: UTF8.self), qos: packet.qos.rawValue,
                    retain: packet.retain)
            ]
        }
        guard let verdict = verdicts?.first else {
            metrics.publishesIn &-= 1
            return .asked
        }
        switch settled(verdict, session) {
        case .allowed: return nil
        case .denied: return .notAuthorized
        case .failed: return .accessFailed
        }
    }

    /// Gives the entries of a SUBSCRIBE or UNSUBSCRIBE their verdicts. False if the packet waits
    /// for them.
    func askFilters(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> Bool {
        guard session.pointee.access?.isAsked == true else { return true }
        let open = task.entries.indices.filter { !task.entries[$0].code.isFailure }
        guard !open.isEmpty else { return true }
        let verdicts = judge(session, index) {
            open.map { position in
                let entry = task.entries[position]
                let bytes = SharedName(entry.filter)?.filter ?? entry.filter
                let filter = String(decoding: bytes, as: UTF8.self)
                return task.isSubscribe
                    ? .subscribe(filter: filter, qos: entry.code.rawValue & 3)
                    : .unsubscribe(filter: filter)
            }
        }
        guard let verdicts, verdicts.count == open.count else { return verdicts != nil }
        for (position, verdict) in zip(open, verdicts) {
            switch settled(verdict, session) {
            case .allowed(let needsDeliveryCheck):
                if needsDeliveryCheck { session.pointee.flags.insert(.checksDelivery) }
            case .denied: task.entries[position].code = .notAuthorized
            case .failed: task.entries[position].code = .implementationSpecificError
            }
        }
        return true
    }

    /// The verdicts of the packet at the head of the input: those that came while it waited, or
    /// those given at once. Nil if it has to wait.
    private func judge(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, _ actions: () -> [AccessAction]
    ) -> [AccessVerdict]? {
        if let judgement = session.pointee.rare?.judgement, judgement.waiting == 0 {
            session.pointee.rare?.judgement = nil
            dropRareIfUnused(session)
            return judgement.verdicts.map { $0 ?? .failed(reason: "no answer") }
        }
        let judgement = ask(actions(), .packet, session, index)
        if judgement.waiting == 0 {
            return judgement.verdicts.map { $0 ?? .failed(reason: "no answer") }
        }
        rareState(session).judgement = judgement
        session.pointee.flags.insert(.asking)
        setBusy(session)
        return nil
    }

    // MARK: Connections

    /// Asks whether the client may connect; `admitted` follows if it may.
    func askConnect(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        let judgement = ask([.connect], .connect, session, index)
        if judgement.waiting == 0 { connectJudged(judgement, session, index) }
    }

    private func connectJudged(
        _ judgement: AccessJudgement, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard session.pointee.phase == .authenticating else { return }
        let verdict = judgement.verdicts.first.flatMap { $0 } ?? .failed(reason: "no answer")
        switch settled(verdict, session) {
        case .allowed: admitted(session, index)
        case .denied:
            refuseConnect(session, index, .notAuthorized, .channel(.notAuthorizedClient))
        case .failed(let reason):
            refuseConnect(
                session, index, .serverUnavailable, .channel(.authError(reason: reason)))
        }
    }

    /// The rules have changed: may the client stay connected?
    func askAgain(_ session: UnsafeMutablePointer<Session>, _ index: Int32) {
        guard session.pointee.phase == .live else { return }
        let judgement = ask([.connect], .standing, session, index)
        if judgement.waiting == 0 { standingJudged(judgement, session, index) }
    }

    /// An answer that fails changes nothing: what the client does next is asked anyway.
    private func standingJudged(
        _ judgement: AccessJudgement, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard case .denied? = judgement.verdicts.first.flatMap({ $0 }) else { return }
        withdraw(session, index)
    }

    // MARK: Without waiting

    /// A delivery cannot wait for an answer that takes its time: it is not made then.
    func asksDelivery(
        _ topic: String, _ qos: QoS, _ access: AccessState,
        _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        isAllowedNow(.receive(topic: topic, qos: qos.rawValue), access, session)
    }

    func asksWill(
        _ will: WillMessage, _ access: AccessState, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let topic = String(decoding: will.topic, as: UTF8.self)
        return isAllowedNow(
            .publish(topic: topic, qos: will.qos.rawValue, retain: will.retain), access, session)
    }

    private func isAllowedNow(
        _ action: AccessAction, _ access: AccessState, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        // No judgement has the number 0: an answer that comes later is not waited for.
        let verdict =
            port.judge(action, of: access.identity, token: 0)
            ?? .failed(reason: "no answer at once")
        if case .allowed = settled(verdict, session) { return true }
        return false
    }

    // MARK: Questions and answers

    private func ask(
        _ actions: [AccessAction], _ purpose: AccessJudgement.Purpose,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> AccessJudgement {
        let judgement = AccessJudgement(ref(session, index), purpose, count: actions.count)
        guard judgements.count < WorkerLimits.accessJudgementsMax,
            actions.count <= WorkerLimits.accessQuestionsMax
        else {
            for position in actions.indices {
                judgement.verdicts[position] = .failed(reason: "too many open questions")
            }
            return judgement
        }
        nextJudgement &+= 1
        let number = nextJudgement
        let identity = identity(session)
        for (position, action) in actions.enumerated() {
            let token = number << 16 | UInt64(position)
            judgement.verdicts[position] = port.judge(action, of: identity, token: token)
            if judgement.verdicts[position] == nil { judgement.waiting += 1 }
        }
        if judgement.waiting > 0 {
            judgements[number] = judgement
            judgement.timer = timers.schedule(
                at: now + WorkerLimits.accessAnswerWithin, token: number,
                kind: TimerKind.access.rawValue)
        }
        return judgement
    }

    /// An answer that took its time. One that nobody waits for any more is ignored.
    package func completeJudgement(token: UInt64, _ verdict: AccessVerdict) {
        let position = Int(token & 0xFFFF)
        guard let judgement = judgements[token >> 16], position < judgement.verdicts.count,
            judgement.verdicts[position] == nil
        else { return }
        judgement.verdicts[position] = verdict
        judgement.waiting -= 1
        if judgement.waiting == 0 {
            timers.cancel(judgement.timer)
            judged(judgement, number: token >> 16)
        }
    }

    /// What has not been answered by now has failed.
    func judgementTimedOut(_ number: UInt64) {
        guard let judgement = judgements[number] else { return }
        for position in judgement.verdicts.indices where judgement.verdicts[position] == nil {
            judgement.verdicts[position] = .failed(reason: "no answer in time")
        }
        judgement.waiting = 0
        judged(judgement, number: number)
    }

    private func judged(_ judgement: AccessJudgement, number: UInt64) {
        judgements[number] = nil
        withSession(judgement.session) { session, index in
            switch judgement.purpose {
            case .connect: connectJudged(judgement, session, index)
            case .standing: standingJudged(judgement, session, index)
            case .packet:
                // Rules may have taken the authoriser's place: nobody fetches the verdicts then.
                if session.pointee.access?.isAsked != true {
                    session.pointee.rare?.judgement = nil
                }
                session.pointee.flags.remove(.asking)
                if !session.pointee.flags.contains(.slowed) { clearBusy(session) }
            }
        }
    }

    /// A verdict as the tenant takes it: an error may be consent.
    private func settled(
        _ verdict: AccessVerdict, _ session: UnsafeMutablePointer<Session>
    ) -> AccessVerdict {
        guard case .failed(let reason) = verdict else { return verdict }
        report(.accessControlError, session) { .access(.accessControlError(cause: reason)) }
        let isConsent =
            tenants[session.pointee.tenant].pointee.settings.bypassPermissionCheckError
        return isConsent ? .allowed(needsDeliveryCheck: false) : verdict
    }
}
