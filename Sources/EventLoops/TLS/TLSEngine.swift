import Base
import CLinux
import COpenSSL

/// TLS of all connections of one loop: bytes in, bytes out, no socket.
///
/// ```
///  receive:  | plain, kept | gap | records ... part of a record |     decrypted in place
///  output:   handshake, alerts, sealed records: gathered here, taken by the loop after each call
/// ```
/// Only whole records are given to OpenSSL, so a connection that waits in the middle of one holds
/// its bytes in the loop's own block and none of OpenSSL's 16 KiB buffers; these exist only during
/// a call. Owned by and confined to a loop. Bounds: `handshakesMax` handshakes at once, each with
/// `handshakeBytesMax` of input; `outputBytesMax` of output per call. Leaves to the loop:
/// deadlines, sockets, and when to read.
package final class TLSEngine {
    /// Bytes of the largest record that TLS 1.2 allows, header included: what stays raw.
    package static let recordBytesMax = 5 + 16384 + 2048
    /// Plain bytes of one record.
    private static let plainBytesMax = 16384

    private struct Session {
        /// Nil until the first whole record has come: a silent connection costs nothing.
        var ssl: OpaquePointer?
        /// Retained for as long as the session exists.
        let context: Unmanaged<TLSContext>
        var window = PlainWindow()
        var phase = Phase.silent
        /// Bytes of the handshake received, saturating.
        var handshakeBytes: UInt32 = 0
        /// What is to be announced after the handshake: kept for the loop.
        var arrival: Int32 = -1
        /// Bytes that the established session has answered by itself (key updates).
        var answeredBytes: UInt32 = 0
    }

    enum Phase: UInt8 {
        case silent
        case handshaking
        case established
        /// The peer has sent close_notify: we may still send.
        case halfClosed
        /// Something failed.
        case ended
    }

    private let pipe: UnsafeMutablePointer<apus_tls_pipe>
    private var sessions = Slab<Session>()
    /// Where small parts are gathered into one record.
    private let gathered: UnsafeMutableRawPointer
    private var gatheredCount = 0
    private let limits: TLSLimits
    package private(set) var counters = TLSCounters()

    package init(_ limits: TLSLimits) {
        self.limits = limits
        pipe = .allocate(capacity: 1)
        pipe.initialize(to: apus_tls_pipe())
        pipe.pointee.out_max = limits.outputBytesMax
        gathered = .allocate(byteCount: Self.plainBytesMax, alignment: 16)
    }

    deinit {
        // Every session was closed before: sessions refer to the pipe.
        free(pipe.pointee.out)
        pipe.deallocate()
        gathered.deallocate()
    }

    // MARK: Life

    /// A session for a connection that was accepted, or one that we open to the server
    /// `serverName` (which its certificate must bear).
    package func open(
        _ context: TLSContext, serverName: String? = nil, resuming ticket: TLSTicket? = nil
    ) -> Int32? {
        let slot = sessions.insert(Session(context: Unmanaged.passRetained(context)))
        counters.sessions += 1
        guard !context.isServer else { return slot }
        guard start(slot) else {
            close(slot)
            return nil
        }
        if let serverName, let ssl = sessions[pointer: slot].pointee.ssl {
            expect(serverName, of: ssl)
        }
        if let ticket { SSL_set_session(sessions[pointer: slot].pointee.ssl, ticket.session) }
        return slot
    }

    /// What the server's certificate must bear: a name, which the hello asks for, or an address.
    private func expect(_ serverName: String, of ssl: OpaquePointer) {
        if IPAddress(serverName) != nil {
            X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName)
        } else {
            _ = apus_tls_set_server_name(ssl, serverName)
            SSL_set1_host(ssl, serverName)
        }
    }

    /// Makes OpenSSL's session; false if it cannot be had.
    private func start(_ slot: Int32) -> Bool {
        let session = sessions[pointer: slot]
        let context = session.pointee.context._withUnsafeGuaranteedRef { $0 }
        guard counters.handshaking < limits.handshakesMax,
            let ssl = apus_tls_session(context.contexts[0], pipe)
        else { return false }
        if context.isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
        session.pointee.ssl = ssl
        session.pointee.phase = .handshaking
        counters.handshaking += 1
        return true
    }

    /// Frees a session.
    package func close(_ slot: Int32) {
        leaveHandshake(slot)
        let session = sessions.remove(slot)
        if let ssl = session.ssl {
            // Else OpenSSL takes an end without farewell for an attack and spoils the ticket.
            SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
            SSL_free(ssl)
        }
        session.context.release()
        counters.sessions -= 1
    }

    private func leaveHandshake(_ slot: Int32) {
        guard sessions[pointer: slot].pointee.phase == .handshaking else { return }
        counters.handshaking -= 1
    }

    // MARK: Input

    /// Decrypts what can be decrypted of the connection's unconsumed bytes, in place: the first
    /// `plainCount` are then for the reader, who tells `settle` what was taken. Take `output`
    /// after every call.
    package func receive(
        _ slot: Int32, _ buffer: UnsafeMutableRawBufferPointer
    ) -> TLSEvent {
        let session = sessions[pointer: slot]
        let rawStart = session.pointee.window.rawStart
        guard !hasEnded(slot), let base = buffer.baseAddress,
            rawStart < buffer.count
        else { return .none }
        let whole = Self.wholeRecords(UnsafeRawBufferPointer(rebasing: buffer[rawStart...]))
        guard whole > 0 else { return .none }
        if session.pointee.phase == .silent, !start(slot) { return fail(slot, Self.busy) }
        ERR_clear_error()
        pipe.pointee.in = UnsafePointer((base + rawStart).assumingMemoryBound(to: UInt8.self))
        pipe.pointee.in_count = whole
        var event = TLSEvent.none
        if session.pointee.phase == .handshaking { event = shakeHands(slot, whole) }
        let plainBefore = session.pointee.window.plain
        if session.pointee.phase == .established, let end = read(slot, base) {
            // An end in the bytes that complete the handshake shows in `hasEnded`.
            if event == .none { event = end }
        }
        let plain = Int(session.pointee.window.plain &- plainBefore)
        session.pointee.window.grow(0, dropping: whole - pipe.pointee.in_count - plain)
        pipe.pointee.in = nil
        pipe.pointee.in_count = 0
        return checkAnswers(slot, event)
    }

    /// A peer could ask for one key update after the other and never read the answers.
    private func checkAnswers(_ slot: Int32, _ event: TLSEvent) -> TLSEvent {
        guard event == .none, sessions[pointer: slot].pointee.phase == .established else {
            return event
        }
        sessions[pointer: slot].pointee.answeredBytes += UInt32(clamping: output.count)
        guard sessions[pointer: slot].pointee.answeredBytes > limits.answeredBytesMax else {
            return event
        }
        return fail(slot, "too many key updates")
    }

    private static let busy = "too many TLS handshakes at once"

    /// Bytes of whole records at the front. Bytes that begin no record count as whole, so that
    /// OpenSSL says what is wrong with them.
    static func wholeRecords(_ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        while bytes.count - offset >= 5 {
            guard let count = recordCount(bytes, offset) else { return bytes.count }
            if bytes.count - offset < count { break }
            offset += count
        }
        // Fewer than five bytes that can begin no record are not waited for either.
        if offset == 0, bytes.count > 0, !(20...24).contains(bytes[0]) { return bytes.count }
        return offset
    }

    private static func recordCount(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int? {
        let count = 5 + Int(bytes[offset + 3]) << 8 + Int(bytes[offset + 4])
        guard (20...24).contains(bytes[offset]), bytes[offset + 1] == 3, count <= recordBytesMax
        else { return nil }
        return count
    }

    /// Starts our side of a connection that we opened: the first bytes are in `output`.
    package func connect(_ slot: Int32) -> TLSEvent {
        ERR_clear_error()
        return shakeHands(slot, 0)
    }

    private func shakeHands(_ slot: Int32, _ received: Int) -> TLSEvent {
        let session = sessions[pointer: slot]
        session.pointee.handshakeBytes &+= UInt32(clamping: received)
        guard session.pointee.handshakeBytes <= UInt32(clamping: limits.handshakeBytesMax) else {
            return fail(slot, "more than \(limits.handshakeBytesMax) bytes of handshake")
        }
        let result = SSL_do_handshake(session.pointee.ssl)
        guard result != 1 else {
            leaveHandshake(slot)
            session.pointee.phase = .established
            counters.handshakes += 1
            if SSL_session_reused(session.pointee.ssl) == 1 { counters.resumed += 1 }
            return .established
        }
        if SSL_get_error(session.pointee.ssl, result) == SSL_ERROR_WANT_READ { return .none }
        return fail(slot, reason(slot))
    }

    /// Reads all that was given, moving plain bytes down behind those kept. Nil: all read.
    private func read(_ slot: Int32, _ base: UnsafeMutableRawPointer) -> TLSEvent? {
        let session = sessions[pointer: slot]
        let ssl = session.pointee.ssl
        while true {
            let pending = SSL_pending(ssl)
            guard pending > 0 || pipe.pointee.in_count > 0, let next = pipe.pointee.in else {
                return nil
            }
            let rest = UnsafeRawBufferPointer(start: next, count: pipe.pointee.in_count)
            let record = pending > 0 ? 0 : (rest.count >= 5 ? Self.recordCount(rest, 0) : nil)
            let target = base + Int(session.pointee.window.plain)
            // A record's plain bytes end before the record did, so nothing unread is overwritten.
            let room = UnsafeRawPointer(next) + (record ?? rest.count) - UnsafeRawPointer(target)
            let count = SSL_read(ssl, target, Int32(clamping: room))
            if count > 0 {
                session.pointee.window.plain += UInt32(count)
                continue
            }
            switch SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ where pipe.pointee.in_count == 0: return nil
            case SSL_ERROR_WANT_READ: continue
            case SSL_ERROR_ZERO_RETURN:
                session.pointee.phase = .halfClosed
                return .closed
            default: return fail(slot, reason(slot))
            }
        }
    }

    /// Whether nothing more will come: closed by the peer, or failed.
    package func hasEnded(_ slot: Int32) -> Bool {
        let phase = sessions[pointer: slot].pointee.phase
        return phase == .ended || phase == .halfClosed
    }

    /// Bytes at the front of the buffer that are ready for the reader.
    package func plainCount(_ slot: Int32) -> Int {
        Int(sessions[pointer: slot].pointee.window.plain)
    }

    /// The reader took `consumed` plain bytes. Returns how many bytes to drop from the front.
    package func settle(
        _ slot: Int32, _ buffer: UnsafeMutableRawBufferPointer, consumed: Int
    ) -> Int {
        sessions[pointer: slot].pointee.window.settle(buffer, consumed: consumed)
    }

    // MARK: Kept for the loop

    package func arrival(_ slot: Int32) -> Int32 { sessions[pointer: slot].pointee.arrival }

    package func setArrival(_ slot: Int32, _ arrival: Int32) {
        sessions[pointer: slot].pointee.arrival = arrival
    }

    // MARK: Output

    /// What the last calls produced for the peer; valid until the next call.
    package var output: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: pipe.pointee.out, count: pipe.pointee.out_count)
    }

    /// The loop has taken `output`. A large buffer is given back, so that one burst does not stay.
    package func clearOutput() {
        pipe.pointee.out_count = 0
        guard pipe.pointee.out_capacity > limits.outputBytesKept else { return }
        free(pipe.pointee.out)
        pipe.pointee.out = nil
        pipe.pointee.out_capacity = 0
    }

    /// Seals bytes for the peer. Small parts wait for others to share a record with: `finish` ends
    /// the batch. False if the session cannot send any more.
    package func seal(_ slot: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        if gatheredCount + bytes.count > Self.plainBytesMax {
            guard finish(slot) else { return false }
            if bytes.count > Self.plainBytesMax { return write(slot, bytes) }
        }
        if let start = bytes.baseAddress {
            (gathered + gatheredCount).copyMemory(from: start, byteCount: bytes.count)
            gatheredCount += bytes.count
        }
        return true
    }

    /// Ends a batch of sealing.
    package func finish(_ slot: Int32) -> Bool {
        guard gatheredCount > 0 else { return true }
        defer { gatheredCount = 0 }
        return write(slot, UnsafeRawBufferPointer(start: gathered, count: gatheredCount))
    }

    private func write(_ slot: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let session = sessions[pointer: slot]
        guard let ssl = session.pointee.ssl, SSL_is_init_finished(ssl) == 1 else { return false }
        ERR_clear_error()
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            var written = 0
            guard SSL_write_ex(ssl, part.baseAddress, part.count, &written) == 1 else {
                session.pointee.phase = .ended
                return false
            }
            rest = rest.dropFirst(written)
        }
        return true
    }

    /// Tells the peer that nothing more will come.
    package func shutDown(_ slot: Int32) {
        let session = sessions[pointer: slot]
        guard let ssl = session.pointee.ssl, SSL_is_init_finished(ssl) == 1,
            session.pointee.phase != .ended
        else { return }
        ERR_clear_error()
        SSL_shutdown(ssl)
    }

    // MARK: Faults

    private func fail(_ slot: Int32, _ reason: String) -> TLSEvent {
        if sessions[pointer: slot].pointee.phase != .established { counters.failed += 1 }
        leaveHandshake(slot)
        sessions[pointer: slot].pointee.phase = .ended
        return .failed(reason)
    }

    /// What OpenSSL has against the peer, in words.
    private func reason(_ slot: Int32) -> String {
        defer { ERR_clear_error() }
        let error = ERR_peek_error()
        if apus_tls_error_reason(error) == SSL_R_CERTIFICATE_VERIFY_FAILED {
            let result = SSL_get_verify_result(sessions[pointer: slot].pointee.ssl)
            if let text = X509_verify_cert_error_string(result) {
                return "certificate refused: " + String(cString: text)
            }
        }
        guard let text = ERR_reason_error_string(error) else { return "the peer broke off" }
        return String(cString: text)
    }

    // MARK: What was agreed

    /// The certificate that the peer has proved to own, if it showed one.
    package func peerCertificate(_ slot: Int32) -> PeerCertificate? {
        guard let ssl = sessions[pointer: slot].pointee.ssl,
            let certificate = SSL_get1_peer_certificate(ssl)
        else { return nil }
        defer { X509_free(certificate) }
        return PeerCertificate(certificate)
    }

    /// What lets a client's next handshake with the same server be short: take it after bytes of
    /// the server have been read.
    package func ticket(_ slot: Int32) -> TLSTicket? {
        guard let session = SSL_get1_session(sessions[pointer: slot].pointee.ssl) else {
            return nil
        }
        return TLSTicket(session)
    }

    /// Version, cipher and application protocol of an established session.
    package func agreement(_ slot: Int32) -> TLSAgreement? {
        guard let ssl = sessions[pointer: slot].pointee.ssl, SSL_is_init_finished(ssl) == 1,
            let version = SSL_get_version(ssl),
            let cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))
        else { return nil }
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        let selected = UnsafeBufferPointer(start: name, count: Int(count))
        return TLSAgreement(
            version: String(cString: version), cipher: String(cString: cipher),
            applicationProtocol: selected.isEmpty
                ? nil : String(decoding: selected, as: UTF8.self),
            serverName: SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map {
                String(cString: $0)
            },
            isResumed: SSL_session_reused(ssl) == 1)
    }
}
