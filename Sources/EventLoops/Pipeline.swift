import Base

/// What stands between a connection's socket and its handler.
///
/// ```
///  socket -> raw bytes -> ingest: by stage -> handler.received
///  socket <- raw bytes <- seal:   by stage <- append, claimOutput
/// ```
/// A listener says in which stage its connections begin. A stage that is done moves the connection
/// to the next one and, at the last, announces it. Stages keep what they know in arenas of their
/// own, by the record's `stageSlot`. Each stage is one case here, and one branch in each of the
/// functions below; nothing else in the loop knows of stages.
enum PipelineStage: UInt8 {
    /// We open it, and the kernel has not answered yet.
    case connecting
    /// Bytes pass as they are.
    case open
    /// A PROXY header is awaited.
    case proxy
    /// The TLS handshake is under way.
    case handshake
    /// Bytes are sealed by TLS.
    case sealed
}

/// A connection that the handler does not know of yet.
struct Arrival {
    /// As the PROXY header says, once it has come.
    var peer: PeerAddress
    var local: PeerAddress
    let takenAt: Instant
}

extension EventLoop {
    /// A connection was taken: its first stage begins.
    func beginPipeline(_ index: Int32, peer: PeerAddress, local: PeerAddress) {
        let stage = table[index].pointee.stage
        acceptTime = now
        if stage != .proxy, !letIn(index, peer: peer) { return }
        if stage == .open { return announce(index, peer: peer, local: local) }
        let number = Int(table[index].pointee.listener)
        let arrival = Arrival(peer: peer, local: local, takenAt: now)
        table[index].pointee.deadline = timers.schedule(
            at: now + (listeners[number].handshakeTime ?? options.handshakeTime),
            token: table.id(of: index).rawValue,
            kind: TimerKind.connection.rawValue)
        switch stage {
        case .open, .connecting: break
        case .proxy: beginProxy(index, arrival)
        case .handshake, .sealed: beginHandshake(index, arrivals.insert(arrival))
        }
    }

    /// Asks the handler whether the connection may stay; ends it if not.
    func letIn(_ index: Int32, peer: PeerAddress) -> Bool {
        let listener = Int(table[index].pointee.listener)
        if handler?.arrived(table.id(of: index), listener: listener, peer: peer) ?? true {
            table[index].pointee.flags.insert(.letIn)
            return true
        }
        counters.refused += 1
        table[index].pointee.stage = .open
        doom(index, .closedByUs, flush: false)
        return false
    }

    /// Raw bytes from the socket, kept ones in front. Returns how many were consumed.
    func ingest(_ index: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        switch table[index].pointee.stage {
        case .open: return present(index, bytes)
        case .connecting: return bytes.count
        case .proxy: return ingestProxy(index, bytes)
        case .handshake, .sealed: return ingestSealed(index, bytes)
        }
    }

    /// Unconsumed raw bytes that a connection may keep.
    func keptMax(_ record: UnsafeMutablePointer<ConnectionRecord>) -> Int {
        let limit = Int(record.pointee.inputLimit)
        switch record.pointee.stage {
        case .open, .connecting: return limit
        case .proxy, .handshake, .sealed:
            return PlainWindow.keptBytesMax(plain: limit, raw: TLSEngine.recordBytesMax)
        }
    }

    /// Called before a connection's output chain is sent: a stage that changes bytes replaces the
    /// ones it has not seen yet.
    func seal(_ index: Int32) {
        switch table[index].pointee.stage {
        case .connecting, .open, .proxy, .handshake: break
        case .sealed: sealOutput(index)
        }
    }

    /// The end is decided and output is still to be sent: a stage adds its farewell.
    func sealEnd(_ index: Int32) {
        switch table[index].pointee.stage {
        case .connecting, .open, .proxy, .handshake: break
        case .sealed: sayFarewell(index)
        }
    }

    /// The connection is being released: its stage frees what it holds.
    func endPipeline(_ index: Int32) {
        if let arrival = arrivalSlot(of: index) { arrivals.remove(arrival) }
        switch table[index].pointee.stage {
        case .open, .proxy: break
        case .connecting:
            let departure = table[index].pointee.stageSlot
            if departure >= 0 { departures.remove(departure) }
        case .handshake, .sealed: endSession(index)
        }
        table[index].pointee.stage = .open
        table[index].pointee.stageSlot = -1
    }

    /// The last stage is reached: the handler learns of the connection.
    func announce(_ index: Int32, peer: PeerAddress, local: PeerAddress) {
        table[index].pointee.flags.insert(.announced)
        counters.accepted += 1
        handler?.accepted(
            table.id(of: index), listener: Int(table[index].pointee.listener), peer: peer,
            local: local)
    }

    /// Announces a connection whose stages are passed.
    func announce(_ index: Int32, arrival slot: Int32) {
        timers.cancel(table[index].pointee.deadline)
        table[index].pointee.deadline = .none
        let arrival = arrivals.remove(slot)
        acceptTime = arrival.takenAt
        announce(index, peer: arrival.peer, local: arrival.local)
    }

    /// Tells of a connection that ended before it was announced.
    func reportTurnedAway(_ index: Int32, _ reason: CloseReason) {
        if table[index].pointee.flags.contains(.outgoing) { return reportUnopened(index, reason) }
        guard let slot = arrivalSlot(of: index) else { return }
        handler?.turnedAway(
            listener: Int(table[index].pointee.listener),
            peer: arrivals[pointer: slot].pointee.peer, reason: reason)
    }

    private func arrivalSlot(of index: Int32) -> Int32? {
        let record = table[index]
        guard record.pointee.stageSlot >= 0 else { return nil }
        switch record.pointee.stage {
        case .connecting, .open: return nil
        case .proxy: return record.pointee.stageSlot
        case .handshake, .sealed:
            let arrival = tls.arrival(record.pointee.stageSlot)
            return arrival >= 0 ? arrival : nil
        }
    }

    /// Hands bytes to the handler, and holds it to its word about what it consumed.
    func present(_ index: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard let handler else { return bytes.count }
        let consumed = handler.received(table.id(of: index), bytes: bytes)
        invariant(
            consumed >= 0 && consumed <= bytes.count,
            "handler consumed \(consumed) of \(bytes.count) bytes")
        return consumed
    }
}
