import Base

extension ConnackPacket {
    /// Encodes for `version`, trimmed to `limit` bytes. Returns false and writes nothing if the
    /// version has no CONNACK for the reason code, or if it cannot fit.
    @discardableResult
    package func encode(
        _ version: ProtocolVersion, limit: Int, into writer: inout ByteWriter
    ) -> Bool {
        guard version == .v5 else {
            guard let code = reasonCode.connackReturnCode else { return false }
            // MQTT 3.1 has no session present flag.
            let flags: UInt8 = version == .v311 && sessionPresent && code == 0 ? 1 : 0
            writer.append([0x20, 2, flags, code])
            return true
        }
        return ResponseTrim.encode(
            limit: limit, reasonString: properties.reasonString,
            userProperties: properties.userProperties, into: &writer
        ) { writer, reasonString, userProperties in
            writer.appendPacket(.connack) { writer in
                writer.append(sessionPresent && !reasonCode.isFailure ? 1 : 0 as UInt8)
                writer.append(reasonCode.rawValue)
                writer.appendMeasured { writer in
                    properties.encode(into: &writer)
                    writer.appendProperty(.reasonString, bytes: reasonString)
                    writer.append(userProperties.bytes)
                }
            }
        }
    }
}

extension ConnackProperties {
    /// Everything but reason string and user properties.
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.appendProperty(.sessionExpiryInterval, uint32: sessionExpiryInterval)
        if receiveMaximum != 65_535 {
            writer.appendProperty(.receiveMaximum, uint16: receiveMaximum)
        }
        if maximumQoS != .exactlyOnce {
            writer.appendProperty(.maximumQoS, byte: maximumQoS.rawValue)
        }
        if !retainAvailable { writer.appendProperty(.retainAvailable, byte: 0) }
        writer.appendProperty(.maximumPacketSize, uint32: maximumPacketSize)
        writer.appendProperty(.assignedClientIdentifier, bytes: assignedClientID)
        if topicAliasMaximum != 0 {
            writer.appendProperty(.topicAliasMaximum, uint16: topicAliasMaximum)
        }
        if !wildcardSubscriptionAvailable {
            writer.appendProperty(.wildcardSubscriptionAvailable, byte: 0)
        }
        if !subscriptionIDAvailable {
            writer.appendProperty(.subscriptionIdentifierAvailable, byte: 0)
        }
        if !sharedSubscriptionAvailable {
            writer.appendProperty(.sharedSubscriptionAvailable, byte: 0)
        }
        if let serverKeepAlive {
            writer.appendProperty(.serverKeepAlive, uint16: serverKeepAlive)
        }
        writer.appendProperty(.responseInformation, bytes: responseInformation)
        writer.appendProperty(.serverReference, bytes: serverReference)
        writer.appendProperty(.authenticationMethod, bytes: authenticationMethod)
        writer.appendProperty(.authenticationData, bytes: authenticationData)
    }
}

extension SubackPacket {
    /// Encodes as SUBACK (or UNSUBACK if `type` says so), trimmed to `limit`. Below MQTT 5 every
    /// failure of a SUBACK is 0x80 and an UNSUBACK carries no codes.
    @discardableResult
    package func encode(
        _ type: PacketType, _ version: ProtocolVersion, limit: Int,
        into writer: inout ByteWriter
    ) -> Bool {
        ResponseTrim.encode(
            limit: limit, reasonString: reasonString, userProperties: userProperties,
            into: &writer
        ) { writer, reasonString, userProperties in
            writer.appendPacket(type) { writer in
                writer.append(bigEndian: packetID)
                if version == .v5 {
                    writer.appendMeasured { writer in
                        writer.appendProperty(.reasonString, bytes: reasonString)
                        writer.append(userProperties.bytes)
                    }
                } else if type == .unsuback {
                    return
                }
                for code in reasonCodes {
                    let isOld = version != .v5 && code.isFailure
                    writer.append(isOld ? ReasonCode.unspecifiedError.rawValue : code.rawValue)
                }
            }
        }
    }
}

extension DisconnectPacket {
    /// Encodes, trimmed to `limit`. Below MQTT 5 only a client sends DISCONNECT, and empty.
    @discardableResult
    package func encode(
        _ version: ProtocolVersion, limit: Int, into writer: inout ByteWriter
    ) -> Bool {
        ResponseTrim.encode(
            limit: limit, reasonString: version == .v5 ? reasonString : nil,
            userProperties: version == .v5 ? userProperties : UserProperties(), into: &writer
        ) { writer, reasonString, userProperties in
            writer.appendPacket(.disconnect) { writer in
                guard version == .v5 else { return }
                let hasProperties =
                    reasonString != nil || !userProperties.isEmpty
                    || sessionExpiryInterval != nil || serverReference != nil
                if reasonCode == .normalDisconnection, !hasProperties { return }
                writer.append(reasonCode.rawValue)
                guard hasProperties else { return }
                writer.appendMeasured { writer in
                    writer.appendProperty(.sessionExpiryInterval, uint32: sessionExpiryInterval)
                    writer.appendProperty(.serverReference, bytes: serverReference)
                    writer.appendProperty(.reasonString, bytes: reasonString)
                    writer.append(userProperties.bytes)
                }
            }
        }
    }
}

extension AuthPacket {
    /// Encodes, trimmed to `limit`.
    @discardableResult
    package func encode(limit: Int, into writer: inout ByteWriter) -> Bool {
        ResponseTrim.encode(
            limit: limit, reasonString: reasonString, userProperties: userProperties,
            into: &writer
        ) { writer, reasonString, userProperties in
            writer.appendPacket(.auth) { writer in
                let hasProperties =
                    reasonString != nil || !userProperties.isEmpty
                    || authenticationMethod != nil || authenticationData != nil
                if reasonCode == .success, !hasProperties { return }
                writer.append(reasonCode.rawValue)
                writer.appendMeasured { writer in
                    writer.appendProperty(.authenticationMethod, bytes: authenticationMethod)
                    writer.appendProperty(.authenticationData, bytes: authenticationData)
                    writer.appendProperty(.reasonString, bytes: reasonString)
                    writer.append(userProperties.bytes)
                }
            }
        }
    }
}
