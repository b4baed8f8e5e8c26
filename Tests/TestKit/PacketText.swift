/// Bytes from hexadecimal text. `'abc'` stands for its UTF-8, `(...)` for its content behind a
/// 16-bit length, `{...}` for its content behind a variable byte integer; blanks are skipped.
package func bytes(_ text: String) -> [UInt8] {
    var rest = Substring(text)
    return group(&rest)
}

/// A packet: the first byte, then the body behind its length.
package func packet(_ first: UInt8, _ body: String) -> [UInt8] {
    let body = bytes(body)
    return [first] + variable(body.count) + body
}

/// Reads up to the closing bracket of the group.
private func group(_ rest: inout Substring) -> [UInt8] {
    var result: [UInt8] = []
    while let first = rest.first {
        switch first {
        case " ", "|", "\n":
            rest = rest.dropFirst()
        case "'":
            let literal = rest.dropFirst().prefix { $0 != "'" }
            result += Array(literal.utf8)
            rest = rest.dropFirst(literal.count + 2)
        case "(", "{":
            rest = rest.dropFirst()
            let content = group(&rest)
            result += first == "(" ? length16(content.count) : variable(content.count)
            result += content
        case ")", "}":
            rest = rest.dropFirst()
            return result
        default:
            result.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
    }
    return result
}

/// A length of two bytes.
package func length16(_ count: Int) -> [UInt8] {
    [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)]
}

/// A variable byte integer.
package func variable(_ value: Int) -> [UInt8] {
    var result: [UInt8] = []
    var rest = value
    while rest >= 128 {
        result.append(UInt8(rest % 128) | 0x80)
        rest /= 128
    }
    return result + [UInt8(rest)]
}
