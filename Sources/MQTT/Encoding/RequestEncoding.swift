import Base

extension ConnectPacket {
    /// Encodes CONNECT. Texts are at most 65,535 bytes; the caller keeps the version's rules.
    package func encode(into writer: inout ByteWriter) {
        writer.appendPacket(.connect) { writer in
            let name = version.protocolName
            writer.append(bigEndian: UInt16(name.utf8CodeUnitCount))
            writer.append(
                UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            writer.append(version.rawValue)
            writer.append(flags)
            writer.append(bigEndian: keepAlive)
            if version == .v5 { writer.appendMeasured { properties.encode(into: &$0) } }
            writer.append(lengthPrefixed16: clientID)
            if let will { will.encode(version, into: &writer) }
            if let username { writer.append(lengthPrefixed16: username) }
            if let password { writer.append(lengthPrefixed16: password) }
        }
    }

    private var flags: UInt8 {
        var flags: UInt8 = cleanStart ? ConnectFlags.cleanStart : 0
        if let will {
            flags |= ConnectFlags.will | will.qos.rawValue << 3
            if will.retain { flags |= ConnectFlags.willRetain }
        }
        if username != nil { flags |= ConnectFlags.username }
        if password != nil { flags |= ConnectFlags.password }
        return flags
    }
}

extension ConnectProperties {
    fileprivate func encode(into writer: inout ByteWriter) {
        if sessionExpiryInterval != 0 {
            writer.appendProperty(.sessionExpiryInterval, uint32: sessionExpiryInterval)
        }
        if receiveMaximum != 65_535 {
            writer.appendProperty(.receiveMaximum, uint16: receiveMaximum)
        }
        writer.appendProperty(.maximumPacketSize, uint32: maximumPacketSize)
        if topicAliasMaximum != 0 {
            writer.appendProperty(.topicAliasMaximum, uint16: topicAliasMaximum)
        }
        if requestResponseInformation {
            writer.appendProperty(.requestResponseInformation, byte: 1)
        }
        if !requestProblemInformation {
            writer.appendProperty(.requestProblemInformation, byte: 0)
        }
        writer.appendProperty(.authenticationMethod, bytes: authenticationMethod)
        writer.appendProperty(.authenticationData, bytes: authenticationData)
        writer.append(userProperties.bytes)
    }
}

extension WillMessage {
    fileprivate func encode(_ version: ProtocolVersion, into writer: inout ByteWriter) {
        if version == .v5 {
            writer.appendMeasured { writer in
                if delayInterval != 0 {
                    writer.appendProperty(.willDelayInterval, uint32: delayInterval)
                }
                writer.appendProperty(.messageExpiryInterval, uint32: messageExpiry)
                writer.append(forwardedProperties)
            }
        }
        writer.append(lengthPrefixed16: topic)
        writer.append(lengthPrefixed16: payload)
    }
}

/// A SUBSCRIBE to be sent: the client's side of `SubscribePacket`.
package struct SubscribeRequest: Equatable, Sendable {
    /// A filter and how to subscribe to it.
    package struct Entry: Equatable, Sendable {
        package var filter: [UInt8]
        package var options: SubscriptionOptions

        package init(filter: [UInt8], options: SubscriptionOptions) {
            self.filter = filter
            self.options = options
        }
    }

    package var packetID: UInt16
    /// 0 for none. MQTT 5 only.
    package var subscriptionID: UInt32 = 0
    package var entries: [Entry]
    package var userProperties = UserProperties()

    package init(packetID: UInt16, entries: [Entry]) {
        self.packetID = packetID
        self.entries = entries
    }

    package func encode(_ version: ProtocolVersion, into writer: inout ByteWriter) {
        writer.appendPacket(.subscribe) { writer in
            writer.append(bigEndian: packetID)
            if version == .v5 {
                writer.appendMeasured { writer in
                    if subscriptionID != 0 {
                        writer.append(PropertyID.subscriptionIdentifier.rawValue)
                        writer.append(variable: Int(subscriptionID))
                    }
                    writer.append(userProperties.bytes)
                }
            }
            for entry in entries {
                writer.append(lengthPrefixed16: entry.filter)
                let bits = entry.options.rawValue
                writer.append(version == .v5 ? bits : bits & 3)
            }
        }
    }
}

/// An UNSUBSCRIBE to be sent: the client's side of `UnsubscribePacket`.
package struct UnsubscribeRequest: Equatable, Sendable {
    package var packetID: UInt16
    package var filters: [[UInt8]]
    package var userProperties = UserProperties()

    package init(packetID: UInt16, filters: [[UInt8]]) {
        self.packetID = packetID
        self.filters = filters
    }

    package func encode(_ version: ProtocolVersion, into writer: inout ByteWriter) {
        writer.appendPacket(.unsubscribe) { writer in
            writer.append(bigEndian: packetID)
            if version == .v5 {
                writer.appendMeasured { $0.append(userProperties.bytes) }
            }
            for filter in filters { writer.append(lengthPrefixed16: filter) }
        }
    }
}
