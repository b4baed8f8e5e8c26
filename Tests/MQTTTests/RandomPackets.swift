import Base
import MQTT

/// Random correct packets, as the values that senders make.
struct RandomPackets {
    var random: SeededRandom

    mutating func chance() -> Bool { random.chance(percent: 50) }

    mutating func data(_ countMax: Int) -> [UInt8] {
        (0..<random.below(countMax + 1)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// UTF-8 without U+0000 and wildcards, of at least `countMin` characters.
    mutating func text(_ countMax: Int, countMin: Int = 0) -> [UInt8] {
        let letters = ["a", "b", "/", "$", " ", "ü", "日", "𪛔", "~"]
        let count = countMin + random.below(countMax - countMin + 1)
        return (0..<count).flatMap { _ in Array(letters[random.below(letters.count)].utf8) }
    }

    mutating func optional<T>(_ make: (inout RandomPackets) -> T) -> T? {
        chance() ? make(&self) : nil
    }

    mutating func userProperties() -> UserProperties {
        var properties = UserProperties()
        for _ in 0..<random.below(4) { properties.append(name: text(5), value: text(9)) }
        return properties
    }

    mutating func qos() -> QoS { QoS.allCases[random.below(3)] }
    mutating func packetID() -> UInt16 { UInt16(1 + random.below(65_535)) }
    mutating func number() -> UInt32 { UInt32(truncatingIfNeeded: random.next()) }

    mutating func code(_ type: PacketType) -> ReasonCode {
        let codes = ReasonCode.allCases.filter { $0.isAllowed(in: type) }
        return codes[random.below(codes.count)]
    }

    /// Properties that a server passes on, encoded.
    mutating func forwarded() -> [UInt8] {
        var writer = ByteWriter()
        if chance() { writer.append([0x01, UInt8(random.below(2))]) }
        if chance() {
            writer.append(0x03 as UInt8)
            writer.append(lengthPrefixed16: text(9))
        }
        writer.append(userProperties().bytes)
        if chance() {
            writer.append(0x08 as UInt8)
            writer.append(lengthPrefixed16: text(9, countMin: 1))
        }
        if chance() {
            writer.append(0x09 as UInt8)
            writer.append(lengthPrefixed16: data(20))
        }
        return writer.array
    }

    mutating func connect(_ version: ProtocolVersion) -> ConnectPacket {
        var packet = ConnectPacket(
            version: version, cleanStart: chance(), keepAlive: packetID(), clientID: text(12))
        packet.username = optional { $0.text(9) }
        if packet.username != nil || version == .v5 { packet.password = optional { $0.data(9) } }
        packet.will = optional { $0.will(version) }
        guard version == .v5 else { return packet }
        packet.properties.sessionExpiryInterval = chance() ? number() : 0
        packet.properties.receiveMaximum = packetID()
        packet.properties.maximumPacketSize = optional { $0.number() | 1 }
        packet.properties.topicAliasMaximum = packetID()
        packet.properties.requestResponseInformation = chance()
        packet.properties.requestProblemInformation = chance()
        packet.properties.authenticationMethod = optional { $0.text(9) }
        if packet.properties.authenticationMethod != nil {
            packet.properties.authenticationData = optional { $0.data(9) }
        }
        packet.properties.userProperties = userProperties()
        return packet
    }

    mutating func will(_ version: ProtocolVersion) -> WillMessage {
        var will = WillMessage(
            topic: text(9, countMin: 1), payload: data(30), qos: qos(), retain: chance())
        guard version == .v5 else { return will }
        will.delayInterval = chance() ? number() : 0
        will.messageExpiry = optional { $0.number() }
        will.forwardedProperties = forwarded()
        if will.forwardedProperties.first == 1 { will.payloadFormat = will.forwardedProperties[1] }
        return will
    }

    mutating func connack(_ version: ProtocolVersion) -> ConnackPacket {
        guard version == .v5 else {
            let code = ReasonCode(connackReturnCode: UInt8(random.below(6))) ?? .success
            let isPresent = version == .v311 && code == .success && chance()
            return ConnackPacket(sessionPresent: isPresent, reasonCode: code)
        }
        let code = self.code(.connack)
        var packet = ConnackPacket(
            sessionPresent: !code.isFailure && chance(), reasonCode: code)
        packet.properties.sessionExpiryInterval = optional { $0.number() }
        packet.properties.receiveMaximum = packetID()
        packet.properties.maximumQoS = qos()
        packet.properties.retainAvailable = chance()
        packet.properties.maximumPacketSize = optional { $0.number() | 1 }
        packet.properties.assignedClientID = optional { $0.text(9) }
        packet.properties.topicAliasMaximum = packetID()
        packet.properties.reasonString = optional { $0.text(9) }
        packet.properties.userProperties = userProperties()
        packet.properties.wildcardSubscriptionAvailable = chance()
        packet.properties.subscriptionIDAvailable = chance()
        packet.properties.sharedSubscriptionAvailable = chance()
        packet.properties.serverKeepAlive = optional { $0.packetID() }
        packet.properties.responseInformation = optional { $0.text(9) }
        packet.properties.serverReference = optional { $0.text(9) }
        packet.properties.authenticationMethod = optional { $0.text(9) }
        packet.properties.authenticationData = optional { $0.data(9) }
        return packet
    }

    mutating func suback(_ type: PacketType, _ version: ProtocolVersion) -> SubackPacket {
        var packet = SubackPacket(packetID: packetID(), reasonCodes: [])
        for _ in 0...random.below(5) {
            let code = self.code(type)
            let isOld = version != .v5 && code.isFailure
            packet.reasonCodes.append(isOld ? .unspecifiedError : code)
        }
        if version == .v5 {
            packet.reasonString = optional { $0.text(9) }
            packet.userProperties = userProperties()
        } else if type == .unsuback {
            packet.reasonCodes = []
        }
        return packet
    }

    mutating func subscribe(_ version: ProtocolVersion) -> SubscribeRequest {
        var request = SubscribeRequest(packetID: packetID(), entries: [])
        for _ in 0...random.below(5) {
            let handling = SubscriptionOptions.RetainHandling.allCases[random.below(3)]
            let isNew = version == .v5
            request.entries.append(
                SubscribeRequest.Entry(
                    filter: text(12),
                    options: SubscriptionOptions(
                        maximumQoS: qos(), noLocal: isNew && chance(),
                        retainAsPublished: isNew && chance(),
                        retainHandling: isNew ? handling : .send)))
        }
        if version == .v5 {
            request.subscriptionID = chance() ? 1 + number() % 268_435_455 : 0
            request.userProperties = userProperties()
        }
        return request
    }

    mutating func unsubscribe(_ version: ProtocolVersion) -> UnsubscribeRequest {
        var request = UnsubscribeRequest(packetID: packetID(), filters: [])
        for _ in 0...random.below(5) { request.filters.append(text(12)) }
        if version == .v5 { request.userProperties = userProperties() }
        return request
    }

    mutating func disconnect(_ receiver: PacketReceiver) -> DisconnectPacket {
        var packet = DisconnectPacket(reasonCode: code(.disconnect))
        if receiver == .server { packet.sessionExpiryInterval = optional { $0.number() } }
        packet.reasonString = optional { $0.text(9) }
        packet.serverReference = optional { $0.text(9) }
        packet.userProperties = userProperties()
        return packet
    }

    mutating func auth(_ receiver: PacketReceiver) -> AuthPacket {
        let foreign: ReasonCode = receiver == .server ? .reauthenticate : .success
        var packet = AuthPacket(reasonCode: chance() ? .continueAuthentication : foreign)
        packet.authenticationMethod = text(9)
        packet.authenticationData = optional { $0.data(9) }
        packet.reasonString = optional { $0.text(9) }
        packet.userProperties = userProperties()
        return packet
    }
}
