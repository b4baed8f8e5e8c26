import Base

/// User properties as they stand in a packet: encoded, in order, duplicates included.
///
/// ```
///  0x26 | length | name | length | value | 0x26 | ...
/// ```
@usableFromInline
package struct UserProperties: Equatable, Sendable {
    /// The properties with their identifiers; well-formed.
    package private(set) var bytes: [UInt8]

    package init() { bytes = [] }

    package var isEmpty: Bool { bytes.isEmpty }

    /// Adds a pair. Parts longer than 65,535 bytes are cut there.
    package mutating func append(name: [UInt8], value: [UInt8]) {
        bytes.append(PropertyID.userProperty.rawValue)
        for text in [name, value] {
            let part = text.prefix(0xFFFF)
            bytes.append(UInt8(truncatingIfNeeded: part.count >> 8))
            bytes.append(UInt8(truncatingIfNeeded: part.count))
            bytes += part
        }
    }

    package mutating func append(name: String, value: String) {
        append(name: Array(name.utf8), value: Array(value.utf8))
    }

    /// Takes over a property that was checked in its packet.
    mutating func append(checked property: Property, _ packet: RawSpan) {
        bytes += packet.array(property.whole)
    }

    /// The pairs in order.
    package var pairs: [(name: [UInt8], value: [UInt8])] {
        var pairs: [(name: [UInt8], value: [UInt8])] = []
        var rest = bytes[...]
        func text() -> [UInt8] {
            let count = rest.prefix(2).reduce(0) { $0 << 8 | Int($1) }
            defer { rest = rest.dropFirst(2 + count) }
            return Array(rest.dropFirst(2).prefix(count))
        }
        while !rest.isEmpty {
            rest = rest.dropFirst()
            let name = text()
            pairs.append((name, text()))
        }
        return pairs
    }
}
