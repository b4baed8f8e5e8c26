import Base

/// A PUBLISH in place: positions and numbers, no bytes, nothing allocated.
///
/// All ranges refer to the buffer that was decoded. The two bytes before `topic` are its length.
@usableFromInline
package struct PublishPacket: Equatable, Sendable {
    @usableFromInline
    package var qos: QoS
    @usableFromInline
    package var dup: Bool
    @usableFromInline
    package var retain: Bool
    /// 1 or 0; nil when the property is absent. 1 says that the payload is UTF-8.
    @usableFromInline
    package var payloadFormat: UInt8?
    /// 0 with QoS 0.
    @usableFromInline
    package var packetID: UInt16 = 0
    /// 0 without one.
    @usableFromInline
    package var topicAlias: UInt16 = 0
    /// Seconds; nil if the message does not expire.
    @usableFromInline
    package var messageExpiry: UInt32?
    /// The topic name without its length; empty only with a topic alias.
    @usableFromInline
    package var topic = ByteRange.empty
    @usableFromInline
    package var payload = ByteRange.empty
    /// The whole property block without its length.
    @usableFromInline
    package var properties = ByteRange.empty
    /// From the first to the last property that is passed on. What lies between belongs to it only
    /// if `isForwardedContiguous`.
    @usableFromInline
    package var forwarded = ByteRange.empty
    /// Bytes of the properties that are passed on.
    @usableFromInline
    package var forwardedSize: UInt32 = 0
    /// Offset 0 means absent, for each of these three.
    @usableFromInline
    package var contentType = ByteRange.empty
    @usableFromInline
    package var responseTopic = ByteRange.empty
    @usableFromInline
    package var correlationData = ByteRange.empty
    @usableFromInline
    package var userPropertyCount: UInt32 = 0
    /// Subscription identifiers, which only a client receives.
    @usableFromInline
    package var subscriptionIDCount: UInt32 = 0

    @inlinable
    init(qos: QoS, dup: Bool, retain: Bool) {
        self.qos = qos
        self.dup = dup
        self.retain = retain
    }

    /// No packet; for fields that hold one later.
    package static var none: PublishPacket {
        PublishPacket(qos: .atMostOnce, dup: false, retain: false)
    }

    /// Whether the properties that are passed on stand together, so that `forwarded` can be copied
    /// as it is. True unless an expiry, alias or subscription identifier lies between them.
    @inlinable
    package var isForwardedContiguous: Bool { forwarded.count == forwardedSize }
}

extension PublishPacket {
    /// Decodes the body that `header` found in `bytes`.
    @inlinable @inline(__always)
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> PublishPacket {
        let qosBits = (header.flags &>> 1) & 3
        if qosBits == 3 { throw .qosReserved }
        let qos: QoS = qosBits == 0 ? .atMostOnce : (qosBits == 1 ? .atLeastOnce : .exactlyOnce)
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

    /// Decodes a packet that repeats an earlier one but for its packet id and payload: same flags,
    /// same topic, no properties. What was checked of the earlier holds for it. Nil for any other
    /// packet, faulty ones included: it is decoded in full then.
    ///
    /// `earlier` was decoded from the same `bytes` and has no properties.
    @inlinable @inline(__always)
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ version: ProtocolVersion,
        like earlier: borrowing PublishPacket
    ) -> PublishPacket? {
        guard header.flags == earlier.qos.rawValue &<< 1, header.isLengthMinimal else {
            return nil
        }
        var offset = Int(header.body.offset)
        let topicSize = Int(earlier.topic.count) &+ 2
        let is5 = version == .v5
        let hasID = earlier.qos != .atMostOnce
        let fixedSize = topicSize &+ (hasID ? 2 : 0) &+ (is5 ? 1 : 0)
        guard Int(header.body.count) >= fixedSize,
            bytes.hasEqualBytes(offset, Int(earlier.topic.offset) &- 2, count: topicSize)
        else { return nil }
        var packet = PublishPacket(qos: earlier.qos, dup: false, retain: false)
        packet.topic = ByteRange(offset: offset &+ 2, count: topicSize &- 2)
        offset &+= topicSize
        if hasID {
            packet.packetID = UInt16(
                bigEndian: bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset, as: UInt16.self))
            guard packet.packetID != 0 else { return nil }
            offset &+= 2
        }
        if is5 {
            guard bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self) == 0 else {
                return nil
            }
            offset &+= 1
        }
        packet.payload = ByteRange(offset: offset, count: header.body.end &- offset)
        return packet
    }

    /// Whether `decode(like:)` may take it as the earlier packet.
    @inlinable
    package var isRepeatable: Bool { !dup && !retain && properties.isEmpty && topicAlias == 0 }

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
    @usableFromInline
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
    @usableFromInline
    package func subscriptionIDs(_ bytes: RawSpan) -> [UInt32] {
        var found: [UInt32] = []
        guard subscriptionIDCount > 0 else { return found }
        forEachProperty(bytes) { property in
            if property.id == .subscriptionIdentifier { found.append(property.number) }
        }
        return found
    }

    /// The user properties in order.
    @usableFromInline
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
    @usableFromInline
    package func payloadMatchesFormat(_ bytes: RawSpan) -> Bool {
        payloadFormat != 1 || TextScan.check(bytes, payload, .payload) == .valid
    }
}
