import Base
import MQTT
import Policy

/// SUBSCRIBE's door: which of its filters go on, and what the others are answered.
///
/// What follows, and the file of each step:
/// ```
///  SubscribeLimits      rates and quotas of the tenant
///  SubscribeTransient   filter table -> dist route (unless it holds already)
///  SubscribeStored      inbox (subscription and intent) -> dist route -> intent completed
///  RouteChanges         the routes of both in dist
///  Suback               the answer, when the last route holds
///  Replay               retained messages, behind the answer
/// ```
/// The connection is held back until the answer has left, so that changes of one filter keep their
/// order.
extension Worker {
    func handleSubscribe(
        _ packet: SubscribePacket, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let settings = tenants[session.pointee.tenant].pointee.settings
        if packet.entryCount > settings.topicFiltersPerSubscribeMax {
            disconnect(
                session, index, .quotaExceeded,
                .disconnect(
                    .tooLargeSubscription(
                        max: settings.topicFiltersPerSubscribeMax, actual: packet.entryCount)))
            return
        }
        let task = SubscribeTask(
            session: ref(session, index), packetID: packet.packetID, isSubscribe: true,
            subscriptionID: packet.subscriptionID)
        var position = 0
        while let entry = packet.next(bytes, &position) {
            if entry.filter.isEmpty, session.pointee.machine.version == .v5 {
                // Not a filter that is refused, but none [MQTT-4.7.3-1].
                let statement = "empty topic filter [MQTT-4.7.3-1]"
                disconnect(
                    session, index, .protocolError,
                    .disconnect(.protocolViolation(statement: statement)))
                return
            }
            let code = judge(entry, packet, bytes, settings, session, index)
            if contradictsConnack(code, session) {
                refuseContradiction(code, bytes.array(entry.filter), session, index)
                return
            }
            task.entries.append(
                SubscribeTask.Entry(
                    filter: bytes.array(entry.filter), options: entry.options, code: code))
        }
        guard askFilters(task, session, index) else { return }
        reportDisallowed(task, session)
        limitSubscribing(task, settings, session)
        setBusy(session)
        for entry in task.entries { cancelReplays(of: entry.filter, session) }
        if session.pointee.machine.isStored {
            subscribeStored(task, session, index)
        } else {
            subscribeTransient(task, session, index)
        }
    }

    /// The SUBACK code of one filter, as far as it can be said before anything is done.
    private func judge(
        _ entry: SubscribeEntry, _ packet: SubscribePacket, _ bytes: RawSpan,
        _ settings: TenantSettings, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> ReasonCode {
        if isInUse(packet.packetID, session) { return .packetIdentifierInUse }
        if packet.subscriptionID != 0, !settings.subscriptionIdentifierEnabled {
            return .subscriptionIdentifiersNotSupported
        }
        let filter: TopicFilter
        do throws(TopicFault) {
            filter = try TopicFilter.parse(bytes, entry.filter, settings.topicLimits)
        } catch {
            return .topicFilterInvalid
        }
        if filter.hasWildcard, !settings.wildcardSubscriptionEnabled {
            return .wildcardSubscriptionsNotSupported
        }
        if filter.share != .none {
            let isEnabled =
                settings.sharedSubscriptionEnabled
                && (session.pointee.machine.version == .v5
                    || settings.mqtt3SharedSubscriptionEnabled)
            if !isEnabled { return .sharedSubscriptionsNotSupported }
        }
        let qos = min(
            entry.options.maximumQoS, QoS(rawValue: UInt8(settings.maximumQoS)) ?? .exactlyOnce)
        let code = ReasonCode.granted(qos)
        let inner = bytes.extracting(filter.filter.range)
        return permitsSubscribe(inner, qos, session, index) ? code : .notAuthorized
    }

    /// A packet identifier that a PUBLISH of the client still uses. 3.x has no word for it.
    func isInUse(
        _ packetID: UInt16, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        session.pointee.machine.version == .v5
            && session.pointee.machine.inbound.isOpen(packetID)
    }

    /// Whether the client asks for something of which CONNACK said that it is not there.
    private func contradictsConnack(
        _ code: ReasonCode, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let flags = session.pointee.flags
        return code == .wildcardSubscriptionsNotSupported && flags.contains(.toldNoWildcards)
            || code == .sharedSubscriptionsNotSupported && flags.contains(.toldNoShares)
            || code == .subscriptionIdentifiersNotSupported
                && flags.contains(.toldNoSubscriptionIDs)
    }

    private func refuseContradiction(
        _ code: ReasonCode, _ filter: [UInt8], _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        let event: DisconnectEvent =
            code == .subscriptionIdentifiersNotSupported
            ? .protocolViolation(statement: "subscription: \(code)")
            : .invalidTopicFilter(filter: String(decoding: filter, as: UTF8.self))
        disconnect(session, index, code, .disconnect(event))
    }

    /// Reports the filters that the rules refuse.
    func reportDisallowed(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>
    ) {
        for entry in task.entries where entry.code == .notAuthorized {
            if task.isSubscribe {
                report(.subActionDisallow, session) {
                    .access(
                        .subActionDisallow(
                            filter: String(decoding: entry.filter, as: UTF8.self),
                            qos: Int(entry.options.maximumQoS.rawValue)))
                }
            } else {
                report(.unsubActionDisallow, session) {
                    .access(
                        .unsubActionDisallow(
                            filter: String(decoding: entry.filter, as: UTF8.self)))
                }
            }
        }
    }
}
