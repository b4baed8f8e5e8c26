import Base
import COpenSSL

/// The keys under which session tickets are sealed: shared by all loops, and by a context and the
/// one that replaces it at a reload, so that a client resumes on whatever loop it lands.
///
/// ```
///  current (seals and opens) -> previous (opens) -> oldest (opens) -> forgotten
/// ```
/// Rotated at the first use after `period`, which bounds how long a stolen key is of use. Locked
/// for a moment in handshakes, never on the data path.
package final class TLSTicketKeys: Sendable {
    /// Keys that still open tickets.
    private static let keysMax = 3

    struct Key {
        let name: [UInt8]
        let cipher: [UInt8]
        let mac: [UInt8]

        init() {
            name = SecureRandom.bytes(16)
            cipher = SecureRandom.bytes(32)
            mac = SecureRandom.bytes(32)
        }
    }

    private struct State {
        /// The current one first.
        var keys: [Key]
        var rotatedAt: Instant
    }

    private let state: Guarded<State>
    private let period: Duration

    /// Keys that are rotated after each `period` of use.
    package init(period: Duration = .seconds(8 * 3600)) {
        self.period = period
        state = Guarded(State(keys: [Key()], rotatedAt: System.now))
    }

    /// A new current key; the oldest is forgotten.
    package func rotate() {
        state.withLock { Self.rotate(&$0, System.now) }
    }

    private static func rotate(_ state: inout State, _ now: Instant) {
        state.keys = Array(([Key()] + state.keys).prefix(keysMax))
        state.rotatedAt = now
    }

    /// The key that seals new tickets.
    var current: Key {
        state.withLock { state in
            let now = System.now
            if now - state.rotatedAt >= period { Self.rotate(&state, now) }
            return state.keys[0]
        }
    }

    /// The key of this name, and whether it is the current one.
    func find(_ name: UnsafeBufferPointer<UInt8>) -> (key: Key, isCurrent: Bool)? {
        state.withLock { state in
            guard let index = state.keys.firstIndex(where: { $0.name.elementsEqual(name) }) else {
                return nil
            }
            return (state.keys[index], index == 0)
        }
    }

    /// What OpenSSL's ticket callback asks: sets up the ciphers for a ticket. Returns 1, 2 to have
    /// a new ticket issued as well, 0 for an unknown key and -1 for a failure.
    func prepare(
        name: UnsafeMutablePointer<UInt8>, vector: UnsafeMutablePointer<UInt8>,
        cipher: OpaquePointer, mac: OpaquePointer, seals: Bool
    ) -> Int32 {
        if seals {
            let key = current
            for (index, byte) in key.name.enumerated() { name[index] = byte }
            guard RAND_bytes(vector, 16) == 1,
                EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1,
                apus_tls_start_mac(mac, key.mac, key.mac.count) == 1
            else { return -1 }
            return 1
        }
        guard let found = find(UnsafeBufferPointer(start: name, count: 16)) else { return 0 }
        guard EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, found.key.cipher, vector) == 1,
            apus_tls_start_mac(mac, found.key.mac, found.key.mac.count) == 1
        else { return -1 }
        return found.isCurrent ? 1 : 2
    }
}
