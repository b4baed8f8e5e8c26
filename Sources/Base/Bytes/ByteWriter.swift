/// A growing byte buffer with big-endian writers: how every format of the house is encoded.
///
/// Not copyable: one owner, freed with it. `removeAll` keeps the memory, so a writer that is
/// reused for every message allocates only while it grows.
@usableFromInline
package struct ByteWriter: ~Copyable {
    @usableFromInline
    var base: UnsafeMutableRawPointer
    /// Bytes allocated.
    @usableFromInline
    var capacity: Int
    /// Bytes written so far.
    @inlinable
    package var count: Int { countStorage }
    @usableFromInline
    var countStorage: Int

    @inlinable
    package init(capacity: Int = 64) {
        base = .allocate(byteCount: max(capacity, 16), alignment: 16)
        self.capacity = max(capacity, 16)
        countStorage = 0
    }

    deinit { base.deallocate() }

    @inlinable
    package var isEmpty: Bool { countStorage == 0 }

    /// The bytes written so far; valid until the next mutation.
    @inlinable
    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: countStorage)
    }

    /// A copy of the bytes written so far.
    @usableFromInline
    package var array: [UInt8] { [UInt8](bytes) }

    /// Calls `body` with the bytes as a checked span.
    @inlinable
    package func withSpan<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
        body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: base, count: countStorage)))
    }

    @inlinable
    package mutating func removeAll() { countStorage = 0 }

    /// Drops everything behind the first `count` bytes.
    @inlinable
    package mutating func truncate(to count: Int) {
        invariant(count <= countStorage, "truncate to \(count) of \(countStorage)")
        countStorage = count
    }

    /// Makes room for `more` bytes behind the written ones.
    @inlinable
    package mutating func reserve(_ more: Int) {
        if countStorage &+ more > capacity { grow(more) }
    }

    @usableFromInline
    mutating func grow(_ more: Int) {
        let size = max(capacity * 2, countStorage + more)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        larger.copyMemory(from: base, byteCount: countStorage)
        base.deallocate()
        base = larger
        capacity = size
    }

    @inlinable
    package mutating func append(_ byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: countStorage, as: UInt8.self)
        countStorage &+= 1
    }

    /// Appends an integer, big-endian.
    @inlinable
    package mutating func append<I: FixedWidthInteger & BitwiseCopyable>(bigEndian value: I) {
        let size = MemoryLayout<I>.size
        reserve(size)
        base.storeBytes(of: value.bigEndian, toByteOffset: countStorage, as: I.self)
        countStorage &+= size
    }

    @inlinable
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (base + countStorage).copyMemory(from: start, byteCount: bytes.count)
        countStorage &+= bytes.count
    }

    @inlinable
    package mutating func append(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { append($0) }
    }

    @inlinable
    package mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends the UTF-8 bytes of a string.
    @usableFromInline
    package mutating func append(utf8 string: String) {
        var string = string
        string.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a 16-bit length and the bytes; the caller has checked that they fit.
    @inlinable
    package mutating func append(lengthPrefixed16 bytes: RawSpan) {
        invariant(bytes.byteCount <= 0xFFFF, "\(bytes.byteCount) bytes behind a 16-bit length")
        append(bigEndian: UInt16(truncatingIfNeeded: bytes.byteCount))
        append(bytes)
    }

    /// Appends a 16-bit length and the bytes; the caller has checked that they fit.
    @inlinable
    package mutating func append(lengthPrefixed16 bytes: [UInt8]) {
        invariant(bytes.count <= 0xFFFF, "\(bytes.count) bytes behind a 16-bit length")
        append(bigEndian: UInt16(truncatingIfNeeded: bytes.count))
        append(bytes)
    }

    /// Appends a 32-bit length and the bytes.
    @inlinable
    package mutating func append(lengthPrefixed32 bytes: RawSpan) {
        append(bigEndian: UInt32(bytes.byteCount))
        append(bytes)
    }

    /// Overwrites bytes written before, for lengths known only afterwards.
    @inlinable
    package mutating func patch<I: FixedWidthInteger & BitwiseCopyable>(
        bigEndian value: I, at offset: Int
    ) {
        invariant(
            offset >= 0 && offset + MemoryLayout<I>.size <= countStorage,
            "patch at \(offset) of \(countStorage)")
        base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: I.self)
    }
}
