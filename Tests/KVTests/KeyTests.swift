import Base
import KV
import Testing

struct KeyTests {
    /// Parts of a key, compared part by part: the naive model.
    struct Tuple: Comparable {
        var parts: [[UInt8]]

        static func < (left: Tuple, right: Tuple) -> Bool {
            for (first, second) in zip(left.parts, right.parts) where first != second {
                return first.lexicographicallyPrecedes(second)
            }
            return left.parts.count < right.parts.count
        }

        var key: [UInt8] {
            var writer = ByteWriter()
            for part in parts { writer.append(keyString: part) }
            return writer.array
        }
    }

    @Test("keys of random strings sort as their tuples do", arguments: 1...8 as ClosedRange<UInt64>)
    func order(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        // Few byte values, so that prefixes, escapes and equal parts are common.
        let alphabet: [UInt8] = [0, 0, 1, 1, 2, 0x61, 0x62, 0xFF]
        let tuples = (0..<200).map { _ in
            Tuple(
                parts: (0..<3).map { _ in
                    (0..<random.below(6)).map { _ in alphabet[random.below(alphabet.count)] }
                })
        }
        for left in tuples {
            for right in tuples {
                let order = KeyOrder.compare(left.key, right.key)
                #expect(
                    (order < 0) == (left < right) && (order == 0) == (left == right),
                    "seed \(seed): \(left.parts) and \(right.parts)")
            }
        }
    }

    @Test("no key string is a prefix of another, and each is read back")
    func prefixFree() throws {
        let strings: [[UInt8]] = [
            [], [0], [1], [0, 0], [1, 1], [0x61], [0x61, 0], [0x61, 1, 2],
        ]
        for string in strings {
            var writer = ByteWriter()
            writer.append(keyString: string)
            let encoded = writer.array
            var reader = ByteReader(encoded.span.bytes)
            let read = try reader.readKeyString(encoded.span.bytes)
            #expect(read == string)
            #expect(reader.isAtEnd)
            for other in strings where other != string {
                var longer = ByteWriter()
                longer.append(keyString: other)
                #expect(!longer.array.starts(with: encoded), "\(string) begins \(other)")
            }
        }
    }

    @Test(
        "an escape that nobody writes is refused",
        arguments: [[1], [1, 0, 0], [1, 3, 0], [0x61], []] as [[UInt8]])
    func badEscape(bytes: [UInt8]) {
        var reader = ByteReader(bytes.span.bytes)
        #expect(throws: ByteShortage.self) { try reader.readKeyString(bytes.span.bytes) }
    }

    @Test(
        "buckets are part of the format",
        arguments: [
            ("acme", "sensor-1", 0x81F5), ("acme", "sensor-2", 0xF64F), ("", "", 0x24A0),
            ("a", "a", 0x0DE5), ("tenant", "$share/g/a/b", 0x2782),
        ] as [(String, String, UInt16)])
    func bucket(tenant: String, id: String, expected: UInt16) {
        let bucket = KeySchema.bucket(tenant: Array(tenant.utf8), id: Array(id.utf8))
        #expect(bucket == expected, "\(String(bucket, radix: 16))")
    }

    @Test("buckets spread ids of one tenant, and one id over tenants, evenly")
    func spread() {
        var byID = [Int](repeating: 0, count: 16)
        var byTenant = [Int](repeating: 0, count: 16)
        for number in 0..<16_000 {
            let name = Array("client-\(number)".utf8)
            byID[Int(KeySchema.bucket(tenant: Array("acme".utf8), id: name)) / 4096] += 1
            byTenant[Int(KeySchema.bucket(tenant: name, id: Array("gateway".utf8))) / 4096] += 1
        }
        // 1000 expected; five standard deviations are 153.
        for count in byID + byTenant { #expect((850...1150).contains(count), "\(count)") }
    }

    @Test("a bound behind a prefix is behind all that begin with it and before the next")
    func prefixBounds() {
        let bounds = KeyBounds(prefix: [5, 0xFF])
        #expect(bounds.end == [6])
        #expect(bounds.contains([5, 0xFF, 0xFF, 0xFF]) && !bounds.contains([6]))
        #expect(!bounds.contains([5, 0xFE]))
        #expect(KeyBounds(prefix: [0xFF, 0xFF]).end == nil)
    }
}
