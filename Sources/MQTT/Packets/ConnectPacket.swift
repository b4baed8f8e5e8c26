import Base

/// The message that a server publishes for a client whose connection ends badly.
package struct WillMessage: Equatable, Sendable {
    package var topic: [UInt8]
    package var payload: [UInt8]
    package var qos: QoS
    package var retain: Bool
    /// Seconds between the end of the connection and publication.
    package var delayInterval: UInt32 = 0
    /// Seconds; nil if the message does not expire.
    package var messageExpiry: UInt32?
    /// The properties that are passed on, encoded, in order.
    package var forwardedProperties: [UInt8] = []
    /// 1 says that the payload is UTF-8.
    package var payloadFormat: UInt8?

    package init(topic: [UInt8], payload: [UInt8], qos: QoS, retain: Bool) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
    }
}

/// CONNECT as a value that outlives its buffer, for both ends.
package struct ConnectPacket: Equatable, Sendable {
    package var version: ProtocolVersion
    /// Clean session in 3.x.
    package var cleanStart: Bool
    /// Seconds; 0 turns keep alive off.
    package var keepAlive: UInt16
    /// Empty if the client asks for one: whether that is allowed is the session's affair.
    package var clientID: [UInt8]
    package var username: [UInt8]?
    package var password: [UInt8]?
    package var will: WillMessage?
    package var properties = ConnectProperties()

    package init(
        version: ProtocolVersion, cleanStart: Bool, keepAlive: UInt16, clientID: [UInt8]
    ) {
        self.version = version
        self.cleanStart = cleanStart
        self.keepAlive = keepAlive
        self.clientID = clientID
    }
}

/// The properties of CONNECT with the values that their absence means.
package struct ConnectProperties: Equatable, Sendable {
    /// Seconds; 0xFFFFFFFF never expires. 0 if absent.
    package var sessionExpiryInterval: UInt32 = 0
    package var receiveMaximum: UInt16 = 65_535
    /// Bytes; nil without a limit.
    package var maximumPacketSize: UInt32?
    package var topicAliasMaximum: UInt16 = 0
    package var requestResponseInformation = false
    package var requestProblemInformation = true
    package var authenticationMethod: [UInt8]?
    package var authenticationData: [UInt8]?
    package var userProperties = UserProperties()

    package init() {}
}

/// The bits of the connect flags byte.
enum ConnectFlags {
    static var reserved: UInt8 { 0x01 }
    static var cleanStart: UInt8 { 0x02 }
    static var will: UInt8 { 0x04 }
    static var willRetain: UInt8 { 0x20 }
    static var password: UInt8 { 0x40 }
    static var username: UInt8 { 0x80 }
}

extension ConnectPacket {
    /// Decodes CONNECT and finds the version in it. An unknown version is a fault of its own scope,
    /// so that the right CONNACK can be sent. `options.version` is not read.
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> ConnectPacket {
        var reader = BodyReader(header.body, bytes, options)
        let version = try reader.readVersion(bytes)
        try header.check(version)
        let flags = try reader.readUInt8(bytes)
        try checkFlags(flags, version)
        let keepAlive = try reader.readUInt16(bytes)
        var packet = ConnectPacket(
            version: version, cleanStart: flags & ConnectFlags.cleanStart != 0,
            keepAlive: keepAlive, clientID: [])
        if version == .v5 {
            let block = try reader.takeProperties(bytes)
            packet.properties = try ConnectProperties.decode(block, bytes, options)
        }
        packet.clientID = bytes.array(try reader.takeText(bytes))
        if flags & ConnectFlags.will != 0 {
            packet.will = try WillMessage.decode(&reader, bytes, flags, version, options)
        }
        try packet.readCredentials(&reader, bytes, flags)
        try reader.requireEnd()
        return packet
    }

    /// MQTT 3.1 allows the credentials to be missing although their flags are set.
    private mutating func readCredentials(
        _ reader: inout BodyReader, _ bytes: RawSpan, _ flags: UInt8
    ) throws(DecodeFault) {
        if flags & ConnectFlags.username != 0, !(version == .v31 && reader.isAtEnd) {
            username = bytes.array(try reader.takeText(bytes))
        }
        if flags & ConnectFlags.password != 0, !(version == .v31 && reader.isAtEnd) {
            password = bytes.array(try reader.takeBinary(bytes))
        }
    }

    private static func checkFlags(
        _ flags: UInt8, _ version: ProtocolVersion
    ) throws(DecodeFault) {
        if flags & ConnectFlags.reserved != 0, version != .v31 { throw .connectFlagReserved }
        let willQoS = (flags >> 3) & 3
        if flags & ConnectFlags.will == 0 {
            if willQoS != 0, version != .v31 { throw .willQoSWithoutWill }
            if flags & ConnectFlags.willRetain != 0, version != .v31 {
                throw .willRetainWithoutWill
            }
        } else if willQoS == 3 {
            throw .willQoSReserved
        }
        let credentials = flags & (ConnectFlags.username | ConnectFlags.password)
        if version != .v5, credentials == ConnectFlags.password { throw .passwordWithoutUsername }
    }
}

