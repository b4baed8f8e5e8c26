import Base
import MQTT
import Policy

/// The common forms of fields in requests and answers of the door.
///
/// ```
///  text, bytes: length u16, or u32 where a payload may stand | bytes
///  optional:    flag u8 (0 absent, 1 present) | value
///  list:        count u32 | items
/// ```
extension ByteReader {
    mutating func bytes16(_ bytes: RawSpan) throws(ByteShortage) -> [UInt8] {
        bytes.array(try takeLengthPrefixed16(bytes))
    }

    mutating func bytes32(_ bytes: RawSpan) throws(ByteShortage) -> [UInt8] {
        bytes.array(try takeLengthPrefixed32(bytes))
    }

    /// Text that must be UTF-8.
    mutating func text(_ bytes: RawSpan) throws(ByteShortage) -> String {
        let part = try bytes16(bytes)
        guard let text = String(validating: part, as: UTF8.self) else { throw ByteShortage() }
        return text
    }

    mutating func tenant(_ bytes: RawSpan) throws(ByteShortage) -> TenantName {
        guard let name = TenantName(try text(bytes)) else { throw ByteShortage() }
        return name
    }

    mutating func flag(_ bytes: RawSpan) throws(ByteShortage) -> Bool {
        let value = try readUInt8(bytes)
        guard value <= 1 else { throw ByteShortage() }
        return value == 1
    }

    mutating func qos(_ bytes: RawSpan) throws(ByteShortage) -> QoS {
        guard let qos = QoS(rawValue: try readUInt8(bytes)) else { throw ByteShortage() }
        return qos
    }

    mutating func optional<Value>(
        _ bytes: RawSpan, _ read: (inout ByteReader) throws(ByteShortage) -> Value
    ) throws(ByteShortage) -> Value? {
        try flag(bytes) ? try read(&self) : nil
    }

    /// Every item takes at least one byte, so that a false count ends early.
    mutating func list<Value>(
        _ bytes: RawSpan, _ read: (inout ByteReader) throws(ByteShortage) -> Value
    ) throws(ByteShortage) -> [Value] {
        let count = Int(try readUInt32(bytes))
        guard count <= remaining else { throw ByteShortage() }
        var items: [Value] = []
        items.reserveCapacity(min(count, DoorLimits.pageMax))
        for _ in 0..<count { items.append(try read(&self)) }
        return items
    }
}

extension ByteWriter {
    mutating func append(text: String) { append(lengthPrefixed16: Array(text.utf8.prefix(0xFFFF))) }

    mutating func append(flag: Bool) { append(flag ? 1 : 0) }

    mutating func append(bytes32 bytes: [UInt8]) { append(lengthPrefixed32: bytes.span.bytes) }

    mutating func append<Value>(
        optional value: Value?, _ write: (inout ByteWriter, Value) -> Void
    ) {
        append(flag: value != nil)
        if let value { write(&self, value) }
    }

    mutating func append<Value>(list items: [Value], _ write: (inout ByteWriter, Value) -> Void) {
        append(bigEndian: UInt32(truncatingIfNeeded: items.count))
        for item in items { write(&self, item) }
    }
}
