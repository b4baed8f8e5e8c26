import Base
import WebSocket

/// Upgrade requests and frames, whole and in pieces: both must give the same, and nothing may be
/// kept beyond its bound.
enum WebSocketFuzzing {
    static var target: FuzzTarget {
        FuzzTarget(
            name: "websocket", what: "upgrade requests and frames, whole and in pieces",
            corpus: corpus, run: run)
    }

    private static let limits = FrameLimits(frameBytesMax: 1 << 20)

    private static var corpus: [[UInt8]] {
        var random = SeededRandom(seed: 1)
        var inputs: [[UInt8]] = []
        var writer = ByteWriter()
        ClientFrameEncoder.appendRequest(
            key: Base64.encode([UInt8](repeating: 7, count: 16)), origin: "https://a.net",
            to: &writer)
        let request = writer.array
        for count in [0, 1, 100, 126, 300, 2000] {
            writer.removeAll()
            let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let mask = UInt32(truncatingIfNeeded: random.next())
            ClientFrameEncoder.append(.binary, payload, isFinal: false, mask: mask, to: &writer)
            ClientFrameEncoder.append(.ping, Array(payload.prefix(125)), mask: mask, to: &writer)
            ClientFrameEncoder.append(.continuation, payload, mask: mask, to: &writer)
            ClientFrameEncoder.append(.pong, [], mask: mask, to: &writer)
            ClientFrameEncoder.appendClose(.normal, mask: mask, to: &writer)
            inputs.append(writer.array)
            inputs.append(request + writer.array)
        }
        return inputs + [request]
    }

    private static func run(_ input: [UInt8], _ random: inout SeededRandom) -> String? {
        let whole = receive(input, pieces: [input.count])
        var pieces: [Int] = []
        var offset = 0
        while offset < input.count {
            let size = min(input.count - offset, 1 + random.below(64))
            pieces.append(size)
            offset += size
        }
        let cut = receive(input, pieces: pieces)
        if whole.events != cut.events { return "frames cut in pieces give other events" }
        if whole.plain != cut.plain { return "frames cut in pieces give other bytes" }
        return upgrade(input)
    }

    private static func upgrade(_ input: [UInt8]) -> String? {
        var whole = UpgradeDecoder()
        let expected = input.withRawSpan { whole.decode($0, UpgradeOptions()) }
        if case .complete(let request) = expected, request.consumed > input.count {
            return "an upgrade consumed more than there was"
        }
        var cut = UpgradeDecoder()
        for count in stride(from: 0, through: input.count, by: 7) {
            let result = Array(input[..<count]).withRawSpan { cut.decode($0, UpgradeOptions()) }
            if result == .needMore { continue }
            return result == expected ? nil : "an upgrade cut in pieces gives another answer"
        }
        return nil
    }

    private struct Outcome {
        var plain: [UInt8] = []
        var events: [String] = []
    }

    private static func receive(_ input: [UInt8], pieces: [Int]) -> Outcome {
        var outcome = Outcome()
        var decoder = FrameDecoder()
        var buffer: [UInt8] = []
        var offset = 0
        for size in pieces {
            buffer += input[offset..<offset + size]
            offset += size
            decode(&decoder, &buffer, &outcome, isLast: offset == input.count)
        }
        return outcome
    }

    private static func decode(
        _ decoder: inout FrameDecoder, _ buffer: inout [UInt8], _ outcome: inout Outcome,
        isLast: Bool
    ) {
        var takesAll = isLast
        while true {
            let event = buffer.withUnsafeMutableBytes { decoder.decode($0, limits) }
            if event == .exhausted { break }
            if case .ping(let part) = event {
                outcome.events.append("ping \(Array(buffer[part.range]))")
            } else {
                // What is behind a close or a fault is nobody's.
                outcome.events.append("\(event)")
                takesAll = true
            }
        }
        // Half of it waits for the next round, as the start of a packet does.
        let taken = takesAll ? decoder.plainCount : decoder.plainCount / 2
        outcome.plain += buffer[..<taken]
        buffer.removeFirst(buffer.withUnsafeMutableBytes { decoder.settle($0, consumed: taken) })
    }
}
