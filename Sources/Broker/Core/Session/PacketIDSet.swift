import Base

/// A set of 16-bit packet identifiers in two levels: 64 blocks of 1,024 bits, each allocated with
/// its first member and all freed when the set runs empty. Constant time for any order.
package struct PacketIDSet: ~Copyable {
    private static let blockWords = 16
    private static let blockCount = 64

    private var blocks: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?>?
    package var count: Int { Int(members) }
    /// At most 65,536.
    private var members: UInt32 = 0

    package init() {}

    deinit { Self.free(blocks) }

    package func contains(_ packetID: UInt16) -> Bool {
        guard let blocks, let block = blocks[Int(packetID >> 10)] else { return false }
        return block[word(packetID)] & bit(packetID) != 0
    }

    /// Returns false if it was a member already.
    package mutating func insert(_ packetID: UInt16) -> Bool {
        let blocks = allocatedBlocks()
        let index = Int(packetID >> 10)
        if blocks[index] == nil {
            let block = UnsafeMutablePointer<UInt64>.allocate(capacity: Self.blockWords)
            block.initialize(repeating: 0, count: Self.blockWords)
            blocks[index] = block
        }
        guard let block = blocks[index], block[word(packetID)] & bit(packetID) == 0 else {
            return false
        }
        block[word(packetID)] |= bit(packetID)
        members += 1
        return true
    }

    /// Returns false if it was not a member.
    package mutating func remove(_ packetID: UInt16) -> Bool {
        guard contains(packetID), let block = blocks?[Int(packetID >> 10)] else { return false }
        block[word(packetID)] &= ~bit(packetID)
        members -= 1
        if members == 0 {
            Self.free(blocks)
            blocks = nil
        }
        return true
    }

    private func word(_ packetID: UInt16) -> Int { Int(packetID >> 6) & (Self.blockWords - 1) }
    private func bit(_ packetID: UInt16) -> UInt64 { 1 << UInt64(packetID & 63) }

    private mutating func allocatedBlocks() -> UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?> {
        if let blocks { return blocks }
        let fresh = UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?>.allocate(
            capacity: Self.blockCount)
        fresh.initialize(repeating: nil, count: Self.blockCount)
        blocks = fresh
        return fresh
    }

    private static func free(_ blocks: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?>?) {
        guard let blocks else { return }
        for index in 0..<blockCount { blocks[index]?.deallocate() }
        blocks.deallocate()
    }
}
