import Base
import Testing

@Suite("Comparing bytes")
struct EqualBytesTests {
    @Test("one byte that differs is found wherever it is, at every length")
    func everyByte() {
        for count in 0...40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }
            #expect(bytes.withRawSpan { isEqual($0, bytes) })
            for position in 0..<count {
                var other = bytes
                other[position] ^= 0x10
                #expect(!bytes.withRawSpan { isEqual($0, other) }, "\(position) of \(count)")
            }
        }
    }

    private func isEqual(_ left: RawSpan, _ right: [UInt8]) -> Bool {
        left.withUnsafeBytes { left in right.withUnsafeBytes { equalBytes(left, $0) } }
    }

    @Test(
        "parts of one span are compared only where both lie in it",
        arguments: [
            (0, 3, 3, true), (0, 4, 3, false), (1, 4, 2, true), (0, 3, 4, false),
            (-1, 3, 1, false), (3, 0, -1, false), (6, 0, 0, true), (7, 0, 0, false),
        ])
    func parts(first: Int, second: Int, count: Int, isEqual: Bool) {
        Array("abcabc".utf8).withRawSpan {
            #expect($0.hasEqualBytes(first, second, count: count) == isEqual)
        }
    }
}
