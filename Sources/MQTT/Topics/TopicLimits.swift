/// How large topic names and filters may be: settings of a tenant.
@usableFromInline
package struct TopicLimits: Equatable, Sendable {
    /// Bytes of the whole name or filter, `$share` and group included.
    @usableFromInline
    package var lengthMax: Int
    /// Bytes of one level.
    @usableFromInline
    package var levelLengthMax: Int
    /// Levels; of a shared filter those behind the group.
    @usableFromInline
    package var levelsMax: Int

    @usableFromInline
    package init(lengthMax: Int, levelLengthMax: Int, levelsMax: Int) {
        self.lengthMax = lengthMax
        self.levelLengthMax = levelLengthMax
        self.levelsMax = levelsMax
    }

    /// What the protocol itself allows.
    @usableFromInline
    package static let protocolLimits = TopicLimits(
        lengthMax: 65_535, levelLengthMax: 65_535, levelsMax: 65_536)
}

/// Why a topic name or filter is refused.
@usableFromInline
package enum TopicFault: UInt8, Error, CaseIterable, Sendable {
    case empty
    case tooLong
    case tooManyLevels
    case levelTooLong
    case notText
    /// `+` or `#` in a topic name.
    case wildcardInName
    /// `+` or `#` beside other characters of its level.
    case wildcardInsideLevel
    /// `#` before the last level.
    case multiLevelNotLast
    case shareGroupEmpty
    case shareGroupWildcard
    /// `$share/group` without a filter behind it.
    case shareFilterMissing

    /// What is wrong, as a phrase.
    @usableFromInline
    package var what: StaticString {
        switch self {
        case .empty: "empty"
        case .tooLong: "too long"
        case .tooManyLevels: "too many levels"
        case .levelTooLong: "a level too long"
        case .notText: "not well-formed text"
        case .wildcardInName: "wildcard in a topic name"
        case .wildcardInsideLevel: "wildcard beside other characters of its level"
        case .multiLevelNotLast: "# before the last level"
        case .shareGroupEmpty: "empty share name"
        case .shareGroupWildcard: "wildcard in the share name"
        case .shareFilterMissing: "no filter behind the share name"
        }
    }
}
