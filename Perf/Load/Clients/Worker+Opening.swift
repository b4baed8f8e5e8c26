import Base
import EventLoops
import MQTT
import WebSocket

/// The life of a client: opening at a pace, greeting, subscribing, ending, trying again.
extension LoadWorker {
    /// Opens the clients whose time has come, as many at once as the plan admits.
    func openDue(_ now: UInt64) {
        for number in plan.groups.indices {
            let group = groups + number
            while group.pointee.openNext < group.pointee.clientCount,
                state.pointee.openingCount < plan.openingMax
            {
                let place = Int(group.pointee.clientBase + group.pointee.openNext)
                let wait = group.pointee.openStep * Double(clients[place].index)
                let due = group.pointee.openStart &+ UInt64(wait)
                guard due <= now else {
                    loop.requestTurn(by: Instant(nanoseconds: due))
                    break
                }
                // Its end is decided, and told before long.
                if clients[place].phase == .closing {
                    loop.requestTurn()
                    break
                }
                group.pointee.openNext += 1
                if clients[place].phase == .idle { open(place) }
            }
        }
    }

    /// A client is tried again, whatever else is being opened.
    func reopen(_ place: Int) {
        if !state.pointee.isFinishing, clients[place].phase == .idle { open(place) }
    }

    private func open(_ place: Int) {
        let client = clients + place
        let target = plan.target
        let index = Int(client.pointee.index)
        var options = ConnectOptions()
        options.timeout = target.connectTimeout
        options.tls = tls
        options.serverName = target.serverName
        if !target.sources.isEmpty {
            options.source = PeerAddress(target.sources[index % target.sources.count], port: 0)
        }
        client.pointee.since = clock
        client.pointee.phase = .opening
        client.pointee.frames = ServerFrameWindow()
        state.pointee.openingCount += 1
        let turn = index + Int(client.pointee.openings)
        switch loop.connect(to: target.addresses[turn % target.addresses.count], options) {
        case .started(let id):
            client.pointee.connection = id
            loop.setSlot(id, Int32(place))
        case .failed(let failure): failed(place, "\(failure)")
        }
    }

    func connectFailed(_ connection: ConnectionID, _ failure: ConnectFailure) {
        let place = loop.slot(of: connection)
        if place >= 0 { failed(Int(place), "\(failure)") }
    }

    /// The client did not become ready, or was lost.
    private func failed(_ place: Int, _ reason: String) {
        let client = clients + place
        if client.pointee.phase != .closing, client.pointee.phase != .ready {
            state.pointee.openingCount -= 1
        }
        let wasReady = client.pointee.phase == .ready
        let wasWanted = client.pointee.phase != .closing
        client.pointee.phase = .idle
        client.pointee.connection = .none
        guard wasWanted else { return }
        exchange.note(reason)
        if wasReady {
            state.pointee.counters.lost += 1
        } else {
            state.pointee.counters.openFailures += 1
        }
        guard Int(client.pointee.attempts) < plan.target.retries, !state.pointee.isFinishing
        else {
            state.pointee.counters.abandoned += 1
            return
        }
        client.pointee.attempts += 1
        // Spread by chance, so that clients that were lost together do not come back together.
        let delay = plan.target.retryDelay.nanoseconds
        let chance = Int64(state.pointee.random.below(Int(max(delay, 1))))
        _ = loop.schedule(
            at: loop.now + .nanoseconds(delay / 2 + chance), token: UInt64(place))
    }

    // MARK: Greeting

    func connected(_ connection: ConnectionID) {
        let place = Int(loop.slot(of: connection))
        guard place >= 0 else { return }
        let client = clients + place
        let now = clock
        state.pointee.opening.record(now &- client.pointee.since)
        client.pointee.since = now
        if let path = plan.target.webSocketPath {
            client.pointee.phase = .upgrading
            state.pointee.scratch.removeAll()
            ClientFrameEncoder.appendRequest(
                path: path, host: plan.target.serverName, key: Self.upgradeKey,
                subprotocols: plan.target.version == .v31 ? "mqttv3.1" : "mqtt",
                to: &state.pointee.scratch)
            loop.append(connection, state.pointee.scratch.bytes)
        } else {
            greet(client)
        }
    }

