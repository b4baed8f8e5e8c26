import Base
import MQTT
import Policy

/// A PUBLISH on its way, by address: valid only during the call that it is passed to.
///
/// Comes from a packet in the receive buffer, or from a message record (mail, store). Becomes a
/// record of its own once something has to hold it (`record()`), encoded at most once.
struct Message: ~Copyable {
    /// With its two length bytes.
    var topic: UnsafeRawBufferPointer
    /// Encoded MQTT 5 properties that are passed on.
    var forwarded: UnsafeRawBufferPointer
    var payload: UnsafeRawBufferPointer
    var qos: QoS
    var retain: Bool
    var tenant: TenantSlot
    /// Tells the publishing session apart, for No Local and ordered sharing.
    var publisherHash: UInt64
    /// When it was accepted, and after how many seconds it expires; nil if it does not.
    var publishedAt: WallTime
    var expirySeconds: UInt32?
    var tenantName: UnsafeRawBufferPointer
    var publisher: UnsafeRawBufferPointer
    /// The packet that it came in, if that can go out as it is.
    var original = OriginalFrame.none
    private var encoded: SharedBlock?

    init(
        topic: UnsafeRawBufferPointer, forwarded: UnsafeRawBufferPointer,
        payload: UnsafeRawBufferPointer, qos: QoS, retain: Bool, tenant: TenantSlot,
        publisherHash: UInt64, publishedAt: WallTime, expirySeconds: UInt32?,
        tenantName: UnsafeRawBufferPointer, publisher: UnsafeRawBufferPointer
    ) {
        self.topic = topic
        self.forwarded = forwarded
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.tenant = tenant
        self.publisherHash = publisherHash
        self.publishedAt = publishedAt
        self.expirySeconds = expirySeconds
        self.tenantName = tenantName
        self.publisher = publisher
    }

    deinit { encoded?.release() }

    /// The topic without its length.
    var topicName: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: topic[2...])
    }

    /// The topic as text, for events.
    var topicText: String { String(decoding: topicName, as: UTF8.self) }

    /// Seconds left at `now`, rounded up; nil without expiry, 0 once expired [MQTT-3.3.2-6].
    func remainingSeconds(_ now: WallTime) -> UInt32? {
        guard let expirySeconds else { return nil }
        let end = publishedAt.advanced(bySeconds: UInt64(expirySeconds))
        if now >= end { return 0 }
        let left = (end.milliseconds - now.milliseconds + 999) / 1000
        return UInt32(truncatingIfNeeded: min(left, UInt64(expirySeconds)))
    }

    private var encoding: MessageRecordEncoding {
        MessageRecordEncoding(
            MessageRecordFields(
                qos: qos, retain: retain, expirySeconds: expirySeconds, publishedAt: publishedAt,
                publisherHash: publisherHash),
            tenantSize: tenantName.count, clientIDSize: publisher.count,
            topicSize: topic.count - 2, propertiesSize: forwarded.count,
            payloadSize: payload.count)
    }

    private func write(_ encoding: MessageRecordEncoding, to place: UnsafeMutableRawPointer) {
        encoding.write(
            to: place, tenant: RawSpan(_unsafeBytes: tenantName),
            clientID: RawSpan(_unsafeBytes: publisher), topic: RawSpan(_unsafeBytes: topicName),
            properties: RawSpan(_unsafeBytes: forwarded), payload: RawSpan(_unsafeBytes: payload))
    }

    /// The message as a shared record, encoded with the first call. The reference is this value's;
    /// whoever keeps the record retains it.
    mutating func record() -> SharedBlock {
        if let encoded { return encoded }
        let encoding = encoding
        let block = SharedBlock.allocate(count: encoding.size)
        write(encoding, to: block.mutableBytes.baseAddress.unsafelyUnwrapped)
        encoded = block
        return block
    }

    /// Appends the record without making a shared one.
    func appendRecord(into writer: inout ByteWriter) {
        if let encoded {
            writer.append(encoded.bytes)
            return
        }
        let encoding = encoding
        writer.append(count: encoding.size) { write(encoding, to: $0) }
    }
}

extension Message {
    /// A message from a record that this process wrote or has checked. `block` is the shared block
    /// that the bytes are, if they are one.
    init(record bytes: UnsafeRawBufferPointer, tenant: TenantSlot, block: SharedBlock? = nil) {
        let view = MessageRecordView(trusted: RawSpan(_unsafeBytes: bytes))
        func part(_ range: ByteRange) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: bytes[range.range])
        }
        self.init(
            topic: part(view.prefixedTopic), forwarded: part(view.properties),
            payload: part(view.payload), qos: view.fields.qos, retain: view.fields.retain,
            tenant: tenant, publisherHash: view.fields.publisherHash,
            publishedAt: view.fields.publishedAt, expirySeconds: view.fields.expirySeconds,
            tenantName: part(view.tenant), publisher: part(view.clientID))
        block?.retain()
        encoded = block
    }
}
