import Base
import Testing

@Suite("Crypto front")
struct CryptoTests {
    @Test(
        "digests give the published vectors",
        arguments: [
            (
                "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ),
            (
                "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            ),
        ])
    func digests(text: String, sha1: String, sha256: String) {
        #expect(hex(Digest.sha1(Array(text.utf8))) == sha1)
        #expect(hex(Digest.sha256(Array(text.utf8))) == sha256)
    }

    /// Vector of RFC 7914, section 12, and the empty password that OpenSSL treats apart.
    @Test("scrypt gives the vectors of RFC 7914")
    func scryptVectors() {
        let key = PasswordHash.scrypt(
            password: Array("password".utf8), salt: Array("NaCl".utf8), cost: 1024, blockSize: 8,
            parallelism: 16, count: 64)
        #expect(
            key.map(hex)
                == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                + "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640")
        let empty = PasswordHash.scrypt(
            password: [], salt: [], cost: 16, blockSize: 1, parallelism: 1, count: 64)
        #expect(
            empty.map(hex)
                == "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                + "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906")
    }

    @Test("PBKDF2 with HMAC-SHA512 gives the known vectors")
    func pbkdf2Vectors() {
        let key = PasswordHash.pbkdf2SHA512(
            password: Array("password".utf8), salt: Array("salt".utf8), iterations: 2, count: 64)
        #expect(
            key.map(hex)
                == "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53c"
                + "f76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e")
    }

    @Test(
        "parameters that would take a node down are refused",
        arguments: [(15, 8, 1), (1, 8, 1), (0, 8, 1), (1 << 20, 8, 1), (16, 0, 1), (16, 1, 0)])
    func hostileParameters(cost: Int, blockSize: Int, parallelism: Int) {
        let key = PasswordHash.scrypt(
            password: [1], salt: [2], cost: cost, blockSize: blockSize, parallelism: parallelism,
            count: 32)
        #expect(key == nil)
        #expect(
            PasswordHash.pbkdf2SHA512(password: [1], salt: [2], iterations: 0, count: 32) == nil)
    }

    @Test("constant-time comparison sees every byte and the length")
    func constantTime() {
        let secret: [UInt8] = Array(0..<32)
        #expect(ConstantTime.equals(secret, secret))
        #expect(ConstantTime.equals([], []))
        #expect(!ConstantTime.equals(secret, Array(0..<31)))
        for index in secret.indices {
            var other = secret
            other[index] ^= 0x80
            #expect(!ConstantTime.equals(secret, other))
        }
    }

    @Test("secure random bytes do not repeat")
    func secureRandom() {
        #expect(SecureRandom.bytes(0).isEmpty)
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
        #expect(SecureRandom.uint64() != SecureRandom.uint64())
    }

    @Test(
        "base64 gives the vectors of RFC 4648",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ])
    func base64Vectors(plain: String, text: String) {
        #expect(Base64.encode(Array(plain.utf8)) == Array(text.utf8))
        #expect(Base64.decode(Array(text.utf8)) == Array(plain.utf8))
    }

    @Test(
        "base64 that is not exactly one value's text is refused",
        arguments: [
            "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v=", "Zm 9", "Zm9_", "=Zm9",
        ])
    func base64Strict(text: String) {
        #expect(Base64.decode(Array(text.utf8)) == nil)
    }

    @Test("base64 carries random bytes of every length there and back")
    func base64RoundTrip() {
        for count in 0..<300 {
            let bytes = SecureRandom.bytes(count)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }

    private func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
