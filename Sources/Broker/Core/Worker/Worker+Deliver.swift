import Base
import MQTT
import Policy

/// How one receiver gets a message.
struct Delivery {
    var qos: QoS
    var retain: Bool
    var subscriptionIDs: SubscriptionIDs
    var dup = false
    /// Given for a stored session's entry, whose packet id follows from its sequence.
    var packetID: UInt16 = 0
}

/// From a message to the bytes of a client's PUBLISH.
extension Worker {
    /// A live message for a transient session of this worker: sent, queued, or dropped by policy.
    func deliver(
        _ message: inout Message, _ options: Delivery, to index: Int32
    ) {
        let session = sessions[pointer: index]
        guard session.pointee.phase == .live else {
            drop(.sessionClosed, message, session)
            return
        }
        guard permitsDelivery(message, options.qos, session, index) else { return }
        if session.pointee.flags.contains(.metersFanOut), exceedsFanOut(message, session) {
            return
        }
        if options.qos == .atMostOnce, !mustQueueQoS0(session) {
            deliverQoS0(&message, options, session)
            return
        }
        let mayGo =
            options.qos != .atMostOnce && session.pointee.machine.queue.isEmpty
            && session.pointee.machine.hasSendQuota && !isOutputBlocked(session)
        if mayGo {
            var options = options
            options.packetID = session.pointee.machine.openOutbound(options.qos)
            if !write(&message, options, to: session) {
                session.pointee.machine.outbound.finishNewest()
            }
        } else {
            enqueue(&message, options, session, index)
        }
    }

    @inline(__always)
    private func deliverQoS0(
        _ message: inout Message, _ options: Delivery,
        _ session: UnsafeMutablePointer<Session>
    ) {
        if !isTooSlow(message, .atMostOnce, session) {
            _ = write(&message, options, to: session)
        }
    }

    /// QoS 0 for a client that does not take what it was sent is dropped.
    func isTooSlow(
        _ message: borrowing Message, _ qos: QoS, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard qos == .atMostOnce, session.pointee.flags.contains(.outputFull),
            outputCount(session) > WorkerLimits.outputQoS0Max
        else { return false }
        noteSlow(session)
        drop(.slowConsumer, message, session)
        return true
    }

    /// Writes a PUBLISH. False if it was dropped: expired, or larger than the client takes.
    func write(
        _ message: inout Message, _ options: Delivery,
        to session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let expiry = message.remainingSeconds(wallTime)
        // What was sent before does not expire [MQTT-4.3.3-7].
        if expiry == 0, !options.dup {
            drop(.expired, message, session)
            return false
        }
        let version = session.pointee.machine.version
        let isPlain =
            options.subscriptionIDs.count == 0 && !options.dup
            && !session.pointee.flags.contains(.hasAliases)
        let variant = FrameCache.variant(version, options.qos, retain: options.retain)
        let isShared = isFanOut || message.original.variant == variant
        let isWritten =
            isShared && isPlain && message.payload.count < WorkerLimits.sharedPayloadMin
            ? writeCopy(message, options, variant, expiry, session)
            : writeOwn(&message, options, expiry, version, session)
        if isWritten { notePushed(message, options, session) }
        return isWritten
    }

    /// The shared frame of the receiver's variant, copied, with its own packet id.
    @inline(__always)
    func writeCopy(
        _ message: borrowing Message, _ options: Delivery, _ variant: Int, _ expiry: UInt32?,
        _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        let frame = place(variant, message, options, expiry, session)
        guard frame.count <= Int(session.pointee.packetSizeMax) else {
            dropOversize(message, session)
            return false
        }
        let place = reserve(frame.count, session)
        frame.copy(to: place)
        if options.qos != .atMostOnce {
            place.storeBytes(
                of: options.packetID.bigEndian, toByteOffset: frame.packetIDOffset,
                as: UInt16.self)
        }
        wrote(frame.count, session)
        noteOutput(session, frame.count)
        return true
    }

