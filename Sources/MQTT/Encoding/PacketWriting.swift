import Base

/// The pieces from which the encoders of control packets are made.
extension ByteWriter {
    mutating func append(variable value: Int) {
        reserve(4)
        var rest = value
        while rest >= 128 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    /// Writes the body, then puts its length in front of it.
    mutating func appendMeasured(_ body: (inout ByteWriter) -> Void) {
        let start = count
        body(&self)
        let length = count - start
        invariant(length <= VariableByteInteger.maximum, "packet of \(length) bytes")
        let size = VariableByteInteger.size(of: length)
        openGap(size, at: start)
        var rest = length
        for index in 0..<size {
            let more: UInt8 = index < size - 1 ? 0x80 : 0
            patch(bigEndian: UInt8(truncatingIfNeeded: rest & 0x7F) | more, at: start + index)
            rest >>= 7
        }
    }

    /// A whole packet with the flags that its type requires.
    mutating func appendPacket(_ type: PacketType, _ body: (inout ByteWriter) -> Void) {
        append(type.rawValue << 4 | type.requiredFlags)
        appendMeasured(body)
    }

    mutating func appendProperty(_ id: PropertyID, byte value: UInt8) {
        append(id.rawValue)
        append(value)
    }

    mutating func appendProperty(_ id: PropertyID, uint16 value: UInt16) {
        append(id.rawValue)
        append(bigEndian: value)
    }

    mutating func appendProperty(_ id: PropertyID, uint32 value: UInt32) {
        append(id.rawValue)
        append(bigEndian: value)
    }

    /// Nothing if the value is absent.
    mutating func appendProperty(_ id: PropertyID, uint32 value: UInt32?) {
        if let value { appendProperty(id, uint32: value) }
    }

    /// Nothing if the value is absent; cut at 65,535 bytes.
    mutating func appendProperty(_ id: PropertyID, bytes value: [UInt8]?) {
        guard let value else { return }
        append(id.rawValue)
        append(lengthPrefixed16: value.count > 0xFFFF ? Array(value.prefix(0xFFFF)) : value)
    }
}

/// How an answer is made to fit the receiver's maximum packet size.
package enum ResponseTrim {
    /// Encodes with reason string and user properties; if that is longer than `limit`, without the
    /// reason string; if it still is, without both. Returns false and writes nothing if even that
    /// does not fit. Every answer that carries them goes through here ([MQTT-3.4.2-2] and its
    /// like).
    static func encode(
        limit: Int, reasonString: [UInt8]?, userProperties: UserProperties,
        into writer: inout ByteWriter,
        _ body: (inout ByteWriter, [UInt8]?, UserProperties) -> Void
    ) -> Bool {
        let start = writer.count
        let none = UserProperties()
        body(&writer, reasonString, userProperties)
        if writer.count - start <= limit { return true }
        writer.truncate(to: start)
        if reasonString != nil, !userProperties.isEmpty {
            body(&writer, nil, userProperties)
            if writer.count - start <= limit { return true }
            writer.truncate(to: start)
        }
        body(&writer, nil, none)
        if writer.count - start <= limit { return true }
        writer.truncate(to: start)
        return false
    }
}
