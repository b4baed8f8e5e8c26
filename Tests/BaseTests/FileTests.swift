import Base
import Foundation
import TestKit
import Testing

@Suite("Files")
struct FileTests {
    @Test("[attack 19] a replaced file holds the new bytes, is private, leaves nothing beside it")
    func replace() throws {
        let directory = try TemporaryDirectory("files")
        let path = directory.file("secrets")
        try FileBytes.replace(path, with: Array("one".utf8))
        try FileBytes.replace(path, with: Array("two".utf8))
        #expect(try FileBytes.read(path) == Array("two".utf8))
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["secrets"])
    }

    @Test("what cannot be read or written says which file and why")
    func errors() throws {
        let directory = try TemporaryDirectory("files")
        try directory.write("12345", to: "five")
        let missing = #expect(throws: FileError.self) { try FileBytes.read("/nonexistent/x") }
        #expect(missing?.description == "/nonexistent/x: cannot open: No such file or directory")
        #expect(throws: FileError.self) { try FileBytes.read(directory.file("five"), limit: 4) }
        #expect(throws: FileError.self) { try FileBytes.read(directory.path) }
        #expect(throws: FileError.self) { try FileBytes.replace("/nonexistent/x", with: []) }
    }
}

@Suite("Keyed hashes")
struct KeyedDigestTests {
    /// RFC 4231, test cases 1, 2 and 3.
    @Test(
        "HMAC-SHA256 gives the values of its RFC",
        arguments: [
            (
                [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
        ])
    func hmac(key: [UInt8], bytes: [UInt8], expected: String) {
        let digest = KeyedDigest.hmacSHA256(key: key, bytes)
        #expect(digest.map { String(format: "%02x", $0) }.joined() == expected)
        #expect(KeyedDigest.hmacSHA256(key: [], bytes) == KeyedDigest.hmacSHA256(key: [0], bytes))
    }
}
