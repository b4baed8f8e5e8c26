/// The table of faults: one row each, in the order of the cases.
extension DecodeFault {
    private static func malformed(
        _ what: StaticString, _ statement: StaticString, _ statement3: StaticString
    ) -> Row {
        Row(
            reasonCode: .malformedPacket, scope: .malformed, statement: statement,
            statement3: statement3, what: what)
    }

    private static func forbidden(
        _ what: StaticString, _ statement: StaticString, _ statement3: StaticString,
        _ reasonCode: ReasonCode = .protocolError
    ) -> Row {
        Row(
            reasonCode: reasonCode, scope: .protocolError, statement: statement,
            statement3: statement3, what: what)
    }

    private static func limit(_ what: StaticString, _ reasonCode: ReasonCode) -> Row {
        Row(reasonCode: reasonCode, scope: .limit, statement: "", statement3: "", what: what)
    }

    private static func version(_ what: StaticString, _ statement: StaticString) -> Row {
        Row(
            reasonCode: .unsupportedProtocolVersion, scope: .version, statement: statement,
            statement3: statement, what: what)
    }

    /// Indexed by raw value; a test compares it with the cases.
    static let rows: [Row] = [
        // remainingLengthMalformed
        Self.malformed("remaining length of more than four bytes", "MQTT-1.5.5-1", ""),
        // remainingLengthNotMinimal
        Self.malformed("remaining length not encoded in the fewest bytes", "MQTT-1.5.5-1", ""),
        // packetTooLarge
        Self.limit("packet larger than allowed", .packetTooLarge),
        // packetTypeReserved
        Self.malformed("packet type 0", "MQTT-2.1.3-1", "MQTT-2.2.2-2"),
        // packetTypeUnexpected
        Self.forbidden("packet type that this version or direction does not have", "", ""),
        // flagsReserved
        Self.malformed("reserved flag bits in the fixed header", "MQTT-2.1.3-1", "MQTT-2.2.2-2"),
        // truncated
        Self.malformed("packet ends inside a field", "", ""),
        // trailingBytes
        Self.malformed("bytes behind the last field", "", ""),
        // variableIntegerMalformed
        Self.malformed("variable byte integer of more than four bytes", "MQTT-1.5.5-1", ""),
        // variableIntegerNotMinimal
        Self.malformed("variable byte integer not encoded in the fewest bytes", "MQTT-1.5.5-1", ""),
        // packetIDZero
        Self.forbidden("packet identifier 0", "MQTT-2.2.1-3", "MQTT-2.3.1-1"),
        // textIllFormed
        Self.malformed("text that is not well-formed UTF-8", "MQTT-1.5.4-1", "MQTT-1.5.3-1"),
        // textNull
        Self.malformed("text with the null character", "MQTT-1.5.4-2", "MQTT-1.5.3-2"),
        // textControlCharacter
        Self.malformed("text with a control character or non-character", "", ""),
        // propertyLengthOverrun
        Self.malformed("property length beyond the packet", "MQTT-2.2.2-1", ""),
        // propertyNotAllowed
        Self.malformed("property that this packet does not have", "", ""),
        // propertyRepeated
        Self.forbidden("property given more than once", "", ""),
        // propertyFlagNotBoolean
        Self.forbidden("property value other than 0 and 1", "", ""),
        // receiveMaximumZero
        Self.forbidden("receive maximum 0", "", ""),
        // maximumPacketSizeZero
        Self.forbidden("maximum packet size 0", "", ""),
        // topicAliasZero
        Self.forbidden("topic alias 0", "MQTT-3.3.2-8", "", .topicAliasInvalid),
        // subscriptionIDZero
        Self.forbidden("subscription identifier 0", "", ""),
        // subscriptionIDFromClient
        Self.forbidden("subscription identifier in a PUBLISH from a client", "MQTT-3.3.4-6", ""),
        // userPropertiesTooMany
        Self.limit("more user properties than allowed", .quotaExceeded),
        // responseTopicWildcard
        Self.forbidden("response topic with a wildcard", "MQTT-3.3.2-14", ""),
        // responseTopicEmpty
        Self.forbidden("empty response topic", "MQTT-4.7.3-1", ""),
        // authenticationDataWithoutMethod
        Self.forbidden("authentication data without a method", "", ""),
        // authenticationMethodMissing
        Self.forbidden("AUTH without an authentication method", "", ""),
        // sessionExpiryFromServer
        Self.forbidden("session expiry in a DISCONNECT from a server", "MQTT-3.14.2-2", ""),
        // qosReserved
        Self.malformed("QoS 3", "MQTT-3.3.1-4", "MQTT-3.3.1-4"),
        // dupOnQoS0
        Self.malformed("DUP with QoS 0", "MQTT-3.3.1-2", "MQTT-3.3.1-2"),
        // topicWildcard
        Self.forbidden(
            "topic name with a wildcard", "MQTT-3.3.2-2", "MQTT-3.3.2-2", .topicNameInvalid),
        // topicEmpty
        Self.forbidden("empty topic name", "MQTT-4.7.3-1", "MQTT-4.7.3-1", .topicNameInvalid),
        // topicEmptyWithoutAlias
        Self.forbidden("empty topic name without a topic alias", "MQTT-4.7.3-1", ""),
        // protocolNameUnknown
        Self.version("unknown protocol name", "MQTT-3.1.2-1"),
        // protocolVersionUnsupported
        Self.version("protocol version not supported", "MQTT-3.1.2-2"),
        // connectFlagReserved
        Self.malformed("reserved CONNECT flag set", "MQTT-3.1.2-3", "MQTT-3.1.2-3"),
        // willQoSWithoutWill
        Self.malformed("will QoS without a will", "MQTT-3.1.2-11", "MQTT-3.1.2-13"),
        // willRetainWithoutWill
        Self.malformed("will retain without a will", "MQTT-3.1.2-13", "MQTT-3.1.2-15"),
        // willQoSReserved
        Self.malformed("will QoS 3", "MQTT-3.1.2-12", "MQTT-3.1.2-14"),
        // willTopicWildcard
        Self.forbidden(
            "will topic with a wildcard", "MQTT-4.7.0-1", "MQTT-4.7.1-1", .topicNameInvalid),
        // willTopicEmpty
        Self.forbidden("empty will topic", "MQTT-4.7.3-1", "MQTT-4.7.3-1", .topicNameInvalid),
        // passwordWithoutUsername
        Self.malformed("password without a user name", "", "MQTT-3.1.2-22"),
        // subscribeListEmpty
        Self.forbidden("SUBSCRIBE without a topic filter", "MQTT-3.8.3-2", "MQTT-3.8.3-3"),
        // unsubscribeListEmpty
        Self.forbidden("UNSUBSCRIBE without a topic filter", "MQTT-3.10.3-2", "MQTT-3.10.3-2"),
        // subscriptionOptionsReserved
        Self.malformed("reserved subscription option bits", "MQTT-3.8.3-5", "MQTT-3.8.3-4"),
        // subscriptionQoSReserved
        Self.forbidden("subscription with QoS 3", "", "MQTT-3.8.3-4"),
        // retainHandlingReserved
        Self.forbidden("retain handling 3", "", ""),
        // noLocalOnShared
        Self.forbidden("no local on a shared subscription", "MQTT-3.8.3-4", ""),
        // connackFlagsReserved
        Self.malformed("reserved CONNACK flags", "MQTT-3.2.2-1", ""),
        // acknowledgeListEmpty
        Self.malformed("acknowledgement without reason codes", "", ""),
        // reasonCodeNotAllowed
        Self.forbidden("reason code that this packet does not have", "", ""),
    ]
}
