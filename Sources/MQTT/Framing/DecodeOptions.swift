/// What a decoder must know beside the bytes: who reads, in which version, within which limits.
@usableFromInline
package struct DecodeOptions: Sendable {
    /// The version that CONNECT named; not read by the CONNECT decoder itself.
    @usableFromInline
    package var version: ProtocolVersion
    @usableFromInline
    package var receiver: PacketReceiver
    /// User properties allowed in one packet.
    @usableFromInline
    package var userPropertiesMax: Int
    /// Refuses control characters and non-characters, which the specification leaves open.
    @usableFromInline
    package var rejectsControlCharacters: Bool

    @usableFromInline
    package init(
        version: ProtocolVersion, receiver: PacketReceiver, userPropertiesMax: Int,
        rejectsControlCharacters: Bool
    ) {
        self.version = version
        self.receiver = receiver
        self.userPropertiesMax = userPropertiesMax
        self.rejectsControlCharacters = rejectsControlCharacters
    }

    /// User properties allowed in one packet unless a setting says otherwise: four times what a
    /// generous application sends, and parsed in a few microseconds.
    @usableFromInline
    package static var defaultUserPropertiesMax: Int { 256 }

    /// The options of a server with default limits.
    @usableFromInline
    package static func server(_ version: ProtocolVersion) -> DecodeOptions {
        DecodeOptions(
            version: version, receiver: .server, userPropertiesMax: defaultUserPropertiesMax,
            rejectsControlCharacters: false)
    }

    /// The options of a client with default limits.
    @usableFromInline
    package static func client(_ version: ProtocolVersion) -> DecodeOptions {
        DecodeOptions(
            version: version, receiver: .client, userPropertiesMax: defaultUserPropertiesMax,
            rejectsControlCharacters: false)
    }
}
