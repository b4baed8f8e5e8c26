/// The path and query of a request, taken apart: segments are split first and decoded then, so
/// that a slash or two dots in a client id are just that.
struct RequestTarget: Equatable {
    /// Decoded segments; none for `/`.
    var segments: [String] = []
    /// Decoded, in order.
    var query: [(name: String, value: String)] = []

    static func == (left: RequestTarget, right: RequestTarget) -> Bool {
        left.segments == right.segments
            && left.query.map { [$0.name, $0.value] } == right.query.map { [$0.name, $0.value] }
    }

    init(_ target: String) throws(Problem) {
        guard target.utf8.count <= AdminLimits.targetBytesMax else {
            throw Problem(.uriTooLong, "targetTooLong", "the path and query are too long")
        }
        guard target.hasPrefix("/") else {
            throw .badRequest("targetInvalid", "the path must begin with /")
        }
        let parts = target.split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        for segment in parts[0].dropFirst().split(
            separator: "/", omittingEmptySubsequences: false)
        {
            segments.append(try Self.decoded(segment))
        }
        if segments == [""] { segments = [] }
        guard parts.count > 1 else { return }
        for pair in parts[1].split(separator: "&") {
            let halves = pair.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decoded(halves[0])
            guard !query.contains(where: { $0.name == name }) else {
                throw .badRequest("queryInvalid", "'\(name)' stands twice in the query")
            }
            query.append((name, halves.count > 1 ? try Self.decoded(halves[1]) : ""))
        }
    }

    /// A plus is a plus: topic filters have some.
    private static func decoded(_ text: Substring) throws(Problem) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2,
                digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { throw .badRequest("targetInvalid", "a % without two digits") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw .badRequest("targetInvalid", "the path or query is not UTF-8")
        }
        return decoded
    }
}
