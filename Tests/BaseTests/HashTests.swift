import Base
import Testing

@Suite("Hashes")
struct HashTests {
    /// Vectors of the XXH64 specification, seed 0.
    @Test(
        "the bucket hash is XXH64",
        arguments: [
            ("", 0xEF46_DB37_51D8_E999 as UInt64),
            ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ])
    func bucketHashVectors(text: String, expected: UInt64) {
        #expect(BucketHash.hash(Array(text.utf8)) == expected)
    }

    @Test("the table hash spreads keys that differ in one digit over all buckets")
    func tableHashSpreads() {
        let hash = TableHash(seed: 7)
        var buckets = [Int](repeating: 0, count: 256)
        for number in 0..<25_600 {
            let key = Array("sensor/\(number)/temperature".utf8)
            buckets[Int(key.withUnsafeBytes { hash.hash($0) } & 255)] += 1
        }
        #expect(buckets.min()! > 50)
        #expect(buckets.max()! < 160)
    }

    @Test("every length and every byte changes the table hash")
    func tableHashReadsEveryByte() {
        let hash = TableHash(seed: 7)
        var seen = Set<UInt64>()
        for count in 0..<64 {
            var key = [UInt8](repeating: 0, count: count)
            #expect(seen.insert(key.withUnsafeBytes { hash.hash($0) }).inserted)
            for index in key.indices {
                key[index] = 1
                #expect(seen.insert(key.withUnsafeBytes { hash.hash($0) }).inserted)
                key[index] = 0
            }
        }
    }
}
