import Base

/// How receivers of a filter share its messages.
@usableFromInline
package enum ShareKind: UInt8, CaseIterable, Sendable {
    /// Not shared: every subscriber gets every message.
    case none = 0
    /// `$share`: any member of the group.
    case unordered = 1
    /// `$oshare`: one publisher's messages go to one member while members are stable.
    case ordered = 2
}

/// A topic filter, taken apart in place.
@usableFromInline
package struct TopicFilter: Equatable, Sendable {
    @usableFromInline
    package var share: ShareKind
    /// Of a shared subscription; else empty.
    @usableFromInline
    package var group: ByteRange
    /// The filter that is matched: without `$share` and group.
    @usableFromInline
    package var filter: ByteRange
    /// Levels of `filter`, a last `#` included.
    @usableFromInline
    package var levelCount: Int
    /// Whether `filter` has a `+` or `#`. Without one it is matched by equality.
    @usableFromInline
    package var hasWildcard: Bool
    /// Whether `filter` ends in `#`.
    @usableFromInline
    package var hasMultiLevel: Bool

    /// Takes bytes from anywhere apart and checks everything: text, syntax, share name, limits.
    @usableFromInline
    package static func parse(
        _ bytes: RawSpan, _ part: ByteRange, _ limits: TopicLimits
    ) throws(TopicFault) -> TopicFilter {
        guard !part.isEmpty else { throw .empty }
        guard part.count <= limits.lengthMax else { throw .tooLong }
        guard TextScan.check(bytes, part, .text) == .valid else { throw .notText }
        var result = TopicFilter(
            share: .none, group: .empty, filter: part, levelCount: 0, hasWildcard: false,
            hasMultiLevel: false)
        if let (share, size) = SharedPrefix.find(bytes, part) {
            try result.takeGroup(bytes, part, share, prefixSize: size)
        }
        try result.readLevels(bytes, limits)
        return result
    }

    private mutating func takeGroup(
        _ bytes: RawSpan, _ part: ByteRange, _ share: ShareKind, prefixSize: Int
    ) throws(TopicFault) {
        let rest = ByteRange(
            offset: Int(part.offset) + prefixSize, count: Int(part.count) - prefixSize)
        var levels = TopicLevels(rest)
        guard let name = levels.next(bytes), !name.isEmpty else { throw .shareGroupEmpty }
        for offset in name.range {
            let byte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            if byte == 0x2B || byte == 0x23 { throw .shareGroupWildcard }
        }
        // The slash behind the name belongs to the prefix; a filter must follow it.
        let used = Int(name.count) + 1
        guard used < rest.count else { throw .shareFilterMissing }
        self.share = share
        group = name
        filter = ByteRange(offset: Int(rest.offset) + used, count: Int(rest.count) - used)
    }

    private mutating func readLevels(
        _ bytes: RawSpan, _ limits: TopicLimits
    ) throws(TopicFault) {
        var levels = TopicLevels(filter)
        while let level = levels.next(bytes) {
            if hasMultiLevel { throw .multiLevelNotLast }
            levelCount += 1
            if levelCount > limits.levelsMax { throw .tooManyLevels }
            if level.count > limits.levelLengthMax { throw .levelTooLong }
            for offset in level.range {
                let byte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
                guard byte == 0x2B || byte == 0x23 else { continue }
                if level.count != 1 { throw .wildcardInsideLevel }
                hasWildcard = true
                hasMultiLevel = byte == 0x23
            }
        }
    }
}

/// `$share/` and `$oshare/` at the beginning of a filter.
@usableFromInline
package enum SharedPrefix {
    /// The kind and the size of the prefix with its slash, or nil.
    @usableFromInline
    package static func find(
        _ bytes: RawSpan, _ part: ByteRange
    ) -> (share: ShareKind, size: Int)? {
        if begins(bytes, part, "$share/") { return (.unordered, 7) }
        if begins(bytes, part, "$oshare/") { return (.ordered, 8) }
        // Without its slash the name has neither group nor filter: refused, not taken literally.
        if bytes.matches(part, "$share") { return (.unordered, 6) }
        if bytes.matches(part, "$oshare") { return (.ordered, 7) }
        return nil
    }

    private static func begins(
        _ bytes: RawSpan, _ part: ByteRange, _ prefix: StaticString
    ) -> Bool {
        let size = prefix.utf8CodeUnitCount
        guard part.count >= size else { return false }
        return bytes.matches(ByteRange(offset: Int(part.offset), count: size), prefix)
    }
}
