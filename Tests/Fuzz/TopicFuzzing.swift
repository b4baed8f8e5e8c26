import Base
import MQTT

/// Topic filters and names: parsing, matching, and one filter within another.
enum TopicFuzzing {
    static let target = FuzzTarget(
        name: "topic-filter",
        what: "a filter and names made from it: no crash, matching and subsets agree",
        corpus: [
            "a/b/c", "a/+/c", "#", "+", "+/+/#", "/", "//", "$SYS/#", "$share/g/a/+",
            "$oshare/group/#", "sport/tennis/+/ranking", "ü/日本/#", "a//b", "$share//x",
        ].map { Array($0.utf8) }, run: run)

    private static let limits = TopicLimits(lengthMax: 1_000, levelLengthMax: 200, levelsMax: 100)

    private static func run(_ input: [UInt8], _ random: inout SeededRandom) -> String? {
        let cut = random.below(input.count + 1)
        // Often the second filter is near the first, so that one is within the other.
        var second = Array(input.suffix(cut))
        if random.chance(percent: 70) { second = mutateLevel(input, &random) }
        guard let first = parse(input), let other = parse(second) else { return nil }
        let name = makeName(first, &random)
        if !name.isEmpty, !matches(first, name), name.first != 0x24 {
            return "\(text(first)) does not match \(text(name))"
        }
        if !isSubset(first, first) { return "\(text(first)) is not within itself" }
        if isSubset(first, other), matches(first, name), !matches(other, name) {
            return "\(text(first)) within \(text(other)), but for \(text(name))"
        }
        return nil
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The filter without its share prefix, or nil if it is refused.
    private static func parse(_ input: [UInt8]) -> [UInt8]? {
        input.withRawSpan { span in
            guard let parsed = try? TopicFilter.parse(span, ByteRange(whole: span), limits) else {
                return nil
            }
            let filter = span.array(parsed.filter)
            // Equality with its own name is what no wildcard means.
            return filter
        }
    }

    /// Replaces one level by a wildcard.
    private static func mutateLevel(_ input: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var levels = input.split(separator: 0x2F, omittingEmptySubsequences: false).map(Array.init)
        let at = random.below(levels.count)
        levels[at] = random.chance(percent: 50) ? [0x2B] : [0x23]
        if levels[at] == [0x23] { levels = Array(levels.prefix(at + 1)) }
        return Array(levels.joined(separator: [0x2F]))
    }

    /// A name that the filter must match: wildcards replaced by levels.
    private static func makeName(_ filter: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var levels: [[UInt8]] = []
        let fillers: [[UInt8]] = [[], [0x61], Array("zz".utf8)]
        for level in filter.split(separator: 0x2F, omittingEmptySubsequences: false) {
            if level == [0x2B] {
                levels.append(fillers[random.below(3)])
            } else if level == [0x23] {
                // At the first level # stands for one level at least.
                let least = levels.isEmpty ? 1 : 0
                for _ in 0..<(least + random.below(3)) { levels.append(fillers[random.below(3)]) }
            } else {
                levels.append(Array(level))
            }
        }
        return Array(levels.joined(separator: [0x2F]))
    }

    private static func matches(_ filter: [UInt8], _ name: [UInt8]) -> Bool {
        filter.withRawSpan { filter in
            name.withRawSpan { TopicMatch.matches(filter: filter, topic: $0) }
        }
    }

    private static func isSubset(_ inner: [UInt8], _ outer: [UInt8]) -> Bool {
        inner.withRawSpan { inner in
            outer.withRawSpan { FilterSubset.isSubset(inner, of: $0) }
        }
    }
}
