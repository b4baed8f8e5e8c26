import Base

/// The stage of a connection that begins with a PROXY header.
extension EventLoop {
    func beginProxy(_ index: Int32, _ arrival: Arrival) {
        table[index].pointee.stageSlot = arrivals.insert(arrival)
        guard let proxy = listeners[Int(table[index].pointee.listener)].proxy,
            proxy.trusts(arrival.peer.ip)
        else {
            let reason = "\(arrival.peer) is in no trusted network and may send no PROXY header"
            return doom(index, .handshakeFailed(reason), flush: false)
        }
    }

    func ingestProxy(_ index: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let listener = listeners[Int(table[index].pointee.listener)]
        guard let proxy = listener.proxy else { return bytes.count }
        let raw = UnsafeRawBufferPointer(bytes)
        switch ProxyDecoder.decode(RawSpan(_unsafeBytes: raw), proxy) {
        case .needMore:
            return 0
        case .refused(let fault):
            doom(index, .handshakeFailed("PROXY header: \(fault)"), flush: false)
            return bytes.count
        case .complete(let consumed, let source):
            passProxy(index, source, sealed: listener.tls != nil)
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[consumed...])
            if rest.isEmpty || table[index].pointee.flags.contains(.doomed) { return bytes.count }
            if table[index].pointee.flags.contains(.paused) { return consumed }
            return consumed + ingest(index, rest)
        }
    }

    /// The header is read: the connection is whose it says.
    private func passProxy(_ index: Int32, _ source: ProxySource, sealed: Bool) {
        let slot = table[index].pointee.stageSlot
        switch source {
        case .socket: break
        case .unix: arrivals[pointer: slot].pointee.peer = .unix
        case .address(let peer, let destination):
            arrivals[pointer: slot].pointee.peer = peer
            arrivals[pointer: slot].pointee.local = destination
        }
        table[index].pointee.stageSlot = -1
        guard letIn(index, peer: arrivals[pointer: slot].pointee.peer) else {
            arrivals.remove(slot)
            return
        }
        if sealed {
            beginHandshake(index, slot)
        } else {
            table[index].pointee.stage = .open
            announce(index, arrival: slot)
        }
    }
}
