import Base

/// Turns the bytes of a WebSocket client into the plain byte stream inside its binary frames, in
/// place, without memory of its own.
///
/// The buffer given to `decode` is what the connection has not consumed yet. It always has this
/// shape, and one pass drops headers and masks while it moves payload down behind what is plain:
///
/// ```
///  before  | plain, kept from last time | header payload header pay...
///  after   | plain ......................................| raw      |   then `end` bytes remain
///            consumed by the MQTT decoder                  the start of a header or control frame
/// ```
///
/// So packets may straddle frames, frames may hold many packets, and a frame is never waited
/// for: whatever part of it has arrived is handed on. Unmasking and moving are one pass.
///
/// A plain value that lives in the connection's record (20 bytes). Bounded by the buffer: it
/// keeps at most `rawBytesMax` bytes that are not plain. Leaves to the caller: answering pings and
/// closes, limiting them (`takeControlCount`), and all timing.
package struct FrameDecoder {
    /// Most bytes that `decode` leaves raw: a whole control frame but for its last byte.
    package static let rawBytesMax = 6 + 125 - 1

    /// Leading bytes of the buffer that are plain: moved by `decode` and `consume`.
    package internal(set) var plain: UInt32 = 0
    /// Dropped bytes between the plain ones and the raw ones; above 0 only between two calls of
    /// `decode` of which the first returned an event.
    package internal(set) var gap: UInt32 = 0
    /// Payload bytes of the open data frame still to come.
    package internal(set) var remaining: UInt32 = 0
    /// The open frame's masking key, turned so that its first byte in memory is the next to use.
    package internal(set) var mask: UInt32 = 0
    /// Ping and pong frames since the last `takeControlCount`, saturating.
    package internal(set) var controlCount: UInt16 = 0
    package internal(set) var phase: Phase = .betweenMessages

    package enum Phase: UInt8 {
        /// The next data frame must begin a message.
        case betweenMessages
        /// A frame without FIN came: the next data frame must be a continuation.
        case insideMessage
        /// A close frame or a fault came: nothing more is decoded.
        case closed
    }

    @inlinable
    package init() {}

    /// Bytes at the front of the buffer that are ready for the packet decoder.
    @inlinable
    package var plainCount: Int { Int(plain) }

    /// Decodes what can be decoded of the connection's unconsumed bytes.
    ///
    /// Call it again with the same bytes until it returns `.exhausted`: then, and only then, the
    /// buffer has its final shape, and bytes from `end` on are garbage. The plain bytes in front
    /// are valid after every event, also after a fault.
    @inlinable
    package mutating func decode(
        _ buffer: UnsafeMutableRawBufferPointer, _ limits: FrameLimits
    ) -> FrameEvent {
        guard let base = buffer.baseAddress, phase != .closed else {
            return .exhausted(end: Int(plain))
        }
        var read = Int(plain) &+ Int(gap)
        invariant(read <= buffer.count, "\(read) bytes decoded of \(buffer.count)")
        while true {
            if remaining > 0 { movePayload(base, from: &read, end: buffer.count) }
            guard remaining == 0,
                let header = FrameHeader(
                    UnsafeRawBufferPointer(start: base + read, count: buffer.count &- read))
            else { return exhausted(base, read: read, end: buffer.count) }
            if let code = fault(of: header, limits) { return fail(code) }
            guard !header.isControl else {
                guard buffer.count &- read >= header.count &+ Int(header.payloadCount) else {
                    return exhausted(base, read: read, end: buffer.count)
                }
                if let event = takeControl(header, base, from: &read) { return event }
                continue
            }
            read &+= header.count
            // A checked limit keeps the length below 2^32.
            remaining = UInt32(truncatingIfNeeded: header.payloadCount)
            mask = header.mask
            phase = header.isFinal ? .betweenMessages : .insideMessage
        }
    }

    /// The caller has taken `count` plain bytes off the front of the buffer.
    @inlinable
    package mutating func consume(_ count: Int) {
        invariant(count >= 0 && count <= Int(plain), "\(count) consumed of \(plain) plain bytes")
        plain &-= UInt32(truncatingIfNeeded: count)
    }

    /// Ping and pong frames since the last call, for the caller's flood limit.
    @inlinable
    package mutating func takeControlCount() -> Int {
        defer { controlCount = 0 }
        return Int(controlCount)
    }

    /// Unmasks what has come of the open frame while moving it down behind the plain bytes.
    @inlinable
    package mutating func movePayload(
        _ base: UnsafeMutableRawPointer, from read: inout Int, end: Int
    ) {
        let count = min(Int(remaining), end &- read)
        Mask.apply(mask, from: base + read, to: base + Int(plain), count: count)
        mask = Mask.turned(mask, by: count)
        plain &+= UInt32(truncatingIfNeeded: count)
        remaining &-= UInt32(truncatingIfNeeded: count)
        read &+= count
    }

    /// Closes the gap: moves the few raw bytes that wait for more down behind the plain ones.
    @inlinable
    package mutating func exhausted(
        _ base: UnsafeMutableRawPointer, read: Int, end: Int
    ) -> FrameEvent {
        gap = 0
        let raw = end &- read
        if raw > 0, read > Int(plain) {
            // Not `copyMemory` by pieces: the two ranges may overlap, which it allows.
            (base + Int(plain)).copyMemory(from: base + read, byteCount: raw)
        }
        return .exhausted(end: Int(plain) &+ raw)
    }

    package mutating func fail(_ code: CloseCode) -> FrameEvent {
        phase = .closed
        return .fault(code)
    }

    /// What is wrong with a header, before any of its payload is looked at.
    @inlinable
    package func fault(of header: FrameHeader, _ limits: FrameLimits) -> CloseCode? {
        guard header.hasValidForm else { return .protocolError }
        switch header.opcode {
        case .binary:
            guard phase == .betweenMessages else { return .protocolError }
        case .continuation:
            guard phase == .insideMessage else { return .protocolError }
        case .close, .ping, .pong:
            return header.isFinal && header.payloadCount <= 125 ? nil : .protocolError
        case .text:
            return .unsupportedData
        }
        return header.payloadCount <= UInt64(limits.frameBytesMax) ? nil : .tooBig
    }

    /// Takes a whole control frame; nil means that nobody needs to know.
    package mutating func takeControl(
        _ header: FrameHeader, _ base: UnsafeMutableRawPointer, from read: inout Int
    ) -> FrameEvent? {
        let start = read + header.count
        let count = Int(header.payloadCount)
        Mask.apply(header.mask, from: base + start, to: base + start, count: count)
        read = start + count
        gap = UInt32(truncatingIfNeeded: read) &- plain
        if header.opcode != .close, controlCount < .max { controlCount += 1 }
        switch header.opcode {
        case .ping:
            return .ping(ByteRange(offset: start, count: count))
        case .close:
            phase = .closed
            return closeEvent(UnsafeRawBufferPointer(start: base + start, count: count))
        case .pong, .text, .binary, .continuation:
            return nil
        }
    }

    private func closeEvent(_ payload: UnsafeRawBufferPointer) -> FrameEvent {
        guard payload.count > 0 else { return .close(.noStatus) }
        guard payload.count >= 2 else { return .fault(.protocolError) }
        let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.maySend else { return .fault(.protocolError) }
        let reason = payload[2...]
        guard String(validating: reason, as: UTF8.self) != nil else {
            return .fault(.invalidPayload)
        }
        return .close(code)
    }
}

/// What one call of `FrameDecoder.decode` ran into.
package enum FrameEvent: Equatable, Sendable {
    /// Nothing more to decode: `end` bytes of the buffer remain in use, of which the first
    /// `plainCount` are plain. More is needed to go on.
    case exhausted(end: Int)
    /// A ping: answer with a pong of these bytes (now unmasked) before decoding on.
    case ping(ByteRange)
    /// The client closes: answer with its code (`.noStatus`: an empty close frame) and close.
    case close(CloseCode)
    /// The client broke the protocol: send a close frame with this code and close.
    case fault(CloseCode)
}

/// What a WebSocket client may send at most.
package struct FrameLimits: Sendable {
    /// Payload bytes of one data frame. Frames are never buffered whole, so this bounds no
    /// memory; it must admit the largest packet. Below 2^32.
    package var frameBytesMax: UInt32

    package init(frameBytesMax: UInt32 = 256 << 20 + 5) {
        self.frameBytesMax = frameBytesMax
    }
}
