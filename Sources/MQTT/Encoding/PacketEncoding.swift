import Base

extension Packet {
    /// Encodes what was decoded, in canonical form: absent where absence means the same, properties
    /// in the encoder's order. `bytes` is the buffer that the packet was decoded from.
    ///
    /// Decoding the result gives an equal packet: what clients, tests and fuzzing rely on.
    package func encode(
        _ bytes: RawSpan, _ version: ProtocolVersion, into writer: inout ByteWriter
    ) {
        let limit = Int.max
        switch self {
        case .connect(let packet): packet.encode(into: &writer)
        case .connack(let packet): packet.encode(version, limit: limit, into: &writer)
        case .publish(let packet): packet.encode(bytes, version, into: &writer)
        case .acknowledgement(let type, let packet):
            packet.encode(bytes, type, version, into: &writer)
        case .subscribe(let packet): packet.request(bytes).encode(version, into: &writer)
        case .suback(let packet): packet.encode(.suback, version, limit: limit, into: &writer)
        case .unsubscribe(let packet): packet.request(bytes).encode(version, into: &writer)
        case .unsuback(let packet): packet.encode(.unsuback, version, limit: limit, into: &writer)
        case .pingreq: PingEncoding.pingreq(into: &writer)
        case .pingresp: PingEncoding.pingresp(into: &writer)
        case .disconnect(let packet): packet.encode(version, limit: limit, into: &writer)
        case .auth(let packet): packet.encode(limit: limit, into: &writer)
        }
    }
}

extension PublishPacket {
    fileprivate func encode(
        _ bytes: RawSpan, _ version: ProtocolVersion, into writer: inout ByteWriter
    ) {
        var forwarded = ByteWriter()
        writeForwarded(bytes, into: &forwarded)
        PublishEncoding.encode(
            PublishFields(
                version: version, qos: qos, dup: dup, retain: retain, packetID: packetID,
                topicAlias: topicAlias, messageExpiry: messageExpiry),
            topic: bytes.array(topic), forwarded: forwarded.array,
            subscriptionIDs: subscriptionIDs(bytes), payload: bytes.array(payload), into: &writer)
    }
}

extension UserProperties {
    /// The user properties of a checked block.
    static func read(
        _ block: ByteRange, _ bytes: RawSpan, _ context: PropertyContext
    ) -> UserProperties {
        var found = UserProperties()
        let options = DecodeOptions(
            version: .v5, receiver: .client, userPropertiesMax: .max,
            rejectsControlCharacters: false)
        var cursor = PropertyCursor(block, bytes, context, options)
        while let property = try? cursor.next(bytes) {
            if property.id == .userProperty { found.append(checked: property, bytes) }
        }
        return found
    }
}

extension AckPacket {
    /// The user properties in order.
    package func userProperties(_ bytes: RawSpan) -> UserProperties {
        .read(properties, bytes, .acknowledgement)
    }

    fileprivate func encode(
        _ bytes: RawSpan, _ type: PacketType, _ version: ProtocolVersion,
        into writer: inout ByteWriter
    ) {
        guard version == .v5 else {
            AckEncoding.write(
                type, version, packetID: packetID, reasonCode: reasonCode, into: &writer)
            return
        }
        AckEncoding.encode(
            type, packetID: packetID, reasonCode: reasonCode,
            reasonString: reasonString.offset == 0 ? nil : bytes.array(reasonString),
            userProperties: userProperties(bytes), limit: .max, into: &writer)
    }
}

extension SubscribePacket {
    /// The user properties in order.
    package func userProperties(_ bytes: RawSpan) -> UserProperties {
        .read(properties, bytes, .subscribe)
    }

    /// The packet as a value of its own.
    package func request(_ bytes: RawSpan) -> SubscribeRequest {
        var request = SubscribeRequest(packetID: packetID, entries: [])
        request.subscriptionID = subscriptionID
        request.userProperties = userProperties(bytes)
        var position = 0
        while let entry = next(bytes, &position) {
            request.entries.append(
                SubscribeRequest.Entry(filter: bytes.array(entry.filter), options: entry.options))
        }
        return request
    }
}

extension UnsubscribePacket {
    /// The user properties in order.
    package func userProperties(_ bytes: RawSpan) -> UserProperties {
        .read(properties, bytes, .unsubscribe)
    }

    /// The packet as a value of its own.
    package func request(_ bytes: RawSpan) -> UnsubscribeRequest {
        var request = UnsubscribeRequest(packetID: packetID, filters: [])
        request.userProperties = userProperties(bytes)
        var position = 0
        while let filter = next(bytes, &position) { request.filters.append(bytes.array(filter)) }
        return request
    }
}