    /// The server proves that it has read the key; that ours is always the same harms nobody.
    private static let upgradeKey = Array("YXB1cy1wZXJmIGtleSAxMg==".utf8)

    /// Bytes of the server's answer that were taken; nil while it is not whole. An answer that
    /// refuses ends the connection.
    func takeUpgrade(
        _ client: UnsafeMutablePointer<LoadClient>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let end = Array("\r\n\r\n".utf8)
        guard bytes.count >= end.count,
            let length = (0...bytes.count - end.count).first(where: {
                bytes[$0..<$0 + end.count].elementsEqual(end)
            })
        else {
            if bytes.count > 16 * 1024 { refuse(client, "an upgrade answer without end") }
            return nil
        }
        let text = String(decoding: bytes[..<length], as: UTF8.self)
        let accept = String(
            decoding: UpgradeEncoder.acceptKey(for: Self.upgradeKey), as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 101"), text.contains(accept) else {
            refuse(client, "upgrade refused: " + text.prefix { $0 != "\r\n" })
            return nil
        }
        greet(client)
        return length + end.count
    }

    private func greet(_ client: UnsafeMutablePointer<LoadClient>) {
        let group = plan.groups[Int(client.pointee.group)]
        let values = group.values(
            Int(client.pointee.index), plan.target, &state.pointee.random)
        let forgets = groups[Int(client.pointee.group)].forgets
        var packet = ConnectPacket(
            version: plan.target.version, cleanStart: group.cleanStart || forgets,
            keepAlive: plan.target.keepAlive, clientID: values.clientID)
        if plan.target.username != nil { packet.username = values.username }
        packet.password = plan.target.password.map { Array($0.utf8) }
        packet.properties.sessionExpiryInterval = forgets ? 0 : group.sessionExpiry
        client.pointee.phase = .greeting
        client.pointee.since = clock
        send(client) { packet.encode(into: &$0) }
    }

    /// The broker's answer to CONNECT.
    func greeted(_ client: UnsafeMutablePointer<LoadClient>, _ packet: ConnackPacket) {
        guard client.pointee.phase == .greeting else {
            return refuse(client, "CONNACK out of turn")
        }
        guard packet.reasonCode == .success else {
            return refuse(client, "CONNECT refused: \(packet.reasonCode)")
        }
        let now = clock
        state.pointee.connack.record(now &- client.pointee.since)
        client.pointee.since = now
        if packet.sessionPresent { state.pointee.counters.sessionsPresent += 1 }
        resetPublisher(client, receiveMaximum: Int(packet.properties.receiveMaximum))
        let group = plan.groups[Int(client.pointee.group)]
        let forgets = groups[Int(client.pointee.group)].forgets
        if group.subscriptions.isEmpty || packet.sessionPresent || forgets {
            return becomeReady(client)
        }
        client.pointee.phase = .subscribing
        subscribe(client, group)
    }

    private func becomeReady(_ client: UnsafeMutablePointer<LoadClient>) {
        client.pointee.phase = .ready
        client.pointee.attempts = 0
        client.pointee.openings &+= 1
        state.pointee.openingCount -= 1
        state.pointee.counters.ready += 1
        state.pointee.counters.opened += 1
        activate(client.pointee.publisher)
    }

    // MARK: Subscribing

    /// Filters of one SUBSCRIBE.
    private static let filtersMax = 50

    private func subscribe(_ client: UnsafeMutablePointer<LoadClient>, _ group: ClientGroup) {
        var values = group.values(
            Int(client.pointee.index), plan.target, &state.pointee.random)
        var entries: [SubscribeRequest.Entry] = []
        for subscription in group.subscriptions {
            let options = SubscriptionOptions(
                maximumQoS: subscription.qos, noLocal: false, retainAsPublished: false,
                retainHandling: .send)
            for count in 0..<subscription.repeats {
                values.sequence = UInt64(count)
                let filter = subscription.filter.text(values, &state.pointee.random)
                entries.append(SubscribeRequest.Entry(filter: filter, options: options))
            }
        }
        var packetID: UInt16 = 0
        while !entries.isEmpty {
            packetID &+= 1
            let request = SubscribeRequest(
                packetID: packetID, entries: Array(entries.prefix(Self.filtersMax)))
            entries.removeFirst(request.entries.count)
            client.pointee.awaited += 1
            send(client) { request.encode(plan.target.version, into: &$0) }
        }
    }