extension ConnectPacket {
    /// Whether the bytes begin like a CONNECT of 5.0, however they go on: what a refusal's form is
    /// chosen by.
    package static func looksLikeVersion5(_ bytes: RawSpan, offset: Int) -> Bool {
        guard offset >= 0, offset < bytes.byteCount else { return false }
        var position = offset
        func byte(_ at: Int) -> UInt8? {
            at < bytes.byteCount ? bytes.unsafeLoad(fromByteOffset: at, as: UInt8.self) : nil
        }
        guard byte(position).map({ $0 >> 4 }) == PacketType.connect.rawValue else { return false }
        position += 1
        while position < offset + FixedHeader.sizeMax, let next = byte(position), next >= 128 {
            position += 1
        }
        let beginning: [UInt8] = [0, 4, 0x4D, 0x51, 0x54, 0x54, ProtocolVersion.v5.rawValue]
        return beginning.indices.allSatisfy { byte(position + 1 + $0) == beginning[$0] }
    }
}

extension BodyReader {
    /// Protocol name and level. Level bit 7, by which some bridges mark themselves, is no version
    /// of the specification and refused like any other unknown level.
    fileprivate mutating func readVersion(_ bytes: RawSpan) throws(DecodeFault) -> ProtocolVersion {
        let name = try takeBinary(bytes)
        let isMQTT = bytes.matches(name, "MQTT")
        guard isMQTT || bytes.matches(name, "MQIsdp") else { throw .protocolNameUnknown }
        let level = try readUInt8(bytes)
        guard let version = ProtocolVersion(rawValue: level), isMQTT == (version != .v31) else {
            throw .protocolVersionUnsupported
        }
        return version
    }
}

extension RawSpan {
    /// Whether a part of the span has the bytes of `text`.
    func matches(_ part: ByteRange, _ text: StaticString) -> Bool {
        guard Int(part.count) == text.utf8CodeUnitCount, part.end <= byteCount else {
            return false
        }
        for index in 0..<Int(part.count) {
            let byte = unsafeLoad(fromByteOffset: Int(part.offset) + index, as: UInt8.self)
            if byte != text.utf8Start[index] { return false }
        }
        return true
    }
}

extension ConnectProperties {
    static func decode(
        _ block: ByteRange, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> ConnectProperties {
        var properties = ConnectProperties()
        var cursor = PropertyCursor(block, bytes, .connect, options)
        while let property = try cursor.next(bytes) { properties.take(property, bytes) }
        if properties.authenticationData != nil, properties.authenticationMethod == nil {
            throw .authenticationDataWithoutMethod
        }
        return properties
    }

    private mutating func take(_ property: Property, _ bytes: RawSpan) {
        let number = property.number
        switch property.id {
        case .sessionExpiryInterval: sessionExpiryInterval = number
        case .receiveMaximum: receiveMaximum = UInt16(truncatingIfNeeded: number)
        case .maximumPacketSize: maximumPacketSize = number
        case .topicAliasMaximum: topicAliasMaximum = UInt16(truncatingIfNeeded: number)
        case .requestResponseInformation: requestResponseInformation = number == 1
        case .requestProblemInformation: requestProblemInformation = number == 1
        case .authenticationMethod: authenticationMethod = bytes.array(property.value)
        case .authenticationData: authenticationData = bytes.array(property.value)
        case .userProperty: userProperties.append(checked: property, bytes)
        case .payloadFormatIndicator, .messageExpiryInterval, .contentType, .responseTopic,
            .correlationData, .subscriptionIdentifier, .assignedClientIdentifier,
            .serverKeepAlive, .willDelayInterval, .responseInformation, .serverReference,
            .reasonString, .topicAlias, .maximumQoS, .retainAvailable,
            .wildcardSubscriptionAvailable, .subscriptionIdentifierAvailable,
            .sharedSubscriptionAvailable:
            // The cursor lets none of these through in CONNECT.
            break
        }
    }
}

extension WillMessage {
    fileprivate static func decode(
        _ reader: inout BodyReader, _ bytes: RawSpan, _ flags: UInt8,
        _ version: ProtocolVersion, _ options: DecodeOptions
    ) throws(DecodeFault) -> WillMessage {
        var will = WillMessage(
            topic: [], payload: [], qos: QoS(rawValue: (flags >> 3) & 3) ?? .atMostOnce,
            retain: flags & ConnectFlags.willRetain != 0)
        if version == .v5 {
            let block = try reader.takeProperties(bytes)
            try will.readProperties(block, bytes, options)
        }
        let topic = try reader.takeTopicName(bytes, wildcard: .willTopicWildcard)
        if topic.isEmpty { throw .willTopicEmpty }
        will.topic = bytes.array(topic)
        will.payload = bytes.array(try reader.takeBinary(bytes))
        return will
    }

    private mutating func readProperties(
        _ block: ByteRange, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) {
        var cursor = PropertyCursor(block, bytes, .will, options)
        while let property = try cursor.next(bytes) {
            if property.id == .willDelayInterval { delayInterval = property.number }
            if property.id == .messageExpiryInterval { messageExpiry = property.number }
            if property.id == .payloadFormatIndicator {
                payloadFormat = UInt8(truncatingIfNeeded: property.number)
            }
            if PropertyContext.forwarded & property.id.bit != 0 {
                forwardedProperties += bytes.array(property.whole)
            }
        }
    }
}
