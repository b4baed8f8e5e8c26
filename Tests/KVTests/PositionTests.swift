import Base
import KV
import Testing

struct PositionTests {
    private let place = Place(node: NodeID(9), worker: WorkerIndex(0))

    @Test("Commands of one batch have one index and rising places in it, from 0 in each batch")
    func ordinals() {
        let range = RangeDescriptor(
            id: RangeID(store: .inbox, number: 1), bounds: .all, leader: place,
            voters: [place.node])
        let host = RangeHost(
            place: place, workers: 1, outbox: Outbox(), map: RangeMap([range]), seed: 1)
        let machine = JournalMachine()
        host.add(range, machine: machine)
        propose(3, number: 1, to: host, range)
        propose(1, number: 2, to: host, range)
        propose(2, number: 3, to: host, range)
        for _ in 0..<3 {
            _ = host.turn(now: Instant(nanoseconds: 1), wallTime: WallTime(milliseconds: 1))
        }
        #expect(machine.positions.map(\.ordinal) == [0, 1, 2, 0, 0, 1])
        let indexes = machine.positions.map(\.index)
        #expect(Set(indexes[0...2]).count == 1 && Set(indexes[4...5]).count == 1)
        #expect(indexes[2] < indexes[3] && indexes[3] < indexes[4])
    }

    private func propose(
        _ count: Int, number: UInt64, to host: RangeHost, _ range: RangeDescriptor
    ) {
        var frame = ByteWriter()
        CommandEnvelope(
            range: range.id, boundaryVersion: 1,
            lane: LaneID(
                node: NodeID(1), epoch: LivenessEpoch(1), worker: WorkerIndex(1)),
            number: number, time: .zero, count: count
        ).encode(into: &frame)
        for command in 0..<count {
            let key: [UInt8] = [UInt8(command)]
            var body = ByteWriter()
            JournalMachine.append(key, number, into: &body)
            frame.append(lengthPrefixed32: key.span.bytes)
            body.withSpan { frame.append(lengthPrefixed32: $0) }
        }
        let sender = Place(node: NodeID(1), worker: WorkerIndex(1))
        frame.withSpan {
            host.receive(.proposal, $0, from: sender, now: Instant(nanoseconds: 1))
        }
    }
}
