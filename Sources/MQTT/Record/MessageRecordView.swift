import Base

/// Why bytes are no message record.
@usableFromInline
package enum MessageRecordFault: UInt8, Error, CaseIterable, Sendable {
    case tooShort
    case versionUnknown
    case headerSizeInvalid
    case qosInvalid
    case sizeMismatch
    case topicLengthMismatch
}

/// A message record read in place: positions and numbers.
@usableFromInline
package struct MessageRecordView: Equatable, Sendable {
    @usableFromInline
    package var fields: MessageRecordFields
    @usableFromInline
    package var tenant: ByteRange
    @usableFromInline
    package var clientID: ByteRange
    /// The topic without its length.
    @usableFromInline
    package var topic: ByteRange
    @usableFromInline
    package var properties: ByteRange
    @usableFromInline
    package var payload: ByteRange

    /// The topic with its two length bytes in front, as a PUBLISH begins.
    @inlinable
    package var prefixedTopic: ByteRange {
        ByteRange(offset: Int(topic.offset) &- 2, count: Int(topic.count) &+ 2)
    }

    @inlinable
    init(fields: MessageRecordFields) {
        self.fields = fields
        tenant = .empty
        clientID = .empty
        topic = .empty
        properties = .empty
        payload = .empty
    }

    /// When the message expires; nil if never.
    @inlinable
    package var expiresAt: WallTime? {
        guard let seconds = fields.expirySeconds else { return nil }
        return fields.publishedAt.advanced(bySeconds: UInt64(seconds))
    }

    /// Seconds left at `now`, rounded up; 0 once it has expired, nil if it never does.
    @inlinable
    package func remainingExpiry(at now: WallTime) -> UInt32? {
        guard let end = expiresAt, let seconds = fields.expirySeconds else { return nil }
        if now >= end { return 0 }
        let left = (end.milliseconds &- now.milliseconds &+ 999) / 1000
        // A clock that stepped back must not lengthen a life.
        return UInt32(truncatingIfNeeded: min(left, UInt64(seconds)))
    }
}

extension MessageRecordView {
    /// Reads a record from anywhere: every length is checked against the bytes there are.
    @usableFromInline
    package static func decode(_ bytes: RawSpan) throws(MessageRecordFault) -> MessageRecordView {
        guard bytes.byteCount >= MessageRecord.headerSize else { throw .tooShort }
        guard load(bytes, 0, UInt8.self) == MessageRecord.version else { throw .versionUnknown }
        let headerSize = Int(load(bytes, 1, UInt8.self))
        guard headerSize >= MessageRecord.headerSize else { throw .headerSizeInvalid }
        guard load(bytes, 2, UInt8.self) & 3 != 3 else { throw .qosInvalid }
        let view = layOut(bytes)
        guard view.payload.end == bytes.byteCount else { throw .sizeMismatch }
        let prefix = load(bytes, Int(view.topic.offset) - 2, UInt16.self)
        guard UInt32(prefix) == view.topic.count else { throw .topicLengthMismatch }
        return view
    }

    /// Reads a record that this node wrote or has checked: no judgement, only the loads. Foreign
    /// bytes give ranges that a span refuses, never memory outside it.
    @inlinable
    package init(trusted bytes: RawSpan) {
        self = MessageRecordView.layOut(bytes)
    }

    /// The positions as the header gives them. Needs at least a header's bytes. Cannot overflow:
    /// the sum of all lengths is below 2^34.
    @inlinable
    static func layOut(_ bytes: RawSpan) -> MessageRecordView {
        let flags = load(bytes, 2, UInt8.self)
        let expiry = load(bytes, 4, UInt32.self)
        var view = MessageRecordView(
            fields: MessageRecordFields(
                qos: QoS(rawValue: flags & 3) ?? .exactlyOnce, retain: flags & 4 != 0,
                expirySeconds: flags & 8 != 0 ? expiry : nil,
                publishedAt: WallTime(milliseconds: load(bytes, 8, UInt64.self)),
                publisherHash: load(bytes, 16, UInt64.self)))
        var at = Int(load(bytes, 1, UInt8.self))
        view.tenant = take(&at, Int(load(bytes, 24, UInt16.self)))
        view.clientID = take(&at, Int(load(bytes, 26, UInt16.self)))
        at &+= 2
        view.topic = take(&at, Int(load(bytes, 28, UInt16.self)))
        view.properties = take(&at, Int(load(bytes, 32, UInt32.self)))
        view.payload = take(&at, Int(load(bytes, 36, UInt32.self)))
        return view
    }

    @inlinable
    static func take(_ at: inout Int, _ count: Int) -> ByteRange {
        defer { at &+= count }
        return ByteRange(offset: at, count: count)
    }

    @inlinable
    static func load<I: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: RawSpan, _ offset: Int, _ type: I.Type
    ) -> I {
        I(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: I.self))
    }
}
