import Base

/// The plan of one outgoing PUBLISH: exact sizes first, then bytes straight into reserved memory.
///
/// ```
///  fixed header | topic, or 0x0000 | packet id, if QoS > 0 | MQTT 5: property length | ...
///
///  ... expiry | alias | subscription identifiers | forwarded bytes | payload
/// ```
/// A value on the stack; holds no bytes. The caller gives the same parts to `write` whose sizes it
/// gave to `init`. Header and payload are written apart, so that a large payload can be sent by
/// reference.
@usableFromInline
package struct PublishEncoding: Sendable {
    /// Topic with its two length bytes; 2 if only an alias is sent.
    @usableFromInline let topicSize: Int
    @usableFromInline let forwardedSize: Int
    /// Value of the property length field.
    @usableFromInline let propertiesSize: Int
    /// Value of the remaining length field.
    @usableFromInline let remainingLength: Int
    @usableFromInline package let fields: PublishFields

    /// Bytes up to the payload.
    @inlinable
    package var headerSize: Int { totalSize &- payloadSize }
    @usableFromInline
    package let payloadSize: Int
    /// Bytes of the whole packet: to compare with the client's maximum packet size.
    @usableFromInline
    package let totalSize: Int
    /// Where the packet id stands, for writing it into a shared copy; meaningless with QoS 0.
    @inlinable
    package var packetIDOffset: Int {
        1 &+ VariableByteInteger.size(of: remainingLength) &+ topicSize
    }
    /// Whether the packet can be encoded at all: four bytes of length must do.
    @inlinable
    package var isEncodable: Bool { remainingLength <= VariableByteInteger.maximum }

    /// `topicSize` counts the two length bytes; `forwardedSize` is not read below MQTT 5.
    @inlinable
    package init(
        _ fields: PublishFields, topicSize: Int, forwardedSize: Int, payloadSize: Int,
        subscriptionIDs: UnsafeBufferPointer<UInt32>
    ) {
        self.fields = fields
        self.topicSize = topicSize
        self.payloadSize = payloadSize
        var remaining = topicSize &+ payloadSize &+ (fields.qos == .atMostOnce ? 0 : 2)
        if fields.version == .v5 {
            var properties = forwardedSize
            if fields.messageExpiry != nil { properties &+= 5 }
            if fields.topicAlias != 0 { properties &+= 3 }
            for id in subscriptionIDs {
                properties &+= 1 &+ VariableByteInteger.size(of: Int(id))
            }
            self.forwardedSize = forwardedSize
            propertiesSize = properties
            remaining &+= VariableByteInteger.size(of: properties) &+ properties
        } else {
            self.forwardedSize = 0
            propertiesSize = 0
        }
        remainingLength = remaining
        totalSize = 1 &+ VariableByteInteger.size(of: remaining) &+ remaining
    }

    /// Writes `headerSize` bytes. `topic` has its two length bytes in front, `topicSize` bytes in
    /// all; `forwarded` has at least the size given to `init`.
    @inlinable
    package func writeHeader(
        to place: UnsafeMutableRawPointer, topic: UnsafeRawBufferPointer,
        forwarded: UnsafeRawBufferPointer, subscriptionIDs: UnsafeBufferPointer<UInt32>
    ) {
        invariant(
            topic.count == topicSize && (forwarded.count >= forwardedSize),
            "PUBLISH of topic \(topicSize), properties \(forwardedSize): got \(topic.count), "
                + "\(forwarded.count)")
        place.storeBytes(of: fields.firstByte, as: UInt8.self)
        var at = 1 &+ VariableByteInteger.write(remainingLength, to: place + 1)
        if let start = topic.baseAddress {
            (place + at).copyMemory(from: start, byteCount: topicSize)
        }
        at &+= topicSize
        if fields.qos != .atMostOnce {
            place.storeBytes(of: fields.packetID.bigEndian, toByteOffset: at, as: UInt16.self)
            at &+= 2
        }
        guard fields.version == .v5 else { return }
        at &+= VariableByteInteger.write(propertiesSize, to: place + at)
        if let expiry = fields.messageExpiry {
            place.storeBytes(of: 0x02, toByteOffset: at, as: UInt8.self)
            place.storeBytes(of: expiry.bigEndian, toByteOffset: at &+ 1, as: UInt32.self)
            at &+= 5
        }
        if fields.topicAlias != 0 {
            place.storeBytes(of: 0x23, toByteOffset: at, as: UInt8.self)
            place.storeBytes(
                of: fields.topicAlias.bigEndian, toByteOffset: at &+ 1, as: UInt16.self)
            at &+= 3
        }
        for id in subscriptionIDs {
            place.storeBytes(of: 0x0B, toByteOffset: at, as: UInt8.self)
            at &+= 1 &+ VariableByteInteger.write(Int(id), to: place + at + 1)
        }
        if forwardedSize > 0, let start = forwarded.baseAddress {
            (place + at).copyMemory(from: start, byteCount: forwardedSize)
        }
    }

    /// Writes the whole packet, `totalSize` bytes.
    @inlinable
    package func write(
        to place: UnsafeMutableRawPointer, topic: UnsafeRawBufferPointer,
        forwarded: UnsafeRawBufferPointer, subscriptionIDs: UnsafeBufferPointer<UInt32>,
        payload: UnsafeRawBufferPointer
    ) {
        invariant(
            payload.count == payloadSize, "payload of \(payloadSize): got \(payload.count)")
        writeHeader(
            to: place, topic: topic, forwarded: forwarded, subscriptionIDs: subscriptionIDs)
        if payloadSize > 0, let start = payload.baseAddress {
            (place + headerSize).copyMemory(from: start, byteCount: payloadSize)
        }
    }
}

