import Base

/// Reading HTTP/1.1 header text (RFC 9110, 5.6) by position, without copies.
enum HeaderText {
    /// A byte of a method or field name.
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"),
            UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"),
            UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default:
            false
        }
    }

    /// A byte that may stand in a field value: no control character but the tab.
    static func isValueByte(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != 0x7F || byte == 0x09
    }

    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }

    /// True if the part reads like `text`, which is given in lower case, whatever its own case.
    static func matches(_ bytes: RawSpan, _ part: Range<Int>, lowercase text: StaticString) -> Bool
    {
        guard part.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in
            expected.indices.allSatisfy {
                lowercased(bytes.byte(part.lowerBound + $0)) == expected[$0]
            }
        }
    }

    /// True if the part is `text`.
    static func equals(
        _ bytes: RawSpan, _ part: Range<Int>, _ text: [UInt8], ignoringCase: Bool
    ) -> Bool {
        guard part.count == text.count else { return false }
        return text.indices.allSatisfy {
            let byte = bytes.byte(part.lowerBound + $0)
            return byte == text[$0]
                || ignoringCase && lowercased(byte) == lowercased(text[$0])
        }
    }

    /// The part without spaces and tabs at both ends.
    static func trimmed(_ bytes: RawSpan, _ part: Range<Int>) -> Range<Int> {
        var lower = part.lowerBound
        var upper = part.upperBound
        while lower < upper, isBlank(bytes.byte(lower)) { lower += 1 }
        while upper > lower, isBlank(bytes.byte(upper - 1)) { upper -= 1 }
        return lower..<upper
    }

    /// Calls `body` with each trimmed element of a comma-separated list until it says false.
    static func forEachElement(
        _ bytes: RawSpan, _ part: Range<Int>, _ body: (Range<Int>) -> Bool
    ) {
        var start = part.lowerBound
        while start <= part.upperBound {
            var end = start
            while end < part.upperBound, bytes.byte(end) != UInt8(ascii: ",") { end += 1 }
            let element = trimmed(bytes, start..<end)
            if !element.isEmpty, !body(element) { return }
            start = end + 1
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}

extension RawSpan {
    /// The byte at a checked offset.
    func byte(_ offset: Int) -> UInt8 {
        // The span itself traps on an offset beyond it; callers stay inside by construction.
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}
