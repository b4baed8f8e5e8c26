import Base
import MQTT
import TestKit
import Testing

@Suite("Topics")
struct TopicTests {
    static let limits = TopicLimits.protocolLimits

    func matches(_ filter: String, _ topic: String) -> Bool {
        Array(filter.utf8).withRawSpan { filter in
            Array(topic.utf8).withRawSpan { TopicMatch.matches(filter: filter, topic: $0) }
        }
    }

    func isSubset(_ inner: String, _ outer: String) -> Bool {
        Array(inner.utf8).withRawSpan { inner in
            Array(outer.utf8).withRawSpan { FilterSubset.isSubset(inner, of: $0) }
        }
    }

    /// The fault of a filter, or nil.
    func fault(_ filter: [UInt8], _ limits: TopicLimits = limits) -> TopicFault? {
        filter.withRawSpan { span in
            do throws(TopicFault) {
                _ = try TopicFilter.parse(span, ByteRange(whole: span), limits)
                return nil
            } catch {
                return error
            }
        }
    }

    func nameFault(_ name: [UInt8], _ limits: TopicLimits = limits) -> TopicFault? {
        name.withRawSpan { span in
            do throws(TopicFault) {
                try TopicName.check(span, ByteRange(whole: span), limits)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test(
        "a filter matches as the specification's examples say [MQTT-4.7.2-1] [v3 MQTT-4.7.2-1]",
        arguments: [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor/Clients", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("a", "a/", false),
            ("a/", "a", false),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
            ("$SYS/#", "$SYS", true),
            ("+/$x", "a/$x", true),
        ])
    func specificationExamples(filter: String, topic: String, expected: Bool) {
        #expect(matches(filter, topic) == expected)
    }

    @Test(
        "the syntax of filters is checked [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1]",
        arguments: [
            ("", .empty), ("sport/tennis#", .wildcardInsideLevel),
            ("sport/tennis/#/ranking", .multiLevelNotLast), ("sport+", .wildcardInsideLevel),
            ("+a/b", .wildcardInsideLevel), ("a/b+", .wildcardInsideLevel),
            ("a/##", .wildcardInsideLevel), ("#/", .multiLevelNotLast),
            ("$share", .shareGroupEmpty), ("$share/", .shareGroupEmpty),
            ("$share/g", .shareFilterMissing), ("$share/g/", .shareFilterMissing),
            ("$share//x", .shareGroupEmpty), ("$share/+/x", .shareGroupWildcard),
            ("$share/a#b/x", .shareGroupWildcard), ("$oshare/g", .shareFilterMissing),
            ("$oshare", .shareGroupEmpty), ("$oshare/g/a#", .wildcardInsideLevel),
            ("a", nil), ("/", nil), ("#", nil), ("+", nil), ("+/+/#", nil), ("/finance", nil),
            ("$share/g//finance", nil), ("$share/g/#", nil), ("$oshare/g/+/x", nil),
            ("$shared/g", nil), ("a b", nil),
        ] as [(String, TopicFault?)])
    func filterSyntax(filter: String, expected: TopicFault?) {
        #expect(fault(Array(filter.utf8)) == expected)
    }

    @Test("a shared filter is taken apart into group and filter")
    func sharedParts() throws {
        for (text, share) in [
            ("$share/group/a/+/#", ShareKind.unordered), ("$oshare/group/a/+/#", .ordered),
        ] {
            let filter = Array(text.utf8)
            let parsed = try #require(
                filter.withRawSpan { try? TopicFilter.parse($0, ByteRange(whole: $0), Self.limits) }
            )
            #expect(parsed.share == share)
            #expect(filter[parsed.group.range].elementsEqual("group".utf8))
            #expect(filter[parsed.filter.range].elementsEqual("a/+/#".utf8))
            #expect(parsed.levelCount == 3)
            #expect(parsed.hasWildcard && parsed.hasMultiLevel)
        }
    }

    @Test("names and filters are text without U+0000, names without wildcards [MQTT-4.7.3-2]")
    func text() {
        #expect(fault([0x61, 0]) == .notText)
        #expect(fault([0xFF]) == .notText)
        #expect(nameFault([]) == .empty)
        #expect(nameFault([0x61, 0]) == .notText)
        #expect(nameFault([0xC0, 0xAF]) == .notText)
        #expect(nameFault(Array("a/+".utf8)) == .wildcardInName)
        #expect(nameFault(Array("a#".utf8)) == .wildcardInName)
        #expect(nameFault(Array("a/日本/$".utf8)) == nil)
    }

    @Test("lengths and levels are limited exactly, and 65,535 slashes are no trouble")
    func limits() {
        let limits = TopicLimits(lengthMax: 10, levelLengthMax: 4, levelsMax: 3)
        #expect(fault(Array("aaaa/bbbb".utf8), limits) == nil)
        #expect(fault(Array("aaaaa".utf8), limits) == .levelTooLong)
        #expect(fault(Array("a/b/c".utf8), limits) == nil)
        #expect(fault(Array("a/b/c/d".utf8), limits) == .tooManyLevels)
        #expect(fault(Array("aaa/bbb/cc".utf8), limits) == nil)
        #expect(fault(Array("aaa/bbb/ccc".utf8), limits) == .tooLong)
        #expect(nameFault(Array("aaaa/bbbb".utf8), limits) == nil)
        #expect(nameFault(Array("aaaaa".utf8), limits) == .levelTooLong)
        #expect(nameFault(Array("a/b/c/d".utf8), limits) == .tooManyLevels)
        let slashes = [UInt8](repeating: 0x2F, count: 65_535)
        #expect(fault(slashes) == nil)
        #expect(nameFault(slashes) == nil)
        let tight = TopicLimits(lengthMax: 65_535, levelLengthMax: 65_535, levelsMax: 65_535)
        #expect(fault(slashes, tight) == .tooManyLevels)
        #expect(
            matches(
                String(repeating: "+/", count: 20_000) + "#", String(repeating: "/", count: 65_535))
        )
    }

    @Test(
        "a filter within another is found, also across # and the $ rule",
        arguments: [
            ("a", "a/#", true), ("a/b", "a/#", true), ("a/#", "a/+", false),
            ("a/+", "a/#", true), ("#", "+/#", true), ("+/#", "#", true),
            ("a/#", "a/+/#", false), ("a/+/#", "a/#", true), ("$SYS/#", "#", false),
            ("$SYS/x", "+/x", false), ("$SYS/#", "$SYS/#", true), ("+", "#", true),
            ("#", "a/#", false), ("secret/#", "secret/+/#", false), ("#", "+", false),
            ("a/+/c", "a/b/c", false), ("a/b/c", "a/+/c", true),
        ])
    func subsets(inner: String, outer: String, expected: Bool) {
        #expect(isSubset(inner, outer) == expected)
    }

    /// All texts of one to three levels over a small alphabet.
    static func texts(_ levels: [String], depth: Int) -> [String] {
        var all: [String] = []
        var last = levels
        for _ in 0..<depth {
            all += last
            last = last.flatMap { prefix in levels.map { "\(prefix)/\($0)" } }
        }
        return all.filter { !$0.isEmpty }
    }

    @Test("matching equals a recursive model over every small filter and topic")
    func matchEqualsModel() {
        func model(_ filter: ArraySlice<Substring>, _ topic: ArraySlice<Substring>) -> Bool {
            guard let wanted = filter.first else { return topic.isEmpty }
            if wanted == "#" { return true }
            guard let level = topic.first else { return false }
            return (wanted == "+" || wanted == level)
                && model(filter.dropFirst(), topic.dropFirst())
        }
        let topics = Self.texts(["a", "$s", ""], depth: 3)
        let filters = Self.texts(["a", "$s", "", "+", "#"], depth: 3)
            .filter { fault(Array($0.utf8)) == nil }
        for filter in filters {
            for topic in topics {
                let isHidden = topic.hasPrefix("$") && "+#".contains(filter.first ?? " ")
                let expected =
                    !isHidden
                    && model(
                        filter.split(separator: "/", omittingEmptySubsequences: false)[...],
                        topic.split(separator: "/", omittingEmptySubsequences: false)[...])
                #expect(matches(filter, topic) == expected, "\(filter) against \(topic)")
            }
        }
    }

    @Test("one filter is within another if and only if no topic tells them apart")
    func subsetEqualsModel() {
        // One level deeper than the filters, with a level that no filter names.
        let topics = Self.texts(["a", "$s", "", "z"], depth: 4)
        let filters = Self.texts(["a", "$s", "+", "#"], depth: 3)
            .filter { fault(Array($0.utf8)) == nil }
        let matched = filters.map { filter in
            Set(topics.indices.filter { matches(filter, topics[$0]) })
        }
        for inner in filters.indices {
            for outer in filters.indices {
                let expected = matched[inner].isSubset(of: matched[outer])
                let found = isSubset(filters[inner], filters[outer])
                #expect(found == expected, "\(filters[inner]) within \(filters[outer])")
            }
        }
    }

    @Test(
        "levels counted eight bytes at a time are those that a walk finds",
        arguments: Seed.series(4))
    func countsLevels(seed: Seed) {
        var random = SeededRandom(seed: seed.value)
        for count in 1...254 {
            let name = (0..<count).map { _ -> UInt8 in
                // Bytes beside the slash, with and without the top bit, are likely too.
                let choices: [UInt8] = [0x2F, 0x2E, 0x30, 0xAF, 0x61, 0xC3]
                return choices[random.below(choices.count)]
            }
            let offset = random.below(3)
            let bytes = [UInt8](repeating: 0x2F, count: offset) + name + [0x2F, 0x2F]
            let levels = name.split(separator: 0x2F, omittingEmptySubsequences: false).count
            let span = bytes.span.bytes
            let part = ByteRange(offset: offset, count: count)
            func isAccepted(_ levelsMax: Int) -> Bool {
                let limits = TopicLimits(
                    lengthMax: 300, levelLengthMax: 300, levelsMax: levelsMax)
                return (try? TopicName.checkLimits(span, part, limits)) != nil
            }
            #expect(isAccepted(levels), "\(bytes)")
            #expect(!isAccepted(levels - 1), "\(bytes)")
        }
    }

    @Test("levels are walked by bytes, empty ones included")
    func levels() {
        let topic = Array("/a//bc/".utf8)
        var found: [String] = []
        topic.withRawSpan { span in
            var levels = TopicLevels(ByteRange(whole: span))
            while let level = levels.next(span) { found.append(span.string(level)) }
        }
        #expect(found == ["", "a", "", "bc", ""])
    }
}
