import Base

/// The bytes of a message from the door to its last delivery: encoded once, then carried unchanged
/// through mailbox, link, log and store.
///
/// Version 1, big-endian, 40 bytes of header, 48 where retain is set:
/// ```
///   0 version            u8 = 1
///   1 headerSize         u8 >= 40; readers skip what they do not know behind byte 48
///   2 flags              u8: 0-1 QoS, 2 retain, 3 has expiry; others 0, ignored when read
///   3 reserved           u8 = 0
///   4 expirySeconds      u32, from publishedAt; 0xFFFFFFFF without expiry
///   8 publishedAt        u64, milliseconds of wall time since 1970
///  16 publisherHash      u64, BucketHash of tenant, 0x00, client id
///  24 tenantLength       u16
///  26 clientLength       u16
///  28 topicLength        u16, without the prefix
///  30 reserved           u16 = 0
///  32 propertiesLength   u32
///  36 payloadLength      u32
///  40 retainVersion      u64, of the topic, once it is committed; 0 before, and as retained
///  headerSize: tenant | client id | topic length u16, topic | properties | payload
/// ```
/// The topic stands as in a PUBLISH, length first; the properties are the ones that are passed on,
/// encoded as in MQTT 5. DUP and the packet id belong to a delivery and are not in the record.
@usableFromInline
package enum MessageRecord {
    @usableFromInline
    package static var version: UInt8 { 1 }
    @usableFromInline
    package static var headerSize: Int { 40 }
    /// Of a message that is to be retained.
    @usableFromInline
    package static var retainedHeaderSize: Int { 48 }
    /// The value of `expirySeconds` that means never.
    @inlinable
    package static var noExpiry: UInt32 { 0xFFFF_FFFF }

    /// The version that the topic got with this message; 0 if it is not known, or never was.
    package static func retainVersion(of record: UnsafeRawBufferPointer) -> UInt64 {
        guard record.count >= retainedHeaderSize, record[1] >= UInt8(retainedHeaderSize),
            record[2] & 4 != 0
        else { return 0 }
        return UInt64(bigEndian: record.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
    }

    /// Notes the version in a record that nobody else reads yet and that has retain set.
    package static func setRetainVersion(
        _ version: UInt64, in record: UnsafeMutableRawBufferPointer
    ) {
        guard record.count >= retainedHeaderSize, record[1] >= UInt8(retainedHeaderSize) else {
            return
        }
        record.storeBytes(of: version.bigEndian, toByteOffset: 40, as: UInt64.self)
    }

    /// Who published: tells sessions apart for no-local and for ordered shared subscriptions.
    @usableFromInline
    package static func publisherHash(tenant: [UInt8], clientID: [UInt8]) -> UInt64 {
        BucketHash.hash(tenant + [0] + clientID)
    }
}

/// The numbers of a message record.
@usableFromInline
package struct MessageRecordFields: Equatable, Sendable {
    @usableFromInline
    package var qos: QoS
    @usableFromInline
    package var retain: Bool
    /// Seconds from `publishedAt`; nil if the message does not expire.
    @usableFromInline
    package var expirySeconds: UInt32?
    @usableFromInline
    package var publishedAt: WallTime
    @usableFromInline
    package var publisherHash: UInt64

    @inlinable
    package init(
        qos: QoS, retain: Bool, expirySeconds: UInt32?, publishedAt: WallTime,
        publisherHash: UInt64
    ) {
        self.qos = qos
        self.retain = retain
        self.expirySeconds = expirySeconds
        self.publishedAt = publishedAt
        self.publisherHash = publisherHash
    }
}

/// The plan of one record: its exact size first, then its bytes straight into reserved memory.
@usableFromInline
package struct MessageRecordEncoding: Sendable {
    @usableFromInline
    package let fields: MessageRecordFields
    @usableFromInline
    package let tenantSize: Int
    @usableFromInline
    package let clientIDSize: Int
    /// Without the two length bytes.
    @usableFromInline
    package let topicSize: Int
    @usableFromInline
    package let propertiesSize: Int
    @usableFromInline
    package let payloadSize: Int

    /// Sizes come from values that the protocol bounds; texts are at most 65,535 bytes.
    @inlinable
    package init(
        _ fields: MessageRecordFields, tenantSize: Int, clientIDSize: Int, topicSize: Int,
        propertiesSize: Int, payloadSize: Int
    ) {
        invariant(
            tenantSize <= 0xFFFF && clientIDSize <= 0xFFFF && topicSize <= 0xFFFF,
            "record of tenant \(tenantSize), client \(clientIDSize), topic \(topicSize)")
        invariant(
            propertiesSize <= 0xFFF_FFFF && payloadSize <= 0xFFF_FFFF,
            "record of properties \(propertiesSize), payload \(payloadSize)")
        self.fields = fields
        self.tenantSize = tenantSize
        self.clientIDSize = clientIDSize
        self.topicSize = topicSize
        self.propertiesSize = propertiesSize
        self.payloadSize = payloadSize
    }

    /// Bytes of the record.
    @inlinable
    package var size: Int { payloadOffset &+ payloadSize }
    @inlinable
    package var headerSize: Int { fields.retain ? 48 : 40 }
    @inlinable
    package var topicOffset: Int { headerSize &+ tenantSize &+ clientIDSize }
    @inlinable
    package var propertiesOffset: Int { topicOffset &+ 2 &+ topicSize }
    @inlinable
    package var payloadOffset: Int { propertiesOffset &+ propertiesSize }

    /// Writes everything before the properties: header, tenant, client id, topic.
    @inlinable
    package func writeHead(
        to place: UnsafeMutableRawPointer, tenant: RawSpan, clientID: RawSpan, topic: RawSpan
    ) {
        invariant(
            tenant.byteCount == tenantSize && clientID.byteCount == clientIDSize
                && topic.byteCount == topicSize,
            "record parts differ from their planned sizes")
        let flags: UInt8 =
            fields.qos.rawValue | (fields.retain ? 4 : 0) | (fields.expirySeconds == nil ? 0 : 8)
        place.storeBytes(of: 1, as: UInt8.self)
        place.storeBytes(
            of: UInt8(truncatingIfNeeded: headerSize), toByteOffset: 1, as: UInt8.self)
        place.storeBytes(of: flags, toByteOffset: 2, as: UInt8.self)
        place.storeBytes(of: 0, toByteOffset: 3, as: UInt8.self)
        store(fields.expirySeconds ?? MessageRecord.noExpiry, to: place, at: 4)
        store(fields.publishedAt.milliseconds, to: place, at: 8)
        store(fields.publisherHash, to: place, at: 16)
        store(UInt16(truncatingIfNeeded: tenantSize), to: place, at: 24)
        store(UInt16(truncatingIfNeeded: clientIDSize), to: place, at: 26)
        store(UInt16(truncatingIfNeeded: topicSize), to: place, at: 28)
        store(0 as UInt16, to: place, at: 30)
        store(UInt32(truncatingIfNeeded: propertiesSize), to: place, at: 32)
        store(UInt32(truncatingIfNeeded: payloadSize), to: place, at: 36)
        if fields.retain { store(0 as UInt64, to: place, at: 40) }
        copy(tenant, to: place + headerSize)
        copy(clientID, to: place + headerSize + tenantSize)
        store(UInt16(truncatingIfNeeded: topicSize), to: place, at: topicOffset)
        copy(topic, to: place + topicOffset + 2)
    }

    /// Writes the whole record, `size` bytes.
    @inlinable
    package func write(
        to place: UnsafeMutableRawPointer, tenant: RawSpan, clientID: RawSpan, topic: RawSpan,
        properties: RawSpan, payload: RawSpan
    ) {
        invariant(
            properties.byteCount == propertiesSize && payload.byteCount == payloadSize,
            "record parts differ from their planned sizes")
        writeHead(to: place, tenant: tenant, clientID: clientID, topic: topic)
        copy(properties, to: place + propertiesOffset)
        copy(payload, to: place + payloadOffset)
    }

    @inlinable
    func store<I: FixedWidthInteger & BitwiseCopyable>(
        _ value: I, to place: UnsafeMutableRawPointer, at offset: Int
    ) {
        place.storeBytes(of: value.bigEndian, toByteOffset: offset, as: I.self)
    }

    @inlinable
    func copy(_ bytes: RawSpan, to place: UnsafeMutableRawPointer) {
        bytes.withUnsafeBytes { source in
            guard let start = source.baseAddress, source.count > 0 else { return }
            place.copyMemory(from: start, byteCount: source.count)
        }
    }
}

extension MessageRecordEncoding {
    /// Appends the whole record.
    @inlinable
    package func write(
        into writer: inout ByteWriter, tenant: RawSpan, clientID: RawSpan, topic: RawSpan,
        properties: RawSpan, payload: RawSpan
    ) {
        writer.append(count: size) { place in
            write(
                to: place, tenant: tenant, clientID: clientID, topic: topic,
                properties: properties, payload: payload)
        }
    }
}
