import Base
import EventLoops

/// PROXY headers: an answer never depends on what follows the header, and never changes once it
/// has been given.
enum ProxyFuzzing {
    static var target: FuzzTarget {
        FuzzTarget(
            name: "proxy", what: "PROXY headers of both versions", corpus: corpus, run: run)
    }

    private static let options = ProxyOptions(trusted: [])

    private static var corpus: [[UInt8]] {
        let signature: [UInt8] = [
            0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
        ]
        let ports: [UInt8] = [0xDC, 0x04, 0x07, 0x5B]
        let v4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 7] + ports
        let v6 = [UInt8](repeating: 0x20, count: 32) + ports
        let values: [UInt8] = [4, 0, 3, 1, 2, 3, 2, 0, 1, 0x61, 3, 0, 4, 0, 0, 0, 0]
        let bodies: [(UInt8, UInt8, [UInt8])] = [
            (0x21, 0x11, v4), (0x21, 0x11, v4 + values), (0x21, 0x21, v6 + values),
            (0x20, 0x00, []), (0x21, 0x31, [UInt8](repeating: 0x2F, count: 216)),
        ]
        let lines = [
            "PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n",
            "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 65535\r\n", "PROXY UNKNOWN ::\r\n",
        ]
        return bodies.map { command, family, body in
            signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
        } + lines.map { Array($0.utf8) }
    }

    private static func run(_ input: [UInt8], _ random: inout SeededRandom) -> String? {
        let answer = decode(input)
        if case .complete(let consumed, _) = answer, consumed > input.count {
            return "a header consumed more than there was"
        }
        for count in 0..<input.count {
            let early = decode(Array(input[..<count]))
            if early != .needMore, early != answer { return "more bytes change the answer" }
        }
        return nil
    }

    private static func decode(_ bytes: [UInt8]) -> ProxyOutcome {
        bytes.withRawSpan { ProxyDecoder.decode($0, options) }
    }
}
