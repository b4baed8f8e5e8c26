import Base
import KV
import Testing

/// The bytes of Docs/FORMATS.md: written as they were in the first release, and read back.
struct FormatTests {
    static let place = Place(node: NodeID(0x0102), worker: WorkerIndex(3))
    static let range = RangeID(store: .inbox, number: 0x11)
    static let lane = LaneID(
        node: NodeID(0x0102), epoch: LivenessEpoch(1), worker: WorkerIndex(3))
    static let descriptor = RangeDescriptor(
        id: range, bounds: KeyBounds(start: [0x20], end: [0x30, 0x31]), boundaryVersion: 2,
        configurationVersion: 3, leaderTerm: 4, leader: place, voters: [NodeID(0x0102)],
        learners: [NodeID(5)])
    static let envelope = CommandEnvelope(
        range: range, boundaryVersion: 2, lane: lane, number: 9,
        time: WallTime(milliseconds: 0x1234), count: 1)
    static let question = Question(
        range: range, boundaryVersion: 2, epoch: LivenessEpoch(1), request: 0x77)
    static let lease = LeaseRequest(
        range: range, boundaryVersion: 2, holder: place, epoch: LivenessEpoch(1), number: 6,
        appliedIndex: 0x99)
    static let grant = LeaseGrant(
        range: range, number: 6, term: 4, milliseconds: 5000, commitIndex: 0x9A)
    static let table: LaneTable = {
        var table = LaneTable()
        table.fence(NodeID(8), through: LivenessEpoch(2))
        [0xAA].withUnsafeBytes { bytes in
            table.record(1, of: lane, result: .init(rebasing: bytes[0..<1]), hold: 0)
            table.record(2, of: lane, result: .init(rebasing: bytes[0..<1]), hold: 7)
        }
        return table
    }()

    static func hex(_ write: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter()
        write(&writer)
        return writer.array.map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    static let node = "0000000000000102"
    static let head = "02" + "0000000000000011"

    @Test("a command envelope")
    func commandEnvelope() throws {
        let text = Self.hex { writer in
            Self.envelope.encode(into: &writer)
            writer.append(lengthPrefixed32: [UInt8]([0x21]).span.bytes)
            writer.append(lengthPrefixed32: [UInt8]([0xC0, 0xC1]).span.bytes)
        }
        #expect(
            text == "01" + Self.head + "0000000000000002" + Self.node + "0000000000000001"
                + "0003" + "0000000000000009" + "0000000000001234" + "00000001"
                + "0000000121" + "00000002c0c1")
        var writer = ByteWriter()
        Self.envelope.encode(into: &writer)
        #expect(writer.count == CommandEnvelope.headBytes)
        let bytes = writer.array
        var reader = ByteReader(bytes.span.bytes)
        let read = try CommandEnvelope(bytes.span.bytes, reader: &reader)
        #expect(read == Self.envelope)
    }