    /// Where a variant's bytes are: those that the message came in, or a frame encoded for all.
    @inline(__always)
    func place(
        _ variant: Int, _ message: borrowing Message, _ options: Delivery, _ expiry: UInt32?,
        _ session: UnsafeMutablePointer<Session>
    ) -> PlacedFrame {
        if message.original.variant == variant {
            return PlacedFrame(
                bytes: message.original.bytes.baseAddress.unsafelyUnwrapped,
                count: message.original.bytes.count,
                packetIDOffset: message.original.packetIDOffset, variant: variant)
        }
        let frame =
            frames.frame(variant)
            ?? encodeVariant(variant, message, options, expiry, session.pointee.machine.version)
        return PlacedFrame(
            bytes: frames.bytes.bytes.baseAddress.unsafelyUnwrapped + Int(frame.offset),
            count: Int(frame.count), packetIDOffset: Int(frame.packetIDOffset), variant: variant)
    }

    private func encodeVariant(
        _ variant: Int, _ message: borrowing Message, _ options: Delivery,
        _ expiry: UInt32?, _ version: ProtocolVersion
    ) -> FrameCache.Frame {
        let none = UnsafeBufferPointer<UInt32>(start: nil, count: 0)
        let encoding = PublishEncoding(
            fields(options, expiry, version), topicSize: message.topic.count,
            forwardedSize: message.forwarded.count, payloadSize: message.payload.count,
            subscriptionIDs: none)
        let topic = message.topic
        let forwarded = message.forwarded
        let payload = message.payload
        return frames.add(
            variant, count: encoding.totalSize, packetIDOffset: encoding.packetIDOffset
        ) { place in
            encoding.write(
                to: place, topic: topic, forwarded: forwarded, subscriptionIDs: none,
                payload: payload)
        }
    }

    private func fields(
        _ options: Delivery, _ expiry: UInt32?, _ version: ProtocolVersion,
        alias: UInt16 = 0
    ) -> PublishFields {
        PublishFields(
            version: version, qos: options.qos, dup: options.dup, retain: options.retain,
            packetID: options.packetID, topicAlias: alias, messageExpiry: expiry)
    }

    /// A frame of the receiver's own, encoded into its output; a large payload by reference.
    private func writeOwn(
        _ message: inout Message, _ options: Delivery, _ expiry: UInt32?,
        _ version: ProtocolVersion, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        var topic = message.topic
        let alias = outboundAlias(message, session)
        if alias.isKnown { topic = Self.emptyTopic }
        let byReference = message.payload.count >= WorkerLimits.sharedPayloadMin
        let record = byReference ? message.record() : nil
        return options.subscriptionIDs.withAll { identifiers in
            let encoding = PublishEncoding(
                fields(options, expiry, version, alias: alias.number), topicSize: topic.count,
                forwardedSize: message.forwarded.count, payloadSize: message.payload.count,
                subscriptionIDs: identifiers)
            guard encoding.totalSize <= Int(session.pointee.packetSizeMax), encoding.isEncodable
            else {
                // The client never learns an alias that was to be given with this packet.
                if alias.number != 0, !alias.isKnown {
                    session.pointee.rare?.outboundAliases?.removeNewest()
                }
                dropOversize(message, session)
                return false
            }
            let inPlace = record == nil ? encoding.totalSize : encoding.headerSize
            let place = reserve(inPlace, session)
            encoding.writeHeader(
                to: place, topic: topic, forwarded: message.forwarded,
                subscriptionIDs: identifiers)
            if record == nil, let payload = message.payload.baseAddress {
                (place + encoding.headerSize).copyMemory(
                    from: payload, byteCount: message.payload.count)
            }
            wrote(inPlace, session)
            if let record {
                settle(session, sharedCount: message.payload.count)
                port.appendShared(
                    session.pointee.connection, record,
                    record.count - message.payload.count..<record.count)
            }
            noteOutput(session, encoding.totalSize)
            return true
        }
    }

