import Policy

/// A JSON document as a value. Objects keep the order of their members.
package enum JSONValue: Equatable, Sendable {
    case null
    case flag(Bool)
    case integer(Int)
    case decimal(Double)
    case text(String)
    case list([JSONValue])
    case object([JSONMember])

    /// A member of an object, or nil.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    package var text: String? {
        if case .text(let text) = self { return text }
        return nil
    }

    package var integer: Int? {
        if case .integer(let number) = self { return number }
        return nil
    }

    package var flag: Bool? {
        if case .flag(let flag) = self { return flag }
        return nil
    }

    package var list: [JSONValue]? {
        if case .list(let items) = self { return items }
        return nil
    }

    package var members: [JSONMember]? {
        if case .object(let members) = self { return members }
        return nil
    }

    /// The document's bytes.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }

    private func encode(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += Array("null".utf8)
        case .flag(let flag): bytes += Array((flag ? "true" : "false").utf8)
        case .integer(let number): bytes += Array(String(number).utf8)
        case .decimal(let number): bytes += Array((number.isFinite ? "\(number)" : "null").utf8)
        case .text(let text): bytes += Array(text.quotedForJSON.utf8)
        case .list(let items):
            bytes.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                item.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes += Array(member.name.quotedForJSON.utf8)
                bytes.append(UInt8(ascii: ":"))
                member.value.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

/// A name and its value.
package struct JSONMember: Equatable, Sendable {
    package var name: String
    package var value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByStringLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { JSONMember($0.0, $0.1) })
    }

    package init(stringLiteral value: String) { self = .text(value) }
}
