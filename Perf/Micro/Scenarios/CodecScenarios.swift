import Base
import MQTT

/// Packets to and from bytes.
enum CodecScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "decode-publish-311",
            what: "QoS 1, topic of 33 bytes, payload of 64: framing and decoding"
        ) { decode($0, packet(.v311, forwarded: []), .server(.v311)) },
        Scenario(
            name: "decode-publish-5",
            what: "the same with an empty property block"
        ) { decode($0, packet(.v5, forwarded: []), .server(.v5)) },
        Scenario(
            name: "decode-publish-5-properties",
            what: "the same with content type, response topic, correlation data, user property"
        ) { decode($0, packet(.v5, forwarded: properties), .server(.v5)) },
        Scenario(
            name: "decode-puback", what: "four bytes, framing and decoding", run: decodePuback),
        Scenario(
            name: "decode-user-properties",
            what: "256 user properties in one PUBLISH: per packet", count: 200,
            run: decodeUserProperties),
        Scenario(
            name: "encode-publish-311", what: "QoS 1, topic of 33 bytes, payload of 64"
        ) { encode($0, .v311, forwarded: []) },
        Scenario(
            name: "encode-publish-5",
            what: "the same with a subscription identifier and forwarded properties"
        ) { encode($0, .v5, forwarded: properties) },
        Scenario(
            name: "encode-puback", what: "four bytes",
            run: encodePuback),
        Scenario(
            name: "record-write", what: "message record: topic 33, payload 64", run: recordWrite),
        Scenario(
            name: "record-read", what: "message record, checked", run: recordRead),
    ]

    static let topic = Array("plant/7/line/23/sensor/temperature".utf8.prefix(33))
    static let payload = [UInt8](repeating: 0x61, count: 64)
    static let properties: [UInt8] =
        [0x03, 0, 4] + Array("json".utf8) + [0x08, 0, 5] + Array("reply".utf8)
        + [0x09, 0, 4, 1, 2, 3, 4, 0x26, 0, 3] + Array("key".utf8) + [0, 5] + Array("value".utf8)

    /// Packets in one buffer: what a read brings.
    private static let perRead = 20

    private static func packet(_ version: ProtocolVersion, forwarded: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        for index in 1...perRead {
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: .atLeastOnce, dup: false, retain: false,
                    packetID: UInt16(index), topicAlias: 0, messageExpiry: nil),
                topic: topic, forwarded: forwarded, subscriptionIDs: [], payload: payload,
                into: &writer)
        }
        return writer.array
    }

    private static func decode(
        _ count: Int, _ stream: [UInt8], _ options: DecodeOptions
    ) -> UInt64 {
        var sum: UInt64 = 0
        let span = stream.span.bytes
        for _ in 0..<(count / perRead) {
            var offset = 0
            while case .frame(let header) = FixedHeader.decode(
                span, offset: offset, maximumPacketSize: 1 << 20)
            {
                offset += header.totalSize
                guard let packet = try? PublishPacket.decode(header, span, options) else {
                    return 0
                }
                sum &+= UInt64(packet.packetID) &+ UInt64(packet.payload.count)
            }
        }
        return sum
    }

    private static func decodePuback(_ count: Int) -> UInt64 {
        var writer = ByteWriter()
        for index in 1...perRead {
            AckEncoding.write(
                .puback, .v5, packetID: UInt16(index), reasonCode: .success, into: &writer)
        }
        let stream = writer.array
        let span = stream.span.bytes
        var sum: UInt64 = 0
        for _ in 0..<(count / perRead) {
            var offset = 0
            while case .frame(let header) = FixedHeader.decode(
                span, offset: offset, maximumPacketSize: 1 << 20)
            {
                offset += header.totalSize
                guard let packet = try? AckPacket.decode(header, span, .server(.v5)) else {
                    return 0
                }
                sum &+= UInt64(packet.packetID)
            }
        }
        return sum
    }

    private static func decodeUserProperties(_ count: Int) -> UInt64 {
        var user = UserProperties()
        for _ in 0..<256 { user.append(name: "key", value: "value") }
        var writer = ByteWriter()
        PublishEncoding.encode(
            PublishFields(
                version: .v5, qos: .atMostOnce, dup: false, retain: false, packetID: 0,
                topicAlias: 0, messageExpiry: nil),
            topic: topic, forwarded: user.bytes, subscriptionIDs: [], payload: [], into: &writer)
        let stream = writer.array
        let span = stream.span.bytes
        var sum: UInt64 = 0
        for _ in 0..<count {
            guard
                case .frame(let header) = FixedHeader.decode(
                    span, offset: 0, maximumPacketSize: 1 << 20),
                let packet = try? PublishPacket.decode(header, span, .server(.v5))
            else { return 0 }
            sum &+= UInt64(packet.userPropertyCount)
        }
        return sum
    }

    private static func encode(
        _ count: Int, _ version: ProtocolVersion, forwarded: [UInt8]
    ) -> UInt64 {
        let prefixed = [0, UInt8(topic.count)] + topic
        let place = UnsafeMutableRawPointer.allocate(byteCount: 512, alignment: 16)
        defer { place.deallocate() }
        let ids: [UInt32] = version == .v5 ? [7] : []
        var sum: UInt64 = 0
        ids.withUnsafeBufferPointer { ids in
            prefixed.withUnsafeBytes { topic in
                forwarded.withUnsafeBytes { forwarded in
                    payload.withUnsafeBytes { payload in
                        for index in 0..<count {
                            let plan = PublishEncoding(
                                PublishFields(
                                    version: version, qos: .atLeastOnce, dup: false,
                                    retain: false,
                                    packetID: UInt16(truncatingIfNeeded: index), topicAlias: 0,
                                    messageExpiry: nil), topicSize: topic.count,
                                forwardedSize: forwarded.count, payloadSize: payload.count,
                                subscriptionIDs: ids)
                            plan.write(
                                to: place, topic: topic, forwarded: forwarded,
                                subscriptionIDs: ids, payload: payload)
                            sum &+= UInt64(place.load(fromByteOffset: 38, as: UInt8.self))
                        }
                    }
                }
            }
        }
        return sum
    }

    private static func encodePuback(_ count: Int) -> UInt64 {
        let places = UnsafeMutableRawPointer.allocate(byteCount: 1_024, alignment: 16)
        places.initializeMemory(as: UInt8.self, repeating: 0, count: 1_024)
        defer { places.deallocate() }
        var sum: UInt64 = 0
        for index in 0..<count {
            let place = places + (index & 63) * 16
            // What stood there before is read, so that no store can be left out.
            sum &+= UInt64(place.load(fromByteOffset: 3, as: UInt8.self))
            let size = AckEncoding.write(
                .puback, .v5, packetID: UInt16(truncatingIfNeeded: index),
                reasonCode: index & 15 == 0 ? .noMatchingSubscribers : .success, to: place)
            sum &+= UInt64(size)
        }
        return sum
    }

    private static let recordFields = MessageRecordFields(
        qos: .atLeastOnce, retain: false, expirySeconds: nil,
        publishedAt: WallTime(milliseconds: 1), publisherHash: 2)

    private static func write(_ writer: inout ByteWriter) {
        let (name, body) = (topic, payload)
        MessageRecordEncoding(
            recordFields, tenantSize: 0, clientIDSize: topic.count, topicSize: topic.count,
            propertiesSize: 0, payloadSize: payload.count
        ).write(
            into: &writer, tenant: RawSpan(), clientID: name.span.bytes, topic: name.span.bytes,
            properties: RawSpan(), payload: body.span.bytes)
    }

    private static func recordWrite(_ count: Int) -> UInt64 {
        var writer = ByteWriter(capacity: 512)
        var sum: UInt64 = 0
        for _ in 0..<count {
            writer.removeAll()
            write(&writer)
            sum &+= UInt64(writer.count)
        }
        return sum
    }

    private static func recordRead(_ count: Int) -> UInt64 {
        var writer = ByteWriter(capacity: 512)
        write(&writer)
        let record = writer.array
        let span = record.span.bytes
        var sum: UInt64 = 0
        for _ in 0..<count {
            guard let view = try? MessageRecordView.decode(span) else { return 0 }
            sum &+= UInt64(view.payload.count)
        }
        return sum
    }
}
