import Base

/// The head of every message that a replica's machine receives (credit, acknowledged patch,
/// released owner): which range, and by which key to find its heir if the range was cut.
///
/// ```
///  version u8 = 1 | hops u8 | store u8 | range number u64 | boundary version u64
///  key length u32 | routing key | body to the end: what the machine sees
/// ```
/// An empty key means the range itself, uncut or not. A host that does not have the key passes the
/// message on, `RangeLimits.messageHopsMax` times.
package struct MachineMessage: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1

    package var hops: UInt8
    package var range: RangeID
    package var boundaryVersion: UInt64
    /// Position of the routing key in the message.
    package var key: ByteRange

    package static func encodeHead(
        hops: UInt8 = 0, range: RangeID, boundaryVersion: UInt64, key: RawSpan,
        into writer: inout ByteWriter
    ) {
        writer.append(formatVersion)
        writer.append(hops)
        writer.append(rangeID: range)
        writer.append(bigEndian: boundaryVersion)
        writer.append(lengthPrefixed32: key)
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        hops = try reader.readUInt8(bytes)
        range = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
        key = try reader.takeLengthPrefixed32(bytes)
    }
}

/// News of the range map (`rangeMap`): version u8 = 1, count u16, descriptors.
package enum RangeMapMessage {
    package static let formatVersion: UInt8 = 1

    package static func encode(_ list: [RangeDescriptor], into writer: inout ByteWriter) {
        writer.append(formatVersion)
        RangeDescriptor.encode(list, into: &writer)
    }

    package static func decode(_ bytes: RawSpan) throws(ByteShortage) -> [RangeDescriptor] {
        var reader = ByteReader(bytes)
        guard try reader.readUInt8(bytes) == formatVersion else { throw ByteShortage() }
        return try RangeDescriptor.decodeList(bytes, reader: &reader)
    }
}

/// A replica that matches topics asks its range's leader to let it go on (`leaseRequest`).
///
/// ```
///  version u8 = 1 | store u8 | range number u64 | boundary version u64 | holder (node u64,
///  worker u16) | liveness epoch u64 | number u64 | applied index u64
/// ```
/// The holder counts the lease from the sending of the request, by its own boot clock.
package struct LeaseRequest: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1

    package var range: RangeID
    package var boundaryVersion: UInt64
    package var holder: Place
    package var epoch: LivenessEpoch
    /// Rises with every request of the holder; a grant names the request it answers.
    package var number: UInt64
    /// Last index that the holder has applied: a slow one is not renewed.
    package var appliedIndex: UInt64

    package init(
        range: RangeID, boundaryVersion: UInt64, holder: Place, epoch: LivenessEpoch,
        number: UInt64, appliedIndex: UInt64
    ) {
        self.range = range
        self.boundaryVersion = boundaryVersion
        self.holder = holder
        self.epoch = epoch
        self.number = number
        self.appliedIndex = appliedIndex
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(rangeID: range)
        writer.append(bigEndian: boundaryVersion)
        writer.append(place: holder)
        writer.append(bigEndian: epoch.rawValue)
        writer.append(bigEndian: number)
        writer.append(bigEndian: appliedIndex)
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        range = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
        holder = try reader.readPlace(bytes)
        epoch = LivenessEpoch(try reader.readUInt64(bytes))
        number = try reader.readUInt64(bytes)
        appliedIndex = try reader.readUInt64(bytes)
    }
}

/// The leader's yes to a `LeaseRequest` (`leaseGrant`); a no is silence.
///
/// ```
///  version u8 = 1 | store u8 | range number u64 | number u64 | term u64
///  milliseconds u32 | commit index u64
/// ```
package struct LeaseGrant: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1

    package var range: RangeID
    /// Number of the request.
    package var number: UInt64
    /// Term of the leader that grants it.
    package var term: UInt64
    /// How long it holds; the leader counts from now, with a drift margin on top.
    package var milliseconds: UInt32
    /// The holder may match only once it has applied this.
    package var commitIndex: UInt64

    package init(
        range: RangeID, number: UInt64, term: UInt64, milliseconds: UInt32, commitIndex: UInt64
    ) {
        self.range = range
        self.number = number
        self.term = term
        self.milliseconds = milliseconds
        self.commitIndex = commitIndex
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(rangeID: range)
        writer.append(bigEndian: number)
        writer.append(bigEndian: term)
        writer.append(bigEndian: milliseconds)
        writer.append(bigEndian: commitIndex)
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        range = try reader.readRangeID(bytes)
        number = try reader.readUInt64(bytes)
        term = try reader.readUInt64(bytes)
        milliseconds = try reader.readUInt32(bytes)
        commitIndex = try reader.readUInt64(bytes)
    }
}
