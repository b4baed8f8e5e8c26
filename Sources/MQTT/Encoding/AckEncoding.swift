import Base

/// PUBACK, PUBREC, PUBREL and PUBCOMP to bytes.
@usableFromInline
package enum AckEncoding {
    /// Bytes that a short acknowledgement takes at most.
    @usableFromInline
    package static var shortSizeMax: Int { 5 }

    /// The hot form: no properties; the reason code is left out when it is success or the version
    /// has none. Returns its size; `place` has room for `shortSizeMax` bytes.
    @inlinable
    package static func write(
        _ type: PacketType, _ version: ProtocolVersion, packetID: UInt16,
        reasonCode: ReasonCode, to place: UnsafeMutableRawPointer
    ) -> Int {
        let isShort = reasonCode == .success || version != .v5
        place.storeBytes(of: type.rawValue &<< 4 | type.requiredFlags, as: UInt8.self)
        place.storeBytes(of: isShort ? 2 : 3, toByteOffset: 1, as: UInt8.self)
        place.storeBytes(of: packetID.bigEndian, toByteOffset: 2, as: UInt16.self)
        if isShort { return 4 }
        place.storeBytes(of: reasonCode.rawValue, toByteOffset: 4, as: UInt8.self)
        return 5
    }

    /// The same into a writer.
    @inlinable
    package static func write(
        _ type: PacketType, _ version: ProtocolVersion, packetID: UInt16,
        reasonCode: ReasonCode, into writer: inout ByteWriter
    ) {
        let size = reasonCode == .success || version != .v5 ? 4 : 5
        writer.append(count: size) { place in
            if size == 5 {
                _ = write(type, version, packetID: packetID, reasonCode: reasonCode, to: place)
            } else {
                place.storeBytes(of: type.rawValue &<< 4 | type.requiredFlags, as: UInt8.self)
                place.storeBytes(of: 2, toByteOffset: 1, as: UInt8.self)
                place.storeBytes(of: packetID.bigEndian, toByteOffset: 2, as: UInt16.self)
            }
        }
    }

    /// With reason string and user properties, trimmed to `limit`. MQTT 5 only.
    @discardableResult
    package static func encode(
        _ type: PacketType, packetID: UInt16, reasonCode: ReasonCode, reasonString: [UInt8]?,
        userProperties: UserProperties, limit: Int, into writer: inout ByteWriter
    ) -> Bool {
        ResponseTrim.encode(
            limit: limit, reasonString: reasonString, userProperties: userProperties,
            into: &writer
        ) { writer, reasonString, userProperties in
            guard reasonString != nil || !userProperties.isEmpty else {
                write(type, .v5, packetID: packetID, reasonCode: reasonCode, into: &writer)
                return
            }
            writer.appendPacket(type) { writer in
                writer.append(bigEndian: packetID)
                writer.append(reasonCode.rawValue)
                writer.appendMeasured { writer in
                    writer.appendProperty(.reasonString, bytes: reasonString)
                    writer.append(userProperties.bytes)
                }
            }
        }
    }
}

/// PINGREQ and PINGRESP to bytes.
@usableFromInline
package enum PingEncoding {
    @usableFromInline
    package static func pingreq(into writer: inout ByteWriter) {
        writer.append(bigEndian: 0xC000 as UInt16)
    }

    @usableFromInline
    package static func pingresp(into writer: inout ByteWriter) {
        writer.append(bigEndian: 0xD000 as UInt16)
    }
}
