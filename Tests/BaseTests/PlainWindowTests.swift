import Base
import TestKit
import Testing

@Suite("Bytes decoded in place")
struct PlainWindowTests {
    @Test(
        "a stream decoded in place comes out whole, whatever is consumed when",
        arguments: Seed.series(2))
    func stream(seed: Seed) {
        var random = seed.random()
        var window = PlainWindow()
        var buffer: [UInt8] = []
        var sent: UInt8 = 0
        var expected: UInt8 = 0
        for _ in 0..<5000 {
            // A record: three bytes of header, payload of 0 to 9 bytes.
            let payload = (0..<random.below(10)).map { _ -> UInt8 in
                sent &+= 1
                return sent &- 1
            }
            buffer += [0xFF, 0xFF, UInt8(payload.count)] + payload
            decode(&buffer, &window)
            let taken = random.below(Int(window.plain) + 1)
            for byte in buffer[..<taken] {
                #expect(byte == expected, "\(seed)")
                expected &+= 1
            }
            let dropped = buffer.withUnsafeMutableBytes { window.settle($0, consumed: taken) }
            buffer.removeFirst(dropped)
            #expect(
                buffer.count <= PlainWindow.keptBytesMax(plain: Int(window.plain), raw: 0),
                "\(seed)")
        }
    }

    private func decode(_ buffer: inout [UInt8], _ window: inout PlainWindow) {
        while window.rawStart < buffer.count {
            let start = window.rawStart + 3
            let count = Int(buffer[start - 1])
            let plain = Int(window.plain)
            for index in 0..<count { buffer[plain + index] = buffer[start + index] }
            window.grow(count, dropping: 3)
        }
    }
}
