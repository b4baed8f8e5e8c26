import Base
import EventLoops
import WebSocket

/// Connections that speak WebSocket: the upgrade, then packets out of frames and into them.
extension WorkerShell {
    func stage(of slot: Int32) -> Int32 {
        // A connection that the worker is just taking over has no slot yet.
        stageOfSlot.indices.contains(Int(slot)) ? stageOfSlot[Int(slot)] : -1
    }

    @inline(__always)
    func stageOf(_ connection: ConnectionKey) -> Int32 {
        stages.count == 0 ? -1 : stage(of: loop.slot(of: id(connection)))
    }

    func addStage(_ slot: Int32, _ upgrade: UpgradeOptions) {
        while stageOfSlot.count <= Int(slot) { stageOfSlot.append(-1) }
        stageOfSlot[Int(slot)] = stages.insert(WebSocketStage(options: upgrade))
    }

    func receiveFrames(
        _ connection: ConnectionID, _ slot: Int32,
        _ stage: UnsafeMutablePointer<WebSocketStage>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        control.removeAll()
        defer { if !control.isEmpty { appendControl(connection, slot) } }
        guard stage.pointee.isUpgraded else {
            return upgrade(connection, slot, stage, bytes)
        }
        if let code = stage.pointee.pendingClose {
            return closeFrames(connection, slot, stage, code, bytes)
        }
        while true {
            switch stage.pointee.decoder.decode(bytes, FrameLimits()) {
            case .exhausted:
                return handOver(slot, stage, bytes)
            case .ping(let payload):
                let range = Int(payload.offset)..<payload.end
                FrameEncoder.appendPong(
                    UnsafeRawBufferPointer(rebasing: bytes[range]), to: &control)
                if stage.pointee.countControl() { continue }
                FrameEncoder.appendClose(.policyViolation, to: &control)
                return endFrames(connection, stage, bytes)
            case .close(let code): return closeFrames(connection, slot, stage, code, bytes)
            case .fault(let code):
                _ = handOver(slot, stage, bytes)
                FrameEncoder.appendClose(code, to: &control)
                return endFrames(connection, stage, bytes)
            }
        }
    }

    /// Answers the client's close, once the worker has had the packets before it.
    private func closeFrames(
        _ connection: ConnectionID, _ slot: Int32,
        _ stage: UnsafeMutablePointer<WebSocketStage>, _ code: CloseCode,
        _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let consumed = handOver(slot, stage, bytes)
        if stage.pointee.decoder.plainCount > 0, worker.isHeld(slot) {
            stage.pointee.pendingClose = code
            return consumed
        }
        FrameEncoder.appendClose(code, to: &control)
        return endFrames(connection, stage, bytes)
    }

    /// Gives the plain bytes to the worker and drops what it took.
    private func handOver(
        _ slot: Int32, _ stage: UnsafeMutablePointer<WebSocketStage>,
        _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let plain = stage.pointee.decoder.plainCount
        let consumed =
            plain == 0
            ? 0
            : worker.receive(slot, UnsafeMutableRawBufferPointer(rebasing: bytes[..<plain]))
        stage.pointee.resetControl(consumed)
        return stage.pointee.decoder.settle(bytes, consumed: consumed)
    }

    private func endFrames(
        _ connection: ConnectionID, _ stage: UnsafeMutablePointer<WebSocketStage>,
        _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        stage.pointee.isOpen = false
        appendControl(connection, loop.slot(of: connection))
        control.removeAll()
        loop.close(connection, afterFlush: true)
        return bytes.count
    }

    /// Frames of our own, behind what the worker has written.
    private func appendControl(_ connection: ConnectionID, _ slot: Int32) {
        if slot >= 0 { worker.settleOutput(slot) }
        loop.append(connection, control.bytes)
    }

    func upgrade(
        _ connection: ConnectionID, _ slot: Int32,
        _ stage: UnsafeMutablePointer<WebSocketStage>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let span = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes))
        switch stage.pointee.upgrade.decode(span, stage.pointee.options) {
        case .needMore: return 0
        case .complete(let request):
            UpgradeEncoder.appendAccept(request, to: &control)
            stage.pointee.isUpgraded = true
            stage.pointee.isOpen = true
            return request.consumed
        case .refused(let refusal):
            UpgradeEncoder.appendRefusal(refusal, to: &control)
            appendControl(connection, slot)
            control.removeAll()
            loop.close(connection, afterFlush: true)
            return bytes.count
        }
    }
}
