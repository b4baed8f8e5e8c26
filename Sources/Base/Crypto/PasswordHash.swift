import COpenSSL

/// Slow hashes of passwords. Each call takes milliseconds by intention: never on a loop.
///
/// Nil means that the parameters are out of the function's range or need more memory than
/// allowed; parameters may come from a password file, so this is a result and not a fault of ours.
package enum PasswordHash {
    /// Iterations above this are refused: one wrong digit in a file must not stop a node.
    package static let iterationsMax = 100_000_000
    /// Memory that one scrypt call may take, unless the caller says otherwise.
    package static let scryptBytesMax = 64 << 20

    /// PBKDF2 with HMAC-SHA512 (RFC 8018): what mosquitto's `$7$` entries hold.
    package static func pbkdf2SHA512(
        password: [UInt8], salt: [UInt8], iterations: Int, count: Int
    ) -> [UInt8]? {
        guard iterations >= 1, iterations <= iterationsMax, count >= 1, count <= 1024 else {
            return nil
        }
        var key = [UInt8](repeating: 0, count: count)
        let status = withCharacters(password) { characters in
            PKCS5_PBKDF2_HMAC(
                characters.baseAddress, Int32(characters.count), salt, Int32(salt.count),
                Int32(iterations), EVP_sha512(), Int32(count), &key)
        }
        return status == 1 ? key : nil
    }

    /// scrypt (RFC 7914). `cost` is N, a power of two above 1; memory is 128 * cost * blockSize.
    package static func scrypt(
        password: [UInt8], salt: [UInt8], cost: Int, blockSize: Int, parallelism: Int,
        count: Int, memoryBytesMax: Int = scryptBytesMax
    ) -> [UInt8]? {
        guard cost > 1, cost & (cost - 1) == 0, blockSize >= 1, parallelism >= 1,
            count >= 1, count <= 1024, memoryBytesMax > 0
        else { return nil }
        var key = [UInt8](repeating: 0, count: count)
        let status = withCharacters(password) { characters in
            EVP_PBE_scrypt(
                characters.baseAddress, characters.count, salt, salt.count, UInt64(cost),
                UInt64(blockSize), UInt64(parallelism), UInt64(memoryBytesMax), &key, count)
        }
        if status != 1 { ERR_clear_error() }
        return status == 1 ? key : nil
    }

    /// OpenSSL takes passwords as characters, and a null pointer means something else to it.
    private static func withCharacters(
        _ password: [UInt8], _ body: (UnsafeBufferPointer<CChar>) -> Int32
    ) -> Int32 {
        let terminated = password + [0]
        return terminated.withUnsafeBytes { bytes in
            let characters = bytes.bindMemory(to: CChar.self)
            return body(UnsafeBufferPointer(rebasing: characters[..<password.count]))
        }
    }
}
