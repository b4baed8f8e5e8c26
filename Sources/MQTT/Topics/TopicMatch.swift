import Base

/// Whether a filter matches a topic name: the definition by which tries and indexes are judged.
///
/// Level by level, linear, no allocation. Filters are without their `$share` prefix.
@usableFromInline
package enum TopicMatch {
    @usableFromInline
    package static func matches(filter: RawSpan, topic: RawSpan) -> Bool {
        matches(filter, ByteRange(whole: filter), topic: topic, ByteRange(whole: topic))
    }

    /// As above for bytes that lie in a table or message, which stay where they are.
    @usableFromInline
    package static func matches(
        filter: UnsafeRawBufferPointer, topic: UnsafeRawBufferPointer
    ) -> Bool {
        matches(filter: RawSpan(_unsafeBytes: filter), topic: RawSpan(_unsafeBytes: topic))
    }

    /// As above for parts of buffers.
    @usableFromInline
    package static func matches(
        _ filterBytes: RawSpan, _ filter: ByteRange, topic topicBytes: RawSpan,
        _ topic: ByteRange
    ) -> Bool {
        var filterLevels = TopicLevels(filter)
        var topicLevels = TopicLevels(topic)
        var isFirst = true
        while let wanted = filterLevels.next(filterBytes) {
            let isMulti = LevelBytes.isByte(filterBytes, wanted, 0x23)
            // A wildcard at the first level does not match names that begin with $.
            if isFirst, LevelBytes.begins(topicBytes, topic, with: 0x24),
                isMulti || LevelBytes.isByte(filterBytes, wanted, 0x2B)
            {
                return false
            }
            isFirst = false
            if isMulti { return true }
            guard let level = topicLevels.next(topicBytes) else { return false }
            if LevelBytes.isByte(filterBytes, wanted, 0x2B) { continue }
            if !LevelBytes.equal(filterBytes, wanted, topicBytes, level) { return false }
        }
        return topicLevels.next(topicBytes) == nil
    }
}

/// Whether every topic name that one filter matches is matched by another: what a permission for
/// filters with wildcards needs.
@usableFromInline
package enum FilterSubset {
    /// True if `bytes` matches nothing that `other` does not match. Both are valid filters without
    /// a `$share` prefix.
    @usableFromInline
    package static func isSubset(_ bytes: RawSpan, of other: RawSpan) -> Bool {
        var inner = TopicLevels(ByteRange(whole: bytes))
        var outer = TopicLevels(ByteRange(whole: other))
        var isFirst = true
        while true {
            let level = inner.next(bytes)
            guard let wanted = outer.next(other) else { return level == nil }
            let isOuterMulti = LevelBytes.isByte(other, wanted, 0x23)
            let isOuterSingle = LevelBytes.isByte(other, wanted, 0x2B)
            if isFirst, let level, LevelBytes.begins(bytes, level, with: 0x24),
                isOuterMulti || isOuterSingle
            {
                return false
            }
            // # also matches the level above it, so it covers an inner filter that ends here.
            if isOuterMulti { return true }
            guard let level else { return false }
            if LevelBytes.isByte(bytes, level, 0x23) {
                // # at the first level has at least one level: it equals +/#.
                guard isFirst, isOuterSingle, let next = outer.next(other) else { return false }
                return LevelBytes.isByte(other, next, 0x23)
            }
            isFirst = false
            if isOuterSingle { continue }
            if LevelBytes.isByte(bytes, level, 0x2B)
                || !LevelBytes.equal(bytes, level, other, wanted)
            {
                return false
            }
        }
    }
}
