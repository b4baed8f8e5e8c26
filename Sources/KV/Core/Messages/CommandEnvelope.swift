import Base

/// A lane within a range: the stream of one worker's commands, in one life of its node.
package struct LaneID: Hashable, Comparable, Sendable {
    package var node: NodeID
    package var epoch: LivenessEpoch
    package var worker: WorkerIndex

    package init(node: NodeID, epoch: LivenessEpoch, worker: WorkerIndex) {
        self.node = node
        self.epoch = epoch
        self.worker = worker
    }

    package static func < (left: LaneID, right: LaneID) -> Bool {
        (left.node, left.epoch, left.worker) < (right.node, right.epoch, right.worker)
    }
}

/// The head of a batch of commands: body of a `proposal`, and as it is an entry of the log.
///
/// ```
///  0  version u8 = 1      1  store u8         2  range number u64   10 boundary version u64
///  18 node u64            26 liveness epoch u64                     34 worker u16
///  36 number in the lane u64                  44 leader's time u64  52 count of commands u32
///  56 command: key length u32 | routing key | command length u32 | command bytes      ...
/// ```
/// The time is zero on the way to the leader, who sets it when it appends the entry.
package struct CommandEnvelope: Equatable, Sendable {
    package static let formatVersion: UInt8 = 1
    package static let headBytes = 56
    package static let rangeOffset = 1
    package static let boundaryVersionOffset = 10
    package static let numberOffset = 36
    package static let timeOffset = 44
    package static let countOffset = 52

    package var range: RangeID
    package var boundaryVersion: UInt64
    package var lane: LaneID
    /// From 1, without gaps.
    package var number: UInt64
    package var time: WallTime
    package var count: Int

    package init(
        range: RangeID, boundaryVersion: UInt64, lane: LaneID, number: UInt64, time: WallTime,
        count: Int
    ) {
        self.range = range
        self.boundaryVersion = boundaryVersion
        self.lane = lane
        self.number = number
        self.time = time
        self.count = count
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(rangeID: range)
        writer.append(bigEndian: boundaryVersion)
        writer.append(bigEndian: lane.node.rawValue)
        writer.append(bigEndian: lane.epoch.rawValue)
        writer.append(bigEndian: lane.worker.rawValue)
        writer.append(bigEndian: number)
        writer.append(bigEndian: time.milliseconds)
        writer.append(bigEndian: UInt32(truncatingIfNeeded: count))
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        range = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
        let node = NodeID(try reader.readUInt64(bytes))
        let epoch = LivenessEpoch(try reader.readUInt64(bytes))
        let worker = WorkerIndex(try reader.readUInt16(bytes))
        lane = LaneID(node: node, epoch: epoch, worker: worker)
        number = try reader.readUInt64(bytes)
        time = WallTime(milliseconds: try reader.readUInt64(bytes))
        count = Int(try reader.readUInt32(bytes))
    }

    /// Whether exactly `count` commands follow the head and nothing else.
    package func isWhole(_ bytes: RawSpan, reader: ByteReader) -> Bool {
        var reader = reader
        do throws(ByteShortage) {
            for _ in 0..<count {
                _ = try reader.takeLengthPrefixed32(bytes)
                _ = try reader.takeLengthPrefixed32(bytes)
            }
            return reader.isAtEnd
        } catch {
            return false
        }
    }
}
