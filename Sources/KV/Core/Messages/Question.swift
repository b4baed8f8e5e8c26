import Base

/// The head of a question to a replica (`query`).
///
/// ```
///  version u8 = 1 | store u8 | range number u64 | boundary version u64
///  liveness epoch of the asker u64 | request u64 | question bytes to the end
/// ```
package struct Question: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1

    package var range: RangeID
    package var boundaryVersion: UInt64
    package var epoch: LivenessEpoch
    /// The asker's own number for it; comes back with the answer.
    package var request: UInt64

    package init(
        range: RangeID, boundaryVersion: UInt64, epoch: LivenessEpoch, request: UInt64
    ) {
        self.range = range
        self.boundaryVersion = boundaryVersion
        self.epoch = epoch
        self.request = request
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(rangeID: range)
        writer.append(bigEndian: boundaryVersion)
        writer.append(bigEndian: epoch.rawValue)
        writer.append(bigEndian: request)
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        range = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
        epoch = LivenessEpoch(try reader.readUInt64(bytes))
        request = try reader.readUInt64(bytes)
    }
}

/// What became of a question.
package enum QuestionStatus: UInt8, Sendable, CaseIterable {
    /// The answer's bytes follow.
    case answered = 0
    /// The range's boundaries are others; newer descriptors follow.
    case staleBoundary = 1
    /// Not here; the leader follows if known.
    case notLeader = 2
    /// Too many open questions.
    case busy = 3
}

/// The head of the answer to a question (`queryAnswer`).
///
/// ```
///  version u8 = 1 | status u8 | store u8 | range number u64 | boundary version of the question u64
///  liveness epoch of the asker u64 | request u64
///  answered: bytes to the end      others: as in the answer to a proposal
/// ```
package struct QuestionAnswer: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1

    package var status: QuestionStatus
    package var question: Question

    package init(_ status: QuestionStatus, to question: Question) {
        self.status = status
        self.question = question
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(status.rawValue)
        writer.append(rangeID: question.range)
        writer.append(bigEndian: question.boundaryVersion)
        writer.append(bigEndian: question.epoch.rawValue)
        writer.append(bigEndian: question.request)
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion,
            let status = QuestionStatus(rawValue: try reader.readUInt8(bytes))
        else { throw ByteShortage() }
        self.status = status
        let range = try reader.readRangeID(bytes)
        let version = try reader.readUInt64(bytes)
        let epoch = LivenessEpoch(try reader.readUInt64(bytes))
        question = Question(
            range: range, boundaryVersion: version, epoch: epoch,
            request: try reader.readUInt64(bytes))
    }
}