/// The numbers of an outgoing PUBLISH.
@usableFromInline
package struct PublishFields: Sendable {
    @usableFromInline
    package var version: ProtocolVersion
    @usableFromInline
    package var qos: QoS
    @usableFromInline
    package var dup: Bool
    @usableFromInline
    package var retain: Bool
    /// Not written with QoS 0.
    @usableFromInline
    package var packetID: UInt16
    /// 0 for none. MQTT 5 only, as is the expiry.
    @usableFromInline
    package var topicAlias: UInt16
    /// Remaining seconds; nil for none.
    @usableFromInline
    package var messageExpiry: UInt32?

    @inlinable
    package init(
        version: ProtocolVersion, qos: QoS, dup: Bool, retain: Bool, packetID: UInt16,
        topicAlias: UInt16, messageExpiry: UInt32?
    ) {
        self.version = version
        self.qos = qos
        self.dup = dup
        self.retain = retain
        self.packetID = packetID
        self.topicAlias = topicAlias
        self.messageExpiry = messageExpiry
    }

    @inlinable
    package var firstByte: UInt8 {
        0x30 | (dup ? 8 : 0) | (qos.rawValue &<< 1) | (retain ? 1 : 0)
    }
}

extension PublishEncoding {
    /// Encodes a PUBLISH from arrays: for clients, tests and rare senders. `topic` is without its
    /// length and may be empty with an alias. `forwarded` are encoded properties.
    @usableFromInline
    package static func encode(
        _ fields: PublishFields, topic: [UInt8], forwarded: [UInt8], subscriptionIDs: [UInt32],
        payload: [UInt8], into writer: inout ByteWriter
    ) {
        invariant(topic.count <= 0xFFFF, "topic of \(topic.count) bytes")
        let count = UInt16(truncatingIfNeeded: topic.count)
        let prefixed =
            [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + topic
        subscriptionIDs.withUnsafeBufferPointer { ids in
            let plan = PublishEncoding(
                fields, topicSize: prefixed.count, forwardedSize: forwarded.count,
                payloadSize: payload.count, subscriptionIDs: ids)
            invariant(plan.isEncodable, "PUBLISH of \(plan.totalSize) bytes")
            writer.append(count: plan.totalSize) { place in
                prefixed.withUnsafeBytes { topic in
                    forwarded.withUnsafeBytes { forwarded in
                        payload.withUnsafeBytes { payload in
                            plan.write(
                                to: place, topic: topic, forwarded: forwarded,
                                subscriptionIDs: ids, payload: payload)
                        }
                    }
                }
            }
        }
    }
}
