import Base
import MQTT

/// Whether some topic name (the empty one counted) is matched by both of two filters.
package enum FilterOverlap {
    /// Both are valid filters without a `$share` prefix.
    package static func overlaps(_ left: RawSpan, _ right: RawSpan) -> Bool {
        var leftLevels = TopicLevels(ByteRange(whole: left))
        var rightLevels = TopicLevels(ByteRange(whole: right))
        var isFirst = true
        while true {
            let one = leftLevels.next(left)
            let other = rightLevels.next(right)
            // `a/#` also matches `a`, so an end meets a last `#`.
            guard let one else { return other.map { isMulti(right, $0) } ?? true }
            guard let other else { return isMulti(left, one) }
            let isOneWild = isWild(left, one)
            let isOtherWild = isWild(right, other)
            if isFirst {
                // A wildcard at the first level does not match names that begin with $.
                if isOneWild, !isOtherWild, LevelBytes.begins(right, other, with: 0x24) {
                    return false
                }
                if isOtherWild, !isOneWild, LevelBytes.begins(left, one, with: 0x24) {
                    return false
                }
            }
            if isMulti(left, one) || isMulti(right, other) { return true }
            if !isOneWild, !isOtherWild, !LevelBytes.equal(left, one, right, other) {
                return false
            }
            isFirst = false
        }
    }

    private static func isMulti(_ bytes: RawSpan, _ level: ByteRange) -> Bool {
        LevelBytes.isByte(bytes, level, 0x23)
    }

    private static func isWild(_ bytes: RawSpan, _ level: ByteRange) -> Bool {
        isMulti(bytes, level) || LevelBytes.isByte(bytes, level, 0x2B)
    }
}
