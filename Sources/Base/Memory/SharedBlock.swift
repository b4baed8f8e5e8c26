import CLinux

/// Immutable bytes shared by several holders, also on different threads: counted by hand.
///
/// ```
///  | references 4 | unused 4 | count 8 | bytes ... |
/// ```
/// A plain handle of one word, so that it lies in arena records and mail without reference
/// counting by the compiler. Whoever stores it retains; whoever lets go releases; the last release
/// frees. Written only between `allocate` and the first hand-over.
@usableFromInline
package struct SharedBlock: @unchecked Sendable, BitwiseCopyable {
    @usableFromInline let base: UnsafeMutableRawPointer

    @inlinable static var headerSize: Int { 16 }

    /// The block with this address, as it travelled through mail.
    @inlinable
    package init(address: UInt) {
        base = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
    }

    @usableFromInline
    init(base: UnsafeMutableRawPointer) { self.base = base }

    /// A block of `count` bytes with one reference, the caller's; to be filled through
    /// `mutableBytes`.
    @inlinable
    package static func allocate(count: Int) -> SharedBlock {
        let base = UnsafeMutableRawPointer.allocate(byteCount: headerSize &+ count, alignment: 16)
        base.storeBytes(of: 1, as: UInt32.self)
        base.storeBytes(of: count, toByteOffset: 8, as: Int.self)
        return SharedBlock(base: base)
    }

    @inlinable
    package static func copy(of bytes: UnsafeRawBufferPointer) -> SharedBlock {
        let block = allocate(count: bytes.count)
        block.mutableBytes.copyMemory(from: bytes)
        return block
    }

    @inlinable
    package var address: UInt { UInt(bitPattern: base) }

    @inlinable
    package var count: Int { base.load(fromByteOffset: 8, as: Int.self) }

    @inlinable
    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Self.headerSize, count: count)
    }

    /// For filling a new block before anyone else sees it.
    @inlinable
    package var mutableBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + Self.headerSize, count: count)
    }

    @inlinable
    package func retain(_ times: UInt32 = 1) {
        _ = apus_atomic_add_u32(counter, times)
    }

    @inlinable
    package func release() {
        let before = apus_atomic_sub_u32(counter, 1)
        invariant(before > 0, "shared block released after its end")
        if before == 1 { base.deallocate() }
    }

    /// References now: for tests and diagnostics, since it may change at once.
    @usableFromInline
    package var references: Int { Int(apus_atomic_load_u32(counter)) }

    @inlinable
    var counter: UnsafeMutablePointer<UInt32> { base.assumingMemoryBound(to: UInt32.self) }
}
