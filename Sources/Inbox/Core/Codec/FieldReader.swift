import Base
import KV

/// Reads fields of a command, question or message in place; a shortage is remembered, not thrown.
///
/// Lives only inside a `withUnsafeBytes` of the bytes it reads. After the first shortage every read
/// gives zero or nothing, so a decoder reads all its fields and asks `isFine` once; loops over
/// counts that came from outside ask it in their condition.
package struct FieldReader {
    let bytes: UnsafeRawBufferPointer
    /// Position of the next byte to read.
    var offset = 0
    /// False once more was asked for than there is, or a value had no meaning.
    package private(set) var isFine = true

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Whether everything was read and nothing is left over.
    package var isComplete: Bool { isFine && offset == bytes.count }
    /// Bytes not yet read.
    var remaining: Int { bytes.count - offset }

    @inline(__always)
    mutating func integer<I: FixedWidthInteger & BitwiseCopyable>(_ type: I.Type) -> I {
        let size = MemoryLayout<I>.size
        guard isFine, bytes.count &- offset >= size else {
            isFine = false
            return 0
        }
        defer { offset &+= size }
        return I(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: I.self))
    }

    @inline(__always) mutating func u8() -> UInt8 { integer(UInt8.self) }
    @inline(__always) mutating func u16() -> UInt16 { integer(UInt16.self) }
    @inline(__always) mutating func u32() -> UInt32 { integer(UInt32.self) }
    @inline(__always) mutating func u64() -> UInt64 { integer(UInt64.self) }
    mutating func flag() -> Bool { u8() != 0 }
    mutating func time() -> WallTime { WallTime(milliseconds: u64()) }

    /// Remembers that a value was read that has no meaning.
    mutating func fail() { isFine = false }

    @inline(__always)
    mutating func slice(_ count: Int) -> UnsafeRawBufferPointer {
        guard isFine, bytes.count &- offset >= count else {
            isFine = false
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        defer { offset &+= count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset &+ count])
    }

    /// Bytes behind a 16-bit length, in place.
    @inline(__always)
    mutating func slice16() -> UnsafeRawBufferPointer { slice(Int(u16())) }
    /// Bytes behind a 32-bit length, in place.
    @inline(__always)
    mutating func slice32() -> UnsafeRawBufferPointer { slice(Int(u32())) }
    /// A copy of bytes behind a 16-bit length.
    mutating func bytes16() -> [UInt8] { [UInt8](slice16()) }
    /// A copy of bytes behind a 32-bit length.
    mutating func bytes32() -> [UInt8] { [UInt8](slice32()) }

    /// A string part of a key (`KeySchema`).
    mutating func keyString() -> [UInt8] {
        var reader = ByteReader(offset: offset, end: bytes.count)
        guard isFine, let string = try? reader.readKeyString(RawSpan(_unsafeBytes: bytes)) else {
            isFine = false
            return []
        }
        offset = reader.offset
        return string
    }

    /// A list behind a 16-bit count of at most `countMax`.
    mutating func list16<Element>(
        countMax: Int = 0xFFFF, _ element: (inout FieldReader) -> Element
    ) -> [Element] {
        let count = Int(u16())
        if count > countMax { isFine = false }
        var list: [Element] = []
        // Every element takes at least a byte, so the reserve is bounded by what arrived.
        list.reserveCapacity(min(count, remaining))
        while isFine, list.count < count { list.append(element(&self)) }
        return list
    }

    mutating func place() -> Place {
        let node = NodeID(u64())
        return Place(node: node, worker: WorkerIndex(u16()))
    }
}

extension ByteWriter {
    /// Appends bytes behind a 16-bit length; longer ones are a fault of the caller.
    mutating func append(bytes16 bytes: UnsafeRawBufferPointer) {
        invariant(bytes.count <= 0xFFFF, "\(bytes.count) bytes behind a 16-bit length")
        append(bigEndian: UInt16(truncatingIfNeeded: bytes.count))
        append(bytes)
    }

    /// Appends bytes behind a 32-bit length.
    mutating func append(bytes32 bytes: UnsafeRawBufferPointer) {
        append(bigEndian: UInt32(bytes.count))
        append(bytes)
    }

    mutating func append(bytes32 bytes: [UInt8]) {
        bytes.withUnsafeBytes { append(bytes32: $0) }
    }

    /// Appends a 16-bit count and the elements.
    mutating func append<Element>(
        list16 list: [Element], _ element: (inout ByteWriter, Element) -> Void
    ) {
        invariant(list.count <= 0xFFFF, "\(list.count) elements behind a 16-bit count")
        append(bigEndian: UInt16(truncatingIfNeeded: list.count))
        for one in list { element(&self, one) }
    }
}
