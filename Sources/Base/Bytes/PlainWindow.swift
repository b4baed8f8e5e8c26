/// Where decoded bytes lie in a buffer that is decoded in place: plain ones in front, then what
/// decoding has left behind, then bytes that are not decoded yet.
///
/// ```
///  | plain | gap | raw |        decoding moves payload from raw down to the end of plain
/// ```
/// For protocols under the packets (WebSocket frames, TLS records). The buffer belongs to a
/// connection that keeps what is not consumed and presents it again with more behind it, and
/// consumption is from the front only. So plain bytes that stay (the start of a packet) are moved
/// up to the raw ones, but only when the gap has become large against them: the moving then costs
/// a bounded factor over the bytes received, however small the pieces are.
@usableFromInline
package struct PlainWindow: Equatable, Sendable {
    /// Plain bytes at the front of the buffer.
    @usableFromInline
    package var plain: UInt32 = 0
    /// Dropped bytes behind them.
    @usableFromInline
    package var gap: UInt32 = 0

    @inlinable
    package init() {}

    /// Where the raw bytes begin.
    @inlinable
    package var rawStart: Int { Int(plain) &+ Int(gap) }

    /// Most bytes a buffer can have in use for `plain` plain and `raw` raw bytes: what a
    /// connection must be allowed to keep.
    @usableFromInline
    package static func keptBytesMax(plain: Int, raw: Int) -> Int { plain + plain / 4 + raw }

    /// `count` more bytes are plain, moved from raw bytes of which `dropped` more were left out.
    @inlinable
    package mutating func grow(_ count: Int, dropping dropped: Int) {
        plain &+= UInt32(truncatingIfNeeded: count)
        gap &+= UInt32(truncatingIfNeeded: dropped)
    }

    /// The reader took `consumed` plain bytes. Returns how many bytes to drop from the front of
    /// the buffer: these, and the gap if it was closed.
    @inlinable
    package mutating func settle(
        _ buffer: UnsafeMutableRawBufferPointer, consumed: Int
    ) -> Int {
        invariant(
            consumed >= 0 && consumed <= Int(plain) && rawStart <= buffer.count,
            "\(consumed) consumed of \(self) in \(buffer.count) bytes")
        plain &-= UInt32(truncatingIfNeeded: consumed)
        guard gap > 0, plain &>> 2 <= gap, let base = buffer.baseAddress else { return consumed }
        let front = base + consumed
        (front + Int(gap)).copyMemory(from: front, byteCount: Int(plain))
        defer { gap = 0 }
        return consumed &+ Int(gap)
    }
}
