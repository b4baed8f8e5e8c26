/// What is wrong with a packet: the answer of every decoder to bytes that it refuses.
///
/// One byte, so that throwing it costs nothing. What it means (reason code, scope, statement) is
/// one row of the table below. Every fault ends the connection; only its answer differs.
@usableFromInline
package enum DecodeFault: UInt8, Error, CaseIterable, Sendable {
    // Framing
    case remainingLengthMalformed
    case remainingLengthNotMinimal
    case packetTooLarge
    case packetTypeReserved
    case packetTypeUnexpected
    case flagsReserved
    // Shape
    case truncated
    case trailingBytes
    case variableIntegerMalformed
    case variableIntegerNotMinimal
    case packetIDZero
    // Text
    case textIllFormed
    case textNull
    case textControlCharacter
    // Properties
    case propertyLengthOverrun
    case propertyNotAllowed
    case propertyRepeated
    case propertyFlagNotBoolean
    case receiveMaximumZero
    case maximumPacketSizeZero
    case topicAliasZero
    case subscriptionIDZero
    case subscriptionIDFromClient
    case userPropertiesTooMany
    case responseTopicWildcard
    case responseTopicEmpty
    case authenticationDataWithoutMethod
    case authenticationMethodMissing
    case sessionExpiryFromServer
    // PUBLISH
    case qosReserved
    case dupOnQoS0
    case topicWildcard
    case topicEmpty
    case topicEmptyWithoutAlias
    // CONNECT
    case protocolNameUnknown
    case protocolVersionUnsupported
    case connectFlagReserved
    case willQoSWithoutWill
    case willRetainWithoutWill
    case willQoSReserved
    case willTopicWildcard
    case willTopicEmpty
    case passwordWithoutUsername
    // SUBSCRIBE and UNSUBSCRIBE
    case subscribeListEmpty
    case unsubscribeListEmpty
    case subscriptionOptionsReserved
    case subscriptionQoSReserved
    case retainHandlingReserved
    case noLocalOnShared
    // Answers
    case connackFlagsReserved
    case acknowledgeListEmpty
    case reasonCodeNotAllowed
}

/// How far a fault reaches.
@usableFromInline
package enum DecodeFaultScope: Sendable {
    /// The bytes are no packet of the protocol.
    case malformed
    /// The packet can be read but the protocol forbids it.
    case protocolError
    /// The packet is correct and larger than this node allows.
    case limit
    /// CONNECT asks for a protocol that is not spoken here.
    case version
}

extension DecodeFault {
    /// The reason code for CONNACK or DISCONNECT.
    @usableFromInline
    package var reasonCode: ReasonCode { row.reasonCode }

    @usableFromInline
    package var scope: DecodeFaultScope { row.scope }

    /// What is wrong, as a phrase for logs and reason strings.
    @usableFromInline
    package var what: StaticString { row.what }

    /// The statement of MQTT 5 that the packet breaks; empty where its text has no number.
    @usableFromInline
    package var statement: StaticString { row.statement }

    /// The statement number in the specification of `version`.
    @usableFromInline
    package func statement(in version: ProtocolVersion) -> StaticString {
        version == .v5 ? row.statement : row.statement3
    }

    struct Row {
        var reasonCode: ReasonCode
        var scope: DecodeFaultScope
        /// Statement of MQTT 5.
        var statement: StaticString
        /// Statement of MQTT 3.1.1.
        var statement3: StaticString
        var what: StaticString
    }

    var row: Row { Self.rows[Int(rawValue)] }
}
