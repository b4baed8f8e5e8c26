import Base

/// The rules for topic names: what a message is published to.
@usableFromInline
package enum TopicName {
    /// Full check of bytes from anywhere: text, wildcards and limits.
    @usableFromInline
    package static func check(
        _ bytes: RawSpan, _ part: ByteRange, _ limits: TopicLimits
    ) throws(TopicFault) {
        guard !part.isEmpty else { throw .empty }
        guard part.count <= limits.lengthMax else { throw .tooLong }
        switch TextScan.check(bytes, part, .topicName) {
        case .valid: break
        case .wildcard: throw .wildcardInName
        case .illFormed, .null, .controlCharacter: throw .notText
        }
        try checkLimits(bytes, part, limits)
    }

    /// The limits alone, for a name that a decoder has checked as text: lengths and levels.
    @inlinable
    package static func checkLimits(
        _ bytes: RawSpan, _ part: ByteRange, _ limits: TopicLimits
    ) throws(TopicFault) {
        guard part.count <= limits.lengthMax else { throw .tooLong }
        // Nearly every name: no level can be too long, so that only their number is left.
        if part.count <= limits.levelLengthMax, part.count <= TopicLevels.countedBytesMax,
            part.end <= bytes.byteCount
        {
            if part.count < limits.levelsMax { return }
            guard TopicLevels.count(bytes, part) <= limits.levelsMax else { throw .tooManyLevels }
            return
        }
        try checkLevels(bytes, part, limits)
    }

    @usableFromInline
    static func checkLevels(
        _ bytes: RawSpan, _ part: ByteRange, _ limits: TopicLimits
    ) throws(TopicFault) {
        var levels = TopicLevels(part)
        var count = 0
        while let level = levels.next(bytes) {
            count &+= 1
            if count > limits.levelsMax { throw .tooManyLevels }
            if level.count > limits.levelLengthMax { throw .levelTooLong }
        }
    }
}
