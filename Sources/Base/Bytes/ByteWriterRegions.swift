extension ByteWriter {
    /// Makes `count` bytes part of the written ones and lets `fill` write all of them in place:
    /// for encoders that know their exact size beforehand.
    @inlinable
    package mutating func append(
        count: Int, filledBy fill: (UnsafeMutableRawPointer) -> Void
    ) {
        invariant(count >= 0, "append of \(count) bytes")
        reserve(count)
        fill(base + countStorage)
        countStorage &+= count
    }

    /// Moves everything behind `offset` back by `count` bytes, so that a length which is known only
    /// afterwards can be written in front. The gap holds arbitrary bytes until it is patched.
    package mutating func openGap(_ count: Int, at offset: Int) {
        invariant(
            count >= 0 && offset >= 0 && offset <= countStorage,
            "gap of \(count) at \(offset) of \(countStorage)")
        reserve(count)
        let place = base + offset
        memmoveBytes(to: place + count, from: place, count: countStorage - offset)
        countStorage += count
    }

    /// Overlapping copy.
    private func memmoveBytes(
        to target: UnsafeMutableRawPointer, from source: UnsafeMutableRawPointer, count: Int
    ) {
        guard count > 0 else { return }
        // copyMemory allows overlap: it is a memmove.
        target.copyMemory(from: source, byteCount: count)
    }
}
