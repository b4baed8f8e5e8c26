import Base
import MQTT
import Policy

/// Everything that is written to a client.
extension Worker {
    // MARK: Room in the output

    /// Memory for `count` bytes of a session's output; `wrote` follows before anything else.
    @inline(__always)
    func reserve(
        _ count: Int, _ session: UnsafeMutablePointer<Session>
    ) -> UnsafeMutableRawPointer {
        let index = session.pointee.cursor
        if index >= 0 {
            let cursor = cursors[pointer: index]
            if cursor.pointee.room >= count { return cursor.pointee.place }
        }
        return claim(count, session)
    }

    @inline(__always)
    func wrote(_ count: Int, _ session: UnsafeMutablePointer<Session>) {
        let cursor = cursors[pointer: session.pointee.cursor]
        cursor.pointee.place += count
        cursor.pointee.room &-= count
        cursor.pointee.written &+= count
    }

    /// Bytes that the peer has not yet taken from us.
    @inline(__always)
    func outputCount(_ session: UnsafeMutablePointer<Session>) -> Int {
        let index = session.pointee.cursor
        if index < 0 { return port.outputCount(session.pointee.connection) }
        let cursor = cursors[pointer: index]
        return cursor.pointee.before &+ cursor.pointee.written
    }

    @inline(never)
    private func claim(
        _ count: Int, _ session: UnsafeMutablePointer<Session>
    ) -> UnsafeMutableRawPointer {
        settle(session)
        let connection = session.pointee.connection
        let before = port.outputCount(connection)
        let room = port.claimOutput(connection, atLeast: count)
        let place = room.baseAddress.unsafelyUnwrapped
        session.pointee.cursor = cursors.add(
            OutputCursors.Cursor(
                place: place, room: room.count, written: 0, before: before, session: session))
        return place
    }

    /// What was written becomes output of the connection. `sharedCount` bytes of its last packet
    /// follow by reference.
    func settle(_ session: UnsafeMutablePointer<Session>, sharedCount: Int = 0) {
        let index = session.pointee.cursor
        guard index >= 0 else { return }
        session.pointee.cursor = -1
        let cursor = cursors[pointer: index]
        cursor.pointee.session = nil
        let written = cursor.pointee.written
        port.commitOutput(
            session.pointee.connection, cursor.pointee.place - written, written,
            sharedCount: sharedCount)
    }

    /// The port is about to write to the connection by itself.
    package func settleOutput(_ index: Int32) { settle(sessions[pointer: index]) }

    func settleOutputs() {
        for index in 0..<cursors.count {
            if let session = cursors[pointer: index].pointee.session { settle(session) }
        }
        cursors.removeAll()
    }

    // MARK: Control packets

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
        reserve(bytes.count, session).copyMemory(
            from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
        wrote(bytes.count, session)
        metrics.packetsOut &+= 1
    }

    /// Sends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties: the hot form.
    @inline(__always)
    func sendAcknowledgement(
        _ type: PacketType, _ session: UnsafeMutablePointer<Session>, packetID: UInt16,
        reasonCode: ReasonCode
    ) {
        let size = AckEncoding.write(
            type, session.pointee.machine.version, packetID: packetID, reasonCode: reasonCode,
            to: reserve(AckEncoding.shortSizeMax, session))
        wrote(size, session)
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