    func subscribed(_ client: UnsafeMutablePointer<LoadClient>, _ packet: SubackPacket) {
        for code in packet.reasonCodes {
            if code.rawValue < 0x80 {
                state.pointee.counters.subscriptions += 1
            } else {
                state.pointee.counters.subscriptionsRefused += 1
                exchange.note("SUBSCRIBE refused: \(code)")
            }
        }
        guard client.pointee.phase == .subscribing else { return }
        client.pointee.awaited -= 1
        guard client.pointee.awaited == 0 else { return }
        state.pointee.suback.record(clock &- client.pointee.since)
        becomeReady(client)
    }

    // MARK: Ending

    func refuse(_ client: UnsafeMutablePointer<LoadClient>, _ reason: String) {
        state.pointee.counters.protocolErrors += 1
        exchange.note(reason)
        loop.close(client.pointee.connection, afterFlush: false)
    }

    func closed(_ connection: ConnectionID, reason: CloseReason) {
        let place = Int(loop.slot(of: connection))
        guard place >= 0 else { return }
        if clients[place].phase == .ready { state.pointee.counters.ready -= 1 }
        clients[place].awaited = 0
        failed(place, "connection ended: \(reason)")
    }

    func closeGroup(_ number: Int, isAbrupt: Bool) {
        let group = groups[number]
        for place in group.clientBase..<group.clientBase + group.clientCount {
            let client = clients + Int(place)
            switch client.pointee.phase {
            case .idle, .closing: continue
            case .ready: state.pointee.counters.ready -= 1
            case .opening, .upgrading, .greeting, .subscribing: state.pointee.openingCount -= 1
            }
            if client.pointee.phase == .ready, !isAbrupt {
                send(client) { writer in
                    DisconnectPacket(reasonCode: .success).encode(
                        plan.target.version, limit: .max, into: &writer)
                }
            }
            client.pointee.phase = .closing
            loop.close(client.pointee.connection, afterFlush: !isAbrupt)
        }
    }

    // MARK: Pings

    /// Once a second, a part of the clients, so that each pings in time.
    func pingSome() {
        let every = max(Int(plan.target.keepAlive) * 3 / 4, 1)
        for place in stride(from: state.pointee.pingTick, to: clientCount, by: every)
        where clients[place].phase == .ready {
            send(clients + place) { PingEncoding.pingreq(into: &$0) }
            state.pointee.counters.pings += 1
        }
        state.pointee.pingTick = (state.pointee.pingTick + 1) % every
        _ = loop.schedule(at: loop.now + .seconds(1), token: Timer.ping)
    }

    /// Sends a packet that is not worth a form of its own.
    func send(
        _ client: UnsafeMutablePointer<LoadClient>, _ encode: (inout ByteWriter) -> Void
    ) {
        state.pointee.scratch.removeAll()
        encode(&state.pointee.scratch)
        let bytes = state.pointee.scratch.bytes
        emit(client, bytes.count) { place in
            if let start = bytes.baseAddress {
                place.copyMemory(from: start, byteCount: bytes.count)
            }
        }
    }

    /// Output of `count` bytes, written in place, in a frame of its own where frames are spoken.
    @inline(__always)
    func emit(
        _ client: UnsafeMutablePointer<LoadClient>, _ count: Int,
        _ write: (UnsafeMutableRawPointer) -> Void
    ) {
        let connection = client.pointee.connection
        guard usesFrames else {
            write(room(connection, count))
            return loop.commitOutput(connection, count)
        }
        let header = ClientFraming.headerSize(count)
        let place = room(connection, header + count)
        write(place + header)
        ClientFraming.finish(place, payload: count, mask: mask(client))
        loop.commitOutput(connection, header + count)
    }

    /// Room in the connection's output, until it is committed.
    @inline(__always)
    func room(_ connection: ConnectionID, _ count: Int) -> UnsafeMutableRawPointer {
        loop.claimOutput(connection, atLeast: count).baseAddress.unsafelyUnwrapped
    }

    /// A client's masks stay the same: unmasking costs the broker the same with any.
    @inline(__always)
    func mask(_ client: UnsafeMutablePointer<LoadClient>) -> UInt32 {
        UInt32(truncatingIfNeeded: client.pointee.index) &* 0x9E37_79B1 | 1
    }
}
