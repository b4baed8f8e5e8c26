import Base
import MQTT
import Policy

/// Everything that is written to a client.
extension Worker {
    /// Sends a control packet, written by `write` into the scratch writer.
    ///
    /// Returns false if nothing was written: the packet does not fit what the client takes.
    @discardableResult
    func send<Outcome>(
        _ session: UnsafeMutablePointer<Session>, _ write: (inout ByteWriter) -> Outcome
    ) -> Bool {
        scratch.removeAll()
        _ = write(&scratch)
        guard !scratch.isEmpty else { return false }
        append(session, scratch.bytes)
        return true
    }

    private func append(
        _ session: UnsafeMutablePointer<Session>, _ bytes: UnsafeRawBufferPointer
    ) {
        let connection = session.pointee.connection
        let place = port.reserveOutput(connection, bytes.count)
        place.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
        port.commitOutput(connection, bytes.count)
        metrics.packetsOut &+= 1
    }

    /// Sends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties: the hot form.
    @inline(__always)
    func sendAcknowledgement(
        _ type: PacketType, _ session: UnsafeMutablePointer<Session>, packetID: UInt16,
        reasonCode: ReasonCode
    ) {
        let connection = session.pointee.connection
        let place = port.reserveOutput(connection, AckEncoding.shortSizeMax)
        let size = AckEncoding.write(
            type, session.pointee.machine.version, packetID: packetID, reasonCode: reasonCode,
            to: place)
        port.commitOutput(connection, size)
        metrics.packetsOut &+= 1
    }

    func writeConnack(
        _ session: UnsafeMutablePointer<Session>, _ version: ProtocolVersion,
        _ reasonCode: ReasonCode, reason: String? = nil
    ) {
        var packet = ConnackPacket(sessionPresent: false, reasonCode: reasonCode)
        packet.properties.reasonString = reason.map { Array($0.utf8) }
        let limit = Int(session.pointee.packetSizeMax)
        send(session) { packet.encode(version, limit: limit, into: &$0) }
    }

    /// Ends a connection from our side: DISCONNECT with a reason in 5.0, then close once it is
    /// sent; in 3.x just close. Before CONNACK, a CONNACK that says why.
    func disconnect(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, _ reasonCode: ReasonCode,
        _ event: @autoclosure () -> Event, reason: String? = nil, serverReference: [UInt8]? = nil
    ) {
        if session.pointee.phase != .live {
            refuseUnfinished(session, reasonCode, reason: reason)
        } else if session.pointee.machine.version == .v5 {
            var packet = DisconnectPacket(reasonCode: reasonCode)
            if session.pointee.flags.contains(.problemInformation) {
                packet.reasonString = reason.map { Array($0.utf8) }
            }
            packet.serverReference = serverReference
            let limit = Int(session.pointee.packetSizeMax)
            send(session) { packet.encode(.v5, limit: limit, into: &$0) }
        }
        end(session, index, event())
    }

    /// The CONNACK of a CONNECT that is under way and comes to nothing. Some codes of DISCONNECT
    /// do not exist there: to the client the server is not available then.
    private func refuseUnfinished(
        _ session: UnsafeMutablePointer<Session>, _ reasonCode: ReasonCode, reason: String?
    ) {
        guard session.pointee.phase != .awaitsConnect, session.pointee.phase != .closing else {
            return
        }
        let code = reasonCode.isAllowed(in: .connack) ? reasonCode : .serverUnavailable
        writeConnack(session, session.pointee.machine.version, code, reason: reason)
    }
}
