import Base

/// A PUBLISH in place: positions and numbers, no bytes, nothing allocated.
///
/// All ranges refer to the buffer that was decoded. The two bytes before `topic` are its length.
package struct PublishPacket: Equatable, Sendable {
    package var qos: QoS
    package var dup: Bool
    package var retain: Bool
    /// 1 or 0; nil when the property is absent. 1 says that the payload is UTF-8.
    package var payloadFormat: UInt8?
    /// 0 with QoS 0.
    package var packetID: UInt16 = 0
    /// 0 without one.
    package var topicAlias: UInt16 = 0
    /// Seconds; nil if the message does not expire.
    package var messageExpiry: UInt32?
    /// The topic name without its length; empty only with a topic alias.
    package var topic = ByteRange.empty
    package var payload = ByteRange.empty
    /// The whole property block without its length.
    package var properties = ByteRange.empty
    /// From the first to the last property that is passed on. What lies between belongs to it only
    /// if `isForwardedContiguous`.
    package var forwarded = ByteRange.empty
    /// Bytes of the properties that are passed on.
    package var forwardedSize: UInt32 = 0
    /// Offset 0 means absent, for each of these three.
    package var contentType = ByteRange.empty
    package var responseTopic = ByteRange.empty
    package var correlationData = ByteRange.empty
    package var userPropertyCount: UInt32 = 0
    /// Subscription identifiers, which only a client receives.
    package var subscriptionIDCount: UInt32 = 0

    @inlinable
    init(qos: QoS, dup: Bool, retain: Bool) {
        self.qos = qos
        self.dup = dup
        self.retain = retain
    }

    /// Whether the properties that are passed on stand together, so that `forwarded` can be copied
    /// as it is. True unless an expiry, alias or subscription identifier lies between them.
    @inlinable
    package var isForwardedContiguous: Bool { forwarded.count == forwardedSize }
}

extension PublishPacket {
    /// Decodes the body that `header` found in `bytes`.
    @inlinable
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> PublishPacket {
        guard let qos = QoS(rawValue: (header.flags &>> 1) & 3) else { throw .qosReserved }
        let dup = header.flags & 8 != 0
        let version = options.version
        if dup, qos == .atMostOnce, version != .v31 { throw .dupOnQoS0 }
        if version == .v5, !header.isLengthMinimal { throw .remainingLengthNotMinimal }
        var packet = PublishPacket(qos: qos, dup: dup, retain: header.flags & 1 != 0)
        var reader = BodyReader(header.body, bytes, options)
        packet.topic = try reader.takeTopicName(bytes, wildcard: .topicWildcard)
        if qos != .atMostOnce { packet.packetID = try reader.readPacketID(bytes) }
        if version == .v5 {
            packet.properties = try reader.takeProperties(bytes)
            if !packet.properties.isEmpty { try packet.readProperties(bytes, options) }
            if packet.topic.isEmpty, packet.topicAlias == 0 { throw .topicEmptyWithoutAlias }
        } else if packet.topic.isEmpty {
            throw .topicEmpty
        }
        packet.payload = reader.rest
        return packet
    }

    @usableFromInline
    mutating func readProperties(
        _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) {
        var cursor = PropertyCursor(properties, bytes, .publish, options)
        while let property = try cursor.next(bytes) {
            switch property.id {
            case .topicAlias:
                topicAlias = UInt16(truncatingIfNeeded: property.number)
                continue
            case .messageExpiryInterval:
                messageExpiry = property.number
                continue
            case .subscriptionIdentifier:
                if options.receiver == .server { throw .subscriptionIDFromClient }
                subscriptionIDCount &+= 1
                continue
            case .payloadFormatIndicator:
                payloadFormat = UInt8(truncatingIfNeeded: property.number)
            case .contentType: contentType = property.value
            case .responseTopic: responseTopic = property.value
            case .correlationData: correlationData = property.value
            case .userProperty: userPropertyCount &+= 1
            case .sessionExpiryInterval, .assignedClientIdentifier, .serverKeepAlive,
                .authenticationMethod, .authenticationData, .requestProblemInformation,
                .willDelayInterval, .requestResponseInformation, .responseInformation,
                .serverReference, .reasonString, .receiveMaximum, .topicAliasMaximum,
                .maximumQoS, .retainAvailable, .maximumPacketSize,
                .wildcardSubscriptionAvailable, .subscriptionIdentifierAvailable,
                .sharedSubscriptionAvailable:
                throw .propertyNotAllowed
            }
            noteForwarded(property.whole)
        }
    }

    @inline(__always)
    private mutating func noteForwarded(_ part: ByteRange) {
        if forwardedSize == 0 { forwarded.offset = part.offset }
        forwarded.count = UInt32(truncatingIfNeeded: part.end) &- forwarded.offset
        forwardedSize &+= part.count
    }

    /// Appends the properties that are passed on, unchanged and in order. `bytes` is the buffer
    /// that the packet was decoded from.
    package func writeForwarded(_ bytes: RawSpan, into writer: inout ByteWriter) {
        if isForwardedContiguous {
            if forwardedSize > 0 { writer.append(bytes.extracting(forwarded.range)) }
            return
        }
        forEachProperty(bytes) { property in
            if PropertyContext.forwarded & property.id.bit != 0 {
                writer.append(bytes.extracting(property.whole.range))
            }
        }
    }

    /// The subscription identifiers in order.
    package func subscriptionIDs(_ bytes: RawSpan) -> [UInt32] {
        var found: [UInt32] = []
        guard subscriptionIDCount > 0 else { return found }
        forEachProperty(bytes) { property in
            if property.id == .subscriptionIdentifier { found.append(property.number) }
        }
        return found
    }

    /// The user properties in order.
    package func userProperties(_ bytes: RawSpan) -> UserProperties {
        var found = UserProperties()
        guard userPropertyCount > 0 else { return found }
        forEachProperty(bytes) { property in
            if property.id == .userProperty { found.append(checked: property, bytes) }
        }
        return found
    }

    /// Walks the block again; it was found correct, so a fault here can only mean that `bytes` are
    /// not the packet's, and ends the walk.
    private func forEachProperty(_ bytes: RawSpan, _ body: (Property) -> Void) {
        let options = DecodeOptions(
            version: .v5, receiver: .client, userPropertiesMax: Int(userPropertyCount),
            rejectsControlCharacters: false)
        var cursor = PropertyCursor(properties, bytes, .publish, options)
        while let property = try? cursor.next(bytes) { body(property) }
    }

    /// Whether the payload is what the payload format indicator says: UTF-8, if it is 1.
    package func payloadMatchesFormat(_ bytes: RawSpan) -> Bool {
        payloadFormat != 1 || TextScan.check(bytes, payload, .payload) == .valid
    }
}
