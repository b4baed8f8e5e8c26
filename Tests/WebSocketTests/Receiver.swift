import Base
import WebSocket

/// The part of a connection that the frame decoder leaves to others, as simple as can be.
struct Receiver {
    var decoder = FrameDecoder()
    var limits = FrameLimits()
    /// Unconsumed bytes, in the decoder's shape.
    var buffer: [UInt8] = []
    /// Plain bytes consumed so far.
    var plain: [UInt8] = []
    var pings: [[UInt8]] = []
    var fault: CloseCode?
    var closed: CloseCode?
    var controls = 0
    /// Most bytes kept between two calls.
    var keptMax = 0
    /// How many of the ready bytes the packet decoder takes.
    var consumption: (Int) -> Int = { $0 }

    init(limits: FrameLimits = FrameLimits()) { self.limits = limits }

    mutating func receive(_ bytes: [UInt8]) {
        buffer += bytes
        var isExhausted = false
        while !isExhausted {
            let event = buffer.withUnsafeMutableBytes { decoder.decode($0, limits) }
            switch event {
            case .exhausted: isExhausted = true
            case .ping(let part): pings.append(Array(buffer[part.range]))
            case .fault(let code): fault = code
            case .close(let code): closed = code
            }
        }
        let taken = consumption(decoder.plainCount)
        plain += buffer[..<taken]
        let dropped = buffer.withUnsafeMutableBytes { decoder.settle($0, consumed: taken) }
        buffer.removeFirst(dropped)
        keptMax = max(keptMax, buffer.count)
        controls += decoder.takeControlCount()
    }
}

/// Random messages as a client would send them: fragmented, with control frames in between.
struct Traffic {
    var bytes: [UInt8] = []
    var plain: [UInt8] = []
    var pings: [[UInt8]] = []
    var controls = 0

    init(_ random: inout SeededRandom) {
        var writer = ByteWriter()
        for _ in 0..<random.below(12) {
            let fragments = 1 + (random.chance(percent: 30) ? random.below(4) : 0)
            for fragment in 0..<fragments {
                let payload = Self.payload(&random)
                plain += payload
                ClientFrameEncoder.append(
                    fragment == 0 ? .binary : .continuation, payload,
                    isFinal: fragment == fragments - 1, mask: Self.mask(&random), to: &writer)
                if random.chance(percent: 30) { addControl(&random, to: &writer) }
            }
        }
        bytes = writer.array
    }

    private mutating func addControl(_ random: inout SeededRandom, to writer: inout ByteWriter) {
        controls += 1
        let payload = (0..<random.below(126)).map { UInt8($0) }
        let isPing = random.chance(percent: 70)
        if isPing { pings.append(payload) }
        ClientFrameEncoder.append(
            isPing ? .ping : .pong, payload, mask: Self.mask(&random), to: &writer)
    }

    private static func payload(_ random: inout SeededRandom) -> [UInt8] {
        let count =
            switch random.below(60) {
            case 0...5: 0
            case 6: 65_530 + random.below(12)
            case 7...20: 120 + random.below(12)
            default: random.below(300)
            }
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private static func mask(_ random: inout SeededRandom) -> UInt32 {
        UInt32(truncatingIfNeeded: random.next())
    }
}

extension SeededRandom {
    /// A part of `count` that depends on nothing but the two numbers.
    static func pick(_ count: Int, from seed: UInt64) -> Int {
        var random = SeededRandom(seed: seed &+ UInt64(count))
        return random.below(count + 1)
    }
}
