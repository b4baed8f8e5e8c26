import Base

/// Frames from server to client: final, unmasked, uncompressed.
///
/// A connection gathers all packets of a turn behind `headerBytesMax` reserved bytes and calls
/// `prepend` once when it flushes: one frame for a batch, no copy.
package enum FrameEncoder {
    /// Room that any header fits in.
    package static let headerBytesMax = 10

    /// Bytes of the header of a frame with `payloadCount` bytes.
    package static func headerCount(_ payloadCount: Int) -> Int {
        payloadCount < 126 ? 2 : payloadCount <= 0xFFFF ? 4 : 10
    }

    /// Writes the header of a frame at `target` and returns its size.
    @discardableResult
    package static func writeHeader(
        _ opcode: Opcode = .binary, payloadCount: Int, at target: UnsafeMutableRawPointer
    ) -> Int {
        target.storeBytes(of: 0x80 | opcode.rawValue, as: UInt8.self)
        let second = target + 1
        if payloadCount < 126 {
            second.storeBytes(of: UInt8(truncatingIfNeeded: payloadCount), as: UInt8.self)
            return 2
        }
        if payloadCount <= 0xFFFF {
            second.storeBytes(of: 126, as: UInt8.self)
            (target + 2).storeBytes(
                of: UInt16(truncatingIfNeeded: payloadCount).bigEndian, as: UInt16.self)
            return 4
        }
        second.storeBytes(of: 127, as: UInt8.self)
        (target + 2).storeBytes(of: UInt64(payloadCount).bigEndian, as: UInt64.self)
        return 10
    }

    /// Appends a whole frame; for small payloads.
    package static func append(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, to output: inout ByteWriter
    ) {
        withUnsafeTemporaryAllocation(byteCount: headerBytesMax, alignment: 8) { header in
            guard let start = header.baseAddress else { return }
            let count = writeHeader(opcode, payloadCount: payload.count, at: start)
            output.append(UnsafeRawBufferPointer(start: start, count: count))
        }
        output.append(payload)
    }

    /// Appends the answer to a ping.
    package static func appendPong(
        _ payload: UnsafeRawBufferPointer, to output: inout ByteWriter
    ) {
        append(.pong, payload, to: &output)
    }

    /// Appends a close frame; `.noStatus` makes it empty, as the client's was.
    package static func appendClose(_ code: CloseCode, to output: inout ByteWriter) {
        output.append(0x80 | Opcode.close.rawValue)
        guard code.maySend else { return output.append(0) }
        output.append(2)
        output.append(bigEndian: code.rawValue)
    }
}
