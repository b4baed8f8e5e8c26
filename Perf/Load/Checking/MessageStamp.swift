import Base

/// The first 16 bytes of every payload: who sent which message, and when it should have gone.
///
/// ```
///  intended time, ns of the boot clock (8) | sequence (4) | tag of the run (1) stream (3)
/// ```
/// The tag comes from the seed: what other runs left behind is not taken for ours.
struct MessageStamp: Equatable {
    static let size = 16
    static let streamsMax = 1 << 24

    var intended: UInt64
    var sequence: UInt32
    var stream: UInt32
    var tag: UInt8

    func write(to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: intended.littleEndian, as: UInt64.self)
        place.storeBytes(of: sequence.littleEndian, toByteOffset: 8, as: UInt32.self)
        let word = stream | UInt32(tag) << 24
        place.storeBytes(of: word.littleEndian, toByteOffset: 12, as: UInt32.self)
    }

    /// Of at least `size` bytes.
    init(_ place: UnsafeRawPointer) {
        intended = UInt64(littleEndian: place.loadUnaligned(as: UInt64.self))
        sequence = UInt32(
            littleEndian: place.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let word = UInt32(
            littleEndian: place.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        stream = word & 0xFF_FFFF
        tag = UInt8(word >> 24)
    }

    init(intended: UInt64, sequence: UInt32, stream: UInt32, tag: UInt8) {
        self.intended = intended
        self.sequence = sequence
        self.stream = stream
        self.tag = tag
    }

    static func tag(seed: UInt64) -> UInt8 {
        var random = SeededRandom(seed: seed)
        return UInt8(truncatingIfNeeded: random.next())
    }

    /// What stands behind the stamp: the same in every message.
    static func filling(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed &+ 1)
        return (0..<max(count, size)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
}
