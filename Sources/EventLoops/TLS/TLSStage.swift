import Base

/// The stage of a connection that is sealed: the engine's place in the loop.
///
/// ```
///  output chain:  sealed, being sent -> sealed -> plain -> plain        before a flush
///                 sealed, being sent -> sealed -> sealed                after
/// ```
extension EventLoop {
    /// Sealed bytes that go into one block of output.
    private static var sealedBlockMax: Int { 256 * 1024 }

    func beginHandshake(_ index: Int32, _ arrival: Int32) {
        let record = table[index]
        record.pointee.stage = .handshake
        let listener = listeners[Int(record.pointee.listener)]
        guard let store = listener.tls, let slot = tls.open(store.current) else {
            invariantFailed("a connection without TLS in its handshake")
        }
        record.pointee.stageSlot = slot
        tls.setArrival(slot, arrival)
    }

    /// A connection that we opened: our hello goes out.
    func greetServer(_ index: Int32, _ departure: Departure) {
        let record = table[index]
        record.pointee.stage = .handshake
        guard let slot = tls.open(departure.tls, serverName: departure.serverName) else {
            record.pointee.stage = .open
            return doom(
                index, .handshakeFailed("too many TLS handshakes at once"), flush: false)
        }
        record.pointee.stageSlot = slot
        if case .failed(let reason) = tls.connect(slot) {
            return doom(index, .handshakeFailed("TLS: " + reason), flush: false)
        }
        if takeSealed(record) { markDirtyUnlessSending(record, table.id(of: index)) }
    }

    func ingestSealed(_ index: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let record = table[index]
        let slot = record.pointee.stageSlot
        let event = tls.receive(slot, bytes)
        if takeSealed(record) { markDirtyUnlessSending(record, table.id(of: index)) }
        switch event {
        case .none, .closed: break
        case .established: enterSealed(index)
        case .failed(let reason):
            // The alert is sent, and the peer is given time to read it.
            record.pointee.flags.insert(.lingers)
            doom(index, .handshakeFailed("TLS: " + reason), flush: true)
            return bytes.count
        }
        let ready = tls.plainCount(slot)
        var consumed = 0
        if ready > 0, record.pointee.flags.isDisjoint(with: [.doomed, .paused]) {
            consumed = present(index, UnsafeMutableRawBufferPointer(rebasing: bytes[..<ready]))
        }
        if tls.hasEnded(slot), !record.pointee.flags.contains(.paused) {
            doom(index, .peerClosed, flush: true)
        }
        return tls.settle(slot, bytes, consumed: consumed)
    }

    private func enterSealed(_ index: Int32) {
        let record = table[index]
        record.pointee.stage = .sealed
        if record.pointee.flags.contains(.outgoing) { return announceOutgoing(index) }
        let arrival = tls.arrival(record.pointee.stageSlot)
        tls.setArrival(record.pointee.stageSlot, -1)
        announce(index, arrival: arrival)
    }

    /// Replaces the plain part of the output chain by what TLS makes of it.
    func sealOutput(_ index: Int32) {
        let record = table[index]
        guard record.pointee.outputTail >= 0,
            !segments[pointer: record.pointee.outputTail].pointee.isSealed
        else { return }
        let slot = record.pointee.stageSlot
        var next = detachPlain(record)
        var isSealed = true
        while next >= 0 {
            let segment = segments.remove(next)
            let count = Int(segment.end - segment.start)
            record.pointee.outputCount -= count
            if isSealed {
                isSealed = tls.seal(
                    slot,
                    UnsafeRawBufferPointer(start: segment.base + Int(segment.start), count: count))
            }
            freeBytes(of: segment)
            next = segment.next
            if tls.output.count >= Self.sealedBlockMax { _ = takeSealed(record) }
        }
        isSealed = tls.finish(slot) && isSealed
        _ = takeSealed(record)
        if !isSealed { doom(index, .handshakeFailed("TLS: nothing can be sealed"), flush: false) }
    }

    /// Cuts the chain behind its sealed part and returns the first plain segment.
    private func detachPlain(_ record: UnsafeMutablePointer<ConnectionRecord>) -> Int32 {
        var last: Int32 = -1
        var next = record.pointee.outputHead
        while next >= 0, segments[pointer: next].pointee.isSealed {
            last = next
            next = segments[pointer: next].pointee.next
        }
        if last >= 0 {
            segments[pointer: last].pointee.next = -1
        } else {
            record.pointee.outputHead = -1
        }
        record.pointee.outputTail = last
        return next
    }

    /// Moves what the engine has produced to the end of the chain; false if it is nothing.
    private func takeSealed(_ record: UnsafeMutablePointer<ConnectionRecord>) -> Bool {
        guard let start = tls.output.baseAddress, tls.output.count > 0 else {
            return false
        }
        let count = tls.output.count
        let block = pool.take(atLeast: count)
        let base = block.baseAddress.unsafelyUnwrapped
        base.copyMemory(from: start, byteCount: count)
        tls.clearOutput()
        link(
            record,
            OutputSegment(
                base: base, start: 0, end: Int32(count), capacity: Int32(count), next: -1,
                spare: -1, isOwner: true, isSealed: true, shared: 0))
        record.pointee.outputCount += count
        return true
    }

    private func markDirtyUnlessSending(
        _ record: UnsafeMutablePointer<ConnectionRecord>, _ id: ConnectionID
    ) {
        if record.pointee.flags.isDisjoint(with: [.writeBlocked, .sendInFlight]) {
            markDirty(record, id)
        }
    }

    /// Tells the peer that nothing follows, behind all output.
    func sayFarewell(_ index: Int32) {
        sealOutput(index)
        tls.shutDown(table[index].pointee.stageSlot)
        _ = takeSealed(table[index])
    }

    func endSession(_ index: Int32) {
        tls.close(table[index].pointee.stageSlot)
    }

    // MARK: For the handler

    /// The certificate that the peer has proved to own; nil if it showed none, or is not sealed.
    package func peerCertificate(of connection: ConnectionID) -> PeerCertificate? {
        guard let record = table.find(connection), record.pointee.stage == .sealed
        else { return nil }
        return tls.peerCertificate(record.pointee.stageSlot)
    }

    /// What the handshake of a sealed connection has agreed on.
    package func tlsAgreement(of connection: ConnectionID) -> TLSAgreement? {
        guard let record = table.find(connection), record.pointee.stage == .sealed
        else { return nil }
        return tls.agreement(record.pointee.stageSlot)
    }

    /// What TLS has done on this loop.
    package var tlsCounters: TLSCounters { tls.counters }
}
