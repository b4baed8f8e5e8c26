import Base

/// Strict UTF-8 in one pass over bytes in place: well-formed, without U+0000, optionally without
/// topic wildcards, optionally without control characters and non-characters.
///
/// Plain ASCII goes eight bytes at a time; any other byte sends the text through a byte-wise
/// decoder. Linear, no allocation, no recursion.
@usableFromInline
package enum TextScan {
    /// What the first objectionable byte was.
    @usableFromInline
    package enum Verdict: UInt8, Sendable {
        case valid
        case illFormed
        case null
        case wildcard
        case controlCharacter
    }

    /// What is looked for beside ill-formed UTF-8.
    @usableFromInline
    package struct Options: Equatable, Sendable {
        @usableFromInline let bits: UInt8

        @inlinable
        init(bits: UInt8) { self.bits = bits }

        /// Nothing: a payload that claims to be UTF-8.
        @inlinable
        package static var payload: Options { Options(bits: 0) }
        /// U+0000.
        @inlinable
        package static var text: Options { Options(bits: 1) }
        /// U+0000 and wildcards.
        @inlinable
        package static var topicName: Options { Options(bits: 3) }

        /// The same and control characters and non-characters.
        @inlinable
        package var strict: Options { Options(bits: bits | 4) }
        /// The same and wildcards.
        @inlinable
        var withoutWildcards: Options { Options(bits: bits | 2) }

        @inlinable
        var refusesNull: Bool { bits & 1 != 0 }
        @inlinable
        var refusesWildcards: Bool { bits & 2 != 0 }
        @inlinable
        var refusesControlCharacters: Bool { bits & 4 != 0 }
    }

    /// Checks the UTF-8 of a part of `bytes`.
    @inlinable @inline(__always)
    package static func check(
        _ bytes: RawSpan, _ part: ByteRange, _ options: Options
    ) -> Verdict {
        isPlain(bytes, part, options) ? .valid : scan(bytes, part, options)
    }

    /// Whether the part is ASCII without U+0000 and without `+` and `#`: valid whatever is looked
    /// for, control characters excepted. No early exit, so that it is a straight line of code.
    @inlinable @inline(__always)
    static func isPlain(_ bytes: RawSpan, _ part: ByteRange, _ options: Options) -> Bool {
        let start = Int(part.offset)
        let end = part.end
        guard end <= bytes.byteCount, !options.refusesControlCharacters else { return false }
        guard part.count >= 8 else { return isPlainShort(bytes, start, Int(part.count)) }
        var plain: UInt64 = 0x8080_8080_8080_8080
        var offset = start
        while offset &+ 8 < end {
            plain &= plainBytes(
                bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        // The last eight bytes, some of them perhaps a second time.
        plain &= plainBytes(
            bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: end &- 8, as: UInt64.self))
        return plain == 0x8080_8080_8080_8080
    }

    /// Up to seven bytes as one word that repeats some of them: repeating changes no verdict.
    @inlinable @inline(__always)
    static func isPlainShort(_ bytes: RawSpan, _ start: Int, _ count: Int) -> Bool {
        var word: UInt64 = 0x6161_6161_6161_6161
        if count >= 4 {
            let low = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: UInt32.self)
            let high = bytes.unsafeLoadUnaligned(
                fromUncheckedByteOffset: start &+ count &- 4, as: UInt32.self)
            word = UInt64(low) | UInt64(high) &<< 32
        } else if count > 0 {
            let first = bytes.unsafeLoad(fromUncheckedByteOffset: start, as: UInt8.self)
            let middle = bytes.unsafeLoad(
                fromUncheckedByteOffset: start &+ count / 2, as: UInt8.self)
            let last = bytes.unsafeLoad(
                fromUncheckedByteOffset: start &+ count &- 1, as: UInt8.self)
            word = word &<< 24 | UInt64(first) | UInt64(middle) &<< 8 | UInt64(last) &<< 16
        }
        return plainBytes(word) == 0x8080_8080_8080_8080
    }

    /// The top bit of each of eight bytes: set if the byte is plain. Exact while no byte below it
    /// has its top bit set; a byte that has it clears its own, which is enough.
    ///
    /// Adding 0x7F sets the top bit of every ASCII byte but 0, and `+` and `#` differ only in bit
    /// 3, so that one comparison finds both.
    @inlinable @inline(__always)
    static func plainBytes(_ word: UInt64) -> UInt64 {
        let wildcard = (word | 0x0808_0808_0808_0808) ^ 0x2B2B_2B2B_2B2B_2B2B
        return (word &+ 0x7F7F_7F7F_7F7F_7F7F) & (wildcard &+ 0x7F7F_7F7F_7F7F_7F7F) & ~word
            & 0x8080_8080_8080_8080
    }

    /// The byte-wise decoder.
    @usableFromInline
    static func scan(_ bytes: RawSpan, _ part: ByteRange, _ options: Options) -> Verdict {
        var offset = Int(part.offset)
        let end = part.end
        guard end <= bytes.byteCount else { return .illFormed }
        while offset < end {
            let first = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            if first < 0x80 {
                let verdict = checkASCII(first, options)
                if verdict != .valid { return verdict }
                offset &+= 1
                continue
            }
            let size = first >= 0xF0 ? 4 : (first >= 0xE0 ? 3 : 2)
            guard first >= 0xC2, first <= 0xF4, end &- offset >= size else { return .illFormed }
            var scalar = UInt32(first) & (0x7F &>> UInt32(size))
            for index in 1..<size {
                let next = bytes.unsafeLoad(
                    fromUncheckedByteOffset: offset &+ index, as: UInt8.self)
                guard next & 0xC0 == 0x80 else { return .illFormed }
                scalar = scalar &<< 6 | UInt32(next & 0x3F)
            }
            guard isWellFormed(scalar, size: size) else { return .illFormed }
            if options.refusesControlCharacters, isDisallowed(scalar) {
                return .controlCharacter
            }
            offset &+= size
        }
        return .valid
    }

    @inline(__always)
    private static func checkASCII(_ byte: UInt8, _ options: Options) -> Verdict {
        if byte == 0 { return options.refusesNull ? .null : .valid }
        if options.refusesWildcards, byte == 0x2B || byte == 0x23 { return .wildcard }
        if options.refusesControlCharacters, byte < 0x20 || byte == 0x7F {
            return .controlCharacter
        }
        return .valid
    }

    /// Neither overlong, nor a surrogate, nor beyond U+10FFFF.
    private static func isWellFormed(_ scalar: UInt32, size: Int) -> Bool {
        switch size {
        case 2: return true
        case 3: return scalar >= 0x800 && !(0xD800...0xDFFF).contains(scalar)
        default: return scalar >= 0x1_0000 && scalar <= 0x10_FFFF
        }
    }

    /// Control characters U+0080 to U+009F and the Unicode non-characters.
    private static func isDisallowed(_ scalar: UInt32) -> Bool {
        scalar <= 0x9F || (0xFDD0...0xFDEF).contains(scalar) || scalar & 0xFFFE == 0xFFFE
    }
}
