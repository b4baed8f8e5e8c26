import Base
import KV

/// Plays a host on its own: commands in, the frames that leave it out, as text.
///
/// ```
///  propose [lane=1] [epoch=1] number=N [range=1] [version=1] KEY=NUMBER[!HOLD] ...
///  ask [range=1] [version=1] KEY       release N [at KEY]        split KEY     fence EPOCH
///  turn [N]                            lists
/// ```
/// A lane is a worker of node 1; the host is on node 9. Ranges made by splits are r2, r3, ...
final class HostTranscript {
    private let outbox = Outbox()
    private let host: RangeHost
    private var names: [UInt64: String] = [1: "r1"]
    private var now = Instant(nanoseconds: 1)
    private var wallTime = WallTime(milliseconds: 1000)

    init() {
        let place = Place(node: NodeID(9), worker: WorkerIndex(0))
        let range = RangeDescriptor(
            id: RangeID(store: .inbox, number: 1), bounds: .all, leader: place,
            voters: [place.node])
        host = RangeHost(
            place: place, workers: 1, outbox: outbox, map: RangeMap([range]), seed: 1)
        host.add(range, machine: JournalMachine())
    }

    /// Plays one line; returns what left the host.
    func play(_ line: String) -> [String] {
        let words = line.split(separator: " ").map(String.init)
        var options: [String: String] = [:]
        var rest: [String] = []
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let isOption = ["lane", "epoch", "number", "range", "version"].contains(parts[0])
            if parts.count == 2, isOption {
                options[parts[0]] = parts[1]
            } else {
                rest.append(word)
            }
        }
        switch words[0] {
        case "propose": propose(options, rest)
        case "ask": ask(options, rest)
        case "release": release(rest)
        case "split": _ = host.split(range(options), near: Array(rest[0].utf8))
        case "fence": host.fence(NodeID(1), through: LivenessEpoch(UInt64(rest[0]) ?? 0))
        case "turn":
            for _ in 0..<(rest.first.flatMap { Int($0) } ?? 1) {
                wallTime.milliseconds += 1
                _ = host.turn(now: now, wallTime: wallTime)
            }
        case "lists": return lists()
        default: return ["what is \(words[0])?"]
        }
        return drain()
    }

    private func number(_ options: [String: String], _ name: String) -> UInt64 {
        options[name].flatMap { UInt64($0) } ?? 1
    }

    private func range(_ options: [String: String]) -> RangeID {
        let name = options["range"] ?? "r1"
        let found = names.first { $0.value == name }?.key ?? 77
        return RangeID(store: .inbox, number: found)
    }

    private func receive(_ kind: MessageKind, lane: UInt64, _ write: (inout ByteWriter) -> Void) {
        var frame = ByteWriter()
        write(&frame)
        let place = Place(node: NodeID(1), worker: WorkerIndex(UInt16(lane)))
        frame.withSpan { host.receive(kind, $0, from: place, now: now) }
    }

    private func propose(_ options: [String: String], _ commands: [String]) {
        let lane = number(options, "lane")
        receive(.proposal, lane: lane) { writer in
            CommandEnvelope(
                range: range(options), boundaryVersion: number(options, "version"),
                lane: LaneID(
                    node: NodeID(1), epoch: LivenessEpoch(number(options, "epoch")),
                    worker: WorkerIndex(UInt16(lane))),
                number: number(options, "number"), time: .zero, count: commands.count
            ).encode(into: &writer)
            for command in commands {
                let parts = command.split(whereSeparator: { $0 == "=" || $0 == "!" })
                let key = Array(parts[0].utf8)
                var body = ByteWriter()
                JournalMachine.append(
                    key, UInt64(parts[1]) ?? 0, hold: parts.count > 2 ? UInt64(parts[2]) : nil,
                    into: &body)
                writer.append(lengthPrefixed32: key.span.bytes)
                body.withSpan { writer.append(lengthPrefixed32: $0) }
            }
        }
    }

    private func ask(_ options: [String: String], _ rest: [String]) {
        receive(.query, lane: 1) { writer in
            Question(
                range: range(options), boundaryVersion: number(options, "version"),
                epoch: LivenessEpoch(1), request: 5
            ).encode(into: &writer)
            writer.append(2)
            writer.append(lengthPrefixed16: Array(rest[0].utf8))
        }
    }

    private func release(_ rest: [String]) {
        receive(.inboxCredit, lane: 1) { writer in
            let key = Array((rest.count > 2 ? rest[2] : "a").utf8)
            MachineMessage.encodeHead(
                range: RangeID(store: .inbox, number: 1), boundaryVersion: 1, key: key.span.bytes,
                into: &writer)
            writer.append(bigEndian: UInt64(rest[0]) ?? 0)
        }
    }

    private func lists() -> [String] {
        var lines: [String] = []
        host.engine(of: .inbox).scan(.all) { key, value in
            lines.append("\(Self.text(key.array)): \(Self.numbers(value))")
            return true
        }
        return lines
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func numbers(_ bytes: RawSpan) -> String {
        var reader = ByteReader(bytes)
        var list: [String] = []
        while let number = try? reader.readUInt64(bytes) { list.append("\(number)") }
        return list.joined(separator: " ")
    }

    // MARK: What left

    private func drain() -> [String] {
        var lines: [String] = []
        for block in outbox.blocks where !block.bytes.isEmpty {
            _ = Outbox.forEachFrame(in: block.bytes.bytes) { kind, body in
                let line = (try? describe(kind, body)) ?? "damaged \(kind)"
                lines.append(
                    block.place.node.rawValue == 9
                        ? line : "to lane \(block.place.worker.rawValue): \(line)")
            }
            block.bytes.removeAll()
        }
        return lines
    }

    private func describe(_ kind: MessageKind, _ body: RawSpan) throws -> String {
        var reader = ByteReader(body)
        if kind == .rangeMap { return "map: \(ranges(try RangeMapMessage.decode(body)))" }
        if kind == .queryAnswer {
            let answer = try QuestionAnswer(body, reader: &reader)
            let rest = body.extracting(reader.offset..<reader.end)
            return answer.status == .answered
                ? "answered: \(Self.numbers(rest))" : "question \(answer.status)"
        }
        let answer = try ProposalAnswer(body, reader: &reader)
        let head = "\(answer.status) number=\(answer.number) next=\(answer.nextNumber)"
        if answer.status == .staleBoundary {
            return "\(head) \(ranges(try RangeDescriptor.decodeList(body, reader: &reader)))"
        }
        guard answer.status == .applied else { return head }
        var results: [String] = []
        for _ in 0..<(try reader.readUInt32(body)) {
            let result = body.extracting(try reader.takeLengthPrefixed32(body).range)
            var inner = ByteReader(result)
            results.append("\(try inner.readUInt32(result))")
        }
        return "\(head) places=\(results.joined(separator: ","))"
    }

    private func ranges(_ list: [RangeDescriptor]) -> String {
        list.map { descriptor in
            let name = names[descriptor.id.number] ?? "r\(names.count + 1)"
            names[descriptor.id.number] = name
            let start = Self.text(descriptor.bounds.start)
            let end = descriptor.bounds.end.map { Self.text($0) } ?? ""
            return "\(name) v\(descriptor.boundaryVersion) [\(start)..\(end)]"
        }.joined(separator: " ")
    }
}
