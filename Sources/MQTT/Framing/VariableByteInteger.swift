/// The variable byte integer of MQTT: seven bits a byte, low bits first, at most four bytes.
@usableFromInline
package enum VariableByteInteger {
    /// The largest value that four bytes hold.
    @usableFromInline
    package static var maximum: Int { 268_435_455 }

    /// Bytes that the shortest encoding of `value` takes.
    @inlinable
    package static func size(of value: Int) -> Int {
        if value < 128 { return 1 }
        if value < 16_384 { return 2 }
        return value < 2_097_152 ? 3 : 4
    }

    /// Writes the shortest encoding and returns its size; `place` has room for four bytes.
    @inlinable
    package static func write(_ value: Int, to place: UnsafeMutableRawPointer) -> Int {
        var rest = UInt32(truncatingIfNeeded: value)
        var count = 0
        while rest >= 128 {
            place.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            rest &>>= 7
            count &+= 1
        }
        place.storeBytes(
            of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
        return count &+ 1
    }
}
