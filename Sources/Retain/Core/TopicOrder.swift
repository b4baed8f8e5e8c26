import Base

/// The order of topics in an index: level by level, so that everything below a topic follows it.
///
/// "/" sorts before every other byte: `a`, `a/b`, `a/c`, `a!`. Topics hold no byte 0, so the order
/// is that of the bytes with "/" read as 0.
enum TopicOrder {
    static let slash = UInt8(ascii: "/")

    /// Negative, zero or positive as `left` comes before, equals or comes after `right`.
    static func compare(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Int {
        let count = min(left.count, right.count)
        var offset = 0
        while offset &+ 8 <= count,
            left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                == right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        {
            offset &+= 8
        }
        while offset < count {
            let first = left[offset]
            let second = right[offset]
            if first != second {
                if first == slash { return -1 }
                if second == slash { return 1 }
                return first < second ? -1 : 1
            }
            offset &+= 1
        }
        return left.count - right.count
    }
}

/// A filter laid beside a topic: whether it matches, and if not, before which topic no other can.
///
/// ```
///  filter a/+/c    topic a/b/a    next  a/b/c          a smaller level: go to the filter's
///                  topic a/b/d    next  behind a/b     a larger one: leave what lies below
///                  topic a/b      next  a/b/c          too short
///                  topic a/b/c/d  next  behind a/b/c   too long
/// ```
/// So an index in `TopicOrder` is searched by leaps; a topic that cannot match costs nothing
/// unless it lies where a match might.
struct FilterLeap {
    private let levels: [UnsafeRawBufferPointer]
    /// The filter has no wildcard.
    let isExact: Bool
    private let startsWild: Bool

    /// What a topic is to the filter.
    enum Verdict: Equatable {
        case matches
        /// No topic before this one matches.
        case next([UInt8])
    }

    /// `filter` must outlive the value.
    init(_ filter: UnsafeRawBufferPointer) {
        var levels: [UnsafeRawBufferPointer] = []
        var start = 0
        for position in 0...filter.count
        where position == filter.count || filter[position] == TopicOrder.slash {
            levels.append(UnsafeRawBufferPointer(rebasing: filter[start..<position]))
            start = position + 1
        }
        self.levels = levels
        isExact = !levels.contains { Self.isPlus($0) || Self.isHash($0) }
        startsWild = Self.isPlus(levels[0]) || Self.isHash(levels[0])
    }

    private static func isPlus(_ level: UnsafeRawBufferPointer) -> Bool {
        level.count == 1 && level[0] == UInt8(ascii: "+")
    }

    private static func isHash(_ level: UnsafeRawBufferPointer) -> Bool {
        level.count == 1 && level[0] == UInt8(ascii: "#")
    }

    /// The first topic that could match: the levels before the first wildcard.
    var first: [UInt8] { path([], from: 0) }

    func judge(_ topic: UnsafeRawBufferPointer) -> Verdict {
        if startsWild, topic.first == UInt8(ascii: "$") { return .next([UInt8(ascii: "$") + 1]) }
        var start = 0
        for (index, level) in levels.enumerated() {
            if Self.isHash(level) { return .matches }
            if start > topic.count {
                // The topic ends before the filter does. "a/#" matches "a".
                if Self.isHash(levels[index]) { return .matches }
                return .next(path([UInt8](topic) + [TopicOrder.slash], from: index))
            }
            var end = start
            while end < topic.count, topic[end] != TopicOrder.slash { end += 1 }
            if !Self.isPlus(level) {
                let name = UnsafeRawBufferPointer(rebasing: topic[start..<end])
                let order = TopicOrder.compare(name, level)
                if order < 0 { return .next(path([UInt8](topic[..<start]), from: index)) }
                if order > 0 { return .next(behind(topic, start)) }
            }
            start = end + 1
        }
        if start > topic.count { return .matches }
        // The topic goes on behind the filter's end.
        return .next([UInt8](topic[..<(start - 1)]) + [1])
    }

    /// `head` with the filter's levels from `index` on, up to its next wildcard.
    private func path(_ head: [UInt8], from index: Int) -> [UInt8] {
        var path = head
        for (offset, level) in levels[index...].enumerated() {
            if Self.isPlus(level) || Self.isHash(level) {
                if Self.isHash(level), offset > 0 { path.removeLast() }
                return path
            }
            path.append(contentsOf: level)
            if index + offset + 1 < levels.count { path.append(TopicOrder.slash) }
        }
        return path
    }

    /// Behind everything below the level that ends before `start`.
    private func behind(_ topic: UnsafeRawBufferPointer, _ start: Int) -> [UInt8] {
        if start == 0 { return [0xFF] }
        return [UInt8](topic[..<(start - 1)]) + [1]
    }
}
