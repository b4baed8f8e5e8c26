/// The first 2 to 14 bytes of a frame (RFC 6455, 5.2), as read, not yet judged.
///
/// ```
///  byte 0: FIN RSV RSV RSV opcode(4)   byte 1: MASK length(7)   [length 16 or 64]   [mask 32]
/// ```
package struct FrameHeader {
    package let opcode: Opcode
    package let isFinal: Bool
    /// False for anything no client may send: reserved bits or opcodes, no mask, a length not in
    /// its shortest form or of 2^63 and more.
    package let hasValidForm: Bool
    /// Bytes of the header itself.
    package let count: Int
    package let payloadCount: UInt64
    /// The masking key as it lies in memory.
    package let mask: UInt32

    /// Nil if the bytes end inside the header. A header that is wrong in its first two bytes is
    /// returned at once, without waiting for the rest.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 2 else { return nil }
        let first = bytes[0]
        let second = bytes[1]
        isFinal = first & 0x80 != 0
        let known = Opcode(rawValue: first & 0x0F)
        opcode = known ?? .continuation
        let isMasked = second & 0x80 != 0
        guard known != nil, isMasked, first & 0x70 == 0 else {
            hasValidForm = false
            count = 2
            payloadCount = 0
            mask = 0
            return
        }
        let short = UInt64(second & 0x7F)
        let lengthCount = short < 126 ? 0 : short == 126 ? 2 : 8
        count = 2 &+ lengthCount &+ 4
        guard bytes.count >= count else { return nil }
        switch lengthCount {
        case 0:
            payloadCount = short
            hasValidForm = true
        case 2:
            let length = bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self).bigEndian
            payloadCount = UInt64(length)
            hasValidForm = length >= 126
        default:
            let length = bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self).bigEndian
            payloadCount = length
            hasValidForm = length > 0xFFFF && length < 1 << 63
        }
        mask = bytes.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
    }

    package var isControl: Bool { opcode.rawValue & 0x08 != 0 }
}

/// The meaning of a frame.
package enum Opcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA
}

/// The reason in a close frame (RFC 6455, 7.4). A number, because clients may bring their own.
package struct CloseCode: RawRepresentable, Equatable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = CloseCode(rawValue: 1000)
    package static let goingAway = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    /// A kind of data that MQTT has no use for: text.
    package static let unsupportedData = CloseCode(rawValue: 1003)
    /// Stands for a close frame without a code; never on the wire.
    package static let noStatus = CloseCode(rawValue: 1005)
    package static let invalidPayload = CloseCode(rawValue: 1007)
    package static let policyViolation = CloseCode(rawValue: 1008)
    package static let tooBig = CloseCode(rawValue: 1009)
    package static let internalError = CloseCode(rawValue: 1011)
    package static let tryAgainLater = CloseCode(rawValue: 1013)

    /// True if the code may stand in a close frame.
    package var maySend: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
