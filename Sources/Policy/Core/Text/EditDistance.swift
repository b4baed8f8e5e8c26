/// How far two words are apart, for suggestions: insertions, deletions, changes and swaps of
/// neighbours count one each.
package enum EditDistance {
    /// Words longer than this are not compared: the table would grow with the square.
    static let longestWord = 128

    package static func between(_ left: String, _ right: String) -> Int {
        let left = Array(left.lowercased().utf8)
        let right = Array(right.lowercased().utf8)
        guard left.count <= longestWord, right.count <= longestWord else { return .max }
        var before = [Int](repeating: 0, count: right.count + 1)
        var above = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let change = above[column] + (left[row] == right[column] ? 0 : 1)
                var best = min(change, above[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1],
                    left[row - 1] == right[column]
                {
                    best = min(best, before[column - 1] + 1)
                }
                current.append(best)
            }
            before = above
            above = current
        }
        return above[right.count]
    }

    /// The nearest word, if it is near enough to be meant: at most a third of its length away.
    package static func closest(to word: String, in words: some Sequence<String>) -> String? {
        var best: (word: String, distance: Int)?
        for candidate in words {
            let distance = between(word, candidate)
            if distance <= max(1, min(candidate.utf8.count, word.utf8.count) / 3),
                distance < best?.distance ?? .max
            {
                best = (candidate, distance)
            }
        }
        return best?.word
    }
}
