import Base

/// Something that bytes from outside reach, and what must hold for every input.
///
/// A crash ends the program, and the seed that was printed first leads to it again. A broken
/// promise is returned as a sentence.
package struct FuzzTarget: Sendable {
    package var name: String
    package var what: String
    /// Good inputs, from which bad ones are bred.
    package var corpus: [[UInt8]]
    /// Feeds one input; returns what is wrong, or nil.
    package var run: @Sendable ([UInt8], inout SeededRandom) -> String?

    /// Feeds `count` inputs bred from `seed`, beginning with number `first`; returns the first
    /// failure with its input.
    package func feed(seed: UInt64, first: Int, count: Int) -> (failure: String, number: Int)? {
        for number in first..<(first + count) {
            var random = SeededRandom(seed: seed &+ UInt64(number) &* 0x9E37_79B9_7F4A_7C15)
            var mutator = InputMutator(random: random, corpus: corpus)
            let input = mutator.breed()
            random = mutator.random
            if let failure = run(input, &random) {
                let hex = input.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
                return ("\(failure)\ninput: \(hex.joined())", number)
            }
        }
        return nil
    }
}

/// Every target by name. A module adds a file with its target and names it here.
package enum FuzzTable {
    package static var all: [FuzzTarget] {
        [
            PacketFuzzing.target, TopicFuzzing.target, WebSocketFuzzing.target,
            ProxyFuzzing.target, SessionFuzzing.target,
        ]
    }
}
