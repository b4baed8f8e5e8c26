import Base

/// Turns the bytes of a WebSocket client into the plain byte stream inside its binary frames, in
/// place, without memory of its own.
///
/// The buffer given to `decode` is what the connection has not consumed yet. One pass drops
/// headers and masks while it moves payload down behind what is plain already:
///
/// ```
///  before  | plain, kept from last time | header payload header pay...
///  after   | plain ......................................| gap | raw
///            for the packet decoder                     start of a header or control frame
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

    /// Where plain and raw bytes lie in the buffer.
    package internal(set) var window = PlainWindow()
    /// Payload bytes of the open data frame still to come.
    package internal(set) var remaining: UInt32 = 0
    /// The open frame's masking key, turned so that its first byte in memory is the next to use.
    package internal(set) var mask: UInt32 = 0
    /// Ping and pong frames since the last `takeControlCount`, saturating.
    package internal(set) var controlCount: UInt16 = 0
    package internal(set) var phase: Phase = .betweenMessages

    /// Where in the stream of frames the decoder is.
    package enum Phase: UInt8 {
        /// The next data frame must begin a message.
        case betweenMessages
        /// A frame without FIN came: the next data frame must be a continuation.
        case insideMessage
        /// A close frame or a fault came: nothing more is decoded.
        case closed
    }

    package init() {}

    /// Bytes at the front of the buffer that are ready for the packet decoder.
    package var plainCount: Int { Int(window.plain) }

    /// Decodes what can be decoded of the connection's unconsumed bytes.
    ///
    /// Call it again with the same bytes until it returns `.exhausted`, hand `plainCount` bytes
    /// to the packet decoder, then call `settle`. The plain bytes in front are valid after every
    /// event, also after a fault.
    package mutating func decode(
        _ buffer: UnsafeMutableRawBufferPointer, _ limits: FrameLimits
    ) -> FrameEvent {
        guard let base = buffer.baseAddress, phase != .closed else { return .exhausted }
        invariant(
            window.rawStart <= buffer.count, "\(window) in a buffer of \(buffer.count) bytes")
        while true {
            if remaining > 0 { movePayload(base, end: buffer.count) }
            let read = window.rawStart
            let rest = UnsafeRawBufferPointer(start: base + read, count: buffer.count &- read)
            guard remaining == 0, let header = FrameHeader(rest) else { return .exhausted }
            if let code = fault(of: header, limits) { return fail(code) }
            if header.isControl {
                guard rest.count >= header.count &+ Int(header.payloadCount) else {
                    return .exhausted
                }
                if let event = takeControl(header, base) { return event }
                continue
            }
            window.grow(0, dropping: header.count)
            // A checked limit keeps the length below 2^32.
            remaining = UInt32(truncatingIfNeeded: header.payloadCount)
            mask = header.mask
            phase = header.isFinal ? .betweenMessages : .insideMessage
        }
    }

    /// The packet decoder took `consumed` plain bytes. Returns how many bytes the connection is to
    /// drop from the front of its buffer; the rest is presented again with more behind it.
    package mutating func settle(
        _ buffer: UnsafeMutableRawBufferPointer, consumed: Int
    ) -> Int {
        // After a close or a fault what lies behind the plain bytes is nobody's.
        if phase == .closed, consumed >= plainCount {
            window = PlainWindow()
            return buffer.count
        }
        return window.settle(buffer, consumed: consumed)
    }

    /// Ping and pong frames since the last call, for the caller's flood limit.
    package mutating func takeControlCount() -> Int {
        defer { controlCount = 0 }
        return Int(controlCount)
    }

    /// Unmasks what has come of the open frame while moving it down behind the plain bytes.
    package mutating func movePayload(_ base: UnsafeMutableRawPointer, end: Int) {
        let read = window.rawStart
        let count = min(Int(remaining), end &- read)
        Mask.apply(mask, from: base + read, to: base + Int(window.plain), count: count)
        mask = Mask.turned(mask, by: count)
        window.grow(count, dropping: 0)
        remaining &-= UInt32(truncatingIfNeeded: count)
    }

    package mutating func fail(_ code: CloseCode) -> FrameEvent {
        phase = .closed
        return .fault(code)
    }

    /// What is wrong with a header, before any of its payload is looked at.
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
        _ header: FrameHeader, _ base: UnsafeMutableRawPointer
    ) -> FrameEvent? {
        let start = window.rawStart + header.count
        let count = Int(header.payloadCount)
        Mask.apply(header.mask, from: base + start, to: base + start, count: count)
        window.grow(0, dropping: header.count + count)
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
    /// Nothing more to decode until more bytes arrive.
    case exhausted
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
