import Base

/// What one subscriber has of one stream: finds loss, repeats and wrong order, exactly.
///
/// ```
///  0 ........ next - 1 | next ...        passed over and not seen: bits, none while all is well
/// ```
/// 24 bytes; the bits are allocated at the first gap. Bound: a gap of `gapMax` messages.
package struct StreamTracker {
    /// A jump beyond this is no loss but a broken message.
    package static let gapMax: UInt32 = 1 << 26

    /// The sequence number behind the highest seen.
    private(set) var next: UInt32 = 0
    /// Of the bits: the word of `missing[0]`, and how many words there are.
    private var firstWord: UInt32 = 0
    private var wordCount: UInt32 = 0
    private var missing: UnsafeMutablePointer<UInt64>?

    package init() {}

    package enum Arrival {
        /// The next one, or one behind a gap.
        case inOrder
        /// It fills a gap: it was overtaken.
        case late
        case duplicate
        case impossible
    }

    package mutating func note(_ sequence: UInt32) -> Arrival {
        if sequence == next, sequence < .max {
            next &+= 1
            return .inOrder
        }
        return noteOther(sequence)
    }

    @inline(never)
    private mutating func noteOther(_ sequence: UInt32) -> Arrival {
        if sequence > next {
            guard sequence - next <= Self.gapMax, sequence < .max else { return .impossible }
            reserve(upTo: sequence)
            for skipped in next..<sequence { setMissing(skipped, true) }
            next = sequence + 1
            return .inOrder
        }
        guard isMissing(sequence) else { return .duplicate }
        setMissing(sequence, false)
        return .late
    }

    /// Messages seen at least once.
    package var distinctCount: Int { Int(next) - missingCount }

    package var missingCount: Int {
        guard let missing else { return 0 }
        return (0..<Int(wordCount)).reduce(0) { $0 + missing[$1].nonzeroBitCount }
    }

    /// Messages that both have seen: of a shared group, each must have gone to one.
    package func overlap(with other: StreamTracker) -> Int {
        let end = min(next, other.next)
        return (0..<end).reduce(0) {
            $0 + (isMissing($1) || other.isMissing($1) ? 0 : 1)
        }
    }

    package func free() { missing?.deallocate() }

    private func isMissing(_ sequence: UInt32) -> Bool {
        guard let missing, sequence >> 6 >= firstWord, sequence >> 6 < firstWord + wordCount
        else { return false }
        return missing[Int(sequence >> 6 - firstWord)] >> (sequence & 63) & 1 == 1
    }

    private func setMissing(_ sequence: UInt32, _ value: Bool) {
        guard let missing else { return }
        let bit: UInt64 = 1 << UInt64(sequence & 63)
        if value {
            missing[Int(sequence >> 6 - firstWord)] |= bit
        } else {
            missing[Int(sequence >> 6 - firstWord)] &= ~bit
        }
    }

    private mutating func reserve(upTo sequence: UInt32) {
        if missing == nil { firstWord = next >> 6 }
        let wanted = sequence >> 6 - firstWord + 1
        guard wanted > wordCount else { return }
        let capacity = max(wanted, wordCount * 2, 8)
        let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(capacity))
        larger.initialize(repeating: 0, count: Int(capacity))
        if let missing {
            larger.update(from: missing, count: Int(wordCount))
            missing.deallocate()
        }
        missing = larger
        wordCount = capacity
    }
}
