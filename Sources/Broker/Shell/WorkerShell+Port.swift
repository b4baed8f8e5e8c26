import Base
import EventLoops
import MQTT
import Policy
import WebSocket

/// What Core asks for (`WorkerPort`): output, input, access, figures.
extension WorkerShell {
    @inline(__always)
    func id(_ connection: ConnectionKey) -> ConnectionID {
        ConnectionID(rawValue: connection.rawValue)
    }

    func claimOutput(
        _ connection: ConnectionKey, atLeast count: Int
    ) -> UnsafeMutableRawBufferPointer {
        guard stageOf(connection) >= 0 else {
            return loop.claimOutput(id(connection), atLeast: count)
        }
        // Room for a frame header in front of the packets; they move up if it turns out shorter.
        let header = FrameEncoder.headerBytesMax
        let room = loop.claimOutput(id(connection), atLeast: count + header)
        return UnsafeMutableRawBufferPointer(rebasing: room[header...])
    }

    /// On a WebSocket, what was claimed at once is one frame.
    func commitOutput(
        _ connection: ConnectionKey, _ start: UnsafeMutableRawPointer, _ count: Int,
        sharedCount: Int
    ) {
        guard stageOf(connection) >= 0, count > 0 else {
            loop.commitOutput(id(connection), count)
            return
        }
        let header = FrameEncoder.headerCount(count + sharedCount)
        let frame = start - FrameEncoder.headerBytesMax
        // The ranges overlap, which copyMemory allows.
        if header < FrameEncoder.headerBytesMax {
            (frame + header).copyMemory(from: start, byteCount: count)
        }
        FrameEncoder.writeHeader(payloadCount: count + sharedCount, at: frame)
        loop.commitOutput(id(connection), header + count)
    }

    func appendShared(_ connection: ConnectionKey, _ block: SharedBlock, _ part: Range<Int>) {
        loop.appendShared(id(connection), block, part)
    }

    func outputCount(_ connection: ConnectionKey) -> Int { loop.outputCount(id(connection)) }

    func close(_ connection: ConnectionKey, afterFlush: Bool) {
        let stage = stageOf(connection)
        if stage >= 0, stages[pointer: stage].pointee.isOpen {
            stages[pointer: stage].pointee.isOpen = false
            // Not by `control`, which may hold answers to frames that are being handled.
            var close = ByteWriter(capacity: 8)
            FrameEncoder.appendClose(.normal, to: &close)
            loop.append(id(connection), close.bytes)
        }
        loop.close(id(connection), afterFlush: afterFlush)
    }

    func pauseInput(_ connection: ConnectionKey) { loop.pauseReading(id(connection)) }

    func resumeInput(_ connection: ConnectionKey) { loop.resumeReading(id(connection)) }

    func setInputLimit(_ connection: ConnectionKey, _ byteCount: Int) {
        // A WebSocket keeps frame headers between the pieces of a packet (a quarter at most).
        let room = stageOf(connection) < 0 ? 0 : byteCount / 4 + FrameDecoder.rawBytesMax
        loop.setInputLimit(id(connection), byteCount + room + FixedHeader.sizeMax)
    }

    func backlog(to place: Place) -> Int { loop.mailBacklog(to: place.worker) }

    // MARK: Access

    func permissions(for client: ClientIdentity) -> Permissions {
        access.permissions(for: client)
    }

    var authoriserEpoch: UInt64 { access.authoriserEpoch }

    func judge(
        _ action: AccessAction, of client: ClientIdentity, token: UInt64
    ) -> AccessVerdict? {
        access.judge(action, of: client, worker: loop.worker, token: token)
    }

    func authenticate(_ request: AuthenticationRequest, token: UInt64) -> AuthenticationResult? {
        access.authenticate(request, worker: loop.worker, token: token)
    }

    func continueAuthentication(
        _ exchange: any AuthenticationExchange, _ data: [UInt8], token: UInt64
    ) -> AuthenticationResult? {
        access.continueAuthentication(exchange, data, worker: loop.worker, token: token)
    }

    // MARK: The door and figures

    func describe(_ connection: ConnectionKey, listener: UInt16) -> OutsideView {
        OutsideView(
            peer: loop.peerAddress(of: id(connection))?.description ?? "",
            listener: Int(listener) < listeners.count ? listeners[Int(listener)].name : "",
            isWebSocket: stageOf(connection) >= 0)
    }

    func answerDoor(_ ticket: UInt64, _ answer: [UInt8]) {
        options.door?.complete(ticket, answer)
    }

    func fill(_ figures: inout WorkerFigures) {
        let counters = loop.counters
        figures[.turns] = counters.turns
        figures[.turnNanosecondsAverage] = counters.turnAverage
        figures[.turnNanosecondsLongest] = counters.turnLongest
        figures[.bytesIn] = counters.bytesIn
        figures[.bytesOut] = counters.bytesOut
        figures[.reads] = counters.reads
        figures[.sends] = counters.sends
        figures[.wakes] = counters.wakes
        figures[.mailDeferred] = counters.mailDeferred
        figures[.acceptPauses] = counters.acceptPauses
        figures[.connectionsRefused] = counters.refused
        figures[.bufferShortages] = counters.bufferShortages
        figures[.poolBytesInUse] = UInt64(clamping: counters.poolInUse)
        figures[.poolBytesKept] = UInt64(clamping: counters.poolKept)
        fillMemory(&figures)
    }

    private func fillMemory(_ figures: inout WorkerFigures) {
        let memory = loop.memory
        figures[.memoryConnections] = UInt64(memory.connections)
        figures[.memoryTimers] += UInt64(memory.timers)
        // Blocks of mail are taken on one loop and given back on another.
        figures[.memoryBlocksUsed] = UInt64(clamping: memory.blocksUsed)
        figures[.memoryBlocksKept] = UInt64(clamping: memory.blocksKept)
        figures[.memoryReceiveBuffers] = UInt64(memory.receiveBuffers)
        figures[.memoryMail] = UInt64(selfMailBytes)
    }
}
