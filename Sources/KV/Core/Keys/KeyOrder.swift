import Base

/// The order of keys in every store: by bytes, unsigned, a prefix before what it begins.
@usableFromInline
package enum KeyOrder {
    /// Negative, zero or positive as `left` comes before, equals or comes after `right`.
    @inlinable
    package static func compare(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Int {
        let count = min(left.count, right.count)
        var offset = 0
        while offset &+ 8 <= count {
            let leftWord = word(left, offset)
            let rightWord = word(right, offset)
            if leftWord != rightWord { return leftWord < rightWord ? -1 : 1 }
            offset &+= 8
        }
        while offset < count {
            if left[offset] != right[offset] { return left[offset] < right[offset] ? -1 : 1 }
            offset &+= 1
        }
        return left.count &- right.count
    }

    @inlinable
    package static func compare(_ left: RawSpan, _ right: RawSpan) -> Int {
        left.withUnsafeBytes { first in right.withUnsafeBytes { compare(first, $0) } }
    }

    @inlinable
    package static func compare(_ left: [UInt8], _ right: RawSpan) -> Int {
        left.withUnsafeBytes { first in right.withUnsafeBytes { compare(first, $0) } }
    }

    @inlinable
    package static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { first in right.withUnsafeBytes { compare(first, $0) } }
    }

    /// The first eight bytes at `offset` as a number that orders like them; missing bytes count
    /// as zero, so equal numbers must be compared in full.
    @inlinable
    package static func prefix(_ bytes: UnsafeRawBufferPointer, from offset: Int = 0) -> UInt64 {
        if offset &+ 8 <= bytes.count { return word(bytes, offset) }
        var value: UInt64 = 0
        var position = offset
        while position < offset &+ 8 {
            value = value &<< 8 | (position < bytes.count ? UInt64(bytes[position]) : 0)
            position &+= 1
        }
        return value
    }

    @inlinable
    static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

/// A part of a store's key space: `start ..< end`; without an end it reaches to the last key.
@usableFromInline
package struct KeyBounds: Equatable, Sendable {
    /// First key inside.
    package var start: [UInt8]
    /// First key behind, nil if there is none.
    package var end: [UInt8]?

    package init(start: [UInt8], end: [UInt8]?) {
        self.start = start
        self.end = end
    }

    package static let all = KeyBounds(start: [], end: nil)

    /// Every key that begins with `prefix`.
    package init(prefix: [UInt8]) {
        start = prefix
        end = KeyBounds.successor(ofPrefix: prefix)
    }

    /// The first key behind all keys that begin with `prefix`; nil if there is none.
    package static func successor(ofPrefix prefix: [UInt8]) -> [UInt8]? {
        var key = prefix
        while let last = key.popLast() {
            if last < 0xFF { return key + [last + 1] }
        }
        return nil
    }

    package func contains(_ key: RawSpan) -> Bool {
        guard KeyOrder.compare(start, key) <= 0 else { return false }
        guard let end else { return true }
        return KeyOrder.compare(end, key) > 0
    }

    package func contains(_ key: [UInt8]) -> Bool { contains(key.span.bytes) }

    /// Strictly inside: a place where these bounds can be cut in two.
    package func canBeCut(at key: [UInt8]) -> Bool {
        contains(key) && KeyOrder.compare(start, key) < 0
    }

    package var isEmpty: Bool {
        guard let end else { return false }
        return KeyOrder.compare(start, end) >= 0
    }

    package func overlaps(_ other: KeyBounds) -> Bool { !intersection(other).isEmpty }

    package func intersection(_ other: KeyBounds) -> KeyBounds {
        let first = KeyOrder.compare(start, other.start) >= 0 ? start : other.start
        guard let end else { return KeyBounds(start: first, end: other.end) }
        guard let otherEnd = other.end else { return KeyBounds(start: first, end: end) }
        return KeyBounds(
            start: first, end: KeyOrder.compare(end, otherEnd) <= 0 ? end : otherEnd)
    }
}
