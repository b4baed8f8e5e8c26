import Base

/// A client id, topic or filter with places to fill in, in emqtt_bench's notation.
///
/// `%i` number of the client, `%c` its client id, `%u` its user name, `%s` number of the message in
/// its round, from 0, `%rand_N` a number from 1 to N. Anything else stands for itself.
package struct TextPattern: Sendable, Equatable {
    enum Part: Sendable, Equatable {
        case literal([UInt8])
        case number
        /// The number's rest by a divisor: how scenarios spread clients over groups.
        case numberModulo(Int)
        case clientID
        case username
        case sequence
        case random(Int)
    }

    let parts: [Part]

    package init(_ text: String) {
        var parts: [Part] = []
        var literal: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            guard byte == UInt8(ascii: "%"), let (part, count) = Self.place(rest) else {
                literal.append(byte)
                rest = rest.dropFirst()
                continue
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = []
            parts.append(part)
            rest = rest.dropFirst(count)
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        self.parts = parts
    }

    /// The place at the front of the text, and how many bytes name it.
    private static func place(_ text: ArraySlice<UInt8>) -> (Part, Int)? {
        guard text.count >= 2 else { return nil }
        switch text[text.startIndex + 1] {
        case UInt8(ascii: "i"): return (.number, 2)
        case UInt8(ascii: "c"): return (.clientID, 2)
        case UInt8(ascii: "u"): return (.username, 2)
        case UInt8(ascii: "s"): return (.sequence, 2)
        default: break
        }
        for (name, make) in [("%rand_", Part.random), ("%mod_", Part.numberModulo)] {
            guard text.starts(with: name.utf8) else { continue }
            let digits = text.dropFirst(name.utf8.count).prefix { (0x30...0x39).contains($0) }
            guard let bound = Int(String(decoding: digits, as: UTF8.self)), bound > 0 else {
                continue
            }
            return (make(bound), name.utf8.count + digits.count)
        }
        return nil
    }

    /// Whether every message of a client has the same text.
    package var isFixed: Bool {
        parts.allSatisfy {
            switch $0 {
            case .literal, .number, .numberModulo, .clientID, .username: true
            case .sequence, .random: false
            }
        }
    }

    /// Whether a client id or user name has to be written first.
    var usesNames: Bool { parts.contains(.clientID) || parts.contains(.username) }

    /// Appends the text. Nothing is allocated but what the writer needs to grow.
    package func write(
        _ values: PatternValues, _ random: inout SeededRandom, into writer: inout ByteWriter
    ) {
        for part in parts {
            switch part {
            case .literal(let bytes): writer.append(bytes)
            case .number: writer.append(decimal: UInt64(values.number))
            case .numberModulo(let divisor):
                writer.append(decimal: UInt64(values.number % divisor))
            case .clientID: writer.append(values.clientID)
            case .username: writer.append(values.username)
            case .sequence: writer.append(decimal: values.sequence)
            case .random(let bound): writer.append(decimal: UInt64(random.below(bound) + 1))
            }
        }
    }

    /// The text as bytes of its own.
    package func text(_ values: PatternValues, _ random: inout SeededRandom) -> [UInt8] {
        var writer = ByteWriter()
        write(values, &random, into: &writer)
        return writer.array
    }
}

/// What is filled in.
package struct PatternValues: Sendable {
    package var number: Int
    package var clientID: [UInt8] = []
    package var username: [UInt8] = []
    package var sequence: UInt64 = 0

    package init(number: Int) { self.number = number }
}

extension ByteWriter {
    fileprivate mutating func append(decimal value: UInt64) {
        var digits: (UInt64, UInt64, UInt32) = (0, 0, 0)
        var rest = value
        withUnsafeMutableBytes(of: &digits) { room in
            var start = room.count
            repeat {
                start -= 1
                room[start] = 0x30 + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            append(UnsafeRawBufferPointer(rebasing: room[start...]))
        }
    }
}
