import Base

/// One hashed password, in one of the forms that a password file may hold.
///
/// ```
///  $scrypt$ln=14,r=8,p=1$salt$hash           our own; base64 without padding
///  $pbkdf2-sha512$i=210000$salt$hash         the same, where memory is short
///  $scram-sha-256$4096$salt$stored$server    also serves enhanced authentication (RFC 7677)
///  $7$101$salt$hash                          mosquitto (PBKDF2-HMAC-SHA512; base64 with padding)
/// ```
package enum PasswordEntry: Equatable, Sendable {
    case scrypt(logCost: Int, blockSize: Int, parallelism: Int, salt: [UInt8], hash: [UInt8])
    case pbkdf2(iterations: Int, salt: [UInt8], hash: [UInt8])
    case scram(iterations: Int, salt: [UInt8], storedKey: [UInt8], serverKey: [UInt8])
    case mosquitto(iterations: Int, salt: [UInt8], hash: [UInt8])

    /// Which form a new entry gets.
    package enum Algorithm: String, CaseIterable, Sendable {
        case scrypt
        case pbkdf2
        case scram
    }

    /// 16 MiB and some 30 ms for a guess (RFC 7914 and the usual advice for interactive use).
    static let logCost = 14
    static let saltCount = 16
    static let pbkdf2Iterations = 210_000
    /// The least that RFC 7677 allows, and what most clients expect.
    static let scramIterations = 4_096
    /// A wrong digit in a file must not take a machine's memory: 2^18 with r=8 is 256 MiB.
    static let logCostMax = 18

    /// Hashes a new password. Slow by intention. `salt` are 16 unpredictable bytes.
    package static func make(
        _ algorithm: Algorithm, password: [UInt8], salt: [UInt8]
    ) -> PasswordEntry? {
        switch algorithm {
        case .scrypt:
            let hash = PasswordHash.scrypt(
                password: password, salt: salt, cost: 1 << logCost, blockSize: 8, parallelism: 1,
                count: 32)
            return hash.map {
                .scrypt(logCost: logCost, blockSize: 8, parallelism: 1, salt: salt, hash: $0)
            }
        case .pbkdf2:
            let hash = PasswordHash.pbkdf2SHA512(
                password: password, salt: salt, iterations: pbkdf2Iterations, count: 64)
            return hash.map { .pbkdf2(iterations: pbkdf2Iterations, salt: salt, hash: $0) }
        case .scram:
            return ScramKeys(password: password, salt: salt, iterations: scramIterations).map {
                .scram(
                    iterations: scramIterations, salt: salt, storedKey: $0.stored,
                    serverKey: $0.server)
            }
        }
    }

    /// Whether the password is right. Slow by intention: not on a loop.
    package func verify(_ password: [UInt8]) -> Bool {
        switch self {
        case .scrypt(let logCost, let blockSize, let parallelism, let salt, let hash):
            let derived = PasswordHash.scrypt(
                password: password, salt: salt, cost: 1 << logCost, blockSize: blockSize,
                parallelism: parallelism, count: hash.count,
                memoryBytesMax: (128 * blockSize << logCost) + (1 << 20))
            return derived.map { ConstantTime.equals($0, hash) } ?? false
        case .pbkdf2(let iterations, let salt, let hash),
            .mosquitto(let iterations, let salt, let hash):
            let derived = PasswordHash.pbkdf2SHA512(
                password: password, salt: salt, iterations: iterations, count: hash.count)
            return derived.map { ConstantTime.equals($0, hash) } ?? false
        case .scram(let iterations, let salt, let storedKey, _):
            let keys = ScramKeys(password: password, salt: salt, iterations: iterations)
            return keys.map { ConstantTime.equals($0.stored, storedKey) } ?? false
        }
    }
}

extension PasswordEntry {
    /// The text of the entry, as `init(text:)` reads it.
    package var text: String {
        switch self {
        case .scrypt(let logCost, let blockSize, let parallelism, let salt, let hash):
            "$scrypt$ln=\(logCost),r=\(blockSize),p=\(parallelism)$"
                + Self.base64(salt) + "$" + Self.base64(hash)
        case .pbkdf2(let iterations, let salt, let hash):
            "$pbkdf2-sha512$i=\(iterations)$" + Self.base64(salt) + "$" + Self.base64(hash)
        case .scram(let iterations, let salt, let storedKey, let serverKey):
            "$scram-sha-256$\(iterations)$" + Self.base64(salt) + "$" + Self.base64(storedKey)
                + "$" + Self.base64(serverKey)
        case .mosquitto(let iterations, let salt, let hash):
            "$7$\(iterations)$" + String(decoding: Base64.encode(salt), as: UTF8.self) + "$"
                + String(decoding: Base64.encode(hash), as: UTF8.self)
        }
    }

    /// Nil if it is none of the forms, or has a parameter out of range.
    package init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 5, parts[0].isEmpty else { return nil }
        switch (parts[1], parts.count) {
        case ("scrypt", 5): self.init(scrypt: parts)
        case ("pbkdf2-sha512", 5), ("7", 5): self.init(pbkdf2: parts)
        case ("scram-sha-256", 6): self.init(scram: parts)
        default: return nil
        }
    }

    private init?(scrypt parts: [String]) {
        let named = parts[2].split(separator: ",").map { $0.split(separator: "=") }
        guard named.count == 3, named.allSatisfy({ $0.count == 2 }),
            named.map({ String($0[0]) }) == ["ln", "r", "p"],
            let logCost = Int(named[0][1]), (1...Self.logCostMax).contains(logCost),
            let blockSize = Int(named[1][1]), (1...32).contains(blockSize),
            let parallelism = Int(named[2][1]), (1...16).contains(parallelism),
            let (salt, hash) = Self.saltAndHash(parts)
        else { return nil }
        self = .scrypt(
            logCost: logCost, blockSize: blockSize, parallelism: parallelism, salt: salt,
            hash: hash)
    }

    private init?(pbkdf2 parts: [String]) {
        let isOurs = parts[1] != "7"
        let number = isOurs && parts[2].hasPrefix("i=") ? String(parts[2].dropFirst(2)) : parts[2]
        guard let iterations = Int(number), (1...10_000_000).contains(iterations),
            let (salt, hash) = Self.saltAndHash(parts)
        else { return nil }
        self =
            isOurs
            ? .pbkdf2(iterations: iterations, salt: salt, hash: hash)
            : .mosquitto(iterations: iterations, salt: salt, hash: hash)
    }

    private init?(scram parts: [String]) {
        guard let iterations = Int(parts[2]), (4_096...10_000_000).contains(iterations),
            let (salt, storedKey) = Self.saltAndHash(parts), storedKey.count == 32,
            let serverKey = Self.bytes(parts[5]), serverKey.count == 32
        else { return nil }
        self = .scram(
            iterations: iterations, salt: salt, storedKey: storedKey, serverKey: serverKey)
    }

    private static func saltAndHash(_ parts: [String]) -> ([UInt8], [UInt8])? {
        guard let salt = bytes(parts[3]), (1...64).contains(salt.count),
            let hash = bytes(parts[4]), (16...64).contains(hash.count)
        else { return nil }
        return (salt, hash)
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        String(decoding: Base64.encode(bytes).filter { $0 != UInt8(ascii: "=") }, as: UTF8.self)
    }

    /// With or without padding.
    private static func bytes(_ text: String) -> [UInt8]? {
        var text = Array(text.utf8)
        while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
        return Base64.decode(text)
    }
}
