import COpenSSL

/// Hashes under a key: for SCRAM, for cached verdicts, for signed values.
package enum KeyedDigest {
    /// HMAC-SHA256 (RFC 2104), 32 bytes.
    package static func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        // A null key means "as before" to OpenSSL, so an empty one gets an address.
        let key = key.isEmpty ? [0] : key
        let result = HMAC(
            EVP_sha256(), key, Int32(key.count), bytes, bytes.count, &digest, nil)
        invariant(result != nil, "OpenSSL refused a keyed hash of \(bytes.count) bytes")
        return digest
    }

    /// PBKDF2 with HMAC-SHA256 (RFC 8018), 32 bytes: the `Hi` of SCRAM. Slow by intention.
    package static func pbkdf2SHA256(
        password: [UInt8], salt: [UInt8], iterations: Int
    ) -> [UInt8]? {
        guard iterations >= 1, iterations <= PasswordHash.iterationsMax else { return nil }
        var key = [UInt8](repeating: 0, count: 32)
        let characters = password.map { CChar(bitPattern: $0) } + [0]
        let status = PKCS5_PBKDF2_HMAC(
            characters, Int32(password.count), salt, Int32(salt.count), Int32(iterations),
            EVP_sha256(), 32, &key)
        return status == 1 ? key : nil
    }
}
