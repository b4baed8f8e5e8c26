import COpenSSL

/// Comparisons whose time does not tell how many leading bytes were right.
package enum ConstantTime {
    /// True if the bytes are equal. Only the length, which is no secret, may show in the time.
    package static func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return CRYPTO_memcmp(left, right, left.count) == 0
    }
}
