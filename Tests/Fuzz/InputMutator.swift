import Base

/// Breeds inputs: takes one of the corpus and changes it a few times.
package struct InputMutator {
    package var random: SeededRandom
    private let corpus: [[UInt8]]
    /// Inputs do not grow beyond this many bytes.
    private static let sizeMax = 4_096
    /// Bytes at which decoders decide something.
    private static let telling: [UInt8] = [
        0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF, 0x23, 0x2B, 0x2F, 0x24, 0x26, 0x0B, 0xC0, 0xED, 0xF4,
    ]

    package init(random: SeededRandom, corpus: [[UInt8]]) {
        self.random = random
        self.corpus = corpus
    }

    package mutating func breed() -> [UInt8] {
        var input = pick()
        for _ in 0..<random.below(6) { change(&input) }
        if random.chance(percent: 15) { input += pick() }
        return Array(input.prefix(Self.sizeMax))
    }

    private mutating func pick() -> [UInt8] {
        corpus.isEmpty ? [] : corpus[random.below(corpus.count)]
    }

    private mutating func byte() -> UInt8 {
        random.chance(percent: 50)
            ? Self.telling[random.below(Self.telling.count)]
            : UInt8(truncatingIfNeeded: random.next())
    }

    private mutating func change(_ input: inout [UInt8]) {
        guard !input.isEmpty else {
            input.append(byte())
            return
        }
        let at = random.below(input.count)
        switch random.below(8) {
        case 0: input[at] ^= 1 << UInt8(random.below(8))
        case 1: input[at] = byte()
        case 2: input.insert(byte(), at: at)
        case 3: input.remove(at: at)
        case 4: input.removeSubrange(at..<min(input.count, at + 1 + random.below(8)))
        case 5: input[at] = input[at] &+ (random.chance(percent: 50) ? 1 : 255)
        case 6:
            // A part again, elsewhere.
            let part = input[at..<min(input.count, at + 1 + random.below(16))]
            input.insert(contentsOf: Array(part), at: random.below(input.count))
        default:
            // The head of this and the tail of another.
            let other = pick()
            input = Array(input.prefix(at)) + other.suffix(random.below(other.count + 1))
        }
    }
}
