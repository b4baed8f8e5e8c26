import Base

/// Strict UTF-8 in one pass over bytes in place: well-formed, without U+0000, optionally without
/// topic wildcards, optionally without control characters and non-characters.
///
/// ASCII goes eight bytes at a time; the first byte that is anything else sends the rest through a
/// byte-wise decoder. Linear, no allocation, no recursion.
package enum TextScan {
    /// What the first objectionable byte was.
    package enum Verdict: UInt8, Sendable {
        case valid
        case illFormed
        case null
        case wildcard
        case controlCharacter
    }

    /// What is looked for beside ill-formed UTF-8.
    package struct Options: OptionSet, Sendable {
        package let rawValue: UInt8
        @inlinable
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        @inlinable
        package static var null: Options { Options(rawValue: 1) }
        @inlinable
        package static var wildcards: Options { Options(rawValue: 2) }
        @inlinable
        package static var controlCharacters: Options { Options(rawValue: 4) }
    }

    /// Checks the UTF-8 of a part of `bytes`.
    package static func check(
        _ bytes: RawSpan, _ part: ByteRange, _ options: Options
    ) -> Verdict {
        var offset = Int(part.offset)
        let end = part.end
        guard end <= bytes.byteCount else { return .illFormed }
        if !options.contains(.controlCharacters) {
            let wildcards = options.contains(.wildcards)
            while end &- offset >= 8 {
                let word = bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset, as: UInt64.self)
                if isSuspect(word, wildcards: wildcards) { break }
                offset &+= 8
            }
            let rest = end &- offset
            if rest == 0 { return .valid }
            if rest < 8, let word = tail(bytes, offset: offset, count: rest),
                !isSuspect(word, wildcards: wildcards)
            {
                return .valid
            }
        }
        return scan(bytes, from: offset, to: end, options)
    }

    /// The last four to seven bytes, or two to three, as one word that repeats some of them; nil
    /// for a single byte. Repeating a byte changes no verdict.
    @inline(__always)
    private static func tail(_ bytes: RawSpan, offset: Int, count: Int) -> UInt64? {
        if count >= 4 {
            let low = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self)
            let high = bytes.unsafeLoadUnaligned(
                fromUncheckedByteOffset: offset &+ count &- 4, as: UInt32.self)
            return UInt64(low) | UInt64(high) &<< 32
        }
        guard count >= 2 else { return nil }
        let low = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self)
        let high = bytes.unsafeLoadUnaligned(
            fromUncheckedByteOffset: offset &+ count &- 2, as: UInt16.self)
        let half = UInt64(low) | UInt64(high) &<< 16
        return half | half &<< 32
    }

    /// Whether one of eight bytes is not ASCII, is zero, or is `+` or `#`.
    @inline(__always)
    private static func isSuspect(_ word: UInt64, wildcards: Bool) -> Bool {
        var found = word | zeroBytes(word)
        if wildcards {
            found |= zeroBytes(word ^ 0x2B2B_2B2B_2B2B_2B2B)
            found |= zeroBytes(word ^ 0x2323_2323_2323_2323)
        }
        return found & 0x8080_8080_8080_8080 != 0
    }

    /// The top bit of some byte is set if and only if some byte of `word` is zero.
    @inline(__always)
    private static func zeroBytes(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
    }

    /// The byte-wise decoder. `offset` is at the start of a character.
    private static func scan(
        _ bytes: RawSpan, from start: Int, to end: Int, _ options: Options
    ) -> Verdict {
        var offset = start
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
            if options.contains(.controlCharacters), isDisallowed(scalar) {
                return .controlCharacter
            }
            offset &+= size
        }
        return .valid
    }

    @inline(__always)
    private static func checkASCII(_ byte: UInt8, _ options: Options) -> Verdict {
        if byte == 0 { return options.contains(.null) ? .null : .valid }
        if options.contains(.wildcards), byte == 0x2B || byte == 0x23 { return .wildcard }
        if options.contains(.controlCharacters), byte < 0x20 || byte == 0x7F {
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
