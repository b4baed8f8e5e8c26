import Base
import EventLoops
import TestKit
import Testing

@Suite("PROXY protocol")
struct ProxyTests {
    static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    static let v4Addresses: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 7, 0xDC, 0x04, 0x07, 0x5B]
    static let v4Source = ProxySource.address(
        PeerAddress(IPAddress(v4: 0xC000_0201), port: 56_324),
        destination: PeerAddress(IPAddress(v4: 0xC633_6407), port: 1883))

    static func binary(
        command: UInt8 = 0x21, family: UInt8 = 0x11, _ body: [UInt8]
    ) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    @Test(
        "version 1 names the client",
        arguments: [
            ("TCP4 192.0.2.1 198.51.100.7 56324 1883", "192.0.2.1", 56_324),
            ("TCP6 2001:db8::1 ::1 1 65535", "2001:db8::1", 1),
            ("TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255", 65_535),
        ] as [(String, String, UInt16)])
    func line(text: String, address: String, port: UInt16) throws {
        let outcome = decode(Array("PROXY \(text)\r\n".utf8) + [0x10, 0x00])
        guard case .complete(let consumed, .address(let source, _)) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(consumed == "PROXY \(text)\r\n".utf8.count)
        #expect(source == PeerAddress(try #require(IPAddress(address)), port: port))
    }

    @Test(
        "version 1 with an unknown origin leaves the socket's address",
        arguments: ["UNKNOWN", "UNKNOWN ffff::1 whatever follows 1 2"])
    func unknownLine(text: String) {
        let bytes = Array("PROXY \(text)\r\n".utf8)
        #expect(decode(bytes) == .complete(consumed: bytes.count, .socket))
    }

    @Test(
        "malformed lines are refused",
        arguments: [
            "TCP4 192.0.2.1 198.51.100.7 56324", "TCP4 192.0.2.1 198.51.100.7 56324 1883 9",
            "TCP4  192.0.2.1 198.51.100.7 56324 1883", "TCP4 192.0.2.1 198.51.100.7 65536 1883",
            "TCP4 192.0.2.1 198.51.100.7 01 1883", "TCP4 192.0.2.1 198.51.100.7 +1 1883",
            "TCP4 ::1 ::1 1 2", "TCP6 192.0.2.1 198.51.100.7 1 2", "UDP4 1.1.1.1 2.2.2.2 1 2",
            "TCP4 192.0.2.999 198.51.100.7 1 2", "tcp4 192.0.2.1 198.51.100.7 1 2", "",
            "TCP4 192.0.2.1 198.51.100.7 1 \u{E9}",
        ])
    func malformedLines(text: String) {
        #expect(decode(Array("PROXY \(text)\r\n".utf8)) == .refused(.malformedLine))
    }

    @Test("a line ends with CR LF within 107 bytes")
    func lineEnd() {
        #expect(decode(Array("PROXY UNKNOWN\n".utf8)) == .refused(.malformedLine))
        let long = Array("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 0x61, count: 93)
        #expect(decode(Array(long.dropLast())) == .needMore)
        #expect(decode(long) == .refused(.lineTooLong))
    }

    @Test(
        "version 2 names the client",
        arguments: [
            (binary(v4Addresses), v4Source),
            (binary(v4Addresses + [0x04, 0, 2, 9, 9, 0xEE, 0, 0]), v4Source),
            (binary(command: 0x20, family: 0, []), .socket),
            (binary(command: 0x20, [1, 2, 3]), .socket),
            (binary(family: 0, [1, 2, 3]), .socket),
            (binary(family: 0x31, [UInt8](repeating: 0x2F, count: 216)), .unix),
            (
                binary(
                    family: 0x21,
                    [UInt8](repeating: 0, count: 15) + [1] + [UInt8](repeating: 0, count: 15)
                        + [2, 0, 5, 0, 6]),
                .address(
                    PeerAddress(.v6Loopback, port: 5),
                    destination: PeerAddress(IPAddress(high: 0, low: 2), port: 6))
            ),
        ] as [([UInt8], ProxySource)])
    func binaryHeader(bytes: [UInt8], source: ProxySource) {
        #expect(decode(bytes + [0x10]) == .complete(consumed: bytes.count, source))
        for count in 0..<bytes.count {
            #expect(decode(Array(bytes[..<count])) == .needMore, "after \(count) bytes")
        }
    }

    @Test(
        "wrong headers of version 2 are refused",
        arguments: [
            (binary(command: 0x11, v4Addresses), .unknownVersion),
            (binary(command: 0x22, v4Addresses), .unknownCommand),
            (binary(family: 0x12, v4Addresses), .unsupportedFamily),
            (binary(family: 0x41, v4Addresses), .unsupportedFamily),
            (binary(Array(v4Addresses.dropLast())), .truncated),
            (binary(family: 0x21, v4Addresses), .truncated),
            (binary(family: 0x31, v4Addresses), .truncated),
            (binary(v4Addresses + [4]), .truncated),
            (binary(v4Addresses + [4, 0]), .truncated),
            (binary(v4Addresses + [4, 0, 3, 1, 2]), .truncated),
            (binary(v4Addresses + [4, 0xFF, 0xFF]), .truncated),
            (binary(v4Addresses + [3, 0, 4, 0, 0, 0, 0]), .wrongChecksum),
            (binary(v4Addresses + [3, 0, 0]), .wrongChecksum),
        ] as [([UInt8], ProxyFault)])
    func wrongBinary(bytes: [UInt8], fault: ProxyFault) {
        #expect(decode(bytes) == .refused(fault))
    }

    @Test("a checksum that fits is accepted")
    func checksum() {
        // The sum of these very bytes with the value zeroed.
        let body = Self.v4Addresses + [3, 0, 4] + [0xC4, 0x05, 0x31, 0x24]
        #expect(decode(Self.binary(body)) == .complete(consumed: 35, Self.v4Source))
    }

    @Test("[refusal W06] an oversized header is refused from its fixed part on")
    func oversized() {
        let start = Self.signature + [0x21, 0x11, 0xFF, 0xFF]
        #expect(decode(start) == .refused(.headerTooLong))
    }

    @Test(
        "other protocols are refused at their first wrong byte",
        arguments: [[0x10], [0x16, 3, 1], Array("PROXX".utf8), Array("GET /".utf8), [0x0D, 0x0B]]
            as [[UInt8]])
    func otherProtocols(bytes: [UInt8]) {
        #expect(decode(bytes) == .refused(.notProxy))
    }

    @Test("only peers of trusted networks are believed")
    func trust() throws {
        let networks = try ["10.0.0.0/8", "fd00::/8"].map { try #require(IPNetwork($0)) }
        let options = ProxyOptions(trusted: networks, trustsUnixSockets: false)
        #expect(options.trusts(IPAddress("10.2.3.4")))
        #expect(options.trusts(IPAddress("fd12::1")))
        #expect(!options.trusts(IPAddress("11.2.3.4")))
        #expect(!options.trusts(.v6Loopback))
        #expect(!options.trusts(nil))
        #expect(!ProxyOptions(trusted: []).trusts(.v4Loopback))
        #expect(ProxyOptions(trusted: []).trusts(nil))
    }

    @Test(
        "random changes of good headers never crash and never consume too much",
        arguments: Seed.series(2))
    func mutations(seed: Seed) {
        var random = seed.random()
        let good = [
            Self.binary(Self.v4Addresses + [4, 0, 2, 9, 9]),
            Array("PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n".utf8),
        ]
        for round in 0..<4000 {
            var bytes = good[round % 2]
            for _ in 0...random.below(3) {
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
            }
            if case .complete(let consumed, _) = decode(bytes) {
                #expect(consumed <= bytes.count, "\(seed)")
            }
        }
    }

    private func decode(_ bytes: [UInt8]) -> ProxyOutcome {
        bytes.withRawSpan { ProxyDecoder.decode($0, ProxyOptions(trusted: [])) }
    }
}