    /// Two length bytes of a topic that only an alias names.
    static var emptyTopic: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: AliasConstants.emptyTopic, count: 2)
    }

    @inline(__always)
    private func noteOutput(_ session: UnsafeMutablePointer<Session>, _ count: Int) {
        metrics.publishesOut &+= 1
        metrics.bytesOut &+= UInt64(count)
        if session.pointee.flags.contains(.metersOutput) { meterOutput(count, session) }
        checkOutput(session)
    }

    @inline(__always)
    func checkOutput(_ session: UnsafeMutablePointer<Session>) {
        if outputCount(session) > WorkerLimits.outputHighWatermark {
            if !session.pointee.flags.contains(.outputFull) { noteStalled(session) }
        }
    }

    private func outboundAlias(
        _ message: borrowing Message, _ session: UnsafeMutablePointer<Session>
    ) -> OutboundAliases.Choice {
        guard session.pointee.flags.contains(.hasAliases), let rare = session.pointee.rare else {
            return .none
        }
        return rare.outboundAliases?.choose(message.topicName, hash) ?? .none
    }

    // MARK: Queue of a transient session

    /// Puts a message into a transient session's queue, or drops by the tenant's policy.
    private func enqueue(
        _ message: inout Message, _ options: Delivery,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let settings = tenants[session.pointee.tenant]
        let record = message.record()
        if isQueueFull(session, adding: record.count) {
            switch settings.pointee.settings.slowConsumerPolicy {
            case .dropNewest:
                noteOverflow(session, index, isOldest: false)
                drop(.overflow, message, session)
                return
            case .dropOldest:
                noteOverflow(session, index, isOldest: true)
                guard !session.pointee.machine.queue.isEmpty else {
                    drop(.overflow, message, session)
                    return
                }
                let oldest = session.pointee.machine.queue.removeFirst()
                if oldest.flight != 0 { discardWaiting(oldest.flight, session) }
                countMemory(-oldest.record.count, session.pointee.tenant)
                oldest.releaseAll()
                drop(.overflow, message, session)
            case .disconnect:
                noteOverflow(session, index, isOldest: false)
                drop(.overflow, message, session)
                // Later: receivers are being walked through.
                slowConsumers.append(ref(session, index))
                return
            }
        }
        record.retain()
        countMemory(record.count, session.pointee.tenant)
        session.pointee.machine.queue.append(
            QueuedMessage(
                record: record, qos: options.qos, retain: options.retain,
                subscriptionIDs: options.subscriptionIDs.copied()))
        metrics.queued &+= 1
    }

    func isQueueFull(_ session: UnsafeMutablePointer<Session>, adding size: Int) -> Bool {
        let settings = tenants[session.pointee.tenant]
        return session.pointee.machine.queue.count
            >= settings.pointee.settings.sessionQueueMessagesMax
            || session.pointee.machine.queue.byteCount + size
                > settings.pointee.settings.sessionQueueBytesMax
    }

    /// A message from the queue: window and socket have room.
    func deliverQueued(
        _ queued: QueuedMessage, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        var message = Message(
            record: queued.record.bytes, tenant: session.pointee.tenant, block: queued.record)
        var options = Delivery(
            qos: queued.qos, retain: queued.retain, subscriptionIDs: queued.subscriptionIDs)
        guard permitsDelivery(message, queued.qos, session, index) else {
            if queued.flight != 0 { discardWaiting(queued.flight, session) }
            return
        }
        if queued.flight != 0, let share = session.pointee.rare?.share,
            let flight = share.takeWaiting(queued.flight)
        {
            return sendShared(&message, options, flight, share, session)
        }
        if queued.qos != .atMostOnce {
            options.packetID = session.pointee.machine.openOutbound(queued.qos)
        }
        if !write(&message, options, to: session), queued.qos != .atMostOnce {
            session.pointee.machine.outbound.finishNewest()
        }
    }

    // MARK: Dropping

    /// The one way in which a message towards a client is dropped: counted by tenant and reason,
    /// with an event for those who listen.
    func drop(
        _ reason: DropReason, _ message: borrowing Message,
        _ session: UnsafeMutablePointer<Session>
    ) {
        let name = message.topicName
        let size = message.payload.count
        let qos = message.qos
        let kind: EventKind =
            qos == .atMostOnce
            ? .qos0Dropped : qos == .atLeastOnce ? .qos1Dropped : .qos2Dropped
        events.drop(reason, kind: kind, session.pointee.tenant) {
            let topic = String(decoding: name, as: UTF8.self)
            let filter = matchedFilter(name, session)
            return record(session) {
                switch qos {
                case .atMostOnce:
                    .push(.qos0Dropped(topic: topic, filter: filter, size: size, reason: reason))
                case .atLeastOnce:
                    .push(.qos1Dropped(topic: topic, filter: filter, size: size, reason: reason))
                case .exactlyOnce:
                    .push(.qos2Dropped(topic: topic, filter: filter, size: size, reason: reason))
                }
            }
        }
    }

    func dropOversize(
        _ message: borrowing Message, _ session: UnsafeMutablePointer<Session>
    ) {
        let size = message.payload.count
        report(.oversizePacketDropped, session) {
            .packet(.oversizePacketDropped(packetType: "PUBLISH", size: size))
        }
        drop(.oversize, message, session)
    }
}