    @Test("an answer to a proposal, and to a question")
    func answers() throws {
        let answer = ProposalAnswer(.staleBoundary, to: Self.envelope, nextNumber: 8)
        let text1 = Self.hex { answer.encode(into: &$0) }
        #expect(
            text1 == "0101" + Self.head + "0000000000000002"
                + "0000000000000001" + "0000000000000009" + "0000000000000008")
        let reply = QuestionAnswer(.busy, to: Self.question)
        let text2 = Self.hex { reply.encode(into: &$0) }
        #expect(
            text2 == "0103" + Self.head + "0000000000000002"
                + "0000000000000001" + "0000000000000077")
        let text3 = Self.hex { Self.question.encode(into: &$0) }
        #expect(
            text3 == "01" + Self.head
                + "0000000000000002" + "0000000000000001" + "0000000000000077")
    }

    @Test("a range descriptor and news of the range map")
    func descriptors() throws {
        let text =
            "01" + Self.head + "0000000000000002" + "0000000000000003" + "0000000000000004" + "03"
            + "0000000120" + "000000023031" + Self.node + "0003" + "0001" + Self.node + "0001"
            + "0000000000000005"
        let text4 = Self.hex { Self.descriptor.encode(into: &$0) }
        #expect(text4 == text)
        let text5 = Self.hex { RangeMapMessage.encode([Self.descriptor], into: &$0) }
        #expect(text5 == "010001" + text)
    }

    @Test("a lane table")
    func laneTable() {
        let text6 = Self.hex { Self.table.encode(into: &$0) }
        #expect(
            text6 == "01" + "00000001" + "0000000000000008"
                + "0000000000000002" + "00000001" + Self.node + "0000000000000001" + "0003"
                + "0000000000000003" + "0000000000000000" + "00000001aa" + "0000000000000007"
                + "00000001aa")
    }

    @Test("the head of a message to a machine, and leases")
    func messages() {
        let text7 = Self.hex {
            MachineMessage.encodeHead(
                hops: 1, range: Self.range, boundaryVersion: 2, key: [UInt8]([0x21]).span.bytes,
                into: &$0)
        }
        #expect(text7 == "0101" + Self.head + "0000000000000002" + "0000000121")
        let text8 = Self.hex { Self.lease.encode(into: &$0) }
        #expect(
            text8 == "01" + Self.head + "0000000000000002"
                + Self.node + "0003" + "0000000000000001" + "0000000000000006"
                + "0000000000000099")
        let text9 = Self.hex { Self.grant.encode(into: &$0) }
        #expect(
            text9 == "01" + Self.head + "0000000000000006"
                + "0000000000000004" + "00001388" + "000000000000009a")
    }

    @Test("a frame")
    func frame() {
        let outbox = Outbox()
        outbox.send(.query, to: Self.place) { $0.append([0xAB, 0xCD]) }
        #expect(outbox.block(to: Self.place).bytes.array == [0, 0, 0, 3, 3, 0xAB, 0xCD])
    }

    /// Reads one of the formats; true if it could.
    typealias Reading = @Sendable (RawSpan, inout ByteReader) throws(ByteShortage) -> Bool

    struct Format: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var bytes: [UInt8]
        var read: Reading
    }

    static func format(
        _ name: String, _ write: (inout ByteWriter) -> Void, _ read: @escaping Reading
    ) -> Format {
        var writer = ByteWriter()
        write(&writer)
        return Format(testDescription: name, bytes: writer.array, read: read)
    }

    static let formats: [Format] = [
        format("envelope", { envelope.encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try CommandEnvelope(bytes, reader: &reader) == envelope
        },
        format("descriptor", { descriptor.encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try RangeDescriptor(bytes, reader: &reader) == descriptor
        },
        format("question", { question.encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try Question(bytes, reader: &reader) == question
        },
        format("lane table", { table.encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try LaneTable(bytes, reader: &reader) == table
        },
        format("lease request", { lease.encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try LeaseRequest(bytes, reader: &reader) == lease
        },
        format("lease grant", { grant.encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try LeaseGrant(bytes, reader: &reader) == grant
        },
        format("answer", { ProposalAnswer(.gap, to: envelope, nextNumber: 3).encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try ProposalAnswer(bytes, reader: &reader)
                == ProposalAnswer(.gap, to: envelope, nextNumber: 3)
        },
        format("reply", { QuestionAnswer(.notLeader, to: question).encode(into: &$0) }) {
            (bytes, reader) throws(ByteShortage) in
            try QuestionAnswer(bytes, reader: &reader) == QuestionAnswer(.notLeader, to: question)
        },
    ]

    @Test("what was written is read back, and every shorter piece is refused", arguments: formats)
    func wholeOrNothing(format: Format) throws {
        let span = format.bytes.span.bytes
        var reader = ByteReader(span)
        let isSame = try format.read(span, &reader)
        #expect(isSame)
        #expect(reader.isAtEnd)
        for count in 0..<format.bytes.count {
            let piece = span.extracting(0..<count)
            var reader = ByteReader(piece)
            #expect(throws: ByteShortage.self, "\(count) bytes") {
                _ = try format.read(piece, &reader)
            }
        }
        var other = format.bytes
        other[0] = 2
        var otherReader = ByteReader(other.span.bytes)
        #expect(throws: ByteShortage.self, "version 2") {
            _ = try format.read(other.span.bytes, &otherReader)
        }
    }

    @Test("random bytes never trap a reader", arguments: formats, 1...4 as ClosedRange<UInt64>)
    func randomBytes(format: Format, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            var bytes = format.bytes
            for _ in 0...random.below(4) {
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
            }
            var reader = ByteReader(bytes.span.bytes)
            _ = try? format.read(bytes.span.bytes, &reader)
        }
    }
}
