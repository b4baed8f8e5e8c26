import Base

/// What is known of a range: its part of the key space, who replicates it and who leads it.
///
/// A range is cut or joined only by its own log, which raises `boundaryVersion`; of two
/// descriptors that overlap, the one with the higher boundary version is the later one.
package struct RangeDescriptor: Equatable, Sendable {
    package var id: RangeID
    package var bounds: KeyBounds
    /// Rises with every split and merge; both halves of a split have the same, one above their
    /// parent's. From 1.
    package var boundaryVersion: UInt64
    /// Rises with every change of voters or learners. From 1.
    package var configurationVersion: UInt64
    /// Term of the leader named here.
    package var leaderTerm: UInt64
    /// Node and home worker of the leader; nil while there is none.
    package var leader: Place?
    package var voters: [NodeID]
    package var learners: [NodeID]

    package init(
        id: RangeID, bounds: KeyBounds, boundaryVersion: UInt64 = 1,
        configurationVersion: UInt64 = 1, leaderTerm: UInt64 = 1, leader: Place?,
        voters: [NodeID], learners: [NodeID] = []
    ) {
        self.id = id
        self.bounds = bounds
        self.boundaryVersion = boundaryVersion
        self.configurationVersion = configurationVersion
        self.leaderTerm = leaderTerm
        self.leader = leader
        self.voters = voters
        self.learners = learners
    }

    /// Whether this says more than `other` about the same range.
    package func isNewer(than other: RangeDescriptor) -> Bool {
        (boundaryVersion, configurationVersion, leaderTerm)
            > (other.boundaryVersion, other.configurationVersion, other.leaderTerm)
    }
}

extension RangeDescriptor {
    package static let formatVersion: UInt8 = 1

    /// Layout: Docs/FORMATS.md, range descriptor.
    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(rangeID: id)
        writer.append(bigEndian: boundaryVersion)
        writer.append(bigEndian: configurationVersion)
        writer.append(bigEndian: leaderTerm)
        writer.append((bounds.end == nil ? 0 : 1) | (leader == nil ? 0 : 2))
        writer.append(lengthPrefixed32: bounds.start.span.bytes)
        if let end = bounds.end { writer.append(lengthPrefixed32: end.span.bytes) }
        if let leader { writer.append(place: leader) }
        for nodes in [voters, learners] {
            writer.append(bigEndian: UInt16(truncatingIfNeeded: nodes.count))
            for node in nodes { writer.append(bigEndian: node.rawValue) }
        }
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        id = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
        configurationVersion = try reader.readUInt64(bytes)
        leaderTerm = try reader.readUInt64(bytes)
        let flags = try reader.readUInt8(bytes)
        bounds = .all
        bounds.start = bytes.array(try reader.takeLengthPrefixed32(bytes))
        if flags & 1 != 0 { bounds.end = bytes.array(try reader.takeLengthPrefixed32(bytes)) }
        leader = flags & 2 != 0 ? try reader.readPlace(bytes) : nil
        voters = try Self.readNodes(bytes, reader: &reader)
        learners = try Self.readNodes(bytes, reader: &reader)
    }

    private static func readNodes(
        _ bytes: RawSpan, reader: inout ByteReader
    ) throws(ByteShortage) -> [NodeID] {
        let count = Int(try reader.readUInt16(bytes))
        guard count <= RangeLimits.replicasMax else { throw ByteShortage() }
        var nodes: [NodeID] = []
        for _ in 0..<count { nodes.append(NodeID(try reader.readUInt64(bytes))) }
        return nodes
    }

    /// Several descriptors: count u16, then each. At most `RangeLimits.descriptorsPerMessage`.
    package static func encode(_ list: [RangeDescriptor], into writer: inout ByteWriter) {
        writer.append(bigEndian: UInt16(truncatingIfNeeded: list.count))
        for descriptor in list { descriptor.encode(into: &writer) }
    }

    package static func decodeList(
        _ bytes: RawSpan, reader: inout ByteReader
    ) throws(ByteShortage) -> [RangeDescriptor] {
        let count = Int(try reader.readUInt16(bytes))
        guard count <= RangeLimits.descriptorsPerMessage else { throw ByteShortage() }
        var list: [RangeDescriptor] = []
        for _ in 0..<count {
            list.append(try RangeDescriptor(bytes, reader: &reader))
        }
        return list
    }
}

extension ByteWriter {
    /// Range id: store u8, number u64.
    package mutating func append(rangeID id: RangeID) {
        append(id.store.rawValue)
        append(bigEndian: id.number)
    }

    /// Place: node u64, worker u16.
    package mutating func append(place: Place) {
        append(bigEndian: place.node.rawValue)
        append(bigEndian: place.worker.rawValue)
    }
}

extension ByteReader {
    package mutating func readRangeID(_ bytes: RawSpan) throws(ByteShortage) -> RangeID {
        guard let store = StoreKind(rawValue: try readUInt8(bytes)) else { throw ByteShortage() }
        return RangeID(store: store, number: try readUInt64(bytes))
    }

    package mutating func readPlace(_ bytes: RawSpan) throws(ByteShortage) -> Place {
        let node = NodeID(try readUInt64(bytes))
        return Place(node: node, worker: WorkerIndex(try readUInt16(bytes)))
    }
}
