import Base
import KV
import MQTT
import Policy
import Retain

/// A PUBLISH from the client's packet to the question who receives it.
///
/// ```
///  handlePublish: rate, alias, rules, permission, window
///    -> retained? commit it in its range first (Worker+Retain), then
///    -> publish: plan of the topic known? fan out : park it behind the question
/// ```
/// Every check stands before the first proposal: a refusal has no effect.
extension Worker {
    func handlePublish(
        _ packet: PublishPacket, _ header: FixedHeader, _ bytes: RawSpan,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        metrics.publishesIn &+= 1
        run.end()
        let tenant = tenants[session.pointee.tenant]
        if tenant.pointee.settings.publishesPerSecond != 0,
            exceedsRate(packet, bytes, session, index)
        {
            return
        }
        guard let topic = resolveTopic(packet, bytes, session, index) else { return }
        if isShedding, shed(packet, topic, session, index) { return }
        if let refusal = refusal(of: packet, topic, bytes, session, index) {
            refusePublish(packet, topic, refusal, session, index)
            return
        }
        guard let origin = origin(of: packet, topic, session, index) else { return }
        if packet.isRepeatable, mayRepeat(packet, session) { run.begin(packet) }
        withMessage(packet, header, topic, bytes, session) { message in
            if case .session(_, let serial) = origin, packet.qos == .exactlyOnce,
                session.pointee.machine.isStored
            {
                putIntoOutbox(
                    &message, packetID: packet.packetID, serial: serial, session, index)
            } else {
                publish(&message, origin, from: session, index)
            }
        }
    }

    /// A packet like the one before it: no look at its topic, at the rules or at the routes.
    func handleRepeated(
        _ packet: PublishPacket, _ header: FixedHeader, _ bytes: RawSpan,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        metrics.publishesIn &+= 1
        let topic = bytes.withUnsafeBytes { prefixedTopic(packet, $0) }
        guard let origin = origin(of: packet, topic, session, index) else { return }
        withMessage(packet, header, topic, bytes, session) { message in
            if mustWaitForRetain(message, origin) {
                publish(&message, origin, from: session, index)
            } else if let plan = run.plan, run.changes == routes.changes {
                fanOut(&message, plan, origin)
            } else {
                routeRun(&message, origin)
            }
        }
    }

    /// Whether packets like this one need no further judgement in this read.
    private func mayRepeat(
        _ packet: PublishPacket, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        tenants[session.pointee.tenant].pointee.settings.publishesPerSecond == 0
            && !(session.pointee.access?.isAsked ?? false)
            && !(packet.qos == .exactlyOnce && session.pointee.machine.isStored)
    }

    /// Who waits for the outcome: the window entry of a QoS 1 or 2 PUBLISH, which is opened; nil if
    /// there is nothing to publish.
    @inline(__always)
    private func origin(
        of packet: PublishPacket, _ topic: UnsafeRawBufferPointer,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> PublishOrigin? {
        if packet.qos == .atMostOnce { return PublishOrigin.none }
        guard let serial = openPublish(packet, session, index) else { return nil }
        if isDebugging { noteOpened(packet, topic, session) }
        return .session(ref(session, index), serial: serial)
    }

    /// The topic with its length bytes.
    @inline(__always)
    private func prefixedTopic(
        _ packet: PublishPacket, _ buffer: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[Int(packet.topic.offset) - 2..<packet.topic.end])
    }

    /// Calls `body` with the packet as a message. Properties that do not stand together are
    /// gathered in the scratch writer first.
    @inline(__always)
    private func withMessage(
        _ packet: PublishPacket, _ header: FixedHeader, _ topic: UnsafeRawBufferPointer,
        _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>, _ body: (inout Message) -> Void
    ) {
        bytes.withUnsafeBytes { buffer in
            var forwarded = UnsafeRawBufferPointer(start: nil, count: 0)
            if packet.forwardedSize > 0 {
                if packet.isForwardedContiguous {
                    forwarded = UnsafeRawBufferPointer(rebasing: buffer[packet.forwarded.range])
                } else {
                    gathered.removeAll()
                    packet.writeForwarded(bytes, into: &gathered)
                    forwarded = gathered.bytes
                }
            }
            if publisherNames.session != session { publisherNames = names(of: session) }
            var message = Message(
                topic: topic, forwarded: forwarded,
                payload: UnsafeRawBufferPointer(rebasing: buffer[packet.payload.range]),
                qos: packet.qos, retain: packet.retain, tenant: session.pointee.tenant,
                publisherHash: session.pointee.publisherHash, publishedAt: wallTime,
                expirySeconds: packet.messageExpiry, tenantName: publisherNames.tenant,
                publisher: publisherNames.clientID)
            message.original = original(packet, header, buffer, session)
            body(&message)
        }
    }

