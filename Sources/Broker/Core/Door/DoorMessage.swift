import Base
import MQTT
import Policy

/// A message as the door takes and shows it.
///
/// ```
///  topic s16 | qos u8 | flags u8 (1 retain, 2 expires) | expiry seconds u32 | published u64 (ms)
///  | publisher s16 | properties s32 | payload s32
/// ```
package struct DoorMessage: Equatable, Sendable {
    package var topic: [UInt8]
    package var qos = QoS.atMostOnce
    package var retain = false
    package var expirySeconds: UInt32?
    /// Milliseconds since 1970; 0 in a request.
    package var publishedAt: UInt64 = 0
    /// The client id that stands in the message's record.
    package var publisher: [UInt8] = []
    package var properties = DoorProperties()
    package var payload: [UInt8] = []

    package init(topic: [UInt8]) { self.topic = topic }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: topic)
        writer.append(qos.rawValue)
        writer.append((retain ? 1 : 0) | (expirySeconds == nil ? 0 : 2))
        writer.append(bigEndian: expirySeconds ?? 0)
        writer.append(bigEndian: publishedAt)
        writer.append(lengthPrefixed16: publisher)
        writer.append(bytes32: properties.encoded)
        writer.append(bytes32: payload)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        topic = try reader.bytes16(bytes)
        qos = try reader.qos(bytes)
        let flags = try reader.readUInt8(bytes)
        retain = flags & 1 != 0
        let expiry = try reader.readUInt32(bytes)
        expirySeconds = flags & 2 != 0 ? expiry : nil
        publishedAt = try reader.readUInt64(bytes)
        publisher = try reader.bytes16(bytes)
        guard let properties = DoorProperties(encoded: try reader.bytes32(bytes)) else {
            throw ByteShortage()
        }
        self.properties = properties
        payload = try reader.bytes32(bytes)
    }

    /// From a record of the retain store; nil if the bytes are none.
    init?(record: RawSpan) {
        guard let view = try? MessageRecordView.decode(record),
            let properties = DoorProperties(encoded: record.array(view.properties))
        else { return nil }
        topic = record.array(view.topic)
        qos = view.fields.qos
        retain = view.fields.retain
        expirySeconds = view.fields.expirySeconds
        publishedAt = view.fields.publishedAt.milliseconds
        publisher = record.array(view.clientID)
        self.properties = properties
        payload = record.array(view.payload)
    }
}

/// The MQTT 5 properties of a message that are passed on, as values. Encoded they are exactly the
/// bytes that stand in a message record.
package struct DoorProperties: Equatable, Sendable {
    /// A name and a value, both UTF-8.
    package struct Pair: Equatable, Sendable {
        package var name: [UInt8]
        package var value: [UInt8]
        package init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// 1: the payload is UTF-8.
    package var payloadFormat: UInt8?
    package var contentType: [UInt8]?
    package var responseTopic: [UInt8]?
    package var correlationData: [UInt8]?
    package var userProperties: [Pair] = []

    package init() {}

    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 64)
        if let payloadFormat {
            writer.append(PropertyID.payloadFormatIndicator.rawValue)
            writer.append(payloadFormat)
        }
        for (id, value) in [
            (PropertyID.contentType, contentType), (.responseTopic, responseTopic),
            (.correlationData, correlationData),
        ] {
            guard let value else { continue }
            writer.append(id.rawValue)
            writer.append(lengthPrefixed16: value)
        }
        for pair in userProperties {
            writer.append(PropertyID.userProperty.rawValue)
            writer.append(lengthPrefixed16: pair.name)
            writer.append(lengthPrefixed16: pair.value)
        }
        return writer.array
    }

    /// Nil for bytes that are no block of properties that are passed on.
    package init?(encoded: [UInt8]) {
        self.init()
        let isWhole = encoded.withRawSpan { bytes -> Bool in
            var reader = ByteReader(bytes)
            do throws(ByteShortage) {
                while !reader.isAtEnd { try read(bytes, &reader) }
                return true
            } catch {
                return false
            }
        }
        if !isWhole { return nil }
    }

    private mutating func read(
        _ bytes: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) {
        guard let id = PropertyID(rawValue: try reader.readUInt8(bytes)) else {
            throw ByteShortage()
        }
        if id == .payloadFormatIndicator {
            payloadFormat = try reader.readUInt8(bytes)
        } else if id == .contentType {
            contentType = try reader.bytes16(bytes)
        } else if id == .responseTopic {
            responseTopic = try reader.bytes16(bytes)
        } else if id == .correlationData {
            correlationData = try reader.bytes16(bytes)
        } else if id == .userProperty {
            let name = try reader.bytes16(bytes)
            userProperties.append(Pair(name: name, value: try reader.bytes16(bytes)))
        } else {
            throw ByteShortage()
        }
    }
}

extension DoorMessage {
    /// What is wrong with a message that shall be published, by the rules of the specification and
    /// the tenant's settings; nil if nothing is.
    func fault(_ settings: borrowing TenantSettings, isSystem: Bool) -> DoorRefusal? {
        if !isTopic(topic, settings.topicLimits) { return .topicInvalid }
        // Names that begin with $ are the server's own.
        if topic.first == 0x24, !isSystem { return .topicInvalid }
        if Int(qos.rawValue) > settings.maximumQoS { return .qosNotSupported }
        if retain, !settings.retainEnabled { return .retainNotSupported }
        if payload.count > settings.packetBytesMax { return .tooLarge }
        return properties.fault(settings, payload)
    }

    private func isTopic(_ name: [UInt8], _ limits: TopicLimits) -> Bool {
        name.withRawSpan { (try? TopicName.check($0, ByteRange(whole: $0), limits)) != nil }
    }
}

extension DoorProperties {
    func fault(_ settings: borrowing TenantSettings, _ payload: [UInt8]) -> DoorRefusal? {
        if let payloadFormat {
            guard payloadFormat <= 1 else { return .propertyInvalid }
            if payloadFormat == 1, settings.payloadFormatValidationEnabled,
                !Self.passes(payload, .payload)
            {
                return .payloadFormatInvalid
            }
        }
        if let responseTopic, responseTopic.isEmpty || !Self.passes(responseTopic, .topicName) {
            return .propertyInvalid
        }
        let texts = userProperties.flatMap { [$0.name, $0.value] } + [contentType ?? []]
        guard texts.allSatisfy({ $0.count <= 0xFFFF && Self.passes($0, .text) }),
            userProperties.count <= DoorLimits.userPropertiesMax,
            (correlationData?.count ?? 0) <= 0xFFFF, (responseTopic?.count ?? 0) <= 0xFFFF
        else { return .propertyInvalid }
        return nil
    }

    private static func passes(_ text: [UInt8], _ options: TextScan.Options) -> Bool {
        text.withRawSpan { TextScan.check($0, ByteRange(whole: $0), options) == .valid }
    }
}
