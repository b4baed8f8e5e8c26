/// What is wrong with bytes that should be JSON, and where.
package struct JSONError: Error, Equatable {
    package var problem: String
    package var offset: Int
}

/// Reads one JSON document (RFC 8259): strict, bounded in depth, without repeated names.
package struct JSONReader {
    private let bytes: [UInt8]
    private var offset = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    package static func decode(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var decoder = JSONReader(bytes)
        decoder.skipSpace()
        let value = try decoder.value(depth: 0)
        decoder.skipSpace()
        guard decoder.offset == bytes.count else { throw decoder.fault("more behind the end") }
        return value
    }

    private func fault(_ problem: String) -> JSONError {
        JSONError(problem: problem, offset: offset)
    }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            offset += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) throws(JSONError) {
        guard let byte = next, byte == UInt8(ascii: character) else {
            throw fault("expected '\(character)'")
        }
        offset += 1
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < AdminLimits.jsonDepthMax else { throw fault("nested too deep") }
        switch next {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try list(depth)
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try word("true", .flag(true))
        case UInt8(ascii: "f"): return try word("false", .flag(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw fault("ends too early")
        case .some: return try number()
        }
    }

    private mutating func word(
        _ word: String, _ value: JSONValue
    ) throws(JSONError) -> JSONValue {
        guard bytes[offset...].starts(with: word.utf8) else { throw fault("no JSON value") }
        offset += word.utf8.count
        return value
    }

    private mutating func object(_ depth: Int) throws(JSONError) -> JSONValue {
        try take("{")
        skipSpace()
        var members: [JSONMember] = []
        var names: Set<String> = []
        while next != UInt8(ascii: "}") {
            if !members.isEmpty {
                try take(",")
                skipSpace()
            }
            let name = try text()
            guard names.insert(name).inserted else { throw fault("'\(name)' stands twice") }
            skipSpace()
            try take(":")
            skipSpace()
            members.append(JSONMember(name, try value(depth: depth + 1)))
            skipSpace()
        }
        try take("}")
        return .object(members)
    }

    private mutating func list(_ depth: Int) throws(JSONError) -> JSONValue {
        try take("[")
        skipSpace()
        var items: [JSONValue] = []
        while next != UInt8(ascii: "]") {
            if !items.isEmpty {
                try take(",")
                skipSpace()
            }
            items.append(try value(depth: depth + 1))
            skipSpace()
        }
        try take("]")
        return .list(items)
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = offset
        while let byte = next, Self.isOfNumber(byte) { offset += 1 }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let hasZero = digits.count > 1 && digits.hasPrefix("0") && digits.dropFirst().first != "."
        guard digits.first?.isNumber == true, !hasZero || digits.hasPrefix("0e"),
            digits.last?.isNumber == true
        else { throw fault("no JSON value") }
        if let number = Int(text) { return .integer(number) }
        guard let number = Double(text), number.isFinite else { throw fault("no number") }
        return .decimal(number)
    }

    private static func isOfNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"),
            UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    // MARK: Text

    private mutating func text() throws(JSONError) -> String {
        try take("\"")
        var found: [UInt8] = []
        while true {
            guard let byte = next else { throw fault("a text without an end") }
            offset += 1
            if byte == UInt8(ascii: "\"") { break }
            guard byte >= 0x20 else { throw fault("a control character in a text") }
            if byte == UInt8(ascii: "\\") {
                found += try escape()
            } else {
                found.append(byte)
            }
        }
        guard let text = String(validating: found, as: UTF8.self) else {
            throw fault("a text that is not UTF-8")
        }
        return text
    }

    private mutating func escape() throws(JSONError) -> [UInt8] {
        guard let byte = next else { throw fault("a text without an end") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): return Array(String(Character(try scalar())).utf8)
        default: throw fault("an unknown escape")
        }
    }

    /// The scalar of `\uXXXX`, of two of them if it takes a surrogate pair.
    private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        let first = try unit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, next == UInt8(ascii: "\\") else {
            throw fault("half of a surrogate pair")
        }
        offset += 1
        try take("u")
        let second = try unit()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(
                0x10000 + (UInt32(first) - 0xD800) << 10 + UInt32(second) - 0xDC00)
        else { throw fault("half of a surrogate pair") }
        return scalar
    }

    private mutating func unit() throws(JSONError) -> UInt16 {
        guard offset + 4 <= bytes.count else { throw fault("a text without an end") }
        let digits = bytes[offset..<offset + 4]
        guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault("an unknown escape") }
        offset += 4
        return unit
    }
}