    /// The packet as it came, if receivers of its kind may get it so.
    @inline(__always)
    private func original(
        _ packet: PublishPacket, _ header: FixedHeader, _ buffer: UnsafeRawBufferPointer,
        _ session: UnsafeMutablePointer<Session>
    ) -> OriginalFrame {
        guard packet.isRepeatable, header.isLengthMinimal else { return .none }
        let start = header.body.end &- header.totalSize
        return OriginalFrame(
            bytes: UnsafeRawBufferPointer(rebasing: buffer[start..<header.body.end]),
            variant: FrameCache.variant(
                session.pointee.machine.version, packet.qos, retain: false),
            packetIDOffset: packet.topic.end &- start)
    }

    /// Addresses of names that stay as they are from CONNECT to the end of the cell, so that a
    /// message costs no reference counts for them.
    private func names(of session: UnsafeMutablePointer<Session>) -> PublisherNames {
        PublisherNames(
            session: session,
            tenant: tenantNames[Int(session.pointee.tenant.index)].withUnsafeBytes { $0 },
            clientID: session.pointee.names.clientID)
    }

    // MARK: Checks

    /// The topic with its length bytes, by name or alias; nil if the connection was ended.
    private func resolveTopic(
        _ packet: PublishPacket, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) -> UnsafeRawBufferPointer? {
        let named = bytes.withUnsafeBytes { prefixedTopic(packet, $0) }
        guard packet.topicAlias != 0 else { return named }
        let maximum = Int(session.pointee.agreed.topicAliasMax)
        let alias = Int(packet.topicAlias)
        let rare = rareState(session)
        let isKnown =
            alias <= rare.inboundAliases.count && !rare.inboundAliases[alias - 1].isEmpty
        guard alias <= maximum, !packet.topic.isEmpty || isKnown else {
            // An alias that may be used but was never set is a protocol error [MQTT-3.3.2-7].
            disconnect(
                session, index, alias <= maximum ? .protocolError : .topicAliasInvalid,
                .disconnect(.protocolViolation(statement: "topic alias [MQTT-3.3.2-9]")))
            return nil
        }
        if !packet.topic.isEmpty {
            while rare.inboundAliases.count < alias { rare.inboundAliases.append([]) }
            rare.inboundAliases[alias - 1] = [UInt8](named)
            return named
        }
        aliasTopic.removeAll()
        aliasTopic.append(rare.inboundAliases[alias - 1])
        return aliasTopic.bytes
    }

    func rareState(_ session: UnsafeMutablePointer<Session>) -> RareState {
        if let rare = session.pointee.rare { return rare }
        let rare = RareState()
        session.pointee.rare = rare
        rareCount += 1
        return rare
    }

    /// Why a PUBLISH is refused; the rows of Docs/REFUSALS.md.
    enum PublishRefusal {
        case topicInvalid
        /// A name of the server's.
        case topicReserved
        case notAuthorized
        case qosNotSupported
        case retainNotSupported
        case payloadFormatInvalid
        /// The authoriser could not be asked.
        case accessFailed
        /// No refusal: the packet waits for the authoriser.
        case asked

        var reasonCode: ReasonCode {
            switch self {
            case .topicInvalid, .topicReserved: .topicNameInvalid
            case .notAuthorized: .notAuthorized
            case .qosNotSupported: .qosNotSupported
            case .retainNotSupported: .retainNotSupported
            case .payloadFormatInvalid: .payloadFormatInvalid
            case .accessFailed, .asked: .implementationSpecificError
            }
        }
    }

