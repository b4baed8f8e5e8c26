import Base
import MQTT
import Policy

extension Worker {
    /// Bytes of a connection, in order: handles every whole packet and returns how many bytes were
    /// consumed. Stops early when a packet has to be waited for; the rest comes again.
    package func receive(
        _ index: Int32, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let session = sessions[pointer: index]
        session.pointee.lastReceived = now
        publisherNames.session = nil
        run.end()
        reading = index
        let consumed = handlePackets(bytes, session, index)
        reading = -1
        holdIfDeaf(session)
        return consumed
    }

    /// Who asks and asks and never reads the answers is not read either, until it has: nothing else
    /// bounds answers.
    private func holdIfDeaf(_ session: UnsafeMutablePointer<Session>) {
        guard outputCount(session) > WorkerLimits.outputHeldMax,
            session.pointee.phase == .live, !session.pointee.isHeld
        else { return }
        setBusy(session)
        session.pointee.flags.formUnion([.outputFull, .deaf])
    }

    private func handlePackets(
        _ bytes: UnsafeMutableRawBufferPointer, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) -> Int {
        let span = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes))
        let yieldsAt = metrics.publishesOut &+ inputQuantum
        var offset = 0
        var last = 0
        while offset < bytes.count {
            if session.pointee.isHeld || session.pointee.phase == .closing { break }
            let limit = packetSizeLimit(session)
            switch FixedHeader.decode(span, offset: offset, maximumPacketSize: limit) {
            case .frame(let header):
                last = offset
                if let end = passBurst(header, offset, span, limit, yieldsAt, session) {
                    offset = end
                    if metrics.publishesOut > yieldsAt { yieldInput(session, index) }
                    continue
                }
                offset &+= header.totalSize
                metrics.packetsIn &+= 1
                handle(header, span, session, index)
                if session.pointee.flags.contains(.metersInput) {
                    meterInput(header.totalSize, session, index)
                }
                if metrics.publishesOut > yieldsAt { yieldInput(session, index) }
            case .needMore:
                return offset
            case .fault(let fault):
                noteVersion(span, offset, session)
                refuse(fault, session, index)
                return bytes.count
            }
        }
        if session.pointee.flags.contains(.asking), session.pointee.phase != .closing {
            // The last packet comes again once the authoriser has answered.
            metrics.packetsIn &-= 1
            return last
        }
        // What follows the end of a session is not read: a closing connection consumes it all.
        return session.pointee.phase == .closing ? bytes.count : offset
    }

    /// Whether input waits because of something that the worker has under way.
    package func isHeld(_ index: Int32) -> Bool {
        sessions[pointer: index].pointee.isHeld
    }

    private func packetSizeLimit(_ session: UnsafeMutablePointer<Session>) -> Int {
        session.pointee.phase == .live
            ? Int(session.pointee.agreed.packetBytesMax)
            : limits.bytesBeforeConnect
    }

    func decodeOptions(_ session: UnsafeMutablePointer<Session>) -> DecodeOptions {
        DecodeOptions(
            version: session.pointee.machine.version, receiver: .server,
            userPropertiesMax: tenants[session.pointee.tenant].pointee.settings.userPropertiesMax,
            rejectsControlCharacters: false)
    }

    private func handle(
        _ header: FixedHeader, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) {
        do throws(DecodeFault) {
            if session.pointee.phase == .live {
                try handleLive(header, bytes, session, index)
            } else {
                try handleBeforeLive(header, bytes, session, index)
            }
        } catch {
            noteVersion(bytes, header.body.end - header.totalSize, session)
            let text = error.concernsText ? self.text(at: header, bytes, session) : nil
            refuse(error, session, index, text)
        }
    }

    /// Bytes that are no correct CONNECT, but look like one of 5.0, are answered in its form.
    private func noteVersion(
        _ bytes: RawSpan, _ offset: Int, _ session: UnsafeMutablePointer<Session>
    ) {
        guard session.pointee.phase == .awaitsConnect,
            ConnectPacket.looksLikeVersion5(bytes, offset: offset)
        else { return }
        session.pointee.machine = SessionMachine(
            version: .v5, isStored: false, receiveMaximum: .max)
    }

    private func handleLive(
        _ header: FixedHeader, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) throws(DecodeFault) {
        let options = decodeOptions(session)
        switch header.type {
        case .publish:
            if run.isOpen, !isShedding,
                let packet = PublishPacket.decode(header, bytes, options.version, like: run.first)
            {
                handleRepeated(packet, header, bytes, session, index)
                return
            }
            let packet = try PublishPacket.decode(header, bytes, options)
            handlePublish(packet, header, bytes, session, index)
        case .puback, .pubrec, .pubrel, .pubcomp:
            let packet = try AckPacket.decode(header, bytes, options)
            handleAcknowledgement(header.type, packet, session, index)
        case .subscribe:
            let packet = try SubscribePacket.decode(header, bytes, options)
            handleSubscribe(packet, bytes, session, index)
        case .unsubscribe:
            let packet = try UnsubscribePacket.decode(header, bytes, options)
            handleUnsubscribe(packet, bytes, session, index)
        case .pingreq:
            try PingPacket.check(header, options)
            send(session) { PingEncoding.pingresp(into: &$0) }
            report(.pingReq, session) { .packet(.pingReq(answered: true)) }
        case .disconnect:
            let packet = try DisconnectPacket.decode(header, bytes, options)
            handleDisconnect(packet, session, index)
        case .auth:
            let packet = try AuthPacket.decode(header, bytes, options)
            // Its rights may become others.
            run.end()
            handleAuth(packet, session, index)
        case .connect, .connack, .suback, .unsuback, .pingresp:
            // A second CONNECT is a protocol error [MQTT-3.1.0-2]; the others only a server sends.
            throw .packetTypeUnexpected
        }
    }

    private func handleBeforeLive(
        _ header: FixedHeader, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>,
        _ index: Int32
    ) throws(DecodeFault) {
        if session.pointee.phase == .awaitsConnect, header.type == .connect {
            let packet = try ConnectPacket.decode(header, bytes, decodeOptions(session))
            rareState(session).connectSize = header.totalSize
            handleConnect(packet, session, index)
        } else if session.pointee.phase == .authenticating, header.type == .auth {
            let packet = try AuthPacket.decode(header, bytes, decodeOptions(session))
            handleAuth(packet, session, index)
        } else if session.pointee.phase == .authenticating, header.type == .disconnect {
            end(session, index, .channel(.enhancedAuthAbortByClient))
        } else {
            throw .packetTypeUnexpected
        }
    }

    /// Answers a packet that cannot be accepted, by the rules of its phase and version, and ends
    /// the connection: CONNACK before, DISCONNECT (5.0) after it, or nothing.
    func refuse(
        _ fault: DecodeFault, _ session: UnsafeMutablePointer<Session>, _ index: Int32,
        _ text: (kind: FaultyText.Kind, value: String)? = nil
    ) {
        metrics.badPackets &+= 1
        let statement = "\(fault.what) \(fault.statement(in: session.pointee.machine.version))"
        switch session.pointee.phase {
        case .awaitsConnect:
            // Only what looked like a CONNECT gets an answer [MQTT-4.13.1-1]. One whose fields go
            // on behind its end gets none: its length is wrong, and nothing in the stream has a
            // place that is known.
            switch fault.scope {
            case .version:
                // The version is unknown, so both forms that could be understood are the 3.x one.
                if fault == .protocolVersionUnsupported {
                    writeConnack(session, .v311, .unsupportedProtocolVersion)
                }
                end(session, index, .channel(.unacceptedProtocolVer))
            case .malformed, .protocolError, .limit:
                if session.pointee.machine.version == .v5, fault != .truncated {
                    writeConnack(session, .v5, fault.reasonCode)
                }
                end(session, index, .channel(channelEvent(text?.kind, statement)))
            }
        case .authenticating, .claiming, .attaching:
            disconnect(
                session, index, fault.reasonCode, .channel(.protocolError(statement: statement)))
        case .live:
            disconnect(
                session, index, fault.reasonCode,
                .disconnect(disconnectEvent(fault, text, statement)))
        case .closing: break
        }
    }

    private func text(
        at header: FixedHeader, _ bytes: RawSpan, _ session: UnsafeMutablePointer<Session>
    ) -> (kind: FaultyText.Kind, value: String)? {
        FaultyText.find(in: header, bytes, session.pointee.machine.version).map {
            ($0.kind, String(decoding: bytes.array($0.range), as: UTF8.self))
        }
    }

    /// A CONNECT that is refused for one of its texts has an event of its own.
    private func channelEvent(_ text: FaultyText.Kind?, _ statement: String) -> ChannelEvent {
        switch text {
        case .clientID: .malformedClientIdentifier
        case .username: .malformedUsername
        case .willTopic: .malformedWillTopic
        case .topicName, .topicFilter, nil: .protocolError(statement: statement)
        }
    }

    private func disconnectEvent(
        _ fault: DecodeFault, _ text: (kind: FaultyText.Kind, value: String)?,
        _ statement: String
    ) -> DisconnectEvent {
        switch text?.kind {
        case .topicName where fault.scope == .protocolError:
            .invalidTopic(topic: text?.value ?? "")
        case .topicName: .malformedTopic(topic: text?.value ?? "")
        case .topicFilter: .malformedTopicFilter(filter: text?.value ?? "")
        case .clientID, .username, .willTopic, nil:
            fault.scope == .protocolError
                ? .protocolViolation(statement: statement) : .badPacket(cause: statement)
        }
    }
}
