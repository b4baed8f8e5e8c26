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
    @usableFromInline
    package static func checkLimits(
        _ bytes: RawSpan, _ part: ByteRange, _ limits: TopicLimits
    ) throws(TopicFault) {
        guard part.count <= limits.lengthMax else { throw .tooLong }
        // Too short to have as many levels, or as long a one.
        if part.count < limits.levelsMax, part.count <= limits.levelLengthMax { return }
        var levels = TopicLevels(part)
        var count = 0
        while let level = levels.next(bytes) {
            count &+= 1
            if count > limits.levelsMax { throw .tooManyLevels }
            if level.count > limits.levelLengthMax { throw .levelTooLong }
        }
    }
}