    private func refusal(
        of packet: PublishPacket, _ topic: UnsafeRawBufferPointer, _ bytes: RawSpan,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> PublishRefusal? {
        let settings = tenants[session.pointee.tenant]
        if Int(packet.qos.rawValue) > settings.pointee.settings.maximumQoS {
            return .qosNotSupported
        }
        if packet.retain, !settings.pointee.settings.retainEnabled { return .retainNotSupported }
        if packet.payloadFormat == 1, settings.pointee.settings.payloadFormatValidationEnabled,
            !packet.payloadMatchesFormat(bytes)
        {
            return .payloadFormatInvalid
        }
        // Names that begin with $ are ours: clients do not publish to them.
        if topic.count > 2, topic[2] == 0x24 { return .topicReserved }
        if !isWithinLimits(topic, settings) { return .topicInvalid }
        return accessRefusal(topic, packet, session, index)
    }

    private func isWithinLimits(
        _ topic: UnsafeRawBufferPointer, _ tenant: UnsafeMutablePointer<TenantRecord>
    ) -> Bool {
        let limits = tenant.pointee.settings.topicLimits
        let span = RawSpan(_unsafeBytes: topic)
        let name = ByteRange(offset: 2, count: topic.count - 2)
        do throws(TopicFault) {
            try TopicName.checkLimits(span, name, limits)
            return true
        } catch {
            return false
        }
    }

    /// Answers a PUBLISH that is refused. 5.0: an acknowledgement with the reason for QoS 1 and 2,
    /// DISCONNECT for QoS 0 and for what the server said beforehand it does not do; 3.x: close.
    /// What goes to a name of the server's can have no receiver: it is dropped, and where no word
    /// says so it costs nobody the connection.
    private func refusePublish(
        _ packet: PublishPacket, _ topic: UnsafeRawBufferPointer, _ refusal: PublishRefusal,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        if refusal == .asked { return }
        let name = String(
            decoding: UnsafeRawBufferPointer(rebasing: topic[2...]), as: UTF8.self)
        let qos = Int(packet.qos.rawValue)
        if refusal == .notAuthorized {
            report(.pubActionDisallow, session) {
                .access(
                    .pubActionDisallow(
                        topic: name, qos: qos, isWill: false, isRetain: packet.retain))
            }
        }
        let isAccess = refusal == .notAuthorized || refusal == .accessFailed
        dropIncoming(isAccess ? .noPubPermission : .invalidTopic, packet, name, session)
        let isReserved = refusal == .topicReserved
        if isReserved, packet.qos == .atMostOnce { return }
        let announced = refusal == .qosNotSupported || refusal == .retainNotSupported
        let is5 = session.pointee.machine.version == .v5
        if packet.qos != .atMostOnce, is5 && !announced || isReserved {
            guard let serial = openPublish(packet, session, index) else { return }
            if isDebugging { noteOpened(packet, topic, session) }
            completePublish(serial, is5 ? refusal.reasonCode : .success, session, index)
            return
        }
        let event: DisconnectEvent =
            switch refusal {
            case .notAuthorized, .accessFailed:
                .noPubPermission(topic: name, qos: qos, retain: packet.retain)
            case .topicInvalid, .topicReserved: .invalidTopic(topic: name)
            case .qosNotSupported, .retainNotSupported, .payloadFormatInvalid, .asked:
                .protocolViolation(statement: "\(refusal)")
            }
        disconnect(session, index, refusal.reasonCode, .disconnect(event))
    }

    /// A message of a client that goes nowhere: counted by tenant and reason.
    func dropIncoming(
        _ reason: DropReason, _ packet: PublishPacket, _ topic: @autoclosure () -> String,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let size = Int(packet.payload.count)
        let kind: EventKind =
            packet.qos == .atMostOnce
            ? .qos0DistError : packet.qos == .atLeastOnce ? .qos1DistError : .qos2DistError
        let qos = packet.qos
        events.drop(reason, kind: kind, session.pointee.tenant) {
            record(session) {
                switch qos {
                case .atMostOnce:
                    .publish(.qos0DistError(topic: topic(), size: size, reason: reason.name))
                case .atLeastOnce:
                    .publish(.qos1DistError(topic: topic(), size: size, reason: reason.name))
                case .exactlyOnce:
                    .publish(.qos2DistError(topic: topic(), size: size, reason: reason.name))
                }
            }
        }
    }

    private func exceedsRate(
        _ packet: PublishPacket, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) -> Bool {
        let limit = tenants[session.pointee.tenant].pointee.settings.publishesPerSecond
        let rare = rareState(session)
        // It was counted when it came; now it comes again with its verdict.
        if rare.judgement != nil { return false }
        if rare.publishBucket.take(1, TokenRate(perSecond: limit), now: now) { return false }
        discard(packet, bytes, limit, session)
        if session.pointee.machine.version == .v5 {
            disconnect(
                session, index, .messageRateTooHigh, .disconnect(.exceedPubRate(limit: limit)))
        } else {
            // 3.x has no word for it: without an acknowledgement the connection ends, so that
            // nothing is lost silently.
            end(session, index, .disconnect(.exceedPubRate(limit: limit)))
        }
        return true
    }

    /// The message that passed the limit goes nowhere.
    private func discard(
        _ packet: PublishPacket, _ bytes: RawSpan, _ limit: Int,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let topic = bytes.array(packet.topic)
        events.drop(.publishRate, kind: .discard, session.pointee.tenant) {
            record(session) {
                .publish(
                    .discard(
                        rateLimit: limit, topic: String(decoding: topic, as: UTF8.self),
                        qos: Int(packet.qos.rawValue)))
            }
        }
    }

    /// Opens the window entry of a QoS 1 or 2 PUBLISH; nil if there is nothing to publish.
    func openPublish(
        _ packet: PublishPacket, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> UInt32? {
        let limit = Int(session.pointee.agreed.receiveMaximum)
        let verdict = session.pointee.machine.receivePublish(
            packetID: packet.packetID, qos: packet.qos, limit: limit)
        switch verdict {
        case .publish(let serial, let isLast):
            if isLast { holdInput(session) }
            return serial
        case .answerRepeat:
            sendAcknowledgement(
                .pubrec, session, packetID: packet.packetID, reasonCode: .success)
        case .ignoreRepeat: break
        case .identifierInUse(let serial): refuseIdentifier(serial, session, index)
        case .exceedsReceiveMaximum:
            disconnect(
                session, index, .receiveMaximumExceeded,
                .disconnect(.exceedReceivingLimit(limit: limit)))
        }
        return nil
    }

    /// A QoS 1 PUBLISH under the identifier of an open QoS 2 exchange: 5.0 says so, 3.x has no
    /// word for it.
    private func refuseIdentifier(
        _ serial: UInt32?, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        metrics.badPackets &+= 1
        if let serial {
            completePublish(serial, .packetIdentifierInUse, session, index)
        } else {
            let statement = "packet identifier in use [MQTT-2.3.1-2]"
            end(session, index, .disconnect(.protocolViolation(statement: statement)))
        }
    }

    // MARK: To the plan

    /// Publishes a client's message: retained ones are committed first, and hold back what follows
    /// on their topic.
    private func publish(
        _ message: inout Message, _ origin: PublishOrigin,
        from session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        guard message.retain || mustWaitForRetain(message, origin) else {
            route(&message, origin)
            return
        }
        let publisher = message.publisherHash
        if !retain(&message, origin) {
            let key = RetainLaneKey(publisherHash: publisher, isOutbox: false)
            retainLanes[key]?.held.append(ref(session, index))
            holdInput(session)
        }
    }

    /// Publishes a message that no connection waits behind: an outbox's, a will, the API's.
    func publish(_ message: inout Message, _ origin: PublishOrigin) {
        if message.retain || mustWaitForRetain(message, origin) {
            retain(&message, origin)
        } else {
            route(&message, origin)
        }
    }

    /// The outcome of a publish, to whoever waits for it.
    func finish(_ origin: PublishOrigin, _ outcome: PublishOutcome) {
        switch origin {
        case .none: break
        case .session(let ref, let serial):
            withSession(ref) { session, index in
                finishPublish(serial, outcome, session, index)
            }
        case .outbox(let task): finishOutbox(task, outcome)
        case .group(let task): finishReturn(task, outcome)
        case .door(let ticket): finishDoor(ticket, outcome)
        }
    }
}

/// Whose bytes are being read, as its messages name it. Looked up anew with each read.
struct PublisherNames {
    var session: UnsafeMutablePointer<Session>?
    var tenant = UnsafeRawBufferPointer(start: nil, count: 0)
    var clientID = UnsafeRawBufferPointer(start: nil, count: 0)
}
