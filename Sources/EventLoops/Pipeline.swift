import Base

/// What stands between a connection's socket and its handler.
///
/// ```
///  socket -> raw bytes -> ingest: by stage -> handler.received
///  socket <- raw bytes <- seal:   by stage <- append, reserveOutput
/// ```
/// A listener says in which stage its connections begin. A stage that is done moves the connection
/// to the next one and, at the last, announces it. Stages keep what they know in arenas of their
/// own, by the record's `stageSlot`. Each stage is one case here, and one branch in each of the
/// functions below; nothing else in the loop knows of stages.
enum PipelineStage: UInt8 {
    /// Bytes pass as they are.
    case open
}

extension EventLoop {
    /// A connection was taken: its first stage begins.
    func beginPipeline(_ index: Int32, peer: PeerAddress, local: PeerAddress) {
        switch table[index].pointee.stage {
        case .open: announce(index, peer: peer, local: local)
        }
    }

    /// Raw bytes from the socket, kept ones in front. Returns how many were consumed.
    func ingest(_ index: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        switch table[index].pointee.stage {
        case .open: return present(index, bytes)
        }
    }

    /// Called before a connection's output chain is sent: a stage that changes bytes replaces the
    /// ones it has not seen yet.
    func seal(_ index: Int32) {
        switch table[index].pointee.stage {
        case .open: break
        }
    }

    /// The connection is being released: its stage frees what it holds.
    func endPipeline(_ index: Int32) {
        switch table[index].pointee.stage {
        case .open: break
        }
    }

    /// The last stage is reached: the handler learns of the connection.
    func announce(_ index: Int32, peer: PeerAddress, local: PeerAddress) {
        table[index].pointee.flags.insert(.announced)
        counters.accepted += 1
        handler?.accepted(
            table.id(of: index), listener: Int(table[index].pointee.listener), peer: peer,
            local: local)
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
