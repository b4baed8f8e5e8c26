import Base
import EventLoops
import MQTT

/// Input: frames, packets, and what each asks for. Runs for every message received; nothing is
/// allocated for PUBLISH and its acknowledgements.
extension LoadWorker {
    func accepted(
        _ connection: ConnectionID, listener: Int, peer: PeerAddress, local: PeerAddress
    ) {}

    func received(
        _ connection: ConnectionID, bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let place = Int(loop.slot(of: connection))
        guard place >= 0 else { return bytes.count }
        let client = clients + place
        guard usesFrames else { return readPackets(client, bytes) }
        var taken = 0
        if client.pointee.phase == .upgrading {
            guard let count = takeUpgrade(client, bytes) else { return 0 }
            taken = count
        }
        let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[taken...])
        return taken + readFrames(client, rest)
    }

    private func readFrames(
        _ client: UnsafeMutablePointer<LoadClient>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        decoding: while true {
            switch client.pointee.frames.decode(bytes) {
            case .exhausted: break decoding
            // No broker that we know of pings; its next ping finds the connection closed.
            case .ping: refuse(client, "the server pings by frame")
            case .close, .fault:
                refuse(client, "the server's frames ended")
                return bytes.count
            }
        }
        let plain = UnsafeMutableRawBufferPointer(
            rebasing: bytes[..<client.pointee.frames.plainCount])
        let consumed = readPackets(client, plain)
        return client.pointee.frames.settle(bytes, consumed: consumed)
    }

    private func readPackets(
        _ client: UnsafeMutablePointer<LoadClient>, _ bytes: UnsafeMutableRawBufferPointer
    ) -> Int {
        let span = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(bytes))
        let now = clock
        var offset = 0
        while true {
            switch FixedHeader.decode(span, offset: offset, maximumPacketSize: .max) {
            case .needMore: return offset
            case .fault(let fault):
                refuse(client, "the broker's packet: \(fault)")
                return bytes.count
            case .frame(let header):
                do throws(DecodeFault) {
                    try read(client, header, span, now)
                } catch {
                    refuse(client, "the broker's packet: \(error)")
                    return bytes.count
                }
                offset += header.totalSize
            }
        }
    }

    @inline(__always)
    private func read(
        _ client: UnsafeMutablePointer<LoadClient>, _ header: FixedHeader, _ bytes: RawSpan,
        _ now: UInt64
    ) throws(DecodeFault) {
        switch header.type {
        case .publish:
            let packet = try PublishPacket.decode(header, bytes, decodeOptions)
            takePublish(client, packet, bytes, header.totalSize, now)
        case .puback, .pubrec, .pubcomp:
            let packet = try AckPacket.decode(header, bytes, decodeOptions)
            takeAcknowledgement(client, header.type, packet, now)
        case .pubrel:
            let packet = try AckPacket.decode(header, bytes, decodeOptions)
            client.pointee.receivedIDs.remove(packet.packetID)
            acknowledge(client, .pubcomp, packet.packetID)
        case .connack, .suback, .unsuback, .pingresp, .disconnect, .auth, .connect,
            .subscribe, .unsubscribe, .pingreq:
            try readRare(client, Packet.decode(header, bytes, decodeOptions))
        }
    }

    private func readRare(_ client: UnsafeMutablePointer<LoadClient>, _ packet: Packet) {
        switch packet {
        case .connack(let packet): greeted(client, packet)
        case .suback(let packet): subscribed(client, packet)
        case .disconnect(let packet): exchange.note("DISCONNECT: \(packet.reasonCode)")
        case .unsuback, .pingresp: break
        case .connect, .publish, .acknowledgement, .subscribe, .unsubscribe, .pingreq, .auth:
            refuse(client, "a packet that no broker sends here")
        }
    }

    // MARK: Messages

    @inline(__always)
    private func takePublish(
        _ client: UnsafeMutablePointer<LoadClient>, _ packet: PublishPacket, _ bytes: RawSpan,
        _ size: Int, _ now: UInt64
    ) {
        switch packet.qos {
        case .atMostOnce: break
        case .atLeastOnce: acknowledge(client, .puback, packet.packetID)
        case .exactlyOnce:
            acknowledge(client, .pubrec, packet.packetID)
            guard client.pointee.receivedIDs.insert(packet.packetID) else {
                state.pointee.counters.redelivered += 1
                return
            }
        }
        state.pointee.counters.receivedBytes += UInt64(size)
        if packet.retain { state.pointee.counters.retainedReceived += 1 }
        bytes.withUnsafeBytes { bytes in
            check(
                client, UnsafeRawBufferPointer(rebasing: bytes[packet.payload.range]), now)
        }
    }

    @inline(__always)
    private func acknowledge(
        _ client: UnsafeMutablePointer<LoadClient>, _ type: PacketType, _ packetID: UInt16
    ) {
        emit(client, 4) { place in
            _ = AckEncoding.write(
                type, plan.target.version, packetID: packetID, reasonCode: .success, to: place)
        }
    }

    // MARK: Acknowledgements

    private func takeAcknowledgement(
        _ client: UnsafeMutablePointer<LoadClient>, _ type: PacketType, _ packet: AckPacket,
        _ now: UInt64
    ) {
        guard client.pointee.publisher >= 0 else {
            return refuse(client, "an acknowledgement of nothing")
        }
        let publisher = publishers + Int(client.pointee.publisher)
        let isRefused = packet.reasonCode.rawValue >= 0x80
        let step: PacketIDWindow.Step
        if type == .pubrec, !isRefused {
            step = publisher.pointee.window.release(packet.packetID)
        } else {
            step = publisher.pointee.window.finish(
                packet.packetID, wasReleased: type == .pubcomp)
        }
        switch step {
        case .released: acknowledge(client, .pubrel, packet.packetID)
        case .unknown: state.pointee.counters.protocolErrors += 1
        case .done(let intended):
            state.pointee.counters.acknowledged += 1
            if isRefused {
                state.pointee.counters.refused += 1
                exchange.note("PUBLISH refused: \(packet.reasonCode)")
            }
            if isMeasured(intended) {
                state.pointee.acknowledgement.record(now > intended ? now - intended : 0)
            }
            activate(client.pointee.publisher)
        }
    }
}
