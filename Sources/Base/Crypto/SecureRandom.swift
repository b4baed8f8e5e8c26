import COpenSSL

/// Unpredictable bytes from the system, for salts, keys, nonces and the seeds of `SeededRandom`.
///
/// Shell only: Core code gets its numbers from a `SeededRandom` that is handed to it.
package enum SecureRandom {
    /// `count` unpredictable bytes.
    package static func bytes(_ count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        // A system without entropy cannot serve: salts and keys would be guessable.
        invariant(
            RAND_bytes(&bytes, Int32(count)) == 1, "no \(count) random bytes from the system")
        return bytes
    }

    /// An unpredictable number, for example a seed.
    package static func uint64() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
