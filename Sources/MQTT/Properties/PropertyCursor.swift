import Base

/// One property in place.
struct Property {
    var id: PropertyID
    /// The value of a number or flag.
    var number: UInt32 = 0
    /// The value of a text or of bytes; of a user property its name.
    var value = ByteRange.empty
    /// Identifier and value as they stand, for passing on.
    var whole = ByteRange.empty
}

/// Walks a property block once, from its first to its last byte, and refuses what the
/// specification refuses: strange, repeated or ill-valued properties.
struct PropertyCursor {
    private var reader: BodyReader
    private let allowed: UInt64
    private let repeatable: UInt64
    private var seen: UInt64 = 0
    /// User properties that may still come.
    private var userPropertiesLeft: Int

    @inline(__always)
    init(
        _ block: ByteRange, _ bytes: RawSpan, _ context: PropertyContext,
        _ options: DecodeOptions
    ) {
        reader = BodyReader(block, bytes, options)
        allowed = context.allowed
        repeatable = context.repeatable
        userPropertiesLeft = options.userPropertiesMax
    }

    /// The next property, or nil behind the last.
    @inline(__always)
    mutating func next(_ bytes: RawSpan) throws(DecodeFault) -> Property? {
        guard !reader.isAtEnd else { return nil }
        let start = reader.offset
        let raw = try reader.readUInt8(bytes)
        guard raw < 64, allowed & (1 &<< UInt64(raw)) != 0,
            let id = PropertyID(rawValue: raw)
        else { throw .propertyNotAllowed }
        if seen & id.bit != 0, repeatable & id.bit == 0 { throw .propertyRepeated }
        seen |= id.bit
        var property = Property(id: id)
        try readValue(of: &property, bytes)
        property.whole = ByteRange(offset: start, count: reader.offset &- start)
        return property
    }

    @inline(__always)
    private mutating func readValue(
        of property: inout Property, _ bytes: RawSpan
    ) throws(DecodeFault) {
        switch property.id {
        case .payloadFormatIndicator, .requestProblemInformation, .requestResponseInformation,
            .maximumQoS, .retainAvailable, .wildcardSubscriptionAvailable,
            .subscriptionIdentifierAvailable, .sharedSubscriptionAvailable:
            property.number = UInt32(try reader.readUInt8(bytes))
            if property.number > 1 { throw .propertyFlagNotBoolean }
        case .serverKeepAlive, .receiveMaximum, .topicAliasMaximum, .topicAlias:
            property.number = UInt32(try reader.readUInt16(bytes))
        case .messageExpiryInterval, .sessionExpiryInterval, .willDelayInterval,
            .maximumPacketSize:
            property.number = try reader.readUInt32(bytes)
        case .subscriptionIdentifier:
            property.number = try reader.readVariable(bytes)
        case .contentType, .assignedClientIdentifier, .authenticationMethod,
            .responseInformation, .serverReference, .reasonString:
            property.value = try reader.takeText(bytes)
        case .responseTopic:
            property.value = try reader.takeTopicName(bytes, wildcard: .responseTopicWildcard)
            if property.value.isEmpty { throw .responseTopicEmpty }
        case .correlationData, .authenticationData:
            property.value = try reader.takeBinary(bytes)
        case .userProperty:
            guard userPropertiesLeft > 0 else { throw .userPropertiesTooMany }
            userPropertiesLeft &-= 1
            property.value = try reader.takeText(bytes)
            _ = try reader.takeText(bytes)
        }
        if property.number == 0 { try Self.refuseZero(property.id) }
    }

    /// The numbers that must not be 0.
    @inline(__always)
    private static func refuseZero(_ id: PropertyID) throws(DecodeFault) {
        if id == .topicAlias { throw .topicAliasZero }
        if id == .subscriptionIdentifier { throw .subscriptionIDZero }
        if id == .receiveMaximum { throw .receiveMaximumZero }
        if id == .maximumPacketSize { throw .maximumPacketSizeZero }
    }
}
