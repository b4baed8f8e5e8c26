/// Packet ids of QoS 2 messages that a subscriber has received and not yet seen released.
///
/// Grows with the highest id the broker uses, to 8 KiB at most; nothing without QoS 2.
package struct PacketIDBits {
    private var words: UnsafeMutablePointer<UInt64>?
    private var wordCount: UInt16 = 0

    package init() {}

    /// False if the id was there already: the message is one that we know.
    package mutating func insert(_ id: UInt16) -> Bool {
        let word = id >> 6
        if word >= wordCount { grow(word + 1) }
        guard let words else { return true }
        let bit: UInt64 = 1 << UInt64(id & 63)
        defer { words[Int(word)] |= bit }
        return words[Int(word)] & bit == 0
    }

    package func remove(_ id: UInt16) {
        guard let words, id >> 6 < wordCount else { return }
        words[Int(id >> 6)] &= ~(1 << UInt64(id & 63))
    }

    package mutating func free() {
        words?.deallocate()
        words = nil
        wordCount = 0
    }

    private mutating func grow(_ wanted: UInt16) {
        let count = min(max(wanted, wordCount * 2, 2), 1024)
        let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(count))
        larger.initialize(repeating: 0, count: Int(count))
        if let words {
            larger.update(from: words, count: Int(wordCount))
            words.deallocate()
        }
        words = larger
        wordCount = count
    }
}
