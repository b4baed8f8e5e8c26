import Base
import MQTT

/// Topic names and filters.
enum TopicScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "topic-check", what: "UTF-8 and wildcards of 33 ASCII bytes",
            nanosecondsMax: 20, mallocsMax: 0.01
        ) { check($0, CodecScenarios.topic) },
        Scenario(
            name: "topic-check-cjk", what: "the same of 33 bytes of three-byte characters",
            nanosecondsMax: 110, mallocsMax: 0.01
        ) { check($0, Array("日本語日本語日本語日本".utf8)) },
        Scenario(
            name: "topic-limits", what: "levels and lengths of 33 bytes", nanosecondsMax: 70,
            mallocsMax: 0.01, run: limits),
        Scenario(
            name: "topic-filter-parse", what: "a shared filter of 40 bytes, everything checked",
            nanosecondsMax: 250, mallocsMax: 0.01, run: parse),
        Scenario(
            name: "topic-match", what: "plant/+/line/# against 33 bytes", nanosecondsMax: 110,
            mallocsMax: 0.01, run: match),
    ]

    private static func check(_ count: Int, _ topic: [UInt8]) -> UInt64 {
        let span = topic.span.bytes
        let part = ByteRange(whole: span)
        var sum: UInt64 = 0
        for _ in 0..<count {
            sum &+= UInt64(TextScan.check(span, part, .topicName).rawValue &+ 1)
        }
        return sum
    }

    private static func limits(_ count: Int) -> UInt64 {
        let limits = TopicLimits(lengthMax: 255, levelLengthMax: 40, levelsMax: 16)
        let name = CodecScenarios.topic
        let span = name.span.bytes
        let part = ByteRange(whole: span)
        var sum: UInt64 = 0
        for _ in 0..<count {
            guard (try? TopicName.checkLimits(span, part, limits)) != nil else { return 0 }
            sum &+= 1
        }
        return sum
    }

    private static func parse(_ count: Int) -> UInt64 {
        let limits = TopicLimits(lengthMax: 255, levelLengthMax: 40, levelsMax: 16)
        let filter = Array("$share/group/plant/+/line/23/sensor/#".utf8)
        let span = filter.span.bytes
        let part = ByteRange(whole: span)
        var sum: UInt64 = 0
        for _ in 0..<count {
            guard let parsed = try? TopicFilter.parse(span, part, limits) else { return 0 }
            sum &+= UInt64(parsed.levelCount)
        }
        return sum
    }

    private static func match(_ count: Int) -> UInt64 {
        let filter = Array("plant/+/line/#".utf8)
        let span = filter.span.bytes
        let name = CodecScenarios.topic
        let topic = name.span.bytes
        var sum: UInt64 = 0
        for _ in 0..<count {
            sum &+= TopicMatch.matches(filter: span, topic: topic) ? 1 : 0
        }
        return sum
    }
}
