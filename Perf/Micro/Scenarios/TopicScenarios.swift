import Base
import MQTT

/// Topic names and filters.
enum TopicScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "topic-check", what: "UTF-8 and wildcards of 33 ASCII bytes"
        ) { check($0, CodecScenarios.topic) },
        Scenario(
            name: "topic-check-cjk", what: "the same of 33 bytes of three-byte characters"
        ) { check($0, Array("日本語日本語日本語日本".utf8)) },
        Scenario(
            name: "topic-limits", what: "levels and lengths of 33 bytes", run: limits),
        Scenario(
            name: "topic-filter-parse", what: "a shared filter of 40 bytes, everything checked",
            run: parse),
        Scenario(
            name: "topic-match", what: "plant/+/line/# against 33 bytes", run: match),
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
        // More than one topic, so that the answer is not a constant.
        let topics = CodecScenarios.topic + Array("plant/7/lime/23/sensor/temperatur".utf8)
        let bytes = topics.span.bytes
        var sum: UInt64 = 0
        for index in 0..<count {
            let start = index & 1 == 0 ? 0 : 33
            let topic = bytes.extracting(start..<start + 33)
            sum &+= TopicMatch.matches(filter: span, topic: topic) ? 1 : 2
        }
        return sum
    }
}
