import Base

/// The two keys that a server keeps of a password for SCRAM-SHA-256 (RFC 5802, section 3).
package struct ScramKeys: Equatable, Sendable {
    /// H(ClientKey): proves that the client knows the password.
    package var stored: [UInt8]
    /// Proves to the client that the server knows it.
    package var server: [UInt8]

    /// Slow by intention. Nil if the parameters are out of range.
    package init?(password: [UInt8], salt: [UInt8], iterations: Int) {
        guard
            let salted = KeyedDigest.pbkdf2SHA256(
                password: password, salt: salt, iterations: iterations)
        else { return nil }
        let client = KeyedDigest.hmacSHA256(key: salted, Array("Client Key".utf8))
        stored = Digest.sha256(client)
        server = KeyedDigest.hmacSHA256(key: salted, Array("Server Key".utf8))
    }
}
