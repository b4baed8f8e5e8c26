import CLinux

/// A bounded ring of 64-bit words from one thread to one other: what loops hand each other.
///
/// ```
///  | tail, producer's copy of head | head, consumer's copy of tail | word 0 .. word n-1 |
///    cache lines of the producer     cache lines of the consumer
/// ```
/// The words are usually addresses of blocks: whoever pops one owns it. The ring is a plain handle
/// on memory that `allocate` makes and `free` gives back once both sides are gone. Limit: the
/// capacity, a power of two; a full ring refuses, and the producer keeps what it has.
@usableFromInline
package struct SPSCRing: @unchecked Sendable {
    @usableFromInline let memory: UnsafeMutablePointer<UInt64>
    @usableFromInline let mask: UInt64

    // Word offsets; two cache lines apart, since lines are fetched in pairs.
    @inlinable static var tail: Int { 0 }
    @inlinable static var headSeen: Int { 1 }
    @inlinable static var head: Int { 16 }
    @inlinable static var tailSeen: Int { 17 }
    @inlinable static var words: Int { 32 }

    @usableFromInline
    package static func allocate(capacity: Int) -> SPSCRing {
        invariant(
            capacity > 0 && capacity & (capacity - 1) == 0,
            "ring capacity \(capacity) is no power of two")
        let bytes = (words + capacity) * 8
        let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 128)
        return SPSCRing(
            memory: raw.initializeMemory(as: UInt64.self, repeating: 0, count: words + capacity),
            mask: UInt64(capacity - 1))
    }

    @usableFromInline
    init(memory: UnsafeMutablePointer<UInt64>, mask: UInt64) {
        self.memory = memory
        self.mask = mask
    }

    /// Gives the memory back; both threads have ended their use.
    @usableFromInline
    package func free() { memory.deallocate() }

    @usableFromInline
    package var capacity: Int { Int(mask) + 1 }

    /// False if the ring is full. Producer only.
    @inlinable
    package func push(_ word: UInt64) -> Bool {
        let tail = memory[Self.tail]
        if tail &- memory[Self.headSeen] > mask {
            memory[Self.headSeen] = apus_atomic_load_acquire_u64(memory + Self.head)
            if tail &- memory[Self.headSeen] > mask { return false }
        }
        memory[Self.words &+ Int(tail & mask)] = word
        apus_atomic_store_release_u64(memory + Self.tail, tail &+ 1)
        return true
    }

    /// The oldest word, or nil if the ring is empty. Consumer only.
    @inlinable
    package func pop() -> UInt64? {
        let head = memory[Self.head]
        if head == memory[Self.tailSeen] {
            memory[Self.tailSeen] = apus_atomic_load_acquire_u64(memory + Self.tail)
            if head == memory[Self.tailSeen] { return nil }
        }
        let word = memory[Self.words &+ Int(head & mask)]
        apus_atomic_store_release_u64(memory + Self.head, head &+ 1)
        return word
    }

    /// Whether a pop would find nothing. Consumer only.
    @inlinable
    package var isEmpty: Bool {
        memory[Self.head] == apus_atomic_load_acquire_u64(memory + Self.tail)
    }
}
