/// All addresses with a common beginning, such as `10.0.0.0/8` or `fd00::/8`.
package struct IPNetwork: Hashable, Sendable {
    /// The first address: all bits behind the prefix are 0.
    package let address: IPAddress
    /// Common leading bits of 128; an IPv4 network has 96 more than its notation says.
    package let prefixCount: Int

    /// Reads `address/count`, or one address alone. Nil also if bits behind the prefix are set,
    /// because then one of the two numbers is not what was meant.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(parts[0]) else { return nil }
        // The family is that of the notation: `::ffff:10.0.0.0/104` counts all 128 bits.
        let isDotted = !parts[0].contains(":")
        var prefixCount = 128
        if parts.count == 2 {
            let digits = parts[1]
            guard digits.count <= 3, digits.allSatisfy({ $0.isASCII && $0.isNumber }),
                let count = Int(digits), count <= (isDotted ? 32 : 128)
            else { return nil }
            prefixCount = isDotted ? count + 96 : count
        }
        guard address.prefix(prefixCount) == address else { return nil }
        self.address = address
        self.prefixCount = prefixCount
    }

    /// True if the address belongs to the network. `::/0` holds every address of both families.
    package func contains(_ other: IPAddress) -> Bool {
        other.prefix(prefixCount) == address
    }
}

extension IPNetwork: CustomStringConvertible {
    package var description: String {
        address.isV4 && prefixCount >= 96
            ? "\(address)/\(prefixCount - 96)" : "\(address)/\(prefixCount)"
    }
}
