import Base

/// The apply side of lanes: which number each lane may use next, and what the last ones gave.
///
/// Replicated state of a range, changed only by its log: equal on all replicas at an index, part
/// of snapshots, copied whole to both halves of a split. It decides whether an entry is applied,
/// is a repeat, or is refused:
/// ```
///  number    1 ... next-17   next-16 ... next-1   next     next+1 ...
///            too old         repeat: ring         accept   gap
/// ```
/// A lane that is not known starts at 1. A fenced epoch never comes back: its floor is remembered,
/// or a late copy of number 1 would start the lane again. Bounds: `lanesMax`, `fencesMax`.
package struct LaneTable: Equatable, Sendable {
    /// What to do with a batch.
    package enum Verdict: Equatable, Sendable {
        case accept
        /// Applied before; `result(of:number:)` has what it gave.
        case repeated
        /// An earlier number is missing, or this one is too old to be known. The next number.
        case gap(next: UInt64)
        case fenced
        /// No room for another lane.
        case full
    }

    struct Lane: Equatable, Sendable {
        /// The only number that is accepted.
        var next: UInt64
        /// Results by number modulo the window; empty where none was given yet.
        var results: [[UInt8]]
        /// Per result: the answer waits for this release; 0 if it does not.
        var holds: [UInt64]

        init(next: UInt64) {
            self.next = next
            results = Array(repeating: [], count: RangeLimits.laneWindow)
            holds = Array(repeating: 0, count: RangeLimits.laneWindow)
        }
    }

    private var lanes: [LaneID: Lane] = [:]
    /// Highest fenced epoch of each node.
    private var floors: [NodeID: LivenessEpoch] = [:]

    package init() {}

    package var count: Int { lanes.count }

    /// The number that the lane accepts next.
    package func next(of lane: LaneID) -> UInt64 { lanes[lane]?.next ?? 1 }

    package func verdict(on number: UInt64, of lane: LaneID) -> Verdict {
        if let floor = floors[lane.node], lane.epoch <= floor { return .fenced }
        guard let known = lanes[lane] else {
            if number != 1 { return .gap(next: 1) }
            return lanes.count < RangeLimits.lanesMax ? .accept : .full
        }
        if number == known.next { return .accept }
        let window = UInt64(RangeLimits.laneWindow)
        if number < known.next, number >= 1, known.next - number <= window { return .repeated }
        return .gap(next: known.next)
    }

    /// Moves the lane past `number`, which was accepted.
    package mutating func record(
        _ number: UInt64, of lane: LaneID, result: UnsafeRawBufferPointer, hold: UInt64
    ) {
        let slot = Int(number % UInt64(RangeLimits.laneWindow))
        let store: (inout Lane) -> Void = { lane in
            lane.next = number + 1
            lane.results[slot].removeAll(keepingCapacity: true)
            lane.results[slot].append(contentsOf: result)
            lane.holds[slot] = hold
        }
        store(&lanes[lane, default: Lane(next: number)])
    }

    /// The result of a number that `verdict` called a repeat, and what its answer waits for.
    package func withResult<R>(
        of lane: LaneID, number: UInt64, _ body: (_ result: RawSpan, _ hold: UInt64) -> R
    ) -> R? {
        guard let known = lanes[lane], number < known.next,
            known.next - number <= UInt64(RangeLimits.laneWindow)
        else { return nil }
        let slot = Int(number % UInt64(RangeLimits.laneWindow))
        return known.results[slot].withRawSpan { body($0, known.holds[slot]) }
    }

    /// Frees the lanes of a node's lives up to `epoch`, for good.
    package mutating func fence(_ node: NodeID, through epoch: LivenessEpoch) {
        guard floors[node] != nil || floors.count < RangeLimits.fencesMax else { return }
        floors[node] = max(floors[node] ?? epoch, epoch)
        lanes = lanes.filter { $0.key.node != node || $0.key.epoch > epoch }
    }
}

extension LaneTable {
    package static let formatVersion: UInt8 = 1

    /// Layout: Docs/FORMATS.md, lane table. Sorted, so that equal tables have equal bytes.
    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(bigEndian: UInt32(floors.count))
        for (node, epoch) in floors.sorted(by: { $0.key < $1.key }) {
            writer.append(bigEndian: node.rawValue)
            writer.append(bigEndian: epoch.rawValue)
        }
        writer.append(bigEndian: UInt32(lanes.count))
        for (id, lane) in lanes.sorted(by: { $0.key < $1.key }) {
            writer.append(bigEndian: id.node.rawValue)
            writer.append(bigEndian: id.epoch.rawValue)
            writer.append(bigEndian: id.worker.rawValue)
            writer.append(bigEndian: lane.next)
            for number in Self.kept(before: lane.next) {
                let slot = Int(number % UInt64(RangeLimits.laneWindow))
                writer.append(bigEndian: lane.holds[slot])
                writer.append(bigEndian: UInt32(lane.results[slot].count))
                writer.append(lane.results[slot])
            }
        }
    }

    package init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        guard try reader.readUInt8(bytes) == Self.formatVersion else { throw ByteShortage() }
        let floorCount = Int(try reader.readUInt32(bytes))
        guard floorCount <= RangeLimits.fencesMax else { throw ByteShortage() }
        for _ in 0..<floorCount {
            let node = NodeID(try reader.readUInt64(bytes))
            floors[node] = LivenessEpoch(try reader.readUInt64(bytes))
        }
        let laneCount = Int(try reader.readUInt32(bytes))
        guard laneCount <= RangeLimits.lanesMax else { throw ByteShortage() }
        for _ in 0..<laneCount { try readLane(bytes, reader: &reader) }
    }

    private mutating func readLane(
        _ bytes: RawSpan, reader: inout ByteReader
    ) throws(ByteShortage) {
        let node = NodeID(try reader.readUInt64(bytes))
        let epoch = LivenessEpoch(try reader.readUInt64(bytes))
        let worker = WorkerIndex(try reader.readUInt16(bytes))
        var lane = Lane(next: try reader.readUInt64(bytes))
        guard lane.next >= 1 else { throw ByteShortage() }
        for number in Self.kept(before: lane.next) {
            let slot = Int(number % UInt64(RangeLimits.laneWindow))
            lane.holds[slot] = try reader.readUInt64(bytes)
            lane.results[slot] = bytes.array(try reader.takeLengthPrefixed32(bytes))
        }
        lanes[LaneID(node: node, epoch: epoch, worker: worker)] = lane
    }

    /// The numbers whose results a lane keeps.
    private static func kept(before next: UInt64) -> Range<UInt64> {
        let window = UInt64(RangeLimits.laneWindow)
        return (next > window ? next - window : 1)..<next
    }
}
