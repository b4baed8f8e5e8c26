import Base
import WebSocket

/// Turns the frames of a WebSocket server into plain bytes, in place: the client's counterpart of
/// `FrameDecoder`, for servers that frame correctly or are cut off.
///
/// A plain value in the client's record; see `PlainWindow` for how the buffer is used.
package struct ServerFrameWindow {
    private var window = PlainWindow()
    /// Payload bytes of the open frame still to come.
    private var remaining: UInt32 = 0

    package init() {}

    package enum Event: Equatable, Sendable {
        case exhausted
        case ping(ByteRange)
        case close
        case fault
    }

    package var plainCount: Int { Int(window.plain) }

    /// To be called until it is exhausted, with the same bytes.
    package mutating func decode(_ buffer: UnsafeMutableRawBufferPointer) -> Event {
        guard let base = buffer.baseAddress else { return .exhausted }
        while true {
            let start = window.rawStart
            if remaining > 0 {
                let count = min(Int(remaining), buffer.count - start)
                (base + Int(window.plain)).copyMemory(from: base + start, byteCount: count)
                window.grow(count, dropping: 0)
                remaining -= UInt32(count)
            }
            let read = window.rawStart
            guard remaining == 0, buffer.count - read >= 2 else { return .exhausted }
            let first = buffer[read]
            let second = buffer[read + 1]
            // Servers do not mask; no extension was asked for.
            guard second < 0x80, first & 0x70 == 0 else { return .fault }
            guard let (header, payload) = Self.size(buffer, read) else { return .exhausted }
            guard payload < 1 << 31 else { return .fault }
            switch Opcode(rawValue: first & 0x0F) {
            case .binary, .continuation:
                window.grow(0, dropping: header)
                remaining = UInt32(payload)
            case .close: return .close
            case .ping, .pong:
                guard buffer.count - read >= header + payload else { return .exhausted }
                window.grow(0, dropping: header + payload)
                if first & 0x0F == Opcode.ping.rawValue {
                    return .ping(ByteRange(offset: read + header, count: payload))
                }
            case .text, nil: return .fault
            }
        }
    }

    /// The client took `consumed` plain bytes: how many to drop from the front.
    package mutating func settle(_ buffer: UnsafeMutableRawBufferPointer, consumed: Int) -> Int {
        window.settle(buffer, consumed: consumed)
    }

    private static func size(
        _ buffer: UnsafeMutableRawBufferPointer, _ at: Int
    ) -> (header: Int, payload: Int)? {
        let short = Int(buffer[at + 1])
        if short < 126 { return (2, short) }
        let lengthCount = short == 126 ? 2 : 8
        guard buffer.count - at >= 2 + lengthCount else { return nil }
        var length: UInt64 = 0
        for index in 0..<lengthCount { length = length << 8 | UInt64(buffer[at + 2 + index]) }
        return (2 + lengthCount, Int(clamping: length))
    }
}

/// Frames of a client around packets that are written in place.
enum ClientFraming {
    static let headerMax = 14

    /// Bytes in front of a payload.
    static func headerSize(_ payload: Int) -> Int {
        payload < 126 ? 6 : payload <= 0xFFFF ? 8 : 14
    }

    /// Writes the header and masks the payload that stands behind it.
    static func finish(_ place: UnsafeMutableRawPointer, payload: Int, mask: UInt32) {
        place.storeBytes(of: 0x82, as: UInt8.self)
        let size = headerSize(payload)
        switch size {
        case 6: place.storeBytes(of: 0x80 | UInt8(payload), toByteOffset: 1, as: UInt8.self)
        case 8:
            place.storeBytes(of: 0x80 | 126, toByteOffset: 1, as: UInt8.self)
            place.storeBytes(of: UInt16(payload).bigEndian, toByteOffset: 2, as: UInt16.self)
        default:
            place.storeBytes(of: 0x80 | 127, toByteOffset: 1, as: UInt8.self)
            place.storeBytes(of: UInt64(payload).bigEndian, toByteOffset: 2, as: UInt64.self)
        }
        place.storeBytes(of: mask, toByteOffset: size - 4, as: UInt32.self)
        Mask.apply(mask, from: place + size, to: place + size, count: payload)
    }
}
