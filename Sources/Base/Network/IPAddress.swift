/// An IP address of either family: 128 bits, IPv4 as `::ffff:a.b.c.d`.
///
/// So a dual-stack socket and an IPv4 socket give equal values for the same peer, and one set of
/// rules serves both.
@usableFromInline
package struct IPAddress: Hashable, Sendable {
    @usableFromInline
    package let high: UInt64
    @usableFromInline
    package let low: UInt64

    @inlinable
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address, its first byte in the highest bits.
    @inlinable
    package init(v4: UInt32) {
        high = 0
        low = 0xFFFF_0000_0000 | UInt64(v4)
    }

    @inlinable
    package var isV4: Bool { high == 0 && low &>> 32 == 0xFFFF }

    /// The last 32 bits: the IPv4 address, if it is one.
    @inlinable
    package var v4: UInt32 { UInt32(truncatingIfNeeded: low) }

    @usableFromInline
    package static let v4Loopback = IPAddress(v4: 0x7F00_0001)
    @usableFromInline
    package static let v6Loopback = IPAddress(high: 0, low: 1)

    @inlinable
    package var isLoopback: Bool { isV4 ? v4 &>> 24 == 127 : self == .v6Loopback }

    /// The address with all bits behind the first `count` of 128 cleared.
    @usableFromInline
    package func prefix(_ count: Int) -> IPAddress {
        func mask(_ bits: Int) -> UInt64 {
            bits <= 0 ? 0 : ~UInt64(0) << UInt64(64 - min(bits, 64))
        }
        return IPAddress(high: high & mask(count), low: low & mask(count - 64))
    }
}

extension IPAddress {
    /// Reads an address as people and proxies write it; nil for anything unusual: leading zeros
    /// (octal to some readers), zones, ports, blanks.
    @usableFromInline
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard
            let address = bytes.contains(UInt8(ascii: ":"))
                ? Self.parseV6(bytes[...]) : Self.parseV4(bytes[...])
        else { return nil }
        self = address
    }

    private static func parseV4(_ text: ArraySlice<UInt8>) -> IPAddress? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let number = number(part, radix: 10, digitsMax: 3), number <= 255,
                part.count == 1 || part.first != UInt8(ascii: "0")
            else { return nil }
            value = value << 8 | number
        }
        return IPAddress(v4: value)
    }

    private static func parseV6(_ text: ArraySlice<UInt8>) -> IPAddress? {
        let colon = UInt8(ascii: ":")
        guard
            let gap = text.indices.dropLast().first(where: {
                text[$0] == colon && text[$0 + 1] == colon
            })
        else {
            guard let groups = groups(text), groups.count == 8 else { return nil }
            return IPAddress(groups: groups)
        }
        // "::" stands for one or more groups of zeros, once.
        guard let front = gap == text.startIndex ? [] : groups(text[..<gap], isEnd: false),
            let back = gap + 2 == text.endIndex ? [] : groups(text[(gap + 2)...]),
            front.count + back.count <= 7
        else { return nil }
        let zeros = [UInt16](repeating: 0, count: 8 - front.count - back.count)
        return IPAddress(groups: front + zeros + back)
    }

    /// Groups of up to four hexadecimal digits; the last may be an IPv4 address, worth two.
    private static func groups(_ text: ArraySlice<UInt8>, isEnd: Bool = true) -> [UInt16]? {
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if isEnd, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let tail = parseV4(part) else { return nil }
                groups += [UInt16(tail.v4 >> 16), UInt16(tail.v4 & 0xFFFF)]
            } else {
                guard let group = number(part, radix: 16, digitsMax: 4) else { return nil }
                groups.append(UInt16(group))
            }
        }
        return groups
    }

    private static func number(
        _ digits: ArraySlice<UInt8>, radix: UInt32, digitsMax: Int
    ) -> UInt32? {
        guard digits.count >= 1, digits.count <= digitsMax else { return nil }
        var value: UInt32 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value * radix + UInt32(digit - 48)
            case UInt8(ascii: "a")...UInt8(ascii: "f") where radix == 16:
                value = value * radix + UInt32(digit - 87)
            case UInt8(ascii: "A")...UInt8(ascii: "F") where radix == 16:
                value = value * radix + UInt32(digit - 55)
            default: return nil
            }
        }
        return value
    }

    private init(groups: [UInt16]) {
        high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or IPv6 in the form of RFC 5952.
    @usableFromInline
    package var description: String {
        if isV4 {
            return (0..<4).map { "\(v4 >> UInt32(24 - 8 * $0) & 255)" }.joined(separator: ".")
        }
        let groups = (0..<8).map {
            UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 % 4)))
        }
        let texts = groups.map { String($0, radix: 16) }
        let zeros = Self.longestZeros(groups)
        guard zeros.count >= 2 else { return texts.joined(separator: ":") }
        return texts[..<zeros.lowerBound].joined(separator: ":") + "::"
            + texts[zeros.upperBound...].joined(separator: ":")
    }

    private static func longestZeros(_ groups: [UInt16]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0...groups.count where index == groups.count || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        return longest
    }
}
