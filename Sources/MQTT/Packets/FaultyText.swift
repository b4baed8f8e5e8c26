import Base

/// The text of a refused packet that is at fault: told to operators, never part of the protocol.
package struct FaultyText: Equatable, Sendable {
    /// What the text was to be.
    package enum Kind: Sendable {
        case clientID
        case username
        case willTopic
        case topicName
        case topicFilter
    }

    package let kind: Kind
    package let range: ByteRange

    /// Finds the first text of a packet that its decoder could not accept. Nil if the packet has
    /// none, or is damaged before it: then its shape is at fault.
    ///
    /// Walks through the packet once more, only after it was refused.
    package static func find(
        in header: FixedHeader, _ bytes: RawSpan, _ version: ProtocolVersion
    ) -> FaultyText? {
        var walk = TextWalk(
            reader: ByteReader(
                offset: Int(header.body.offset), end: min(header.body.end, bytes.byteCount)))
        switch header.type {
        case .connect: return try? walk.connect(bytes)
        case .publish: return try? walk.topicName(.topicName, bytes)
        case .subscribe: return try? walk.filters(bytes, version, optionBytes: 1)
        case .unsubscribe: return try? walk.filters(bytes, version, optionBytes: 0)
        case .connack, .puback, .pubrec, .pubrel, .pubcomp, .suback, .unsuback, .pingreq,
            .pingresp, .disconnect, .auth:
            return nil
        }
    }
}

extension DecodeFault {
    /// Whether one of the packet's texts is at fault, not its shape.
    package var concernsText: Bool {
        self == .textIllFormed || self == .textNull || self == .textControlCharacter
            || self == .topicWildcard || self == .topicEmpty || self == .willTopicWildcard
            || self == .willTopicEmpty
    }
}

private struct TextWalk {
    var reader: ByteReader

    private mutating func text(_ bytes: RawSpan) throws(ByteShortage) -> ByteRange {
        try reader.take(Int(reader.readUInt16(bytes)))
    }

    private mutating func skipProperties(_ bytes: RawSpan) throws(ByteShortage) {
        var count = 0
        var shift = 0
        while shift <= 21 {
            let byte = Int(try reader.readUInt8(bytes))
            count |= (byte & 127) << shift
            if byte < 128 { break }
            shift += 7
        }
        _ = try reader.take(count)
    }

    private mutating func faulty(
        _ kind: FaultyText.Kind, _ options: TextScan.Options, _ bytes: RawSpan
    ) throws(ByteShortage) -> FaultyText? {
        let range = try text(bytes)
        let isFine = TextScan.check(bytes, range, options) == .valid
        return isFine ? nil : FaultyText(kind: kind, range: range)
    }

    /// An empty topic name is at fault too.
    mutating func topicName(
        _ kind: FaultyText.Kind, _ bytes: RawSpan
    ) throws(ByteShortage) -> FaultyText? {
        let start = reader.offset
        if let fault = try faulty(kind, .topicName, bytes) { return fault }
        return reader.offset == start + 2
            ? FaultyText(kind: kind, range: ByteRange(offset: reader.offset, count: 0)) : nil
    }

    mutating func connect(_ bytes: RawSpan) throws(ByteShortage) -> FaultyText? {
        _ = try text(bytes)
        let level = try reader.readUInt8(bytes)
        let flags = try reader.readUInt8(bytes)
        _ = try reader.readUInt16(bytes)
        let hasProperties = level == ProtocolVersion.v5.rawValue
        if hasProperties { try skipProperties(bytes) }
        if let fault = try faulty(.clientID, .text, bytes) { return fault }
        if flags & ConnectFlags.will != 0 {
            if hasProperties { try skipProperties(bytes) }
            if let fault = try topicName(.willTopic, bytes) { return fault }
            _ = try text(bytes)
        }
        return flags & ConnectFlags.username != 0 ? try faulty(.username, .text, bytes) : nil
    }

    mutating func filters(
        _ bytes: RawSpan, _ version: ProtocolVersion, optionBytes: Int
    ) throws(ByteShortage) -> FaultyText? {
        _ = try reader.readUInt16(bytes)
        if version == .v5 { try skipProperties(bytes) }
        while !reader.isAtEnd {
            if let fault = try faulty(.topicFilter, .text, bytes) { return fault }
            _ = try reader.take(optionBytes)
        }
        return nil
    }
}
