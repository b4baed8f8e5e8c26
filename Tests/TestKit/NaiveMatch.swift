/// Whether a filter matches a topic, level by level as the specification says it: the model that
/// the structures are compared with. The filter is one that was checked.
package func naiveMatches(_ filter: [UInt8], _ topic: [UInt8]) -> Bool {
    let slash = UInt8(ascii: "/")
    let levels = filter.split(separator: slash, omittingEmptySubsequences: false).map(Array.init)
    let names = topic.split(separator: slash, omittingEmptySubsequences: false).map(Array.init)
    let plus = [UInt8(ascii: "+")]
    let hash = [UInt8(ascii: "#")]
    if topic.first == UInt8(ascii: "$"), levels[0] == plus || levels[0] == hash { return false }
    for (index, level) in levels.enumerated() {
        if level == hash { return true }
        if index >= names.count { return false }
        if level != plus, level != names[index] { return false }
    }
    return levels.count == names.count
}
