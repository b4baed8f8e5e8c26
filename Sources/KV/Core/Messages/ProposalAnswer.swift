import Base

/// What became of a batch.
package enum ProposalStatus: UInt8, Sendable, CaseIterable {
    /// Applied, now or by an earlier copy; the results follow.
    case applied = 0
    /// Its boundary version is not the range's: nothing applied, the lane has not moved. Newer
    /// descriptors follow.
    case staleBoundary = 1
    /// This replica does not lead, or is not here; the leader follows if known.
    case notLeader = 2
    /// Not taken for lack of room.
    case busy = 3
    /// An earlier number of the lane is missing: nothing applied.
    case gap = 4
    /// The liveness epoch of the lane is fenced: nothing applied, ever again.
    case fenced = 5
}

/// The head of the answer to a proposal, and what follows it by status.
///
/// ```
///  version u8 = 1 | status u8 | store u8 | range number u64
///  boundary version of the proposal u64 | liveness epoch u64 | number u64
///  next number that the lane accepts u64 (0: not known)
///  applied:         count u32, then for each command: length u32 | result
///  stale boundary:  count u16, then range descriptors
///  not leader:      known u8, then place (node u64, worker u16) if known is 1
/// ```
package struct ProposalAnswer: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1

    package var status: ProposalStatus
    package var range: RangeID
    package var boundaryVersion: UInt64
    package var epoch: LivenessEpoch
    package var number: UInt64
    package var nextNumber: UInt64

    package init(_ status: ProposalStatus, to proposal: CommandEnvelope, nextNumber: UInt64) {
        self.status = status
        range = proposal.range
        boundaryVersion = proposal.boundaryVersion
        epoch = proposal.lane.epoch
        number = proposal.number
        self.nextNumber = nextNumber
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(status.rawValue)
        writer.append(rangeID: range)
        writer.append(bigEndian: boundaryVersion)
        writer.append(bigEndian: epoch.rawValue)
        writer.append(bigEndian: number)
        writer.append(bigEndian: nextNumber)
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion,
            let status = ProposalStatus(rawValue: try reader.readUInt8(bytes))
        else { throw ByteShortage() }
        self.status = status
        range = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
        epoch = LivenessEpoch(try reader.readUInt64(bytes))
        number = try reader.readUInt64(bytes)
        nextNumber = try reader.readUInt64(bytes)
    }
}

extension ByteWriter {
    /// A place that may be unknown: known u8, then the place.
    mutating func append(hint place: Place?) {
        append(place == nil ? 0 : 1)
        if let place { append(place: place) }
    }
}

extension ByteReader {
    mutating func readHint(_ bytes: RawSpan) throws(ByteShortage) -> Place? {
        try readUInt8(bytes) == 0 ? nil : try readPlace(bytes)
    }
}
