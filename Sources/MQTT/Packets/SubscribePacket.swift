import Base

/// The options byte behind a topic filter of SUBSCRIBE.
@usableFromInline
package struct SubscriptionOptions: Hashable, Sendable {
    /// As on the wire: bits 0-1 maximum QoS, 2 no local, 3 retain as published, 4-5 retain
    /// handling.
    @usableFromInline
    package var rawValue: UInt8

    /// What to do with retained messages at the time of the SUBSCRIBE.
    @usableFromInline
    package enum RetainHandling: UInt8, CaseIterable, Sendable {
        case send = 0
        case sendIfNew = 1
        case doNotSend = 2
    }

    /// From a byte that was checked before; reserved bits and values are cut off.
    @inlinable
    package init(rawValue: UInt8) {
        var bits = rawValue & 0x3F
        if bits & 0x03 == 0x03 { bits &= 0xFE }
        if bits & 0x30 == 0x30 { bits &= 0xEF }
        self.rawValue = bits
    }

    @usableFromInline
    package init(
        maximumQoS: QoS, noLocal: Bool, retainAsPublished: Bool, retainHandling: RetainHandling
    ) {
        rawValue =
            maximumQoS.rawValue | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0)
            | retainHandling.rawValue << 4
    }

    @inlinable
    package var maximumQoS: QoS { QoS(rawValue: rawValue & 3) ?? .exactlyOnce }
    @inlinable
    package var noLocal: Bool { rawValue & 4 != 0 }
    @inlinable
    package var retainAsPublished: Bool { rawValue & 8 != 0 }
    @usableFromInline
    package var retainHandling: RetainHandling {
        RetainHandling(rawValue: (rawValue >> 4) & 3) ?? .doNotSend
    }

    /// Checks a byte from a packet. MQTT 3.1 leaves the upper bits unused.
    static func decode(
        _ byte: UInt8, _ version: ProtocolVersion
    ) throws(DecodeFault) -> SubscriptionOptions {
        let reserved: UInt8 = version == .v5 ? 0xC0 : (version == .v311 ? 0xFC : 0)
        if byte & reserved != 0 { throw .subscriptionOptionsReserved }
        if byte & 3 == 3 { throw .subscriptionQoSReserved }
        if version == .v5, byte & 0x30 == 0x30 { throw .retainHandlingReserved }
        return SubscriptionOptions(rawValue: version == .v5 ? byte : byte & 3)
    }
}

/// One topic filter of a SUBSCRIBE, in place.
@usableFromInline
package struct SubscribeEntry: Equatable, Sendable {
    /// Well-formed UTF-8; its syntax as a filter is `TopicFilter`'s affair, answered per filter.
    @usableFromInline
    package var filter: ByteRange
    @usableFromInline
    package var options: SubscriptionOptions
}

/// A SUBSCRIBE in place: checked as a whole, then walked with `next` without allocation.
@usableFromInline
package struct SubscribePacket: Equatable, Sendable {
    @usableFromInline
    package var packetID: UInt16
    /// 0 without one.
    @usableFromInline
    package var subscriptionID: UInt32 = 0
    /// The whole property block without its length.
    @usableFromInline
    package var properties = ByteRange.empty
    /// The payload: filters and options.
    @usableFromInline
    package var entries = ByteRange.empty
    /// Filters in the payload, at least 1.
    @usableFromInline
    package var entryCount = 0

    @usableFromInline
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> SubscribePacket {
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        var packet = SubscribePacket(packetID: try reader.readPacketID(bytes))
        if options.version == .v5 {
            packet.properties = try reader.takeProperties(bytes)
            var cursor = PropertyCursor(packet.properties, bytes, .subscribe, options)
            while let property = try cursor.next(bytes) {
                if property.id == .subscriptionIdentifier {
                    packet.subscriptionID = property.number
                }
            }
        }
        packet.entries = reader.rest
        guard !reader.isAtEnd else { throw .subscribeListEmpty }
        while !reader.isAtEnd {
            let filter = try reader.takeText(bytes)
            let entry = try SubscriptionOptions.decode(reader.readUInt8(bytes), options.version)
            if entry.noLocal, SharedPrefix.find(bytes, filter) != nil { throw .noLocalOnShared }
            packet.entryCount += 1
        }
        return packet
    }

    /// The entry at `position` of the payload, which starts at 0 and is moved behind it; nil
    /// behind the last.
    ///
    /// ```
    ///  var position = 0
    ///  while let entry = packet.next(bytes, &position) { ... }
    /// ```
    @usableFromInline
    package func next(_ bytes: RawSpan, _ position: inout Int) -> SubscribeEntry? {
        guard let filter = FilterList.next(bytes, entries, &position),
            position < entries.count, filter.end < bytes.byteCount
        else { return nil }
        position += 1
        let byte = bytes.unsafeLoad(fromByteOffset: filter.end, as: UInt8.self)
        return SubscribeEntry(filter: filter, options: SubscriptionOptions(rawValue: byte))
    }
}

/// An UNSUBSCRIBE in place.
@usableFromInline
package struct UnsubscribePacket: Equatable, Sendable {
    @usableFromInline
    package var packetID: UInt16
    /// The whole property block without its length.
    @usableFromInline
    package var properties = ByteRange.empty
    /// The payload: filters.
    @usableFromInline
    package var entries = ByteRange.empty
    /// Filters in the payload, at least 1.
    @usableFromInline
    package var entryCount = 0

    @usableFromInline
    package static func decode(
        _ header: FixedHeader, _ bytes: RawSpan, _ options: DecodeOptions
    ) throws(DecodeFault) -> UnsubscribePacket {
        try header.check(options.version)
        var reader = BodyReader(header.body, bytes, options)
        var packet = UnsubscribePacket(packetID: try reader.readPacketID(bytes))
        if options.version == .v5 {
            packet.properties = try reader.takeProperties(bytes)
            var cursor = PropertyCursor(packet.properties, bytes, .unsubscribe, options)
            while try cursor.next(bytes) != nil {}
        }
        packet.entries = reader.rest
        guard !reader.isAtEnd else { throw .unsubscribeListEmpty }
        while !reader.isAtEnd {
            _ = try reader.takeText(bytes)
            packet.entryCount += 1
        }
        return packet
    }

    /// The filter at `position` of the payload, as in `SubscribePacket`.
    @usableFromInline
    package func next(_ bytes: RawSpan, _ position: inout Int) -> ByteRange? {
        FilterList.next(bytes, entries, &position)
    }
}

/// The common walk over length-prefixed filters.
enum FilterList {
    static func next(_ bytes: RawSpan, _ list: ByteRange, _ position: inout Int) -> ByteRange? {
        guard position >= 0, position + 2 <= list.count, list.end <= bytes.byteCount else {
            return nil
        }
        let start = Int(list.offset) + position
        let count = Int(
            UInt16(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt16.self)))
        guard position + 2 + count <= list.count else { return nil }
        position += 2 + count
        return ByteRange(offset: start + 2, count: count)
    }
}
